//! Who got what, and what was lost why: `appended = delivered + excluded + dropped + waiting`, for
//! every consumer and class, at every moment.
//!
//! `waiting` is not counted but follows from the cursor, so the identity can be checked
//! ([`Account::balances`]) instead of being true by definition. Positions jumped over after a
//! crash belong to nothing that is known to have been appended: they are in none of the sums.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The reasons in the ledger that are no losses.
pub const SALVAGED: &str = "salvaged";
pub const SKIPPED: &str = "skipped";
pub const NEW_EPOCH: &str = "new-epoch";
pub const TIME_CORRECTED: &str = "time-corrected";

/// Why something was dropped, or what else has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The byte quota was used up.
    Quota,
    /// Older than the configured age.
    Age,
    /// The disk was full before the byte quota was used up.
    Disk,
    /// The memory was used up before it could be written.
    RamFull,
    /// What was written can't be read back, or not as it was written.
    Corrupt,
    /// A best-effort consumer fell behind what is kept for the required ones.
    ConsumerLag,
    /// It was in memory only, or gone from the file, when the gateway came back.
    Lost,
    /// The consumer was taken out of the configuration.
    ConsumerRemoved,
    /// Dropped as corrupt, and brought back after all: takes away from what was dropped.
    Salvaged,
    /// Positions jumped over after a crash: a note, not a loss.
    Skipped,
    /// From here on positions count under a new epoch: a note, not a loss.
    NewEpoch,
    /// Delivered with the wrong time, which is known now: a note, not a loss.
    TimeCorrected,
    /// The consumer can never deliver it.
    Dead(&'static str),
}

impl Reason {
    /// Those that cost something, but for the consumers' own (`Dead`).
    pub const LOSSES: [Self; 8] = [
        Self::Quota,
        Self::Age,
        Self::Disk,
        Self::RamFull,
        Self::Corrupt,
        Self::ConsumerLag,
        Self::Lost,
        Self::ConsumerRemoved,
    ];

    pub fn word(self) -> Cow<'static, str> {
        match self {
            Self::Quota => "quota".into(),
            Self::Disk => "disk".into(),
            Self::Age => "age".into(),
            Self::RamFull => "ram-full".into(),
            Self::Corrupt => "corrupt".into(),
            Self::ConsumerLag => "consumer-lag".into(),
            Self::Lost => "lost".into(),
            Self::ConsumerRemoved => "consumer-removed".into(),
            Self::Salvaged => SALVAGED.into(),
            Self::Skipped => SKIPPED.into(),
            Self::NewEpoch => NEW_EPOCH.into(),
            Self::TimeCorrected => TIME_CORRECTED.into(),
            Self::Dead(why) => format!("dead:{why}").into(),
        }
    }
}

/// The sums of one consumer in one class since it was first configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    pub appended: u64,
    pub delivered: u64,
    pub excluded: u64,
    pub dropped: BTreeMap<Cow<'static, str>, u64>,
}

impl Account {
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    pub fn drop(&mut self, reason: Reason, n: u64) {
        *self.dropped.entry(reason.word()).or_default() += n;
    }

    /// What was counted as dropped turns out not to be.
    pub fn take_back(&mut self, reason: Reason, n: u64) {
        if let Some(dropped) = self.dropped.get_mut(&reason.word()) {
            *dropped = dropped.saturating_sub(n);
        }
        self.dropped.retain(|_, n| *n > 0);
    }

    /// Whether the identity holds.
    pub fn balances(&self, waiting: u64) -> bool {
        self.appended == self.delivered + self.excluded + self.dropped_total() + waiting
    }
}
