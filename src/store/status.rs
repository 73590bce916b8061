//! What the store tells about itself; serialised for the page and `fieldhold store status`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::entry::{BootNo, Policy};
use super::ledger::DropRow;
use super::per_class::PerClass;
use super::state::{Consumer, State};
use super::wear::WearStatus;
use crate::model::{Class, Clock, Mono, Wall};

/// Whether what is appended becomes safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Health {
    /// On disk within the commit window.
    Ok,
    /// No directory is configured: memory is all there is, as wanted.
    #[default]
    MemoryOnly,
    /// The disk fails: memory is all there is, and the disk is tried again and again.
    RamOnly(String),
    Closed,
}

/// Sums since the start of the process.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counters {
    /// Readings and messages appended.
    pub appended: u64,
    /// Of these, how many the file was given.
    pub written: u64,
    /// Of these, how many were settled before they had to be written.
    pub spared: u64,
    pub chunks: u64,
    /// Bytes of chunk bodies written.
    pub body_bytes: u64,
    pub commits: u64,
    /// Of these, how many took longer than 50 ms ...
    pub commits_slow: u64,
    /// ... and how long the longest took.
    pub commit_max_ms: u64,
    pub checkpoints: u64,
    pub commit_failures: u64,
    /// Damaged chunks skipped.
    pub chunks_corrupt: u64,
    /// Chunks deleted, settled or dropped.
    pub chunks_deleted: u64,
    /// Contradictions found in the accounts.
    pub violations: u64,
}

/// One consumer in one class: `appended = delivered + excluded + dropped + waiting`.
#[derive(Debug, Clone, Serialize)]
pub struct AccountStatus {
    pub class: &'static str,
    pub appended: u64,
    pub delivered: u64,
    pub excluded: u64,
    pub dropped: u64,
    pub dropped_why: BTreeMap<String, u64>,
    pub waiting: u64,
    /// How long the oldest that waits has been waiting, if that can be told.
    pub oldest_ms: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ConsumerStatus {
    pub name: String,
    pub required: bool,
    pub classes: Vec<AccountStatus>,
}

/// A file set aside because it could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Where it lies now.
    pub file: String,
    pub why: String,
    /// Readings and messages brought back, and such as could not be, as far as it was looked at.
    pub salvaged: u64,
    pub lost: u64,
    /// Whether everything was looked at.
    pub done: bool,
    /// Names the file in the rows of `salvage`.
    #[serde(skip)]
    pub number: u64,
    /// Only the log was set aside; what is below is in the file in use.
    #[serde(skip)]
    pub floors: Option<PerClass<u64>>,
}

impl Quarantined {
    pub fn new(number: u64, file: &Path, why: &str) -> Self {
        Self {
            file: file.display().to_string(),
            why: why.to_owned(),
            salvaged: 0,
            lost: 0,
            done: false,
            number,
            floors: None,
        }
    }
}

/// What the look at the file after an unclean stop found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Check {
    /// Not needed, or not yet begun.
    #[default]
    None,
    Running,
    Sound,
    /// The file was set aside.
    Damaged(String),
    /// It could not be finished; what is read is checked all the same.
    GivenUp(String),
}

/// What is known of the file without asking it.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub bytes: u64,
    /// The most it may be on a file system that has the room ...
    pub quota: u64,
    /// ... and now.
    pub allowed: u64,
    /// Room left on the file system, as far as it can be told.
    pub free: Option<u64>,
    pub quarantined: Vec<Quarantined>,
    pub clean_start: bool,
    pub check: Check,
    pub last_commit: Option<Wall>,
    pub last_error: Option<String>,
    /// When the oldest of each class in the file was read.
    pub oldest: PerClass<Option<(BootNo, Mono)>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct StoreStatus {
    #[serde(flatten)]
    pub health: Health,
    /// Hexadecimal, as in message ids.
    pub epoch: String,
    pub file: Option<String>,
    /// Size of the live data in the file.
    pub disk_bytes: u64,
    /// The quota ...
    pub disk_bytes_max: u64,
    /// ... and what the disk has room for now, if that is less.
    pub disk_bytes_allowed: u64,
    /// Room left on the file system.
    pub disk_bytes_free: Option<u64>,
    pub ram_bytes: usize,
    pub ram_bytes_max: usize,
    /// The configured commit window; like the next two `None` when nothing is ever written.
    pub commit_ms: Option<u64>,
    /// At most the readings of so long a time are lost by a power cut now: the commit window, or
    /// more when the disk did not keep up with it lately.
    pub loss_bound_ms: Option<u64>,
    /// Whether what is settled within the window is never written.
    pub write_behind: Option<bool>,
    pub consumers: Vec<ConsumerStatus>,
    /// The newest losses, oldest first.
    pub drops: Vec<DropRow>,
    pub counters: Counters,
    pub wear: WearStatus,
    pub quarantined: Vec<Quarantined>,
    /// Whether the last shutdown was orderly; after a crash positions were jumped over.
    pub clean_start: bool,
    /// Whether the file is sound, looked at after an unclean stop.
    pub check: Check,
    /// When the file was last known to be up to date, wall time.
    pub last_commit_ms: Option<i64>,
    pub last_error: Option<String>,
    /// Where the accounts contradict themselves or the file, as of the last check. Always empty,
    /// unless the store has a fault.
    pub violations: Vec<String>,
}

impl StoreStatus {
    /// Whether the identity holds for every consumer and class.
    pub fn balances(&self) -> bool {
        self.consumers.iter().flat_map(|consumer| &consumer.classes).all(|account| {
            account.appended
                == account.delivered + account.excluded + account.dropped + account.waiting
        })
    }
}

/// The status of an open store.
pub fn of(state: &State, options: &Options, clock: &dyn Clock) -> StoreStatus {
    let consumers = state.consumers.iter().map(|consumer| {
        let classes = Class::ALL.map(|class| account(state, consumer, class, clock));
        ConsumerStatus {
            name: consumer.name.as_str().to_owned(),
            required: consumer.policy == Policy::Required,
            classes: classes.into(),
        }
    });
    let on_disk = matches!(state.health, Health::Ok | Health::RamOnly(_));
    StoreStatus {
        health: state.health.clone(),
        epoch: format!("{:016x}", state.epoch),
        file: options.dir.as_ref().map(|dir| dir.display().to_string()),
        disk_bytes: state.disk.bytes,
        disk_bytes_max: state.disk.quota,
        disk_bytes_allowed: state.disk.allowed,
        disk_bytes_free: state.disk.free,
        ram_bytes: state.ram_bytes,
        ram_bytes_max: state.ram_bytes_max,
        commit_ms: on_disk.then(|| millis(state.window.configured())),
        loss_bound_ms: on_disk
            .then(|| millis(state.window.loss_bound(state.unwritten_since(), clock.mono()))),
        write_behind: on_disk.then_some(options.write_behind),
        consumers: consumers.collect(),
        drops: state.ledger.rows().filter(|row| row.is_drop()).cloned().collect(),
        counters: state.counters.clone(),
        wear: state.wear.status(options.endurance_bytes),
        quarantined: quarantined(state),
        clean_start: state.disk.clean_start,
        check: state.disk.check.clone(),
        last_commit_ms: state.disk.last_commit.map(|wall| wall.0),
        last_error: state.disk.last_error.clone(),
        violations: state.violations.clone(),
    }
}

/// What was set aside, with what is known by now of what is not done yet.
fn quarantined(state: &State) -> Vec<Quarantined> {
    let mut all = state.disk.quarantined.clone();
    for aside in all.iter_mut().filter(|aside| !aside.done) {
        if let Some(salvage) = state.salvages.get(aside.number) {
            (aside.salvaged, aside.lost) = (salvage.salvaged, salvage.owed());
        }
    }
    all
}

fn account(state: &State, who: &Consumer, class: Class, clock: &dyn Clock) -> AccountStatus {
    let share = who.shares.get(class);
    let waiting = share.cursor.waiting(state.lanes.get(class).head);
    let oldest = state.oldest(who, class).filter(|_| waiting > 0);
    AccountStatus {
        class: class.as_str(),
        appended: share.account.appended,
        delivered: share.account.delivered,
        excluded: share.account.excluded,
        dropped: share.account.dropped_total(),
        dropped_why: share.account.dropped.iter().map(|(k, n)| (k.to_string(), *n)).collect(),
        waiting,
        oldest_ms: oldest.and_then(|(boot, at)| state.boots.age_ms(boot, at, clock)),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
