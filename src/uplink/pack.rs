//! From stored rows to messages: filters, topics, payloads, and what can never be sent.
//!
//! Live rows and forwarded LAN messages go one by one; a backlog of readings goes columnar, many
//! in a message, unless the plan says otherwise. Invariant: every row that comes in comes out,
//! in exactly one message or with a fate of its own.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::lanes::{Lane, Work};
use super::settling::{DeadReason, Fate, push_range};
use crate::codec::columnar::Builder;
use crate::codec::json::{self, Key};
use crate::config::{BacklogPayload, UplinkPlan};
use crate::model::{Class, Message, Mono, Reading, Seq, TagId, TopicName, Wall};
use crate::store::{Body, BootNo, Entry, Store, Times};

/// The most a PUBLISH adds to topic and payload: type, remaining length, topic length, packet id.
pub const PUBLISH_OVERHEAD: usize = 9;
/// The largest packet MQTT 3.1.1 can express.
const PROTOCOL_BYTES_MAX: usize = 268_435_455;
/// Larger columnar messages save nothing more, and are sent again whole.
const COLUMNAR_BYTES_MAX: usize = 32 * 1024;
/// What a reading by itself takes, mostly.
const TAG_BYTES: usize = 96;
/// Tags remembered before the memory starts over; a gateway has fewer, but a store keeps those of
/// all its configurations.
const TAGS_MAX: usize = 100_000;

/// A message for the hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub topic: TopicName,
    pub payload: Bytes,
    pub retain: bool,
    pub rows: Rows,
}

impl Item {
    pub fn bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len()
    }
}

/// What the acknowledgement of a message settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    pub class: Class,
    /// The version of the times they are sent with.
    pub times: u64,
    pub delivered: Vec<Range<Seq>>,
    /// Rows in between that no filter wants, settled together so that the store's books stay in
    /// few pieces.
    pub excluded: Vec<Range<Seq>>,
}

impl Rows {
    fn one(class: Class, times: u64, seq: Seq) -> Self {
        Self { class, times, delivered: vec![seq..seq.plus(1)], excluded: Vec::new() }
    }
}

/// What became of rows that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packed {
    Item(Item),
    Settled(Fate, Range<Seq>),
}

/// The decision about a tag, made once.
#[derive(Clone)]
enum Tag {
    Wanted { topic: TopicName, unit: Arc<str> },
    Unwanted,
    Dead(DeadReason),
}

pub struct Packer {
    plan: Arc<UplinkPlan>,
    store: Store,
    tags: HashMap<TagId, Tag>,
    /// The largest packet that the broker takes.
    broker_bytes: usize,
}

/// The columnar message that is being filled, if one is.
struct Columns {
    bytes_max: usize,
    builder: Option<Builder>,
}

/// One call's work.
struct Packing<'a> {
    packer: &'a mut Packer,
    epoch: u64,
    class: Class,
    /// What boots mean for all of this work, whatever is put right meanwhile.
    times: Arc<Times>,
    /// Wall time of the last reading; the next one is often of the same moment.
    last_wall: Option<(BootNo, Mono, Wall)>,
    out: Vec<Packed>,
    /// `None` where every row goes by itself.
    columns: Option<Columns>,
    /// The rows that are in `columns`, and the unwanted ones among them.
    delivered: Vec<Range<Seq>>,
    excluded: Vec<Range<Seq>>,
}

impl Packer {
    pub fn new(plan: Arc<UplinkPlan>, store: Store) -> Self {
        Self { plan, store, tags: HashMap::new(), broker_bytes: PROTOCOL_BYTES_MAX }
    }

    /// What the broker of this connection takes.
    pub fn limit(&mut self, broker_bytes: usize) {
        self.broker_bytes = broker_bytes;
    }

    /// Packs entries that were read for this work.
    pub fn pack(&mut self, work: &Work, entries: Vec<Entry>) -> Vec<Packed> {
        let columnar = work.lane == Lane::Backlog && self.plan.backlog == BacklogPayload::Columnar;
        let overhead = PUBLISH_OVERHEAD + self.plan.backlog_topic.as_str().len();
        let columns = columnar.then(|| Columns {
            bytes_max: self.packet_bytes().min(COLUMNAR_BYTES_MAX).saturating_sub(overhead),
            builder: None,
        });
        let epoch = self.store.epoch();
        let times = self.store.times();
        let mut packing = Packing {
            packer: self,
            epoch,
            class: work.class,
            times,
            last_wall: None,
            out: Vec::new(),
            columns,
            delivered: Vec::new(),
            excluded: Vec::new(),
        };
        for entry in entries {
            packing.entry(entry);
        }
        packing.finish_columns();
        packing.out
    }

    pub fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    fn packet_bytes(&self) -> usize {
        self.plan.packet_bytes.min(PROTOCOL_BYTES_MAX).min(self.broker_bytes)
    }

    fn fits(&self, topic: &TopicName, payload: usize) -> bool {
        topic.as_str().len() + payload + PUBLISH_OVERHEAD <= self.packet_bytes()
    }

    /// The topic under the uplink's prefix, if any filter wants it.
    fn route(&self, topic: &TopicName) -> Result<TopicName, Fate> {
        if !self.plan.send.iter().any(|filter| filter.matches(topic.as_str())) {
            return Err(Fate::Excluded);
        }
        TopicName::new(&format!("{}{topic}", self.plan.prefix))
            .ok()
            .filter(|topic| self.plan.takes_topic(topic.as_str()))
            .ok_or(Fate::Dead(DeadReason::BadTopic))
    }

    fn tag(&mut self, id: TagId) -> Tag {
        if let Some(tag) = self.tags.get(&id) {
            return tag.clone();
        }
        let tag = match self.store.tag(id) {
            None => Tag::Dead(DeadReason::UnknownTag),
            Some(meta) => match self.route(&meta.topic) {
                Ok(topic) => Tag::Wanted { topic, unit: meta.unit.as_str().into() },
                Err(Fate::Dead(reason)) => Tag::Dead(reason),
                Err(_) => Tag::Unwanted,
            },
        };
        if self.tags.len() >= TAGS_MAX {
            self.tags.clear();
        }
        self.tags.insert(id, tag.clone());
        tag
    }
}

impl Packing<'_> {
    fn entry(&mut self, entry: Entry) {
        match entry.body {
            Body::Readings(readings) => {
                let mut seq = entry.seq;
                for reading in &readings {
                    self.reading(seq, entry.boot, reading);
                    seq = seq.plus(1);
                }
            }
            Body::Message(message) => self.message(entry.seq, &message),
        }
    }

    fn wall(&mut self, boot: BootNo, at: Mono) -> Wall {
        match self.last_wall {
            Some((b, a, wall)) if (b, a) == (boot, at) => wall,
            _ => {
                let wall = self.times.wall(boot, at);
                self.last_wall = Some((boot, at, wall));
                wall
            }
        }
    }

    fn reading(&mut self, seq: Seq, boot: BootNo, reading: &Reading) {
        match self.packer.tag(reading.tag()) {
            Tag::Unwanted => self.settled(Fate::Excluded, seq),
            Tag::Dead(reason) => self.settled(Fate::Dead(reason), seq),
            Tag::Wanted { topic, unit } => {
                let wall = self.wall(boot, reading.at());
                if !self.column(seq, wall, &topic, reading) {
                    let key = Key { epoch: self.epoch, class: self.class, seq };
                    let mut payload = Vec::with_capacity(TAG_BYTES);
                    json::tag_live(&mut payload, reading, wall, &unit, Some(&key));
                    self.item(seq, topic, payload, false);
                }
            }
        }
    }

    /// Whether the reading found its place in a columnar message.
    fn column(&mut self, seq: Seq, wall: Wall, topic: &TopicName, reading: &Reading) -> bool {
        let (epoch, class) = (self.epoch, self.class);
        let Some(columns) = &mut self.columns else { return false };
        let full = columns.builder.as_mut().map(|open| open.push(reading, seq, wall, topic));
        if full != Some(false) {
            self.finish_columns();
            let Some(columns) = &mut self.columns else { return false };
            let mut fresh = Builder::new(epoch, class, columns.bytes_max);
            fresh.push(reading, seq, wall, topic);
            // The first one is always taken, even if it is too large for any columnar message.
            if fresh.length() > columns.bytes_max {
                return false;
            }
            columns.builder = Some(fresh);
        }
        push_range(&mut self.delivered, seq..seq.plus(1));
        true
    }

    fn message(&mut self, seq: Seq, message: &Message) {
        match self.packer.route(&message.topic) {
            Ok(topic) => {
                let retain = message.retain && self.packer.plan.retain;
                self.item(seq, topic, message.payload.to_vec(), retain);
            }
            Err(fate) => self.settled(fate, seq),
        }
    }

    fn item(&mut self, seq: Seq, topic: TopicName, payload: Vec<u8>, retain: bool) {
        if !self.packer.fits(&topic, payload.len()) {
            self.settled(Fate::Dead(DeadReason::TooLarge), seq);
            return;
        }
        // Before it in the sequence, so before it on the line.
        self.finish_columns();
        let rows = Rows::one(self.class, self.times.version, seq);
        self.out.push(Packed::Item(Item { topic, payload: payload.into(), retain, rows }));
    }

    fn settled(&mut self, fate: Fate, seq: Seq) {
        let row = seq..seq.plus(1);
        if fate == Fate::Excluded && !self.delivered.is_empty() {
            push_range(&mut self.excluded, row);
            return;
        }
        match self.out.last_mut() {
            Some(Packed::Settled(last, range)) if *last == fate && range.end == row.start => {
                range.end = row.end;
            }
            _ => self.out.push(Packed::Settled(fate, row)),
        }
    }

    fn finish_columns(&mut self) {
        let builder = self.columns.as_mut().and_then(|columns| columns.builder.take());
        let Some(payload) = builder.and_then(Builder::finish) else { return };
        let rows = Rows {
            class: self.class,
            times: self.times.version,
            delivered: std::mem::take(&mut self.delivered),
            excluded: std::mem::take(&mut self.excluded),
        };
        let topic = self.packer.plan.backlog_topic.clone();
        let item = Item { topic, payload: payload.into(), retain: false, rows };
        self.out.push(Packed::Item(item));
    }
}
