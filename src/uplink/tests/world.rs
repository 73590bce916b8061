//! A store, an uplink and an oracle that knows what was appended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::fake::{Fake, Seen, json};
use crate::codec::columnar;
use crate::config::{BrokerUrl, LiveTopic, MqttVersion, Policy, RatePlan, UplinkPlan};
use crate::model::{
    Batch, Class, Clock, Form, FromCloud, Lan, Latest, ManualClock, Message, Mono, Name, Qos,
    Reading, SetRequest, TagId, TagMeta, TopicFilter, TopicName, Turned, Value, Wall,
};
use crate::store::{ConsumerSpec, Options, Store};
use crate::uplink::{Deps, RemoteDoor, Timing, Told, UplinkPort, UplinkStatus, with_timing};

/// The longest wait for anything that must happen.
const DEADLINE: Duration = Duration::from_secs(15);
/// The wall clock before the first batch.
const START: Wall = Wall(1_700_000_000_000);

/// Plain TCP at this address.
pub fn broker(addr: SocketAddr) -> BrokerUrl {
    BrokerUrl { host: addr.ip().to_string(), port: addr.port(), secure: false, path: None }
}

pub fn plan(fake: &Fake) -> UplinkPlan {
    UplinkPlan {
        name: Name::new("cloud").unwrap(),
        brokers: vec![broker(fake.addr)],
        tls: None,
        alpn: Vec::new(),
        server_name: None,
        proxy: None,
        mqtt: MqttVersion::V311,
        client_id: "press-line-3".to_owned(),
        username: None,
        password: None,
        sas: None,
        keep_alive: Duration::from_secs(30),
        send: vec![TopicFilter::new("#").unwrap()],
        receive: Vec::new(),
        local: Vec::new(),
        prefix: "site/".to_owned(),
        backlog_topic: TopicName::new("site/backlog").unwrap(),
        live: Form::Tag,
        live_topic: LiveTopic::OfTag,
        backlog: Form::Columnar,
        backlog_deflate: false,
        thingsboard_devices: Vec::new(),
        home_assistant: None,
        notices_topic: None,
        window_messages: 20,
        reconnect_max: Duration::from_secs(60),
        rate: RatePlan::default(),
        retain: true,
        service: None,
        window_bytes: 1 << 20,
        packet_bytes: 4096,
        policy: Policy::Required,
        remote: None,
        sparkplug: None,
    }
}

/// To nobody: what is said of the configuration has tests of its own.
fn door() -> RemoteDoor {
    let (arrived, told) = (mpsc::channel(1).0, watch::channel(Told::default()).1);
    RemoteDoor { arrived, told, acknowledged: Arc::default() }
}

/// A plan that was read from a configuration, for a broker at this address.
pub fn bare_plan(plan: UplinkPlan, addr: SocketAddr) -> UplinkPlan {
    let (host, port) = (addr.ip().to_string(), addr.port());
    let brokers = vec![BrokerUrl { host, port, secure: false, path: None }];
    let mqtt = MqttVersion::V311;
    UplinkPlan { brokers, tls: None, password: None, sas: None, mqtt, ..plan }
}

/// Quick where nothing depends on it, and patient where a busy machine must not look like a fault.
fn timing() -> Timing {
    Timing {
        connect: Duration::from_secs(1),
        settle: Duration::from_millis(5),
        settle_acks: 64,
        watchdog: Duration::from_secs(10),
        slowest: 1_000_000,
        backoff_first: Duration::from_millis(5),
        backoff_cap: Duration::from_millis(40),
        stop_grace: Duration::from_secs(1),
        refused_pause: Duration::from_millis(20),
        notice_pause: Duration::from_millis(20),
        store_retry: Duration::from_millis(50),
    }
}

pub struct World {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub tags: Vec<TagId>,
    pub appended: u64,
    pub timing: Timing,
    pub lan: Arc<Network>,
}

/// A gateway that has read nothing.
struct Nothing;

impl Latest for Nothing {
    fn latest(&self, _: TagId) -> Option<Reading> {
        None
    }
}

/// Clients of a LAN broker that takes a number of messages.
#[derive(Default)]
pub struct Network {
    pub messages: Mutex<Vec<FromCloud>>,
    pub most: AtomicUsize,
}

impl Lan for Network {
    fn publish(&self, message: FromCloud) -> Result<(), Turned> {
        let mut messages = self.messages.lock().unwrap();
        if messages.len() >= self.most.load(Ordering::Relaxed) {
            return Err(Turned::Full);
        }
        messages.push(message);
        Ok(())
    }
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Mono(1000), START));
        let options = Options {
            dir: None,
            commit: Duration::from_millis(100),
            write_behind: true,
            endurance_bytes: 4_000_000_000_000,
            max_bytes: Some(1 << 30),
            max_age: Duration::from_secs(1_000_000),
            ram_bytes: 1 << 28,
        };
        let store = Store::open(options, clock.clone()).unwrap();
        let meta = |n: usize| TagMeta {
            topic: TopicName::new(&format!("press/tag{n}")).unwrap(),
            device: Name::new("press").unwrap(),
            name: Name::new(&format!("tag{n}")).unwrap(),
            unit: "V".to_owned(),
            coding: String::new(),
            class: Class::Normal,
        };
        let tags = store.register_tags(&(0..10).map(meta).collect::<Vec<_>>());
        let name = Name::new("cloud").unwrap();
        store.set_consumers(&[ConsumerSpec { name, policy: Policy::Required }]);
        Self { store, clock, tags, appended: 0, timing: timing(), lan: Arc::default() }
    }

    /// A world in which an uplink soon suspects the broker.
    pub fn impatient() -> Self {
        let mut world = Self::new();
        world.timing.watchdog = Duration::from_millis(250);
        world
    }

    /// One whose line may be as slow as lines are.
    pub fn slow() -> Self {
        let mut world = Self::impatient();
        world.timing.slowest = Timing::default().slowest;
        world
    }

    /// Appends batches of all ten tags, one moment each.
    pub fn append(&mut self, batches: u64) {
        for _ in 0..batches {
            self.clock.advance(Duration::from_millis(10));
            let at = self.clock.mono();
            let value = |n: usize| Value::U64(self.appended + n as u64);
            let readings = self.tags.iter().enumerate();
            let readings = readings.map(|(n, tag)| Reading::good(*tag, at, value(n))).collect();
            self.store.append(Batch { class: Class::Normal, readings });
            self.appended += self.tags.len() as u64;
        }
    }

    /// Appends a message of a LAN client.
    pub fn forward(&self, topic: TopicName) {
        let (payload, qos) = (b"x".as_slice().into(), Qos::AtLeastOnce);
        let message = Message { topic, payload, qos, retain: true, at: self.clock.mono() };
        drop(self.store.append_message(Class::Normal, message));
    }

    pub fn start(&self, plan: UplinkPlan) -> Running {
        self.start_in(plan, PathBuf::from("/nonexistent"))
    }

    pub fn start_in(&self, plan: UplinkPlan, secrets_dir: PathBuf) -> Running {
        self.run(plan, secrets_dir, door())
    }

    /// With a door to whoever configures the gateway.
    pub fn start_with(&self, plan: UplinkPlan, remote: RemoteDoor) -> Running {
        self.run(plan, PathBuf::from("/nonexistent"), remote)
    }

    fn run(&self, plan: UplinkPlan, secrets_dir: PathBuf, remote: RemoteDoor) -> Running {
        let (inbox, requests) = mpsc::channel(4);
        let deps = Deps {
            store: self.store.clone(),
            clock: self.clock.clone(),
            inbox,
            latest: Arc::new(Nothing),
            lan: self.lan.clone(),
            remote,
            seed: 7,
            secrets_dir,
        };
        let (port, runner) = with_timing(plan, deps, self.timing.clone());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(runner.run(stop.clone()));
        Running { port, requests, stop, tasks }
    }

    /// Fails unless every position was in a message that the broker acknowledged, and the store
    /// agrees.
    pub fn check_nothing_lost(&self, fake: &Fake) {
        let acked = fake.log(|log| {
            let mut acked = BTreeMap::new();
            for seen in log.seen.iter().filter(|seen| seen.acked) {
                for (seq, value) in rows(seen, self.store.epoch()) {
                    if let Some(before) = acked.insert(seq, value) {
                        assert_eq!(before, value, "row {seq} came with two values");
                    }
                }
            }
            acked
        });
        let first = acked.keys().next().copied().unwrap_or(0);
        let expected: BTreeMap<u64, u64> = (0..self.appended).map(|n| (first + n, n)).collect();
        let lost: Vec<_> = expected.keys().filter(|seq| !acked.contains_key(seq)).collect();
        assert_eq!(fake.log(|log| log.violations.clone()), Vec::<String>::new());
        assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), self.appended);
        assert_eq!(acked, expected, "every row with its own value, and nothing else");
        let status = self.store.status();
        assert!(status.balances(), "{status:?}");
        let classes = &status.consumers[0].classes;
        assert_eq!(classes.iter().map(|class| class.delivered).sum::<u64>(), self.appended);
    }
}

pub struct Running {
    pub port: UplinkPort,
    pub requests: mpsc::Receiver<SetRequest>,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), crate::uplink::UplinkError>>,
}

impl Running {
    /// Waits until the status is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&UplinkStatus) -> bool) -> UplinkStatus {
        let give_up = Instant::now() + DEADLINE;
        loop {
            let status = self.port.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < give_up, "never {what}: {status:#?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn until_nothing_waits(&self) -> UplinkStatus {
        self.until("drained", |status| status.waiting == 0).await
    }

    pub async fn stop(mut self) -> UplinkStatus {
        self.stop.cancel();
        self.tasks.join_next().await.unwrap().unwrap().unwrap();
        self.port.status()
    }
}

/// Waits for something at the broker.
pub async fn eventually(what: &str, done: impl Fn() -> bool) {
    let give_up = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < give_up, "never {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// The rows of a message by the keys in it: sequence number and value. Topic and time must be
/// those that the value was appended with.
pub fn rows(seen: &Seen, epoch: u64) -> Vec<(u64, u64)> {
    let payload = &seen.publish.payload;
    let (id, points) = if seen.publish.topic == "site/backlog" {
        let (id, points) = columnar::decode(payload).expect("a columnar payload");
        let point = |p: columnar::Point| (p.seq.0, p.value.as_u64().unwrap(), p.topic, p.wall.0);
        (id, points.into_iter().map(point).collect())
    } else {
        let payload = json(payload);
        let (id, seq) = payload["id"].as_str().expect("a key").rsplit_once('-').unwrap();
        let value = payload["v"].as_u64().unwrap();
        let topic = seen.publish.topic.clone();
        let point = (seq.parse().unwrap(), value, topic, payload["ts"].as_i64().unwrap());
        (id.to_owned(), vec![point])
    };
    assert_eq!(id, format!("{epoch:x}-n"));
    let row = |(seq, value, topic, ts): (u64, u64, String, i64)| {
        assert_eq!(topic, format!("site/press/tag{}", value % 10));
        assert_eq!(ts, START.0 + i64::try_from(10 * (value / 10 + 1)).unwrap());
        (seq, value)
    };
    points.into_iter().map(row).collect()
}
