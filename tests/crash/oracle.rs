//! What a store that was promised to be safe must still know, and what it may not say.
//!
//! Every number of the log of the disk is a moment at which the power may fail. The history knows
//! for each thing appended from which moment on it may be on the disk, and from which on it must
//! be; for each settlement, from which moment on it may be known, and from which on it must be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{
    Class, Clock, Doubt, Fault, ManualClock, Message, Mono, Name, Qos, Reading, Seq, TagId,
    TagMeta, TopicName, Value,
};
use fieldhold::store::{Body, Consumer, ConsumerSpec, Entry, Options, Policy, Settled, Store};

use crate::run;

pub const REQUIRED: [&str; 2] = ["cloud", "site"];
pub const BEST_EFFORT: &str = "lab";

/// Not yet, as a moment.
pub const NEVER: usize = usize::MAX;

/// Something that was appended.
#[derive(Debug, Clone)]
pub struct Given {
    pub end: u64,
    /// Everything about it follows from this number and the time.
    pub nonce: u64,
    pub at: Mono,
    pub is_message: bool,
    /// Under which it was given out.
    pub epoch: u64,
    /// From here on it may be there.
    pub may: usize,
    /// From here on it must be.
    pub must: usize,
}

#[derive(Debug, Clone)]
pub struct Settlement {
    pub consumer: &'static str,
    pub class: Class,
    pub range: Range<u64>,
    /// From here on it may be known.
    pub may: usize,
    /// From here on it must be.
    pub must: usize,
}

#[derive(Debug, Clone, Default)]
pub struct History {
    /// By class and first position.
    pub given: BTreeMap<(Class, u64), Given>,
    pub settled: Vec<Settlement>,
    pub facts: Vec<(u64, usize, usize)>,
    pub epoch: u64,
    /// From here on the epoch is that.
    pub epoch_must: usize,
}

/// How a store is used in all of this.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub max_bytes: u64,
    pub max_age: Duration,
    pub ram_bytes: usize,
    /// Why something may be dropped for required consumers, counted.
    pub reasons: &'static [&'static str],
}

pub fn open(dir: &Path, setting: Setting, clock: &Arc<ManualClock>) -> Store {
    let options = Options {
        dir: Some(dir.to_owned()),
        commit: Duration::from_millis(200),
        max_bytes: Some(setting.max_bytes),
        max_age: setting.max_age,
        ram_bytes: setting.ram_bytes,
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
    };
    let store = Store::open(options, Arc::<ManualClock>::clone(clock)).unwrap();
    let spec = |name, policy| ConsumerSpec { name: Name::new(name).unwrap(), policy };
    store.set_consumers(&[
        spec(REQUIRED[0], Policy::Required),
        spec(REQUIRED[1], Policy::Required),
        spec(BEST_EFFORT, Policy::BestEffort),
    ]);
    store
}

pub fn tag(id: TagId) -> TagMeta {
    TagMeta {
        topic: TopicName::new(&format!("d/t{}", id.0)).unwrap(),
        device: Name::new("d").unwrap(),
        name: Name::new(&format!("t{}", id.0)).unwrap(),
        unit: "°C".to_owned(),
        coding: format!("u16 {}", id.0),
        class: Class::Normal,
    }
}

/// The reading of a number: of every shape and quality. Its tag is one of `TAGS`.
pub const TAGS: u64 = 12;
pub fn reading(nonce: u64, at: Mono) -> Reading {
    let tag = TagId(1 + u32::try_from(nonce % TAGS).unwrap());
    let value = match nonce % 7 {
        0 => Value::U64(nonce),
        1 => Value::I64(-i64::try_from(nonce).unwrap()),
        2 => Value::F64(f64::from(u32::try_from(nonce % 1_000_003).unwrap()) / 10.0),
        3 => Value::Text(format!("state {nonce}").into()),
        4 => Value::Bytes(nonce.to_le_bytes().as_slice().into()),
        5 => {
            Value::List([Value::U64(nonce), Value::Bool(nonce.is_multiple_of(2))].as_slice().into())
        }
        _ => Value::Bool(nonce.is_multiple_of(2)),
    };
    match nonce % 11 {
        0 => Reading::bad(tag, at, Fault::Exception(u8::try_from(nonce % 12).unwrap())),
        1 => Reading::uncertain(tag, at, value, Doubt::Clamped),
        _ => Reading::good(tag, at, value),
    }
}

pub fn message(nonce: u64, at: Mono) -> Message {
    let payload: Vec<u8> = nonce.to_le_bytes().repeat(1 + usize::try_from(nonce % 40).unwrap());
    Message {
        topic: TopicName::new(&format!("lan/{}", nonce % 5)).unwrap(),
        payload: payload.into(),
        qos: [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]
            [usize::try_from(nonce % 3).unwrap()],
        retain: nonce.is_multiple_of(2),
        at,
    }
}

/// What a complaint begins with when the store said that it could not read.
pub const UNREADABLE: &str = "can't be read";

/// Everything a consumer has not settled of a class.
pub fn unsettled(consumer: &Consumer, class: Class) -> Result<Vec<Entry>, String> {
    let mut all = Vec::new();
    for range in consumer.position(class).unsettled {
        let mut at = range.start;
        while at < range.end {
            let entries = run(consumer.read(class, at..range.end, 30_000))
                .map_err(|error| format!("{UNREADABLE}: {error:?}"))?;
            let Some(last) = entries.last() else { break };
            at = last.range().end;
            all.extend(entries);
        }
    }
    Ok(all)
}

/// What the readings mean is known as well.
fn are_known(store: &Store, entry: &Entry) -> Result<(), String> {
    let Body::Readings(readings) = &entry.body else { return Ok(()) };
    let tags: BTreeSet<TagId> = readings.iter().map(Reading::tag).collect();
    match tags.into_iter().find(|id| store.tag(*id).as_deref() != Some(&tag(*id))) {
        Some(id) => Err(format!("the meaning of {id:?} is not known")),
        None => Ok(()),
    }
}

impl History {
    fn given_at(&self, class: Class, seq: u64) -> Option<(u64, &Given)> {
        let ((of, start), given) = self.given.range(..=(class, seq)).next_back()?;
        (*of == class && seq < given.end).then_some((*start, given))
    }

    /// Everything so far is safe.
    pub fn all_safe(&mut self, now: usize) {
        let open = self.given.values_mut().filter(|given| given.must == NEVER);
        open.for_each(|given| given.must = now);
        let open = self.settled.iter_mut().filter(|settlement| settlement.must == NEVER);
        open.for_each(|settlement| settlement.must = now);
        let open = self.facts.iter_mut().filter(|fact| fact.2 == NEVER);
        open.for_each(|fact| fact.2 = now);
    }

    /// The first position that was not given out under an epoch.
    pub fn head(&self, class: Class, epoch: u64) -> u64 {
        let of_class = self.given.range((class, 0)..=(class, u64::MAX));
        of_class.filter(|(_, g)| g.epoch == epoch).map(|(_, g)| g.end).max().unwrap_or(0)
    }

    /// What an entry says is what was appended there.
    fn is_right(&self, class: Class, entry: &Entry, moment: usize) -> Result<(), String> {
        let name = class.as_str();
        for i in 0..entry.body.count() {
            let seq = entry.seq.0 + i;
            let Some((start, given)) = self.given_at(class, seq).filter(|g| g.1.may <= moment)
            else {
                return Err(format!("{name} {seq} is there and was never given out"));
            };
            let nonce = given.nonce + seq - start;
            let right = match &entry.body {
                Body::Readings(readings) => {
                    let back = &readings[usize::try_from(i).unwrap()];
                    !given.is_message && *back == reading(nonce, given.at)
                }
                Body::Message(back) => given.is_message && *back == message(nonce, given.at),
            };
            if !right {
                return Err(format!("{name} {seq} is wrong: {:?}", entry.body));
            }
        }
        Ok(())
    }

    /// Compares a store with what it was told until the moment at which it lost its power. Gives
    /// how many things came back.
    pub fn compare(&self, store: &Store, setting: Setting, moment: usize) -> Result<u64, String> {
        // Its writer may drop what is old while we look: what is found wrong must stay wrong.
        for _ in 0..3 {
            if let Ok(back) = self.compare_once(store, setting, moment) {
                return Ok(back);
            }
            run(store.flush());
        }
        self.compare_once(store, setting, moment)
    }

    fn compare_once(&self, store: &Store, setting: Setting, moment: usize) -> Result<u64, String> {
        if self.epoch_must <= moment && store.epoch() != self.epoch {
            return Err("another epoch".to_owned());
        }
        let mut back = 0;
        for consumer in REQUIRED.into_iter().chain([BEST_EFFORT]) {
            for class in Class::ALL {
                let reads = store.consumer(consumer).unwrap();
                let entries = unsettled(&reads, class)?;
                let mut there: Vec<Range<u64>> = Vec::new();
                for entry in &entries {
                    are_known(store, entry)?;
                    self.is_right(class, entry, moment)?;
                    let range = entry.range().start.0..entry.range().end.0;
                    back += range.end - range.start;
                    match there.last_mut().filter(|last| last.end == range.start) {
                        Some(last) => last.end = range.end,
                        None => there.push(range),
                    }
                }
                self.is_complete(store, setting, consumer, class, moment, &there)
                    .map_err(|why| format!("{consumer} {}: {why}", class.as_str()))?;
            }
        }
        let facts: BTreeMap<String, String> = store.facts().into_iter().collect();
        let fact: u64 = facts.get("count").map_or(0, |text| text.parse().unwrap_or(u64::MAX));
        let of = |moment_of: fn(&(u64, usize, usize)) -> usize| {
            let known = self.facts.iter().filter(|fact| moment_of(fact) <= moment);
            known.map(|fact| fact.0).max().unwrap_or(0)
        };
        if !(of(|fact| fact.2)..=of(|fact| fact.1)).contains(&fact) {
            return Err(format!("a fact is {fact}"));
        }
        if !store.status().balances() {
            return Err(format!("the accounts do not balance: {:#?}", store.status()));
        }
        Ok(back)
    }

    /// As [`History::compare`], of a store that has not lost its power.
    pub fn compare_live(&self, store: &Store, setting: Setting) -> Result<(), String> {
        self.compare(store, setting, NEVER - 1).map(|_| ())
    }

    /// What must be there for a consumer is, or its loss is accounted for.
    fn is_complete(
        &self,
        store: &Store,
        setting: Setting,
        consumer: &'static str,
        class: Class,
        moment: usize,
        there: &[Range<u64>],
    ) -> Result<(), String> {
        let mine = |s: &&Settlement| s.consumer == consumer && s.class == class;
        let settled = || self.settled.iter().filter(mine);
        let at = |ranges: &[Range<u64>], seq: u64| {
            let after = ranges.partition_point(|range| range.end <= seq);
            ranges.get(after).filter(|range| range.start <= seq).cloned()
        };
        let union = |ranges: &mut dyn Iterator<Item = Range<u64>>| -> Vec<Range<u64>> {
            let mut all: Vec<_> = ranges.collect();
            all.sort_by_key(|range| range.start);
            let mut merged: Vec<Range<u64>> = Vec::new();
            for range in all {
                match merged.last_mut().filter(|last| last.end >= range.start) {
                    Some(last) => last.end = last.end.max(range.end),
                    None => merged.push(range),
                }
            }
            merged
        };
        let may_be_settled =
            union(&mut settled().filter(|s| s.may <= moment).map(|s| s.range.clone()));
        let must_be_settled =
            union(&mut settled().filter(|s| s.must <= moment).map(|s| s.range.clone()));
        let status = store.status();
        let lags = ["consumer-lag", "lost"];
        let is_allowed = |reason: &str| {
            setting.reasons.contains(&reason) || (consumer == BEST_EFFORT && lags.contains(&reason))
        };
        let rows = status.drops.iter().filter(|row| {
            row.consumer == consumer && row.class == class.as_str() && row.reason != "skipped"
        });
        if let Some(row) = rows.clone().find(|row| !is_allowed(&row.reason)) {
            return Err(format!("was not to be dropped: {row:?}"));
        }
        let dropped = union(&mut rows.map(|row| row.seq_from..row.seq_to));
        for range in there {
            if let Some(seq) = range.clone().find(|seq| at(&must_be_settled, *seq).is_some()) {
                return Err(format!("{seq} was settled for good and comes again"));
            }
        }
        let safe = self.given.range((class, 0)..=(class, u64::MAX));
        for ((_, start), given) in safe.filter(|(_, given)| given.must <= moment) {
            if consumer == BEST_EFFORT && !given.is_message {
                continue; // It was never promised anything but what was awaited.
            }
            let known = [there, &may_be_settled, &dropped];
            let mut seq = *start;
            while let Some(range) = known.iter().find_map(|ranges| at(ranges, seq)) {
                seq = range.end;
            }
            let lost = (seq < given.end).then_some(seq);
            if let Some(seq) = lost {
                return Err(format!("{seq} was safe and is lost ({given:?} from {start})"));
            }
        }
        let waiting: u64 = there.iter().map(|range| range.end - range.start).sum();
        let account = status.consumers.iter().find(|c| c.name == consumer).unwrap();
        let account = account.classes.iter().find(|a| a.class == class.as_str()).unwrap();
        if account.waiting != waiting {
            return Err(format!("{waiting} are there, {} are said to wait", account.waiting));
        }
        Ok(())
    }

    /// The store goes on: positions that were given out are not given out again, and what is
    /// appended is safe. The new messages become part of the history.
    pub fn goes_on(
        &mut self,
        store: &Store,
        clock: &ManualClock,
        nonce: &mut u64,
        now: impl Fn() -> usize,
    ) -> Result<(), String> {
        for class in Class::ALL {
            *nonce += 1;
            let (at, may) = (clock.mono(), now());
            let commit = store.append_message(class, message(*nonce, at));
            let seq = commit.seq().0;
            let epoch = store.epoch();
            if seq < self.head(class, epoch) {
                return Err(format!("{} {seq} is given out twice", class.as_str()));
            }
            run(commit.wait()).map_err(|error| format!("can't go on: {error}"))?;
            let given = Given {
                end: seq + 1,
                nonce: *nonce,
                at,
                is_message: true,
                epoch,
                may,
                must: now(),
            };
            self.given.insert((class, seq), given);
        }
        Ok(())
    }

    /// What is known after a crash at that moment, for a second one in a log of its own, which
    /// had come to `now` when the store was open again.
    pub fn after_crash(&self, store: &Store, moment: usize, now: usize) -> Self {
        // If there was no file yet, it was made when the image was opened.
        let epoch_must = if self.epoch_must <= moment { 0 } else { now };
        let mut next = Self { epoch: store.epoch(), epoch_must, ..Self::default() };
        for (key, given) in self.given.iter().filter(|(_, given)| given.may <= moment) {
            let must = if given.must <= moment { 0 } else { NEVER };
            next.given.insert(*key, Given { may: 0, must, ..given.clone() });
        }
        for settlement in self.settled.iter().filter(|settlement| settlement.may <= moment) {
            let must = if settlement.must <= moment { 0 } else { NEVER };
            next.settled.push(Settlement { may: 0, must, ..settlement.clone() });
        }
        for fact in self.facts.iter().filter(|fact| fact.1 <= moment) {
            next.facts.push((fact.0, 0, if fact.2 <= moment { 0 } else { NEVER }));
        }
        next
    }
}

/// Settles for one consumer, and remembers.
pub fn settle(
    history: &mut History,
    store: &Store,
    consumer: &'static str,
    class: Class,
    range: Range<u64>,
    now: usize,
) {
    history.settled.push(Settlement {
        consumer,
        class,
        range: range.clone(),
        may: now,
        must: NEVER,
    });
    let reads = store.consumer(consumer).unwrap();
    let how = [Settled::Delivered, Settled::Excluded][usize::from(range.start.is_multiple_of(5))];
    reads.settle(class, &[Seq(range.start)..Seq(range.end)], how);
}
