//! The node by itself: what goes out, in which order, for what came in.

mod commands;
mod data;
mod session;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;

use prost::Message as _;
use tokio::time::Instant;

use super::chunk::{self, Asks, Sent};
use super::node::{Node, Now, Out};
use crate::codec::sparkplug::{Payload, WireMetric};
use crate::config::{SparkplugDevice, SparkplugMetric, SparkplugPlan};
use crate::model::{
    Class, Clock, Latest, ManualClock, Mono, Name, Reading, Seq, TagId, TagMeta, TopicName, Value,
    ValueKind, Wall,
};
use crate::store::{Body, Entry, Options, Store};
use crate::uplink::lanes::Lane;

const START: Wall = Wall(1_800_000_000_000);
const NOW: u64 = 1_800_000_000_000;

/// A node with the devices press (count, setpoint, mode) and oven (heat), on a broker that is there.
struct Rig {
    node: Node,
    store: Store,
    ids: HashMap<&'static str, TagId>,
    latest: Known,
    clock: Arc<ManualClock>,
    seq: u64,
}

#[derive(Default)]
struct Known(Mutex<HashMap<TagId, Reading>>);

impl Latest for Known {
    fn latest(&self, tag: TagId) -> Option<Reading> {
        self.0.lock().unwrap().get(&tag).cloned()
    }
}

fn meta(device: &str, name: &str, coding: &str) -> TagMeta {
    TagMeta {
        topic: TopicName::new(&format!("works/edge/{device}/{name}")).unwrap(),
        device: Name::new(device).unwrap(),
        name: Name::new(name).unwrap(),
        unit: "bar".to_owned(),
        coding: coding.to_owned(),
        class: Class::Normal,
    }
}

fn metric(tag: TagId, device: &str, name: &str, kind: ValueKind) -> SparkplugMetric {
    let meta = meta(device, name, "");
    SparkplugMetric {
        tag,
        name: meta.name,
        topic: meta.topic,
        unit: meta.unit,
        kind,
        is_list: false,
        is_writable: name == "setpoint" || name == "mode",
    }
}

impl Rig {
    fn new() -> Self {
        Self::with_host(None)
    }

    fn with_host(primary_host: Option<&str>) -> Self {
        let clock = Arc::new(ManualClock::new(Mono(1000), START));
        let options = Options {
            dir: None,
            commit: std::time::Duration::from_millis(100),
            write_behind: true,
            endurance_bytes: 1 << 40,
            max_bytes: None,
            max_age: std::time::Duration::from_secs(1 << 20),
            ram_bytes: 1 << 20,
        };
        let store = Store::open(options, clock.clone()).unwrap();
        let names =
            [("press", "count"), ("press", "setpoint"), ("press", "mode"), ("oven", "heat")];
        let metas = names.map(|(device, name)| meta(device, name, ""));
        let all = store.register_tags(&metas);
        let ids: HashMap<_, _> = names.iter().map(|(_, name)| *name).zip(all).collect();
        let device = |device: &str, tags: &[(&str, ValueKind)]| SparkplugDevice {
            name: Name::new(device).unwrap(),
            topic: TopicName::new(&format!("works/edge/{device}")).ok(),
            metrics: tags
                .iter()
                .map(|(name, kind)| metric(ids[name], device, name, *kind))
                .collect(),
        };
        let press = [
            ("count", ValueKind::Integer),
            ("setpoint", ValueKind::Real),
            ("mode", ValueKind::Text),
        ];
        let plan = SparkplugPlan {
            group: "plant".to_owned(),
            node: "edge".to_owned(),
            primary_host: primary_host.map(str::to_owned),
            devices: vec![device("press", &press), device("oven", &[("heat", ValueKind::Real)])],
        };
        let mut node = Node::new(Arc::new(plan), None);
        node.next_bd_seq();
        node.sent_connect();
        node.connected("broker:1883", 4096);
        let latest = Known::default();
        Self { node, store, ids, latest, clock, seq: 0 }
    }

    fn with_now<T>(&mut self, what: impl FnOnce(&mut Node, &Now<'_>) -> T) -> T {
        let times = self.store.times();
        let now = Now {
            wall: u64::try_from(self.clock.wall().0).unwrap(),
            at: Instant::now(),
            latest: &self.latest,
            boot: self.store.boot(),
            times: &times,
        };
        what(&mut self.node, &now)
    }

    fn births(&mut self) -> Vec<Out> {
        self.with_now(Node::births);
        self.node.outbox.drain(..).collect()
    }

    /// Hands over readings that follow each other in the store.
    fn take(&mut self, lane: Lane, readings: Vec<Reading>) -> (Sent, Vec<Out>) {
        let count = u64::try_from(readings.len()).unwrap();
        let boot = self.store.boot();
        let entry = Entry { seq: Seq(self.seq), boot, body: Body::Readings(readings) };
        self.seq += count;
        let store = self.store.clone();
        let sent = self.with_now(|node, now| {
            let asks = Asks { meta: &|id| store.tag(id), is_sent: &|_| true };
            chunk::take(node, (Class::Normal, lane), &[entry], &asks, now)
        });
        (sent, self.node.outbox.drain(..).collect())
    }

    fn read(&self, tag: &str, at: i64, value: Value) -> Reading {
        Reading::good(self.ids[tag], Mono(at), value)
    }
}

fn payload(out: &Out) -> Payload {
    Payload::decode(&*out.payload(NOW)).unwrap()
}

fn topics(outs: &[Out]) -> Vec<&str> {
    outs.iter().map(|out| out.topic.strip_prefix("spBv1.0/plant/").unwrap()).collect()
}

fn seqs(outs: &[Out]) -> Vec<Option<u64>> {
    outs.iter().map(|out| payload(out).seq).collect()
}

fn named(out: &Out, name: &str) -> WireMetric {
    payload(out).metrics.into_iter().find(|metric| metric.name.as_deref() == Some(name)).unwrap()
}
