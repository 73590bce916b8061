//! The live lane: from a poll straight to the LAN broker, and the last value of every tag.
//!
//! Bounded, and never a brake on the pollers: when the lane is full a batch is left out here and
//! counted; the store has it all the same.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::locks::lock;
use crate::broker::{Broker, Publish};
use crate::codec::json;
use crate::model::{
    Batch, Clock, Latest, Mono, Qos, Reading, Sink, TagId, TagMeta, TopicName, Wall,
};
use crate::store::Store;

/// Batches that may wait between the pollers and the broker.
const LANE_BATCHES_MAX: usize = 1024;

/// Where pollers put what they read: the store first, then the live lane.
pub struct Intake {
    store: Store,
    lane: mpsc::Sender<Batch>,
    left_out: Arc<AtomicU64>,
}

/// The other end of the lane.
pub struct Live {
    lane: mpsc::Receiver<Batch>,
    board: Arc<Board>,
}

/// What is known of every tag now.
pub struct Board {
    clock: Arc<dyn Clock>,
    shown: Mutex<Shown>,
    left_out: Arc<AtomicU64>,
    published: AtomicU64,
}

/// One lock for tags and broker: a broker never misses a value that came while it was told of the
/// others.
#[derive(Default)]
struct Shown {
    /// The tags of the plan. Readings of others may still be in the lane after a reload.
    wanted: HashSet<TagId>,
    last: HashMap<TagId, Last>,
    broker: Option<Broker>,
}

/// The last good value and the last fault are both kept: one says what was, the other what is.
#[derive(Debug, Clone)]
struct Last {
    meta: Arc<TagMeta>,
    good: Option<Reading>,
    newest: Reading,
}

/// A tag as shown in the status.
#[derive(Debug, Clone, Serialize)]
pub struct TagNow {
    pub topic: String,
    pub device: String,
    pub tag: String,
    pub unit: String,
    /// The last usable value, as text.
    pub value: Option<String>,
    pub quality: String,
    /// Milliseconds since the newest reading, and since the last usable one.
    pub age_ms: u64,
    pub value_age_ms: Option<u64>,
    /// When the newest reading was taken: tells one from the next.
    #[serde(skip)]
    pub at: Mono,
}

/// Counters of the lane.
#[derive(Debug, Clone, Serialize)]
pub struct LiveStatus {
    pub published: u64,
    /// Readings that were stored but not published live because the lane was full.
    pub left_out: u64,
}

/// Makes the two ends.
pub fn lane(store: Store, clock: Arc<dyn Clock>) -> (Arc<Intake>, Live, Arc<Board>) {
    let (sender, receiver) = mpsc::channel(LANE_BATCHES_MAX);
    let left_out = Arc::new(AtomicU64::new(0));
    let board = Arc::new(Board {
        clock,
        shown: Mutex::default(),
        left_out: Arc::clone(&left_out),
        published: AtomicU64::new(0),
    });
    let intake = Intake { store, lane: sender, left_out };
    (Arc::new(intake), Live { lane: receiver, board: Arc::clone(&board) }, board)
}

impl Sink for Intake {
    fn readings(&self, batch: Batch) {
        let count = u64::try_from(batch.readings.len()).unwrap_or(u64::MAX);
        self.store.append(batch.clone());
        if self.lane.try_send(batch).is_err() {
            self.left_out.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn learned(&self, key: &str, fact: Option<&str>) {
        self.store.set_fact(key, fact);
    }
}

impl Latest for Board {
    fn latest(&self, tag: TagId) -> Option<Reading> {
        lock(&self.shown).last.get(&tag).map(|last| last.newest.clone())
    }
}

impl Live {
    /// Publishes until told to stop.
    pub async fn run(&mut self, store: &Store, stop: CancellationToken) {
        let mut payload = Vec::with_capacity(256);
        loop {
            let batch = tokio::select! {
                batch = self.lane.recv() => batch,
                () = stop.cancelled() => None,
            };
            let Some(batch) = batch else { return };
            self.board.take(store, batch, &mut payload);
        }
    }
}

impl Board {
    /// The broker to publish to from now on; it is told the last value of every tag at once, so
    /// that a broker that was restarted has its retained readings again.
    pub fn set_broker(&self, broker: Option<Broker>) {
        let mut shown = lock(&self.shown);
        if let Some(broker) = &broker {
            let mut payload = Vec::new();
            for last in shown.last.values() {
                self.publish(broker, last, &mut payload);
            }
        }
        shown.broker = broker;
    }

    /// What a tag held last, as text.
    pub fn value(&self, id: TagId) -> Option<String> {
        let shown = lock(&self.shown);
        let reading = shown.last.get(&id)?.good.as_ref()?;
        reading.value().map(ToString::to_string)
    }

    /// Takes the tags of a plan. Forgets those that it no longer has, and clears their retained
    /// values.
    pub fn set_tags<'a>(&self, tags: impl Iterator<Item = (TagId, &'a TopicName)>) {
        let (wanted, topics): (HashSet<_>, HashSet<_>) = tags.unzip();
        let mut shown = lock(&self.shown);
        let Shown { last, broker, .. } = &mut *shown;
        for (_, tag) in last.extract_if(|id, _| !wanted.contains(id)) {
            // A changed mapping keeps its topic under a new number: that value is not cleared.
            if let Some(broker) = broker.as_ref().filter(|_| !topics.contains(&tag.meta.topic)) {
                broker.publish(retained(&tag.meta, Bytes::new()));
            }
        }
        shown.wanted = wanted;
    }

    pub fn tags(&self) -> Vec<TagNow> {
        let now = self.clock.mono();
        let mut tags: Vec<_> = lock(&self.shown).last.values().map(|last| last.show(now)).collect();
        tags.sort_by(|a, b| a.topic.cmp(&b.topic));
        tags
    }

    pub fn status(&self) -> LiveStatus {
        LiveStatus {
            published: self.published.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
        }
    }

    fn take(&self, store: &Store, batch: Batch, payload: &mut Vec<u8>) {
        let mut shown = lock(&self.shown);
        let Shown { wanted, last, broker } = &mut *shown;
        for reading in batch.readings {
            if !wanted.contains(&reading.tag()) {
                continue;
            }
            let last = match last.entry(reading.tag()) {
                std::collections::hash_map::Entry::Occupied(entry) => {
                    let last = entry.into_mut();
                    last.renew(reading);
                    last
                }
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let Some(meta) = store.tag(reading.tag()) else { continue };
                    entry.insert(Last::new(meta, reading))
                }
            };
            if let Some(broker) = broker.as_ref() {
                self.publish(broker, last, payload);
            }
        }
    }

    fn publish(&self, broker: &Broker, last: &Last, payload: &mut Vec<u8>) {
        payload.clear();
        let wall = self.wall_of(last.newest.at());
        json::tag_live(payload, &last.newest, wall, &last.meta.unit, None);
        broker.publish(retained(&last.meta, Bytes::copy_from_slice(payload)));
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    /// Live readings are of this boot, so the clock's present offset is the right one.
    fn wall_of(&self, at: Mono) -> Wall {
        Wall(self.clock.wall().0 - self.clock.mono().0 + at.0)
    }
}

/// A tag's message: retained, so that a new subscriber has the latest value at once.
fn retained(meta: &TagMeta, payload: Bytes) -> Publish {
    Publish {
        topic: meta.topic.clone(),
        payload,
        qos: Qos::AtLeastOnce,
        retain: true,
        correlation: None,
        user_property: None,
        expiry: None,
    }
}

impl Last {
    fn new(meta: Arc<TagMeta>, reading: Reading) -> Self {
        let good = reading.value().is_some().then(|| reading.clone());
        Self { meta, good, newest: reading }
    }

    fn renew(&mut self, reading: Reading) {
        if reading.value().is_some() {
            self.good = Some(reading.clone());
        }
        self.newest = reading;
    }

    fn show(&self, now: Mono) -> TagNow {
        let age = |at: Mono| u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX);
        TagNow {
            topic: self.meta.topic.to_string(),
            device: self.meta.device.to_string(),
            tag: self.meta.name.to_string(),
            unit: self.meta.unit.clone(),
            value: self.good.as_ref().and_then(|r| r.value()).map(ToString::to_string),
            quality: self.newest.quality().to_string(),
            age_ms: age(self.newest.at()),
            value_age_ms: self.good.as_ref().map(|r| age(r.at())),
            at: self.newest.at(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, ManualClock, Name, Value};
    use crate::store::{Keep, Options};
    use std::time::Duration;

    fn store(clock: &Arc<dyn Clock>) -> (Store, TagId) {
        let store = Store::open(Options::in_memory(), Arc::clone(clock)).unwrap();
        let meta = TagMeta {
            topic: TopicName::new("edge/press/count").unwrap(),
            device: Name::new("press").unwrap(),
            name: Name::new("count").unwrap(),
            unit: "1".to_owned(),
            coding: String::new(),
            class: Class::Normal,
        };
        let id = store.register_tags(&[meta])[0];
        (store, id)
    }

    fn batch(id: TagId, value: u64) -> Batch {
        let reading = Reading::good(id, Mono(0), Value::U64(value));
        Batch { class: Class::Normal, readings: vec![reading] }
    }

    #[test]
    fn a_full_lane_counts_and_never_blocks() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(0)));
        let (store, id) = store(&clock);
        let (intake, _live, board) = lane(store.clone(), clock);
        for n in 0..LANE_BATCHES_MAX as u64 + 5 {
            intake.readings(batch(id, n));
        }
        assert_eq!(board.status().left_out, 5);
        assert_eq!(store.status().counters.appended, LANE_BATCHES_MAX as u64 + 5);
    }

    #[test]
    fn the_last_good_value_and_the_newest_fault_are_both_kept() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(1000), Wall(0)));
        let (store, id) = store(&clock);
        let (_intake, live, board) = lane(store.clone(), clock);
        let topic = store.tag(id).unwrap().topic.clone();
        board.set_tags([(id, &topic)].into_iter());
        let mut payload = Vec::new();
        live.board.take(&store, batch(id, 7), &mut payload);
        let bad = Reading::bad(id, Mono(500), crate::model::Fault::NoAnswer);
        live.board.take(&store, Batch { class: Class::Normal, readings: vec![bad] }, &mut payload);
        let tag = &board.tags()[0];
        assert_eq!((tag.value.as_deref(), tag.quality.as_str()), (Some("7"), "bad:no-answer"));
        assert_eq!((tag.age_ms, tag.value_age_ms), (500, Some(1000)));
        board.set_tags(std::iter::empty());
        assert!(board.tags().is_empty());
    }

    /// What a reload leaves in the lane of a tag that is gone does not bring it back, and a tag
    /// whose mapping changed keeps its retained value until the next one.
    #[tokio::test]
    async fn a_reload_clears_what_is_gone_for_good_and_nothing_else() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(1000), Wall(0)));
        let (store, id) = store(&clock);
        let (_intake, live, board) = lane(store.clone(), Arc::clone(&clock));
        let topic = store.tag(id).unwrap().topic.clone();
        let text = "gateway: { name: edge }\nbroker: { listeners: [ { tcp: \"127.0.0.1:0\" } ] }\n";
        let plan = crate::config::parse(text, "test").unwrap().plan.broker.unwrap();
        let (inbox, _requests) = mpsc::channel(1);
        let deps = crate::broker::Deps { clock, inbox, store: None, keep: Keep::none() };
        let (broker, runner) = Broker::bind(&plan, deps).await.unwrap();
        let stop = CancellationToken::new();
        let mut running = tokio::task::JoinSet::new();
        running.spawn(runner.run(stop.clone()));
        board.set_broker(Some(broker.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let of_the_broker = broker.status().retained; // its own statistics
        let retained = async |n: usize| {
            for _ in 0..500 {
                if broker.status().retained == of_the_broker + n {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            false
        };
        let mut payload = Vec::new();
        board.set_tags([(id, &topic)].into_iter());
        live.board.take(&store, batch(id, 7), &mut payload);
        assert!(retained(1).await);
        let mapped_anew = TagId(id.0 + 1);
        board.set_tags([(mapped_anew, &topic)].into_iter());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(retained(1).await, "the topic is still there");
        live.board.take(&store, batch(id, 8), &mut payload);
        assert!(board.tags().is_empty(), "a reading from before the reload");
        board.set_tags([(id, &topic)].into_iter());
        live.board.take(&store, batch(id, 9), &mut payload);
        board.set_tags(std::iter::empty());
        live.board.take(&store, batch(id, 10), &mut payload);
        assert!(retained(0).await, "the tag is gone");
        stop.cancel();
        running.join_next().await.unwrap().unwrap().unwrap();
    }
}
