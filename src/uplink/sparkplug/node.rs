//! An edge node's session: births, sequence numbers, rebirths, deaths (Sparkplug 3.0, chapter 5).
//!
//! Sans-I/O: the session hands in what came, and publishes what lies in the outbox, in its order.
//! Invariants: nothing goes out before NBIRTH, and no data of a device outside its birth and its
//! death; `seq` runs through everything but NDEATH; bdSeq is that of the will of this connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::book::{BD_SEQ_ALIAS, Book, NOTICES_ALIAS, Told};
use super::host::{Host, Turn};
use crate::codec::sparkplug::{self, DataType, FRAME_BYTES, Metric};
use crate::config::SparkplugPlan;
use crate::model::{Latest, Qos, Value};
use crate::store::{BootNo, Times};
use crate::uplink::pack::PUBLISH_OVERHEAD;

/// Hosts that ask for a rebirth again and again get one in this time.
pub const REBIRTH_COOLDOWN: Duration = Duration::from_secs(2);
/// What a host writes to be told everything anew.
pub const REBIRTH: &str = "Node Control/Rebirth";
const BD_SEQ: &str = "bdSeq";
/// What is missing or was wrong, as JSON (`docs/notices.md`).
const NOTICES: &str = "Notices";

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    pub topic: String,
    metrics: Vec<u8>,
    seq: Option<u8>,
    pub qos: Qos,
    is_data: bool,
}

impl Out {
    /// As it is sent at this moment, in milliseconds since 1970.
    pub fn payload(&self, wall: u64) -> Vec<u8> {
        sparkplug::payload(wall, self.seq, &self.metrics)
    }

    /// The most that its topic and payload have.
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.metrics.len() + FRAME_BYTES
    }
}

/// What a node needs to make births.
pub struct Now<'a> {
    /// Milliseconds since 1970.
    pub wall: u64,
    pub at: Instant,
    pub latest: &'a dyn Latest,
    pub boot: BootNo,
    pub times: &'a Times,
}

pub struct Node {
    pub plan: Arc<SparkplugPlan>,
    pub book: Book,
    pub host: Option<Host>,
    pub outbox: VecDeque<Out>,
    packet_bytes: usize,
    seq: u8,
    /// Of the CONNECT that was sent last; `None` before the first.
    bd_seq: Option<u8>,
    /// Of the CONNECT that comes next, if it was not sent yet.
    next_bd_seq: Option<u8>,
    is_born: bool,
    rebirth_wanted: bool,
    last_rebirth: Option<Instant>,
    /// The notice that was sent last in this session, and when.
    notice: Option<(u64, String)>,
}

impl Node {
    /// `bd_seq` is the number that was remembered, if any was.
    pub fn new(plan: Arc<SparkplugPlan>, bd_seq: Option<u8>) -> Self {
        Self {
            book: Book::new(&plan),
            host: plan.primary_host.clone().map(Host::new),
            plan,
            outbox: VecDeque::new(),
            packet_bytes: 0,
            seq: 0,
            bd_seq,
            next_bd_seq: None,
            is_born: false,
            rebirth_wanted: false,
            last_rebirth: None,
            notice: None,
        }
    }

    /// The number of the next CONNECT: the same until it was sent.
    pub fn next_bd_seq(&mut self) -> u8 {
        let next = self.bd_seq.map_or(0, |last| last.wrapping_add(1));
        *self.next_bd_seq.get_or_insert(next)
    }

    /// The number of the last CONNECT that was sent, if another was meant for the next.
    pub fn unused_bd_seq(&self) -> Option<Option<u8>> {
        self.next_bd_seq.map(|_| self.bd_seq)
    }

    /// The CONNECT with that number went out.
    pub fn sent_connect(&mut self) {
        self.bd_seq = self.next_bd_seq.take().or(self.bd_seq);
    }

    /// Also the last message before an intended end.
    pub fn death(&self, bd_seq: u8, wall: u64) -> Out {
        let mut metrics = Vec::new();
        let number = Metric {
            name: Some(BD_SEQ.to_owned()),
            timestamp: Some(wall),
            datatype: Some(DataType::Int64),
            value: Some(Value::I64(bd_seq.into())),
            ..Metric::default()
        };
        let _fits = number.encode(DataType::Int64, &mut metrics);
        let topic = self.plan.topic("NDEATH");
        Out { topic, metrics, seq: None, qos: Qos::AtLeastOnce, is_data: false }
    }

    /// A connection begins, to a broker that takes packets of this size.
    pub fn connected(&mut self, server: &str, packet_bytes: usize) {
        self.packet_bytes = packet_bytes;
        self.outbox.clear();
        self.is_born = false;
        self.rebirth_wanted = false;
        self.last_rebirth = None;
        self.notice = None;
        self.book.forget();
        if let Some(host) = &mut self.host {
            host.connected(server);
        }
    }

    /// Takes a STATE message; `None` if it is none of our host.
    pub fn state(&mut self, host: &str, payload: &[u8]) -> Option<Turn> {
        self.host.as_mut().filter(|known| known.id == host)?.heard(payload)
    }

    pub fn is_born(&self) -> bool {
        self.is_born
    }

    /// A host asks to be told everything anew: no data goes out until it was, nor what waits to be
    /// sent. Says whether something was dropped for that; its rows are in the store.
    pub fn want_rebirth(&mut self) -> bool {
        self.rebirth_wanted = self.is_born;
        // Births in front of it are finished: a host that asks again and again must see some.
        let data = self.outbox.iter().position(|out| out.is_data);
        self.outbox.truncate(data.unwrap_or(self.outbox.len()));
        data.is_some()
    }

    /// Whether data may go out.
    pub fn is_free(&self) -> bool {
        self.is_born && !self.rebirth_wanted
    }

    /// When the births that are wanted may come. Not before all is out that waits for the rate: births
    /// behind births, for a host that asks again, would fill the memory.
    pub fn births_due(&self) -> Option<Instant> {
        let waits = !self.outbox.is_empty();
        if self.is_free() || waits || self.host.as_ref().is_some_and(|host| !host.is_online()) {
            return None;
        }
        let again = self.last_rebirth.map(|last| last + REBIRTH_COOLDOWN);
        Some(again.filter(|_| self.is_born).unwrap_or_else(Instant::now))
    }

    /// NBIRTH and the birth of every device.
    pub fn births(&mut self, now: &Now<'_>) {
        let mut metrics = Vec::new();
        let number = Metric {
            name: Some(BD_SEQ.to_owned()),
            alias: Some(BD_SEQ_ALIAS),
            timestamp: Some(now.wall),
            datatype: Some(DataType::Int64),
            value: Some(Value::I64(self.bd_seq.unwrap_or(0).into())),
            ..Metric::default()
        };
        // Without an alias, so that a host that has missed everything can ask for it.
        let rebirth = Metric {
            name: Some(REBIRTH.to_owned()),
            timestamp: Some(now.wall),
            datatype: Some(DataType::Boolean),
            value: Some(Value::Bool(false)),
            ..Metric::default()
        };
        let notices = Metric {
            name: Some(NOTICES.to_owned()),
            alias: Some(NOTICES_ALIAS),
            datatype: Some(DataType::String),
            ..self.notice_metric(now.wall)
        };
        // In the order of time, and the notice is not younger than the birth.
        let _fits = notices.encode(DataType::String, &mut metrics);
        let _fits = number.encode(DataType::Int64, &mut metrics);
        let _fits = rebirth.encode(DataType::Boolean, &mut metrics);
        self.seq = 0;
        self.is_born = true;
        if std::mem::take(&mut self.rebirth_wanted) {
            self.last_rebirth = Some(now.at);
        }
        self.book.is_changed = false;
        self.push(self.plan.topic("NBIRTH"), metrics);
        for device in 0..self.book.devices.len() {
            self.device_birth(device, now);
        }
    }

    /// The birth of a device, with what is known of it now. False if the broker would not take it.
    pub fn device_birth(&mut self, index: usize, now: &Now<'_>) -> bool {
        let Some(device) = self.book.devices.get_mut(index) else { return false };
        for tag in &mut device.tags {
            let Some(reading) = now.latest.latest(tag.id) else { continue };
            let is_newer = tag
                .told
                .as_ref()
                .is_none_or(|told| (told.boot, told.at) < (now.boot, reading.at()));
            let fits = reading.value().is_none_or(|value| tag.datatype.takes(value).is_ok());
            if is_newer && fits {
                let timestamp = now.times.wall(now.boot, reading.at()).0;
                tag.told = Some(Told {
                    boot: now.boot,
                    at: reading.at(),
                    timestamp: u64::try_from(timestamp).unwrap_or(0),
                    value: reading.value().cloned(),
                    quality: reading.quality(),
                });
            }
        }
        device.look();
        // Born although it is lost: for what may be waiting of it.
        device.was_lost = false;
        let mut metrics: Vec<(u64, Vec<u8>)> = Vec::with_capacity(device.tags.len());
        for tag in &device.tags {
            let metric = tag.birth(now.wall);
            let mut bytes = Vec::new();
            let _fits = metric.encode(tag.datatype, &mut bytes);
            metrics.push((metric.timestamp.unwrap_or(now.wall), bytes));
        }
        // In the order of time, as data too.
        metrics.sort_by_key(|(timestamp, _)| *timestamp);
        let bytes: Vec<u8> = metrics.into_iter().flat_map(|(_, bytes)| bytes).collect();
        let topic = device_topic(&self.plan, "DBIRTH", &device.name);
        if topic.len() + bytes.len() + FRAME_BYTES + PUBLISH_OVERHEAD > self.packet_bytes {
            device.refuse_birth();
            tracing::error!(
                topic,
                bytes = bytes.len(),
                most = self.packet_bytes,
                "a birth is larger than the broker or packet-max allows; the device's readings wait"
            );
            return false;
        }
        (device.is_born, device.is_too_large) = (true, false);
        device.tags.iter_mut().for_each(super::book::Tag::was_born);
        self.push(topic, bytes);
        true
    }

    /// Whether a device waits because its birth is too large.
    pub fn holds_back(&self) -> bool {
        self.book.devices.iter().any(|device| device.is_too_large)
    }

    /// Births that were too large are tried again with the next reading: a text in it may be
    /// shorter now.
    pub fn try_again(&mut self) {
        for device in &mut self.book.devices {
            device.is_too_large = false;
        }
    }

    fn notice_metric(&self, wall: u64) -> Metric {
        let (at, text) = self.notice.clone().unzip();
        let value = text.map(|text| Value::Text(text.into()));
        Metric { timestamp: Some(at.unwrap_or(wall)), value, ..Metric::default() }
    }

    /// Tells hosts what is missing or was wrong.
    pub fn notice(&mut self, wall: u64, text: String) {
        self.notice = Some((wall, text));
        let metric = Metric { alias: Some(NOTICES_ALIAS), ..self.notice_metric(wall) };
        let mut metrics = Vec::new();
        let _fits = metric.encode(DataType::String, &mut metrics);
        self.push_data(self.plan.topic("NDATA"), metrics);
    }

    /// Data of a device; its metrics are encoded already.
    pub fn data(&mut self, device: usize, metrics: Vec<u8>) {
        let Some(device) = self.book.devices.get(device) else { return };
        let topic = device_topic(&self.plan, "DDATA", &device.name);
        self.push_data(topic, metrics);
    }

    /// Room for metrics in one message to this device.
    pub fn room(&self, device: usize) -> usize {
        let name = self.book.devices.get(device).map_or(0, |device| device.name.len());
        let topic = self.plan.topic("DDATA").len() + 1 + name;
        self.packet_bytes.saturating_sub(topic + FRAME_BYTES + PUBLISH_OVERHEAD)
    }

    /// The deaths of devices that were lost, or that were born only for what waited of them.
    pub fn device_deaths(&mut self, has_backlog: bool) {
        for index in 0..self.book.devices.len() {
            let Some(device) = self.book.devices.get_mut(index) else { continue };
            if !device.is_born || device.is_alive || (has_backlog && !device.was_lost) {
                continue;
            }
            (device.is_born, device.was_lost) = (false, false);
            let topic = device_topic(&self.plan, "DDEATH", &device.name);
            self.push(topic, Vec::new());
        }
    }

    /// The last message, if there was a first. What did not go out before it never will; its rows
    /// are in the store.
    pub fn farewell(&mut self, wall: u64) {
        self.outbox.clear();
        if let Some(bd_seq) = self.bd_seq.filter(|_| self.is_born) {
            let death = self.death(bd_seq, wall);
            self.outbox.push_back(death);
            self.is_born = false;
        }
    }

    fn push(&mut self, topic: String, metrics: Vec<u8>) {
        let (seq, qos) = (Some(self.seq), Qos::AtMostOnce);
        self.seq = self.seq.wrapping_add(1);
        self.outbox.push_back(Out { topic, metrics, seq, qos, is_data: false });
    }

    fn push_data(&mut self, topic: String, metrics: Vec<u8>) {
        self.push(topic, metrics);
        self.outbox.back_mut().into_iter().for_each(|out| out.is_data = true);
    }
}

fn device_topic(plan: &SparkplugPlan, message: &str, device: &str) -> String {
    format!("{}/{device}", plan.topic(message))
}
