//! What a rehearsal says: the figures, for the command line and the page alike. Times are milliseconds
//! from the beginning of the outage.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::uplink::rehearsal::{Bound, Sent};

/// Everything about one outage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    pub outage_ms: u64,
    /// How much of the outage the store and the buses really went through on a fast clock; the rest
    /// is computed from the rates of that part.
    pub measured_ms: u64,
    pub field: FieldAnswer,
    pub store: StoreAnswer,
    /// At moments of the outage and of the drain that follows it, in order.
    pub samples: Vec<Sample>,
    pub uplinks: Vec<UplinkAnswer>,
    /// What nobody measured, in words.
    pub assumed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldAnswer {
    pub tags: usize,
    /// Values read in a second ...
    pub reads_per_second: f64,
    /// ... and readings made of them, after the rules for what is published.
    pub readings_per_second: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoreAnswer {
    /// `None`: in memory only.
    pub path: Option<String>,
    /// Readings that the file has when the outage ends, and the live data in it. Without a file both
    /// are of the memory.
    pub readings: u64,
    pub bytes: u64,
    pub bytes_per_reading: Option<f64>,
    /// The most it may take, for which reason, and of how much memory without a file.
    pub quota_bytes: u64,
    pub allowed_bytes: u64,
    pub max_age_ms: u64,
    /// When the first reading would go, of an outage that lasts and lasts.
    pub enough_ms: Option<u64>,
    /// Bytes written to the card during the outage, and in a day of one.
    pub written_bytes: u64,
    /// `None` for one that was too short to tell.
    pub written_bytes_per_day: Option<u64>,
    pub endurance_bytes: u64,
    /// How long a new card of that endurance lasts if the uplinks are never there.
    pub card_years: Option<f64>,
    /// What a power cut in the middle of it costs at most: the readings of so long a time.
    pub power_cut_ms: Option<u64>,
    pub power_cut_readings: u64,
}

/// `appended = delivered + excluded + dropped + waiting`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    pub appended: u64,
    pub delivered: u64,
    /// Read, but not selected by the uplink's filters; found out when it reads them.
    pub excluded: u64,
    pub dropped: u64,
    pub waiting: u64,
}

impl Account {
    pub fn holds(&self) -> bool {
        self.appended == self.delivered + self.excluded + self.dropped + self.waiting
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    pub at_ms: u64,
    /// Of the live data in the file.
    pub bytes: u64,
    /// Since the outage began.
    pub written_bytes: u64,
    /// By the names of the uplinks.
    pub uplinks: BTreeMap<String, Account>,
    /// Computed, not gone through.
    pub computed: bool,
}

impl Sample {
    /// The most that waits for any uplink.
    pub fn waiting(&self) -> u64 {
        self.uplinks.values().map(|account| account.waiting).max().unwrap_or(0)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UplinkAnswer {
    pub name: String,
    /// Whether the store holds data back for it.
    pub required: bool,
    /// When the outage ends, by class.
    pub classes: BTreeMap<&'static str, ClassAnswer>,
    pub first_drop_ms: Option<u64>,
    /// Of the samples, the last one at which more was dropped than before.
    pub last_drop_ms: Option<u64>,
    pub drain: Drain,
}

impl UplinkAnswer {
    pub fn sum(&self) -> Account {
        let mut sum = Account::default();
        for ClassAnswer { account, .. } in self.classes.values() {
            sum.appended += account.appended;
            sum.delivered += account.delivered;
            sum.excluded += account.excluded;
            sum.dropped += account.dropped;
            sum.waiting += account.waiting;
        }
        sum
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClassAnswer {
    #[serde(flatten)]
    pub account: Account,
    pub dropped_why: BTreeMap<String, u64>,
}

/// How the backlog goes once the uplink is back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Drain {
    /// All that waited is delivered.
    Drained(Way),
    /// It never gets through: what is read anew takes all that the uplink may send, or more.
    FallsBehind(Way),
    /// It can't be said without the cloud.
    Unknown { why: String },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Way {
    /// From the return of the link on; for one that falls behind, as long as it was watched.
    pub ms: u64,
    /// How long this machine needed to read and pack it, and to go through the rest of that time.
    pub machine_ms: u64,
    /// Computed from the first part of it.
    pub computed: bool,
    #[serde(flatten)]
    pub sent: Sent,
    pub bytes_per_reading: Option<f64>,
    /// What the next message waited for most of the time.
    pub bound: Bound,
    /// How old fresh readings are when the cloud has them, meanwhile: the middle one and the oldest.
    pub live_ms: Option<(u64, u64)>,
    /// Dropped on the way, since the link was back.
    pub dropped: u64,
}
