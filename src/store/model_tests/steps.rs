//! What may happen to a store, and within which limits it lives.

use std::time::Duration;

use proptest::prelude::*;

use crate::model::Class;
use crate::store::{Policy, Settled};

/// Who may consume.
pub const WHO: [&str; 3] = ["cloud", "lab", "spare"];
/// Older readings are dropped.
pub const MAX_AGE: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone)]
pub enum Step {
    Append {
        class: Class,
        n: u64,
    },
    Message {
        class: Class,
    },
    /// Settles from the `from`th position on that waits, so often out of order.
    Settle {
        who: usize,
        class: Class,
        from: u64,
        n: u64,
        how: Settled,
    },
    Advance {
        ms: u64,
    },
    /// Everything so far becomes too old.
    Age,
    /// Somebody sets the wall clock.
    SetClock {
        minutes: i64,
    },
    Flush,
    /// An orderly end and a start, perhaps with a boot of the machine between them.
    Reopen {
        boot: bool,
    },
    Crash {
        boot: bool,
    },
    /// The file turns out to be bad.
    NewFile,
    /// A consumer is added, removed or gets another policy.
    Consume {
        who: usize,
        policy: Option<Policy>,
    },
    /// A consumer hears what there is to be told, and perhaps says so.
    Tell {
        who: usize,
        max: usize,
        acknowledged: bool,
    },
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub ram_bytes: usize,
    pub max_bytes: u64,
    pub commit: Duration,
    pub write_behind: bool,
}

impl Limits {
    /// Whether even a required consumer may lose something, counted.
    pub fn are_tight(&self) -> bool {
        self.ram_bytes < 1 << 20 || self.max_bytes < 1 << 20
    }
}

pub fn limits() -> impl Strategy<Value = Limits> {
    let ram = prop_oneof![2 => Just(32_usize << 20), 1 => Just(30_000)];
    let disk = prop_oneof![2 => Just(1_u64 << 30), 1 => Just(70_000)];
    let commit = prop_oneof![Just(100), Just(1_000), Just(10_000)].prop_map(Duration::from_millis);
    let write_behind = prop_oneof![2 => Just(true), 1 => Just(false)];
    (ram, disk, commit, write_behind).prop_map(|(ram_bytes, max_bytes, commit, write_behind)| {
        Limits { ram_bytes, max_bytes, commit, write_behind }
    })
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Alarm), Just(Class::Normal), Just(Class::Normal), Just(Class::Bulk)]
}

pub fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        3 => Just(Settled::Delivered),
        1 => Just(Settled::Excluded),
        1 => Just(Settled::Dead("too-large"))
    ];
    let policy =
        prop_oneof![Just(None), Just(Some(Policy::Required)), Just(Some(Policy::BestEffort))];
    prop_oneof![
        16 => (class(), 1_u64..120).prop_map(|(class, n)| Step::Append { class, n }),
        4 => class().prop_map(|class| Step::Message { class }),
        16 => (0..WHO.len(), class(), 0_u64..300, 1_u64..200, how)
            .prop_map(|(who, class, from, n, how)| Step::Settle { who, class, from, n, how }),
        4 => (1_u64..12_000).prop_map(|ms| Step::Advance { ms }),
        1 => Just(Step::Age),
        1 => prop_oneof![-3_000_i64..-1, 1_i64..3_000].prop_map(|minutes| Step::SetClock { minutes }),
        6 => Just(Step::Flush),
        2 => any::<bool>().prop_map(|boot| Step::Reopen { boot }),
        2 => any::<bool>().prop_map(|boot| Step::Crash { boot }),
        1 => Just(Step::NewFile),
        2 => (0..WHO.len(), policy).prop_map(|(who, policy)| Step::Consume { who, policy }),
        5 => (0..WHO.len(), 1_usize..9, any::<bool>())
            .prop_map(|(who, max, acknowledged)| Step::Tell { who, max, acknowledged }),
    ]
}
