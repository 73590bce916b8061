//! Who got what, and what was lost why: `appended = delivered + excluded + dropped + waiting`, for
//! every consumer and class, at every moment.
//!
//! `waiting` is not counted but follows from the cursor, so the identity can be checked
//! ([`Account::balances`]) instead of being true by definition. Positions jumped over after a
//! crash belong to nothing that is known to have been appended: they are in none of the sums.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use serde::Serialize;

use crate::model::{Class, Wall};

/// Most ledger rows in memory; older ones are on disk, their sums in the accounts.
const ROWS_IN_MEMORY_MAX: usize = 256;
/// How far back a row is looked for that a new drop continues.
const ROWS_TO_CONTINUE: usize = 16;

/// Why something was dropped.
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
    /// The consumer can never deliver it.
    Dead(&'static str),
}

impl Reason {
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
            Self::Salvaged => "salvaged".into(),
            Self::Skipped => "skipped".into(),
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

/// One loss: what, for whom, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropRow {
    pub id: i64,
    pub reason: Cow<'static, str>,
    pub consumer: String,
    pub class: &'static str,
    pub seq_from: u64,
    /// The first position after it.
    pub seq_to: u64,
    /// How many of these positions the consumer was still waiting for.
    pub n: u64,
    /// When the oldest and the newest of it were read, as far as that is known.
    pub wall_from_ms: Option<i64>,
    pub wall_to_ms: Option<i64>,
}

/// The newest losses, and which of them the file does not know yet.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    rows: VecDeque<(DropRow, bool)>,
    last_id: i64,
}

impl Ledger {
    /// Takes up after the rows of the file, given oldest first.
    pub fn resume(rows: Vec<DropRow>, last_id: i64) -> Self {
        let mut ledger = Self { rows: rows.into_iter().map(|row| (row, false)).collect(), last_id };
        ledger.shorten();
        ledger
    }

    pub fn record(
        &mut self,
        reason: Reason,
        consumer: &str,
        class: Class,
        range: Range<u64>,
        n: u64,
        read: Option<(Wall, Wall)>,
    ) {
        let reason = reason.word();
        let (from, to) = (read.map(|r| r.0.0), read.map(|r| r.1.0));
        let continued = self.rows.iter_mut().rev().take(ROWS_TO_CONTINUE).find(|(row, _)| {
            row.seq_to == range.start
                && row.reason == reason
                && row.class == class.as_str()
                && row.consumer == consumer
        });
        if let Some((row, dirty)) = continued {
            row.seq_to = range.end;
            row.n += n;
            row.wall_from_ms = row.wall_from_ms.or(from);
            row.wall_to_ms = to.or(row.wall_to_ms);
            *dirty = true;
            return;
        }
        self.last_id += 1;
        let row = DropRow {
            id: self.last_id,
            reason,
            consumer: consumer.to_owned(),
            class: class.as_str(),
            seq_from: range.start,
            seq_to: range.end,
            n,
            wall_from_ms: from,
            wall_to_ms: to,
        };
        self.rows.push_back((row, true));
        self.shorten();
    }

    fn shorten(&mut self) {
        while self.rows.len() > ROWS_IN_MEMORY_MAX {
            self.rows.pop_front();
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = &DropRow> {
        self.rows.iter().map(|(row, _)| row)
    }

    pub fn is_dirty(&self) -> bool {
        self.rows.iter().any(|(_, dirty)| *dirty)
    }

    /// Rows the file does not know, or not as they are now.
    pub fn dirty(&self) -> Vec<DropRow> {
        self.rows.iter().filter(|(_, dirty)| *dirty).map(|(row, _)| row.clone()).collect()
    }

    /// `written` are in the file now; a row that grew meanwhile stays dirty.
    pub fn written(&mut self, written: &[DropRow]) {
        for (row, dirty) in &mut self.rows {
            if *dirty && written.contains(row) {
                *dirty = false;
            }
        }
    }

    /// A new file knows nothing of them.
    pub fn forget_writes(&mut self) {
        self.rows.iter_mut().for_each(|(_, dirty)| *dirty = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_that_goes_on_is_one_row() {
        let mut ledger = Ledger::default();
        ledger.record(Reason::Quota, "cloud", Class::Bulk, 0..10, 10, Some((Wall(1), Wall(2))));
        ledger.record(Reason::Quota, "cloud", Class::Normal, 10..20, 10, None);
        ledger.record(Reason::Quota, "cloud", Class::Bulk, 10..20, 7, Some((Wall(3), Wall(4))));
        let first = ledger.dirty();
        assert_eq!(first.len(), 2);
        let bulk = &first[0];
        assert_eq!((bulk.seq_from, bulk.seq_to, bulk.n), (0, 20, 17));
        assert_eq!((bulk.wall_from_ms, bulk.wall_to_ms), (Some(1), Some(4)));
        ledger.record(Reason::Quota, "cloud", Class::Bulk, 20..21, 1, None);
        ledger.written(&first);
        assert_eq!(ledger.dirty().len(), 1, "the row that grew while it was written");
    }

    #[test]
    fn memory_of_losses_is_bounded() {
        let mut ledger = Ledger::default();
        for i in 0..1_000 {
            ledger.record(Reason::Age, "cloud", Class::Bulk, 2 * i..2 * i + 1, 1, None);
        }
        assert_eq!(ledger.rows().count(), ROWS_IN_MEMORY_MAX);
        assert_eq!(ledger.rows().last().map(|row| row.id), Some(1_000));
    }
}
