//! How long an uplink takes to drain a backlog into a service with limits:
//! `cargo bench --bench uplink -- [PRESET [MILLIONS [N/s] [any-bytes] [deflate]]]`, 10 million readings into
//! AWS IoT Core if nothing is said; `100/s` lets it take so many messages, for a larger plan of the same
//! service, `any-bytes` leaves of its rate the messages alone, `deflate` is the key of a backlog. The plant has 1,000 tags on 20 devices, read one after the other. The service is the one of the engine's tests: it ends the connection at the first message
//! beyond a limit. Plain lines, then a line of JSON.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a measurement by hand, not a part of the gateway"
)]

#[path = "../../../src/uplink/tests/emulated.rs"]
mod emulated;
#[path = "../store/workload.rs"]
#[expect(dead_code, reason = "the plant of the store's measurements, of which this needs the half")]
mod workload;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldhold::config::clouds::{Service, services};
use fieldhold::config::{self, UplinkPlan};
use fieldhold::model::{
    self, Class, Clock, Lan, Latest, Name, Reading, TagId, TagMeta, TopicName, Turned,
};
use fieldhold::runtime::SystemClock;
use fieldhold::store::Store;
use fieldhold::uplink;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use emulated::{Connection, Counts};

const PER_FLUSH: u32 = 10_000;
/// An acknowledgement from a cloud on a good line.
const LATENCY: Duration = Duration::from_millis(40);
/// Of ten million, in columnar form.
const BAR_SECONDS: f64 = 170.0;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let preset = words.first().map_or("aws-iot-core", String::as_str);
    let millions: u64 = words.get(1).map_or(10, |word| word.parse().unwrap());
    let mut service = services().find(|service| service.name == preset).expect("a preset");
    let is_asked = |wanted: &str| words.iter().any(|word| word == wanted);
    let (any_bytes, deflate) = (is_asked("any-bytes"), is_asked("deflate"));
    let per_second = words.iter().find_map(|word| word.strip_suffix("/s")?.parse().ok());
    if let Some(per_second) = per_second {
        service.limits.rate.messages = Some(per_second);
    }
    if any_bytes {
        service.limits.rate.bytes = None;
    }
    let place = workload::scratch();
    let clock = Arc::new(SystemClock::new());
    let options = workload::options(place.path(), Duration::from_secs(1));
    let store = Store::open(options, clock.clone()).unwrap();
    let metas: Vec<TagMeta> = (0..workload::TAGS).map(meta).collect();
    store.register_tags(&metas);
    store.set_consumers(&[workload::required("cloud")]);
    for round in 0..millions * 1_000_000 / u64::from(PER_FLUSH) {
        let round = round * u64::from(PER_FLUSH / workload::TAGS);
        workload::append(&store, round, PER_FLUSH, clock.mono());
        workload::wait(store.flush());
    }
    let (addr, counts) = serve(&service);
    println!("{millions} M readings wait for {}", service.title);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let seconds = runtime.block_on(drain(
        UplinkPlan { backlog_deflate: deflate, ..plan(&service, addr) },
        store.clone(),
        clock,
    ));
    let counts = counts.lock().unwrap().clone();
    let readings = millions * 1_000_000;
    println!(
        "drained in {seconds:.1} s: {} messages, {:.2} bytes a reading, at most {} messages and {} bytes \
         in a second, {} in flight; breaches: {:?}; equation: {}",
        counts.messages,
        counts.bytes as f64 / readings as f64,
        counts.peak_messages,
        counts.peak_bytes,
        counts.peak_in_flight,
        counts.breaches,
        store.status().balances()
    );
    println!(
        "{}",
        json!({
            "scenario": "drain", "preset": preset, "per_second": per_second, "any_bytes": any_bytes, "deflate": deflate, "readings": readings, "seconds": seconds,
            "messages": counts.messages, "bytes": counts.bytes, "breaches": counts.breaches.len(),
            "balances": store.status().balances(),
            "held": counts.breaches.is_empty() && store.status().balances()
                && seconds <= BAR_SECONDS * millions as f64 / 10.0,
        })
    );
    store.close();
}

fn meta(tag: u32) -> TagMeta {
    TagMeta {
        topic: TopicName::new(&format!("plant1/g/meter{}/tag{tag}", tag / workload::GROUP))
            .unwrap(),
        device: Name::new(&format!("meter{}", tag / workload::GROUP)).unwrap(),
        name: Name::new(&format!("tag{tag}")).unwrap(),
        unit: "V".to_owned(),
        coding: String::new(),
        class: Class::Normal,
    }
}

/// What the preset makes of an uplink, at the emulation's address and without TLS.
fn plan(service: &Service, addr: SocketAddr) -> UplinkPlan {
    let text = format!(
        "gateway: {{ name: g, site: plant1 }}\nuplinks:\n  cloud: {{ preset: {}, url: 'mqtts://h', \
         certificate: a, key: b, username: u, password: {{ file: f }} }}",
        service.name
    );
    let loaded = config::parse(&text, "bench").unwrap_or_else(|why| panic!("{why}"));
    let plan = loaded.plan.uplinks.into_iter().next().unwrap();
    let (host, port) = (addr.ip().to_string(), addr.port());
    let brokers = vec![config::BrokerUrl { host, port, secure: false, path: None }];
    let mqtt = config::MqttVersion::V311;
    let rate = service.limits.rate;
    UplinkPlan { brokers, tls: None, password: None, mqtt, rate, ..plan }
}

/// The emulated service, on threads of its own.
fn serve(service: &Service) -> (SocketAddr, Arc<Mutex<Counts>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let counts = Arc::new(Mutex::new(Counts::default()));
    let (limits, shared) = (service.limits.clone(), counts.clone());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            talk(&mut socket.unwrap(), &mut Connection::new(&limits, LATENCY), &shared);
        }
    });
    (addr, counts)
}

fn talk(socket: &mut TcpStream, connection: &mut Connection, counts: &Mutex<Counts>) {
    socket.set_nodelay(true).unwrap();
    let start = Instant::now();
    let (mut buffer, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let due = connection.due().map(|due| due.saturating_sub(start.elapsed()));
        let wait = due.unwrap_or(Duration::from_millis(100)).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait)).unwrap();
        match socket.read(&mut piece) {
            Ok(0) => return,
            Ok(n) => buffer.extend_from_slice(&piece[..n]),
            Err(_) => {}
        }
        let taken = connection.take(start.elapsed(), &mut buffer, &mut counts.lock().unwrap());
        let Some(mut answer) = taken else { return };
        answer.extend(connection.acknowledge(start.elapsed()));
        if socket.write_all(&answer).is_err() {
            return;
        }
    }
}

/// There is no network behind this gateway, and nobody asks for its newest readings.
struct NoLan;

impl Lan for NoLan {
    fn publish(&self, _: model::FromCloud) -> Result<(), Turned> {
        Err(Turned::Full)
    }
}

impl Latest for NoLan {
    fn latest(&self, _: TagId) -> Option<Reading> {
        None
    }
}

async fn drain(plan: UplinkPlan, store: Store, clock: Arc<SystemClock>) -> f64 {
    let (inbox, _requests) = tokio::sync::mpsc::channel(1);
    let deps = uplink::Deps {
        store: store.clone(),
        clock,
        inbox,
        lan: Arc::new(NoLan),
        latest: Arc::new(NoLan),
        remote: uplink::RemoteDoor {
            arrived: tokio::sync::mpsc::channel(1).0,
            told: tokio::sync::watch::channel(uplink::Told::default()).1,
            acknowledged: Arc::default(),
        },
        seed: 1,
        secrets_dir: PathBuf::new(),
    };
    let (port, runner) = uplink::uplink(plan, deps);
    let stop = CancellationToken::new();
    let start = Instant::now();
    let life = runner.run(stop.clone());
    let watch = async {
        let mut said = Instant::now();
        while port.status().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if said.elapsed() > Duration::from_secs(10) {
                said = Instant::now();
                let status = port.status();
                println!(
                    "{:.0} s: {} wait, {:.0} a second, ready in {:?} s",
                    start.elapsed().as_secs_f64(),
                    status.waiting,
                    status.acked_rows_per_s,
                    status.eta_s
                );
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        stop.cancel();
        seconds
    };
    let (end, seconds) = tokio::join!(life, watch);
    end.unwrap();
    seconds
}
