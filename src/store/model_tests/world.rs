//! A store and the plain lists that say what it must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hearing::Heard;
use super::steps::{Limits, MAX_AGE, Step, WHO};
use crate::model::{ManualClock, Reading, Value};
use crate::store::ledger::DropRow;
use crate::store::per_class::PerClass;
use crate::store::tests::{Bench, best_effort, message, numbers, required, run};
use crate::store::*;

/// What became of a position for one consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Settled,
    Dropped,
}

/// One class of the store.
#[derive(Debug, Clone, Default)]
struct Expected {
    /// Position → value and wall time, of everything ever appended.
    values: BTreeMap<u64, (u64, Wall)>,
    /// The next position at the last moment when everything was in the file.
    safe_head: u64,
    /// Below this anything may be dropped for its age.
    aged_below: u64,
}

/// One class of one consumer.
#[derive(Debug, Clone, Default)]
struct Lot {
    fates: BTreeMap<u64, Fate>,
    /// As they were at the last flush: a crash may bring them back to that.
    safe: BTreeMap<u64, Fate>,
    delivered: u64,
    excluded: u64,
}

#[derive(Debug, Clone)]
struct Ours {
    policy: Policy,
    lots: PerClass<Lot>,
    /// It was best-effort at some time, so it may miss things, counted.
    may_miss: bool,
    /// Since the last flush it was added, removed or changed: a crash may undo that.
    unsafe_change: bool,
    /// It is the only one of its name so far, and no crash undid anything of it: what the list says
    /// is lost is exactly what the ledger must say.
    exact: bool,
}

pub struct World {
    bench: Bench,
    store: Option<Store>,
    next_value: u64,
    boots: u32,
    lanes: PerClass<Expected>,
    ours: [Option<Ours>; WHO.len()],
    pub(super) heard: [Heard; WHO.len()],
    /// Names that were consumed under before.
    used: BTreeSet<usize>,
    /// Anyone may miss things, counted.
    lossy: bool,
    /// Appended while someone consumed, since the store was opened; `None` when something was
    /// written twice or dropped, so that it can't be compared.
    to_write: Option<u64>,
}

impl World {
    pub fn new(limits: &Limits) -> Self {
        let mut bench = Bench::new();
        bench.options.ram_bytes = limits.ram_bytes;
        bench.options.max_bytes = Some(limits.max_bytes);
        bench.options.commit = limits.commit;
        bench.options.write_behind = limits.write_behind;
        bench.options.max_age = MAX_AGE;
        let store = bench.open();
        let mut world = Self {
            bench,
            store: Some(store),
            next_value: 1,
            boots: 1,
            lanes: PerClass::default(),
            ours: [const { None }; WHO.len()],
            heard: Default::default(),
            used: BTreeSet::new(),
            lossy: limits.are_tight(),
            to_write: Some(0),
        };
        world.consume(0, Some(Policy::Required));
        world.consume(1, Some(Policy::BestEffort));
        world.flush();
        world
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn consumers(&self) -> Vec<usize> {
        (0..WHO.len()).filter(|who| self.ours[*who].is_some()).collect()
    }

    fn lot(&mut self, who: usize, class: Class) -> &mut Lot {
        self.ours[who].as_mut().unwrap().lots.get_mut(class)
    }

    pub fn step(&mut self, step: &Step) {
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
                // Its own time decides about its age.
                let message = Message { at: self.bench.clock.mono(), ..message(7) };
                let seq = self.store().append_message(*class, message).seq();
                self.appended(*class, seq..seq.plus(1), |_| u64::MAX);
            }
            Step::Settle { who, class, from, n, how } => self.settle(*who, *class, *from, *n, *how),
            Step::Advance { ms } => self.bench.clock.advance(Duration::from_millis(*ms)),
            Step::Age => {
                self.bench.clock.advance(MAX_AGE + Duration::from_secs(60));
                self.may_age();
            }
            Step::SetClock { minutes } => {
                let wall = self.bench.clock.wall().0 + minutes * 60_000;
                self.bench.clock.set_wall(Wall(wall));
                // After the next boot only the wall clock tells how old things are.
                self.may_age();
            }
            Step::Flush => self.flush(),
            Step::Reopen { boot } => self.reopen(*boot),
            Step::Crash { boot } => {
                self.store.take().unwrap().crash();
                self.heard.iter_mut().for_each(Heard::forget_acknowledged);
                self.start(*boot);
                self.after_crash();
            }
            Step::NewFile => {
                self.flush();
                let epoch = self.store().epoch();
                self.to_write = None; // Again, to the new file.
                self.store().shared.lock().control.poisoned = Some("test".to_owned());
                self.flush();
                assert_ne!(self.store().epoch(), epoch);
                self.lossy |= self.store().status().drops.iter().any(|row| row.reason == "corrupt");
            }
            Step::Consume { who, policy } => self.consume(*who, *policy),
            Step::Tell { who, max, acknowledged } => self.tell(*who, *max, *acknowledged),
        }
    }

    fn appended(&mut self, class: Class, range: Range<Seq>, value: impl Fn(u64) -> u64) {
        let wall = self.bench.clock.wall();
        for seq in range.start.0..range.end.0 {
            let what = (value(seq - range.start.0), wall);
            let before = self.lanes.get_mut(class).values.insert(seq, what);
            assert_eq!(before, None, "position {seq} was given out twice");
            for ours in self.ours.iter_mut().flatten() {
                ours.lots.get_mut(class).fates.insert(seq, Fate::Waiting);
            }
        }
        if !self.consumers().is_empty() {
            self.to_write = self.to_write.map(|n| n + range.end.0 - range.start.0);
        }
    }

    fn settle(&mut self, who: usize, class: Class, from: u64, n: u64, how: Settled) {
        if self.ours[who].is_none() {
            return;
        }
        // Under one lock: the writer may drop something between a look and a settlement.
        let (range, waiting) = {
            let shared = Arc::clone(&self.store().shared);
            let mut state = shared.lock();
            let id = state.find(WHO[who]).unwrap();
            let unsettled = state.position(id, class).unsettled;
            let low = unsettled.first().map_or(0, |r| r.start.0);
            let range = low + from..low + from + n;
            state.settle(id, class, &[Seq(range.start)..Seq(range.end)], how);
            let waiting: BTreeSet<u64> =
                unsettled.into_iter().flat_map(|range| range.start.0..range.end.0).collect();
            (range, waiting)
        };
        let lot = self.lot(who, class);
        for (seq, fate) in lot.fates.range_mut(range) {
            if *fate == Fate::Waiting && !waiting.contains(seq) {
                *fate = Fate::Dropped;
            }
            if *fate == Fate::Waiting {
                *fate = Fate::Settled;
                match how {
                    Settled::Delivered | Settled::DeliveredAsOf(_) => lot.delivered += 1,
                    Settled::Excluded => lot.excluded += 1,
                    Settled::Dead(_) => *fate = Fate::Dropped,
                }
            }
        }
    }

    fn consume(&mut self, who: usize, policy: Option<Policy>) {
        let may_miss = policy == Some(Policy::BestEffort);
        self.ours[who] = match (self.ours[who].take(), policy) {
            (_, None) => None,
            (Some(ours), Some(policy)) => Some(Ours {
                policy,
                may_miss: ours.may_miss || may_miss,
                unsafe_change: true,
                ..ours
            }),
            (None, Some(policy)) => Some(Ours {
                policy,
                lots: PerClass::default(),
                may_miss,
                unsafe_change: true,
                exact: self.used.insert(who),
            }),
        };
        self.tell_consumers();
    }

    fn tell_consumers(&self) {
        let spec = |who: &usize| match self.ours[*who].as_ref().unwrap().policy {
            Policy::Required => required(WHO[*who]),
            Policy::BestEffort => best_effort(WHO[*who]),
        };
        // Their order must not matter.
        let mut specs: Vec<_> = self.consumers().iter().map(spec).collect();
        if self.next_value % 2 == 1 {
            specs.reverse();
        }
        // Without salvage, which takes its time and is tested in `salvage/`: what a file set aside
        // had stays dropped.
        let mut state = self.store().shared.lock();
        state.set_consumers(&specs);
        state.consumers_known = false;
    }

    /// What the list says is lost to this consumer; `None` if a crash undid something of it.
    pub(super) fn lost(&self, who: usize, class: Class) -> Option<Vec<u64>> {
        let ours = self.ours[who].as_ref().filter(|ours| ours.exact)?;
        let fates = ours.lots.get(class).fates.iter();
        Some(fates.filter(|(_, fate)| **fate == Fate::Dropped).map(|(seq, _)| *seq).collect())
    }

    fn may_age(&mut self) {
        self.to_write = None;
        for class in Class::ALL {
            let lane = self.lanes.get_mut(class);
            lane.aged_below = lane.values.keys().last().map_or(0, |seq| seq + 1);
        }
    }

    pub(super) fn flush(&mut self) {
        run(self.store().flush());
        self.all_safe();
        let status = self.store().status();
        assert_eq!(status.violations, [""; 0]);
        if !self.bench.options.write_behind && !self.lossy {
            assert_eq!(status.counters.spared, 0);
            if let Some(n) = self.to_write {
                assert_eq!(status.counters.written, n, "all that was appended is written");
            }
        }
    }

    fn reopen(&mut self, boot: bool) {
        self.store.take().unwrap().close();
        self.all_safe();
        self.start(boot);
        assert!(self.store().status().clean_start);
    }

    fn start(&mut self, boot: bool) {
        if boot {
            self.boots += 1;
            let (wall, id) = (self.bench.clock.wall(), format!("boot-{}", self.boots));
            let clock = ManualClock::in_boot(Mono(5_000), wall, &id);
            self.bench.clock = Arc::new(clock);
        }
        self.store = Some(self.bench.open());
        self.tell_consumers();
        self.to_write = Some(0);
    }

    fn all_safe(&mut self) {
        for class in Class::ALL {
            let lane = self.lanes.get_mut(class);
            lane.safe_head = lane.values.keys().last().map_or(0, |seq| seq + 1);
            for ours in self.ours.iter_mut().flatten() {
                let lot = ours.lots.get_mut(class);
                lot.safe.clone_from(&lot.fates);
            }
        }
        self.ours.iter_mut().flatten().for_each(|ours| ours.unsafe_change = false);
    }

    /// Whether this position may be missing for this consumer, as long as that is counted.
    fn may_be_lost(&self, who: usize, class: Class, seq: u64) -> bool {
        self.lossy
            || self.ours[who].as_ref().is_some_and(|ours| ours.may_miss)
            || seq < self.lanes.get(class).aged_below
    }

    /// A crash may undo settlements since the last flush, and lose what was appended since.
    fn after_crash(&mut self) {
        for who in self.consumers() {
            let undone = self.ours[who].as_ref().unwrap().unsafe_change;
            for class in Class::ALL {
                let waiting = self.waiting(who, class);
                let account = self.account(who, class);
                let safe_head = self.lanes.get(class).safe_head;
                let mut lot = self.lot(who, class).clone();
                (lot.delivered, lot.excluded) = (account.delivered, account.excluded);
                if undone {
                    // It may stand where it stood before, or begin anew.
                    lot.fates = waiting.iter().map(|seq| (*seq, Fate::Waiting)).collect();
                    *self.lot(who, class) = lot;
                    continue;
                }
                for (seq, fate) in lot.fates.clone() {
                    let was_safe = lot.safe.get(&seq).copied();
                    if waiting.contains(&seq) {
                        assert!(
                            was_safe.is_none_or(|fate| fate == Fate::Waiting),
                            "{} {class:?} {seq}: was settled in the file",
                            WHO[who]
                        );
                        lot.fates.insert(seq, Fate::Waiting);
                    } else if seq >= safe_head {
                        lot.fates.remove(&seq);
                    } else if was_safe == Some(Fate::Waiting) && fate == Fate::Waiting {
                        let fine = self.may_be_lost(who, class, seq);
                        assert!(fine, "{} {class:?} {seq}: lost", WHO[who]);
                        lot.fates.insert(seq, Fate::Dropped);
                    }
                }
                *self.lot(who, class) = lot;
            }
            self.ours[who].as_mut().unwrap().exact = false;
        }
        self.all_safe();
    }

    fn waiting(&self, who: usize, class: Class) -> BTreeSet<u64> {
        let position = self.store().consumer(WHO[who]).unwrap().position(class);
        position.unsettled.into_iter().flat_map(|range| range.start.0..range.end.0).collect()
    }

    pub(super) fn account(&self, who: usize, class: Class) -> AccountStatus {
        let status = self.store().status();
        let consumer = status.consumers.into_iter().find(|c| c.name == WHO[who]).unwrap();
        consumer.classes.into_iter().find(|a| a.class == class.as_str()).unwrap()
    }

    pub fn check(&mut self) {
        assert_eq!(self.store().shared.lock().contradictions(), [""; 0]);
        for who in self.consumers() {
            for class in Class::ALL {
                let name = WHO[who];
                // The writer may drop something between one look and the next.
                let (waiting, account) = loop {
                    let before = self.account(who, class);
                    let waiting = self.waiting(who, class);
                    let after = self.account(who, class);
                    if before.dropped == after.dropped {
                        break (waiting, after);
                    }
                };
                assert_eq!(account.waiting, waiting.len() as u64, "{name} {class:?}");
                let mut lot = self.lot(who, class).clone();
                for (seq, fate) in &mut lot.fates {
                    if *fate == Fate::Waiting && !waiting.contains(seq) {
                        assert!(self.may_be_lost(who, class, *seq), "{name} {class:?} {seq}: gone");
                        *fate = Fate::Dropped;
                    }
                }
                let of = |fate| lot.fates.iter().filter(move |(_, is)| **is == fate);
                assert!(of(Fate::Waiting).map(|(seq, _)| *seq).eq(waiting), "{name} {class:?}");
                assert_eq!(account.delivered, lot.delivered, "{name} {class:?}");
                assert_eq!(account.excluded, lot.excluded, "{name} {class:?}");
                if self.ours[who].as_ref().unwrap().exact {
                    let dropped = of(Fate::Dropped).count() as u64;
                    assert_eq!(account.dropped, dropped, "{name} {class:?}");
                }
                *self.lot(who, class) = lot;
            }
        }
    }

    /// Reads everything that waits: it comes back as it was appended, with the time at which it was,
    /// or is counted as lost.
    pub fn read_back(&mut self) {
        for who in self.consumers() {
            for class in Class::ALL {
                let name = WHO[who];
                let consumer = self.store().consumer(name).unwrap();
                let before = self.waiting(who, class);
                let mut back = BTreeMap::new();
                for range in consumer.position(class).unsettled {
                    let mut at = range.start;
                    while at < range.end {
                        let entries = run(consumer.read(class, at..range.end, 3_000)).unwrap();
                        let Some(last) = entries.last() else { break };
                        at = last.range().end;
                        for entry in &entries {
                            let times: Vec<Mono> = match &entry.body {
                                Body::Readings(all) => all.iter().map(Reading::at).collect(),
                                Body::Message(message) => vec![message.at],
                            };
                            let walls = times.iter().map(|at| self.store().wall(entry.boot, *at));
                            let read = numbers(std::slice::from_ref(entry)).into_iter();
                            back.extend(read.zip(walls).map(|((seq, n), wall)| (seq, (n, wall))));
                        }
                    }
                }
                let after = self.waiting(who, class);
                for seq in before.difference(&after) {
                    assert!(self.may_be_lost(who, class, *seq), "{name} {class:?} {seq}");
                }
                for seq in &after {
                    let value = self.lanes.get(class).values.get(seq);
                    assert_eq!(back.get(seq), value, "{name} {class:?} {seq}");
                }
            }
        }
        self.check();
    }

    /// After an orderly end and a start everything is as it was, and the ledger has a row for all
    /// that is missing.
    pub fn end(mut self) {
        self.reopen(false);
        self.check();
        self.read_back();
        self.flush();
        self.hear_all();
        let ledger = self.bench.inspector().drops(10_000).unwrap();
        for who in self.consumers() {
            for class in Class::ALL {
                let account = self.account(who, class);
                let ours = self.ours[who].as_ref().unwrap();
                let of = |row: &&DropRow| row.consumer == WHO[who] && row.class == class.as_str();
                let rows: Vec<_> = ledger.iter().filter(of).collect();
                let fates = &ours.lots.get(class).fates;
                let gone = fates.iter().filter(|(_, fate)| **fate == Fate::Dropped);
                if !ours.exact {
                    continue;
                }
                for (seq, _) in gone {
                    let told = rows.iter().any(|row| (row.seq_from..row.seq_to).contains(seq));
                    assert!(told, "{} {class:?} {seq} is not in the ledger", WHO[who]);
                }
                for (why, n) in &account.dropped_why {
                    let told: u64 =
                        rows.iter().filter(|row| row.reason == *why).map(|row| row.n).sum();
                    assert_eq!(told, *n, "{} {class:?} {why}", WHO[who]);
                }
            }
        }
        self.store.take().unwrap().close();
    }
}
