//! As fast as it goes without loss: publishers are never further ahead than a window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::broker::{Broker, Kind};
use crate::client::{self, Reader};
use crate::{in_turns, median};

const MANY: usize = 50;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(3);
/// Messages that may be on their way at QoS 0, over all publishers.
const WINDOW: usize = 4_000;
/// Messages of one publisher without their PUBACK at QoS 1.
const UNACKNOWLEDGED: usize = 100;
/// Messages written at once.
const BATCH: usize = 20;
/// After the publishers have stopped, what is on its way has this long.
const DRAIN: Duration = Duration::from_secs(5);

const RATE_BAR: f64 = 3.0;
const CPU_BAR: f64 = 0.5;
const DURABLE_BAR: f64 = 20_000.0;

#[derive(Clone, Copy)]
struct Shape {
    publishers: usize,
    subscribers: usize,
    qos: u8,
    durable: bool,
}

/// Of one run.
struct Figures {
    /// Delivered per second.
    rate: f64,
    /// Of the broker, per delivered message.
    cpu_us: f64,
    lost: u64,
    rss_max: u64,
}

pub fn measure() {
    for qos in [0, 1] {
        for (publishers, subscribers) in [(MANY, 1), (1, MANY)] {
            compare(Shape { publishers, subscribers, qos, durable: false });
        }
    }
}

pub fn measure_durable() {
    compare(Shape { publishers: MANY, subscribers: 1, qos: 1, durable: true });
}

fn compare(shape: Shape) {
    let Shape { publishers, subscribers, qos, durable } = shape;
    let results = in_turns(|kind| run(kind, shape));
    let [ours, theirs] = &results;
    let rate = |of: &[Figures]| median(of.iter().map(|f| f.rate));
    let cpu = |of: &[Figures]| median(of.iter().map(|f| f.cpu_us));
    let what = if durable { ", durable" } else { "" };
    for (kind, figures) in Kind::BOTH.into_iter().zip(&results) {
        println!(
            "{publishers:>2} -> {subscribers:<2} QoS {qos}{what}  {:<9}  {:>9.0} messages/s  {:>6.2} us CPU/message  {} lost  {:.1} MB at most",
            kind.name(),
            rate(figures),
            cpu(figures),
            figures.iter().map(|f| f.lost).sum::<u64>(),
            figures.iter().map(|f| f.rss_max).max().unwrap() as f64 / 1024.0,
        );
    }
    let (faster, cheaper) = (rate(ours) / rate(theirs), cpu(ours) / cpu(theirs));
    let lost = ours.iter().map(|f| f.lost).sum::<u64>();
    let held = match durable {
        true => rate(ours) >= DURABLE_BAR,
        false => faster >= RATE_BAR && cheaper <= CPU_BAR,
    } && lost == 0;
    println!(
        "{}",
        json!({
            "scenario": if durable { "durable" } else { "flood" },
            "publishers": publishers, "subscribers": subscribers, "qos": qos,
            "rate": rate(ours), "rate_mosquitto": rate(theirs), "times": faster,
            "cpu_us": cpu(ours), "cpu_us_mosquitto": cpu(theirs), "cpu_share": cheaper,
            "lost": lost, "held": held,
        })
    );
}

struct Shared {
    received: AtomicU64,
    sent: AtomicU64,
    stop: AtomicBool,
    /// What may still be sent at QoS 0, counted in deliveries.
    credit: Semaphore,
}

fn run(kind: Kind, shape: Shape) -> Figures {
    let broker = Broker::start(kind, shape.durable);
    let shared = Arc::new(Shared {
        received: AtomicU64::new(0),
        sent: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        credit: Semaphore::new(WINDOW * shape.subscribers),
    });
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let address = broker.address;
    let subscribers = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            on_one_thread(async {
                let mut tasks = JoinSet::new();
                for number in 0..shape.subscribers {
                    let id = format!("s{number}");
                    let mut stream = client::connect(address, &id, !shape.durable, None).await;
                    client::subscribe(&mut stream, "bench/#", shape.qos).await;
                    tasks.spawn(subscriber(stream, shape.qos, Arc::clone(&shared)));
                }
                ready.send(()).unwrap();
                let _ = is_over.await;
            });
        }
    });
    is_ready.recv().unwrap();
    let publishers = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            on_one_thread(async {
                let mut tasks = JoinSet::new();
                for number in 0..shape.publishers {
                    let stream = client::connect(address, &format!("p{number}"), true, None).await;
                    tasks.spawn(publisher(stream, number, shape, Arc::clone(&shared)));
                }
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
            });
        }
    });
    std::thread::sleep(WARM_UP);
    let (before, cpu_before) = (shared.received.load(Ordering::SeqCst), broker.cpu());
    let start = Instant::now();
    std::thread::sleep(MEASURE);
    let received = shared.received.load(Ordering::SeqCst) - before;
    let (took, cpu) = (start.elapsed(), broker.cpu() - cpu_before);
    shared.stop.store(true, Ordering::SeqCst);
    shared.credit.close();
    publishers.join().unwrap();
    let expected = shared.sent.load(Ordering::SeqCst) * shape.subscribers as u64;
    let start = Instant::now();
    let missing = || expected.saturating_sub(shared.received.load(Ordering::SeqCst));
    while missing() > 0 && start.elapsed() < DRAIN {
        std::thread::sleep(Duration::from_millis(10));
    }
    let lost = missing();
    let rss_max = broker.rss_max();
    let _ = over.send(());
    subscribers.join().unwrap();
    Figures {
        rate: received as f64 / took.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / received.max(1) as f64,
        lost,
        rss_max,
    }
}

pub fn on_one_thread(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

async fn subscriber(mut stream: TcpStream, qos: u8, shared: Arc<Shared>) {
    let mut reader = Reader::new(client::publish_bytes(qos));
    let id_at = 4 + client::TOPIC;
    let mut acks = Vec::new();
    loop {
        acks.clear();
        let read = reader.read(&mut stream, |packet| {
            assert_eq!(packet[0] & 0xF6, 0x30 | (qos << 1));
            if qos > 0 {
                client::puback(&mut acks, [packet[id_at], packet[id_at + 1]]);
            }
        });
        let Ok(count) = read.await else { return };
        shared.received.fetch_add(count as u64, Ordering::SeqCst);
        if qos == 0 {
            shared.credit.add_permits(count);
        } else if stream.write_all(&acks).await.is_err() {
            return;
        }
    }
}

async fn publisher(mut stream: TcpStream, number: usize, shape: Shape, shared: Arc<Shared>) {
    let topic = format!("bench/{number:02}");
    let mut reader = Reader::new(4);
    let (mut id, mut free, mut packets) = (0_u16, UNACKNOWLEDGED, Vec::new());
    while !shared.stop.load(Ordering::Relaxed) {
        let count = if shape.qos == 0 {
            let cost = (BATCH * shape.subscribers) as u32;
            let Ok(credit) = shared.credit.acquire_many(cost).await else { break };
            credit.forget();
            BATCH
        } else {
            while free < BATCH.min(UNACKNOWLEDGED) {
                free +=
                    reader.read(&mut stream, |ack| assert_eq!(ack[..2], [0x40, 2])).await.unwrap();
            }
            std::mem::take(&mut free)
        };
        packets.clear();
        for _ in 0..count {
            id = id.checked_add(1).unwrap_or(1);
            client::publish(&mut packets, &topic, shape.qos, id, 0);
        }
        stream.write_all(&packets).await.unwrap();
        shared.sent.fetch_add(count as u64, Ordering::SeqCst);
    }
    // What was sent is acknowledged before the connection ends.
    let outstanding = if shape.qos == 0 { 0 } else { UNACKNOWLEDGED - free };
    let mut left = outstanding;
    while left > 0 {
        left -= reader.read(&mut stream, |_| {}).await.unwrap();
    }
    stream.shutdown().await.unwrap();
}
