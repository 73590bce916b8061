//! The store against a plain list: whatever is done to it, every reading is where the accounts say
//! it is, and comes back as it was appended.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::per_class::PerClass;
use super::tests::{Bench, best_effort, message, numbers, required, run};
use super::*;
use crate::model::{Reading, Value};

#[derive(Debug, Clone)]
enum Step {
    Append { class: Class, n: u64 },
    Message { class: Class },
    Settle { who: usize, class: Class, from: u64, n: u64, how: Settled },
    Advance { ms: u64 },
    Flush,
    Reopen,
    Crash,
    NewFile,
    Swap,
    Tell { who: usize, max: usize, acknowledged: bool },
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Alarm), Just(Class::Normal), Just(Class::Normal), Just(Class::Bulk)]
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        3 => Just(Settled::Delivered),
        1 => Just(Settled::Excluded),
        1 => Just(Settled::Dead("too-large"))
    ];
    prop_oneof![
        8 => (class(), 1_u64..120).prop_map(|(class, n)| Step::Append { class, n }),
        2 => class().prop_map(|class| Step::Message { class }),
        8 => (0_usize..2, class(), 0_u64..300, 1_u64..200, how)
            .prop_map(|(who, class, from, n, how)| Step::Settle { who, class, from, n, how }),
        2 => (1_u64..3_000).prop_map(|ms| Step::Advance { ms }),
        3 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => Just(Step::NewFile),
        1 => Just(Step::Swap),
        3 => (0_usize..2, 1_usize..9, any::<bool>())
            .prop_map(|(who, max, acknowledged)| Step::Tell { who, max, acknowledged }),
    ]
}

/// What became of a position for one consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Settled,
    Dropped,
}

#[derive(Debug, Clone, Default)]
struct Expected {
    /// Position → value, of everything ever appended.
    values: BTreeMap<u64, u64>,
    /// The next position at the last moment when everything was in the file.
    safe_head: u64,
}

#[derive(Debug, Clone, Default)]
struct Ours {
    fates: BTreeMap<u64, Fate>,
    /// As they were at the last flush: a crash may bring them back to that.
    safe: BTreeMap<u64, Fate>,
    delivered: u64,
    excluded: u64,
}

/// What one consumer was told.
#[derive(Debug, Default)]
struct Heard {
    /// By epoch and id, as it came first.
    notices: BTreeMap<(u64, i64), Notice>,
    acknowledged: i64,
}

const WHO: [&str; 2] = ["cloud", "lab"];

/// Without salvage, which takes its time and is tested in `salvage/`: what a file set aside had
/// stays dropped.
fn set_consumers(store: &Store, specs: &[ConsumerSpec]) {
    let mut state = store.shared.lock();
    state.set_consumers(specs);
    state.consumers_known = false;
}

struct World {
    bench: Bench,
    store: Option<Store>,
    next_value: u64,
    lanes: PerClass<Expected>,
    ours: [PerClass<Ours>; 2],
    heard: [Heard; 2],
    /// Limits are tight: required consumers may lose things too, counted.
    lossy: bool,
}

impl World {
    fn new(ram_bytes: usize, max_bytes: u64) -> Self {
        let mut bench = Bench::new();
        let lossy = ram_bytes < 1 << 20 || max_bytes < 1 << 20;
        bench.options.ram_bytes = ram_bytes;
        bench.options.max_bytes = Some(max_bytes);
        let store = bench.open();
        set_consumers(&store, &[required("cloud"), best_effort("lab")]);
        run(store.flush());
        Self {
            bench,
            store: Some(store),
            next_value: 1,
            lanes: PerClass::default(),
            ours: Default::default(),
            heard: Default::default(),
            lossy,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn appended(&mut self, class: Class, range: Range<Seq>, value: impl Fn(u64) -> u64) {
        for seq in range.start.0..range.end.0 {
            let before = self.lanes.get_mut(class).values.insert(seq, value(seq - range.start.0));
            assert_eq!(before, None, "position {seq} was given out twice");
            for ours in &mut self.ours {
                ours.get_mut(class).fates.insert(seq, Fate::Waiting);
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { class, n } => {
                let first = self.next_value;
                self.next_value += n;
                let now = self.bench.clock.mono();
                let readings =
                    (first..first + n).map(|v| Reading::good(TagId(1), now, Value::U64(v)));
                let batch = Batch { class: *class, readings: readings.collect() };
                let range = self.store().append(batch);
                self.appended(*class, range, |i| first + i);
            }
            Step::Message { class } => {
                let seq = self.store().append_message(*class, message(7)).seq();
                self.appended(*class, seq..seq.plus(1), |_| u64::MAX);
            }
            Step::Settle { who, class, from, n, how } => {
                let consumer = self.store().consumer(WHO[*who]).unwrap();
                let low = consumer.position(*class).unsettled.first().map_or(0, |r| r.start.0);
                let range = low + from..low + from + n;
                consumer.settle(*class, &[Seq(range.start)..Seq(range.end)], *how);
                let ours = self.ours[*who].get_mut(*class);
                for (_, fate) in ours.fates.range_mut(range) {
                    if *fate == Fate::Waiting {
                        *fate = Fate::Settled;
                        match how {
                            Settled::Delivered | Settled::DeliveredAsOf(_) => ours.delivered += 1,
                            Settled::Excluded => ours.excluded += 1,
                            Settled::Dead(_) => *fate = Fate::Dropped,
                        }
                    }
                }
            }
            Step::Advance { ms } => self.bench.clock.advance(Duration::from_millis(*ms)),
            Step::Flush => self.flush(),
            Step::Reopen => {
                self.store.take().unwrap().close();
                self.all_safe();
                self.store = Some(self.bench.open());
                assert!(self.store().status().clean_start);
            }
            Step::Crash => {
                self.store.take().unwrap().crash();
                self.heard.iter_mut().for_each(|heard| heard.acknowledged = 0);
                self.store = Some(self.bench.open());
                self.after_crash();
            }
            Step::NewFile => {
                self.flush();
                let epoch = self.store().epoch();
                self.store().shared.lock().control.poisoned = Some("test".to_owned());
                self.flush();
                assert_ne!(self.store().epoch(), epoch);
                self.lossy |= self.store().status().drops.iter().any(|row| row.reason == "corrupt");
            }
            Step::Tell { who, max, acknowledged } => self.tell(*who, *max, *acknowledged),
            Step::Swap => {
                set_consumers(self.store(), &[best_effort("lab"), required("cloud")]);
            }
        }
    }

    /// Hears what there is to be told: in order, never changed, nothing that was acknowledged.
    /// (An acknowledgement may be forgotten by a crash.)
    fn tell(&mut self, who: usize, max: usize, acknowledged: bool) {
        let consumer = self.store().consumer(WHO[who]).unwrap();
        let epoch = self.store().epoch();
        let notices = consumer.notices(max);
        assert!(notices.len() <= max.min(NOTICES_MAX));
        assert!(notices.is_sorted_by_key(|notice| notice.id));
        let heard = &mut self.heard[who];
        for notice in &notices {
            assert!(notice.id > heard.acknowledged, "told again: {notice:?}");
            let first = heard.notices.entry((epoch, notice.id)).or_insert_with(|| notice.clone());
            assert_eq!(first, notice, "changed after it was handed out");
        }
        if let Some(last) = notices.last().filter(|_| acknowledged) {
            consumer.told(last.id);
            heard.acknowledged = last.id;
        }
    }

    /// In the end everyone knows of every loss, exactly: each lost position lies in a gap, and no
    /// gap holds more than was lost.
    fn all_was_told(&mut self) {
        self.flush();
        for (who, name) in WHO.into_iter().enumerate() {
            let consumer = self.store().consumer(name).unwrap();
            while consumer.has_notices() {
                self.tell(who, NOTICES_MAX, true);
                self.flush();
            }
            for class in Class::ALL {
                let ours = self.ours[who].get(class);
                let mut told = 0;
                let mut jumps = Vec::new();
                // The same row comes under another id when the file is a new one.
                let mut gaps: BTreeMap<i64, (Range<Seq>, u64)> = BTreeMap::new();
                for notice in self.heard[who].notices.values().filter(|n| n.class == class) {
                    if let NoticeKind::Gap { n, .. } = notice.kind
                        && gaps.insert(notice.id, (notice.range.clone(), n)).is_none()
                    {
                        told += n;
                    }
                    if notice.kind == NoticeKind::Resume {
                        jumps.push(notice.range.clone());
                    }
                }
                for (seq, _) in ours.fates.iter().filter(|(_, fate)| **fate == Fate::Dropped) {
                    let ranges = gaps.values().map(|(range, _)| range).chain(&jumps);
                    let inside = ranges.into_iter().any(|range| range.contains(&Seq(*seq)));
                    assert!(inside, "{name} {class:?} {seq}: lost and never told");
                }
                let account = self.account(name, class);
                assert_eq!(told, account.dropped, "{name} {class:?}: {gaps:?}");
            }
        }
    }

    fn flush(&mut self) {
        run(self.store().flush());
        self.all_safe();
    }

    fn all_safe(&mut self) {
        for class in Class::ALL {
            let lane = self.lanes.get_mut(class);
            lane.safe_head = lane.values.keys().last().map_or(0, |seq| seq + 1);
            for ours in &mut self.ours {
                let ours = ours.get_mut(class);
                ours.safe.clone_from(&ours.fates);
            }
        }
    }

    /// A crash may undo settlements since the last flush, and lose what was appended since.
    fn after_crash(&mut self) {
        for (who, name) in WHO.iter().enumerate() {
            for class in Class::ALL {
                let waiting = self.waiting(name, class);
                let safe_head = self.lanes.get(class).safe_head;
                let ours = self.ours[who].get_mut(class);
                for (seq, fate) in ours.fates.clone() {
                    let was_safe = ours.safe.get(&seq).copied();
                    if waiting.contains(&seq) {
                        assert!(
                            was_safe.is_none_or(|fate| fate == Fate::Waiting),
                            "{name} {class:?} {seq}: was settled in the file"
                        );
                        ours.fates.insert(seq, Fate::Waiting);
                    } else if seq >= safe_head {
                        ours.fates.remove(&seq);
                    } else if was_safe == Some(Fate::Waiting) && fate == Fate::Waiting {
                        assert!(self.lossy || who == 1, "{name} {class:?} {seq}: lost");
                        ours.fates.insert(seq, Fate::Dropped);
                    }
                }
                let account = self.account(name, class);
                let ours = self.ours[who].get_mut(class);
                (ours.delivered, ours.excluded) = (account.delivered, account.excluded);
            }
        }
        self.all_safe();
    }

    fn waiting(&self, name: &str, class: Class) -> std::collections::BTreeSet<u64> {
        let position = self.store().consumer(name).unwrap().position(class);
        position.unsettled.into_iter().flat_map(|range| range.start.0..range.end.0).collect()
    }

    fn account(&self, name: &str, class: Class) -> AccountStatus {
        let status = self.store().status();
        let consumer = status.consumers.into_iter().find(|c| c.name == name).unwrap();
        consumer.classes.into_iter().find(|a| a.class == class.as_str()).unwrap()
    }

    fn check(&mut self) {
        assert!(self.store().status().balances());
        for (who, name) in WHO.iter().enumerate() {
            for class in Class::ALL {
                let waiting = self.waiting(name, class);
                let account = self.account(name, class);
                assert_eq!(account.waiting, waiting.len() as u64, "{name} {class:?}");
                let lossy = self.lossy || who == 1;
                let ours = self.ours[who].get_mut(class);
                for (seq, fate) in &mut ours.fates {
                    if *fate == Fate::Waiting && !waiting.contains(seq) {
                        assert!(lossy, "{name} {class:?} {seq}: gone");
                        *fate = Fate::Dropped;
                    }
                }
                let expected = ours.fates.iter().filter(|(_, fate)| **fate == Fate::Waiting);
                assert!(expected.map(|(seq, _)| *seq).eq(waiting), "{name} {class:?}");
                assert_eq!(account.delivered, ours.delivered, "{name} {class:?}");
                assert_eq!(account.excluded, ours.excluded, "{name} {class:?}");
            }
        }
    }

    /// Reads everything that waits: it comes back as it was appended, or is counted as lost.
    fn read_back(&mut self) {
        for (who, name) in WHO.iter().enumerate() {
            for class in Class::ALL {
                let consumer = self.store().consumer(name).unwrap();
                let before = self.waiting(name, class);
                let mut back = BTreeMap::new();
                for range in consumer.position(class).unsettled {
                    let mut at = range.start;
                    while at < range.end {
                        let read = consumer.read(class, at..range.end, 3_000);
                        let entries = run(read).unwrap();
                        let Some(last) = entries.last() else { break };
                        at = last.range().end;
                        back.extend(numbers(&entries));
                    }
                }
                let after = self.waiting(name, class);
                assert!(after == before || self.lossy || who == 1, "{name} {class:?}");
                for seq in &after {
                    let value = self.lanes.get(class).values.get(seq);
                    assert_eq!(back.get(seq), value, "{name} {class:?} {seq}");
                }
            }
        }
        self.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_reading_is_where_the_accounts_say(
        steps in prop::collection::vec(step(), 1..60),
        ram_bytes in prop_oneof![Just(32_usize << 20), Just(32 << 20), Just(30_000)],
        max_bytes in prop_oneof![Just(1_u64 << 30), Just(1 << 30), Just(70_000)],
    ) {
        let mut world = World::new(ram_bytes, max_bytes);
        for (i, step) in steps.iter().enumerate() {
            world.step(step);
            world.check();
            if i % 7 == 0 {
                world.read_back();
            }
        }
        world.read_back();
        world.step(&Step::Reopen);
        world.check();
        world.read_back();
        world.all_was_told();
    }
}
