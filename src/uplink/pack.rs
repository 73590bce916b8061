//! From stored rows to messages: filters, topics, payloads, and what can never be sent.
//!
//! Live rows and forwarded LAN messages go as the plan says; so does a backlog, usually many readings in
//! a message. A reading that is too large for a message of many has one for itself. Invariant: every row
//! that comes in comes out, in exactly one message or with a fate of its own.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::lanes::{Lane, Work};
use super::settling::{DeadReason, Fate, push_range};
use crate::codec::deflate;
use crate::codec::json::Key;
use crate::codec::payload::{self, Builder, Pushed, Sample, TagText};
use crate::config::{LiveTopic, MqttVersion, UplinkPlan};
use crate::model::{
    Class, Form, Holds, Message, Mono, Reading, Seq, TagId, TagMeta, TopicName, Wall,
};
use crate::store::{Body, BootNo, Entry, Store, Times};

/// The most a PUBLISH adds to topic, payload and properties: type, remaining length, topic length,
/// packet id, and the length of the properties (MQTT 5; one byte, see [`PROPERTIES_LENGTH`]).
pub const PUBLISH_OVERHEAD: usize = 10;
/// What the length of the properties takes beyond that when they are many.
pub const PROPERTIES_LENGTH: usize = 3;
/// The largest packet MQTT can express.
const PROTOCOL_BYTES_MAX: usize = 268_435_455;
/// Larger messages of many readings save nothing more, and are sent again whole. But where the rate
/// counts messages alone, each has as many readings as it can.
const MANY_BYTES_MAX: usize = 32 * 1024;
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
    /// What the payload is, where it is not plain JSON or another's; for MQTT 5.
    pub content_type: Option<Arc<str>>,
    pub rows: Rows,
}

impl Item {
    /// What it has beyond [`PUBLISH_OVERHEAD`].
    pub fn bytes(&self) -> usize {
        described(self.content_type.as_deref()) + self.topic.as_str().len() + self.payload.len()
    }
}

/// What a content type takes of the packet.
fn described(content_type: Option<&str>) -> usize {
    content_type.map_or(0, |text| 3 + text.len())
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
    Wanted(Arc<Route>),
    Unwanted,
    Dead(DeadReason),
}

/// Where a tag's readings go.
struct Route {
    /// Unless they go where the backlog does.
    topic: TopicName,
    text: TagText,
}

/// How the readings of one lane are sent.
struct Manner {
    form: Form,
    /// Where messages of several devices go, if that is one topic.
    topic: Option<TopicName>,
    deflate: bool,
    /// For MQTT 5; nothing on 3.1.1, which has no place for it.
    content_type: Option<Arc<str>>,
}

pub struct Packer {
    plan: Arc<UplinkPlan>,
    store: Store,
    tags: HashMap<TagId, Tag>,
    /// The largest packet that the broker takes.
    broker_bytes: usize,
    live: Arc<Manner>,
    backlog: Arc<Manner>,
}

/// A message of several readings that is being filled.
struct Open {
    topic: TopicName,
    builder: Builder,
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
    manner: Arc<Manner>,
    open: Option<Open>,
    /// The rows that are in `open`, and the unwanted ones among them.
    delivered: Vec<Range<Seq>>,
    excluded: Vec<Range<Seq>>,
}

impl Packer {
    pub fn new(plan: Arc<UplinkPlan>, store: Store) -> Self {
        let live = Manner::new(plan.live.clone(), None, false, plan.mqtt);
        let shared = plan.backlog.holds() == Holds::Many;
        let topic = shared.then(|| plan.backlog_topic.clone());
        let backlog = Manner::new(plan.backlog.clone(), topic, plan.backlog_deflate, plan.mqtt);
        Self {
            plan,
            store,
            tags: HashMap::new(),
            broker_bytes: PROTOCOL_BYTES_MAX,
            live: live.into(),
            backlog: backlog.into(),
        }
    }

    /// What the broker of this connection takes.
    pub fn limit(&mut self, broker_bytes: usize) {
        self.broker_bytes = broker_bytes;
    }

    /// Packs entries that were read for this work.
    pub fn pack(&mut self, work: &Work, entries: Vec<Entry>) -> Vec<Packed> {
        let manner = match work.lane {
            Lane::Live => self.live.clone(),
            Lane::Backlog => self.backlog.clone(),
        };
        let epoch = self.store.epoch();
        let times = self.store.times();
        let mut packing = Packing {
            packer: self,
            epoch,
            class: work.class,
            times,
            last_wall: None,
            out: Vec::new(),
            manner,
            open: None,
            delivered: Vec::new(),
            excluded: Vec::new(),
        };
        for entry in entries {
            packing.entry(entry);
        }
        packing.finish_open();
        packing.out
    }

    pub fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    fn packet_bytes(&self) -> usize {
        self.plan.packet_bytes.min(PROTOCOL_BYTES_MAX).min(self.broker_bytes)
    }

    fn fits(&self, bytes: usize) -> bool {
        bytes + PUBLISH_OVERHEAD <= self.packet_bytes()
    }

    fn is_wanted(&self, topic: &TopicName) -> bool {
        self.plan.send.iter().any(|filter| filter.matches(topic.as_str()))
    }

    /// The topic of a forwarded message under the uplink's prefix, if any filter wants it.
    fn route(&self, topic: &TopicName) -> Result<TopicName, Fate> {
        if !self.is_wanted(topic) {
            return Err(Fate::Excluded);
        }
        let prefix = &self.plan.prefix;
        let routed = match prefix.is_empty() {
            true => Some(topic.clone()),
            false => TopicName::new(&format!("{prefix}{topic}")).ok(),
        };
        routed
            .filter(|topic| self.plan.takes_topic(topic.as_str()))
            .ok_or(Fate::Dead(DeadReason::BadTopic))
    }

    fn decide(&self, tag: &TagMeta) -> Tag {
        if !self.is_wanted(&tag.topic) {
            return Tag::Unwanted;
        }
        let topic = self.plan.live_topic.topic(&self.plan.prefix, tag);
        // Messages of many readings name a tag by where it goes alone, or by its own topic.
        let name = match self.plan.live.holds() {
            Holds::One => topic.clone(),
            Holds::Moment | Holds::Many => LiveTopic::OfTag.topic(&self.plan.prefix, tag),
        };
        let (Ok(topic), Ok(name)) = (topic, name) else { return Tag::Dead(DeadReason::BadTopic) };
        if !self.plan.takes_topic(topic.as_str()) {
            return Tag::Dead(DeadReason::BadTopic);
        }
        let text = TagText {
            topic: name,
            device: tag.device.clone(),
            name: tag.name.clone(),
            unit: tag.unit.clone(),
        };
        Tag::Wanted(Arc::new(Route { topic, text }))
    }

    fn tag(&mut self, id: TagId) -> Tag {
        if let Some(tag) = self.tags.get(&id) {
            return tag.clone();
        }
        let tag = match self.store.tag(id) {
            None => Tag::Dead(DeadReason::UnknownTag),
            Some(meta) => self.decide(&meta),
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
            Body::Message(message) => self.message(entry.seq, message),
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
            Tag::Wanted(route) => {
                let wall = self.wall(boot, reading.at());
                let key = Key { epoch: self.epoch, class: self.class, seq };
                let sample = Sample::new(reading, wall, &route.text, key);
                self.sample(&sample, &route.topic);
            }
        }
    }

    fn sample(&mut self, sample: &Sample<'_>, own: &TopicName) {
        let manner = self.manner.clone();
        let topic = manner.topic.as_ref().unwrap_or(own);
        let bytes_max = self.many_bytes_max(topic, &manner);
        let Some(mut fresh) = Builder::new(&manner.form, sample.key, bytes_max) else {
            let mut payload = Vec::with_capacity(TAG_BYTES);
            payload::one(&manner.form, sample, &mut payload);
            let rows = Rows::one(self.class, self.times.version, sample.key.seq);
            self.readings(topic, payload, rows);
            return;
        };
        let open = self.open.as_mut().filter(|open| open.topic == *topic);
        if open.is_none_or(|open| open.builder.push(sample) == Pushed::Full) {
            self.finish_open();
            fresh.push(sample);
            self.open = Some(Open { topic: topic.clone(), builder: fresh });
        }
        push_range(&mut self.delivered, sample.key.seq..sample.key.seq.plus(1));
        // Too large for company: it goes alone, if it goes at all.
        if self.open.as_ref().is_some_and(|open| open.builder.length() > bytes_max) {
            self.finish_open();
        }
    }

    /// The most that the payload of a message of many may have.
    fn many_bytes_max(&self, topic: &TopicName, manner: &Manner) -> usize {
        let rate = self.packer.plan.rate;
        let are_counted = rate.messages.is_some() && rate.bytes.is_none();
        let most = if are_counted { usize::MAX } else { MANY_BYTES_MAX };
        let packet_bytes = self.packer.packet_bytes().min(most);
        let described = described(manner.content_type.as_deref());
        let room = packet_bytes.saturating_sub(PUBLISH_OVERHEAD + described + topic.as_str().len());
        match manner.deflate {
            true => room.saturating_sub(deflate::growth_max(room)),
            false => room,
        }
    }

    fn message(&mut self, seq: Seq, message: Message) {
        let topic = match self.packer.route(&message.topic) {
            Ok(topic) => topic,
            Err(fate) => return self.settled(fate, seq),
        };
        if !self.packer.fits(topic.as_str().len() + message.payload.len()) {
            return self.settled(Fate::Dead(DeadReason::TooLarge), seq);
        }
        // Before it in the sequence, so before it on the line.
        self.finish_open();
        let rows = Rows::one(self.class, self.times.version, seq);
        let payload = Bytes::from_owner(message.payload);
        let retain = message.retain && self.packer.plan.retain;
        let item = Item { topic, payload, retain, content_type: None, rows };
        self.out.push(Packed::Item(item));
    }

    /// A message of our readings, in its last form.
    fn readings(&mut self, topic: &TopicName, payload: Vec<u8>, rows: Rows) {
        let manner = &self.manner;
        let payload = if manner.deflate { deflate::zlib(&payload) } else { payload };
        let (topic, payload) = (topic.clone(), payload.into());
        let content_type = manner.content_type.clone();
        let item = Item { topic, payload, retain: false, content_type, rows };
        if !self.packer.fits(item.bytes()) {
            let Rows { delivered, excluded, .. } = item.rows;
            for row in rows_of(&delivered) {
                self.settled(Fate::Dead(DeadReason::TooLarge), row);
            }
            for row in rows_of(&excluded) {
                self.settled(Fate::Excluded, row);
            }
            return;
        }
        self.out.push(Packed::Item(item));
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

    fn finish_open(&mut self) {
        let Some(Open { topic, builder }) = self.open.take() else { return };
        let rows = Rows {
            class: self.class,
            times: self.times.version,
            delivered: std::mem::take(&mut self.delivered),
            excluded: std::mem::take(&mut self.excluded),
        };
        if let Some(payload) = builder.finish() {
            self.readings(&topic, payload, rows);
        }
    }
}

impl Manner {
    fn new(form: Form, topic: Option<TopicName>, deflate: bool, mqtt: MqttVersion) -> Self {
        let media = form.content_type();
        let content_type = match (mqtt, deflate, media) {
            (MqttVersion::V311, ..) | (MqttVersion::V5, false, "application/json") => None,
            (MqttVersion::V5, true, media) => Some(format!("{media}; encoding=deflate").into()),
            (MqttVersion::V5, false, media) => Some(media.into()),
        };
        Self { form, topic, deflate, content_type }
    }
}

fn rows_of(ranges: &[Range<Seq>]) -> impl Iterator<Item = Seq> {
    ranges.iter().flat_map(|range| (range.start.0..range.end.0).map(Seq))
}
