//! Delay from the write of a publisher to the read of a subscriber, at a rate that is no load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::broker::{Broker, Kind};
use crate::client::{self, Reader};
use crate::flood::on_one_thread;
use crate::{in_turns, median};

const MANY: usize = 50;
const MEASURE: Duration = Duration::from_secs(4);
/// Deliveries per second.
const RATE: u32 = 5_000;

#[derive(Clone, Copy)]
pub struct Shape {
    pub publishers: usize,
    pub subscribers: usize,
    pub qos: u8,
}

/// Of one run, in microseconds.
#[derive(Clone, Copy)]
pub struct Delays {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

pub fn measure() {
    for (publishers, subscribers) in [(MANY, 1), (1, MANY)] {
        for qos in [0, 1] {
            let shape = Shape { publishers, subscribers, qos };
            let results = in_turns(|kind| {
                let broker = Broker::start(kind, false);
                run(broker.address, shape, MEASURE)
            });
            let p99 = |of: &[Delays]| median(of.iter().map(|d| d.p99));
            for (kind, delays) in Kind::BOTH.into_iter().zip(&results) {
                println!(
                    "{publishers:>2} -> {subscribers:<2} QoS {qos} paced at {RATE}/s  {:<9}  p50 {:>6.0} us  p99 {:>6.0} us  max {:>6.0} us",
                    kind.name(),
                    median(delays.iter().map(|d| d.p50)),
                    p99(delays),
                    median(delays.iter().map(|d| d.max)),
                );
            }
            let [ours, theirs] = &results;
            println!(
                "{}",
                json!({
                    "scenario": "paced", "publishers": publishers, "subscribers": subscribers,
                    "qos": qos, "p99_us": p99(ours), "p99_us_mosquitto": p99(theirs),
                    "held": p99(ours) <= p99(theirs),
                })
            );
        }
    }
}

/// Everything that was sent has to arrive.
pub fn run(address: SocketAddr, shape: Shape, time: Duration) -> Delays {
    let epoch = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let delays = Arc::new(Mutex::new(Vec::new()));
    let (ready, is_ready) = mpsc::channel();
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let subscribers = std::thread::spawn({
        let delays = Arc::clone(&delays);
        move || {
            on_one_thread(async {
                let mut tasks = JoinSet::new();
                for number in 0..shape.subscribers {
                    let mut stream =
                        client::connect(address, &format!("ps{number}"), true, None).await;
                    client::subscribe(&mut stream, "pace/#", shape.qos).await;
                    let delays = Arc::clone(&delays);
                    tasks.spawn(async move {
                        let mut reader = Reader::new(client::publish_bytes(shape.qos));
                        let id_at = 4 + client::TOPIC;
                        let stamp_at = client::publish_bytes(shape.qos) - client::PAYLOAD;
                        let mut acks = Vec::new();
                        let mut seen = Vec::new();
                        loop {
                            acks.clear();
                            seen.clear();
                            let read = reader.read(&mut stream, |packet| {
                                let stamp = packet[stamp_at..stamp_at + 8].try_into().unwrap();
                                let now = epoch.elapsed().as_nanos() as u64;
                                seen.push((now - u64::from_be_bytes(stamp)) as f64 / 1e3);
                                if shape.qos > 0 {
                                    client::puback(&mut acks, [packet[id_at], packet[id_at + 1]]);
                                }
                            });
                            if read.await.is_err() || stream.write_all(&acks).await.is_err() {
                                return;
                            }
                            delays.lock().unwrap().extend_from_slice(&seen);
                        }
                    });
                }
                ready.send(()).unwrap();
                let _ = is_over.await;
            });
        }
    });
    is_ready.recv().unwrap();
    let sent = Arc::new(Mutex::new(0));
    let publishers = std::thread::spawn({
        let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
        move || {
            on_one_thread(async {
                let mut tasks = JoinSet::new();
                let every =
                    Duration::from_secs(1) * (shape.publishers * shape.subscribers) as u32 / RATE;
                for number in 0..shape.publishers {
                    let stream = client::connect(address, &format!("pp{number}"), true, None).await;
                    let (mut from, mut to) = stream.into_split();
                    tasks.spawn(async move {
                        // Acknowledgements are of no interest here.
                        let mut sink = [0; 4096];
                        while matches!(from.read(&mut sink).await, Ok(count) if count > 0) {}
                    });
                    let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
                    tasks.spawn(async move {
                        // Not all at the same moment.
                        let first = tokio::time::Instant::now()
                            + every * number as u32 / shape.publishers as u32;
                        let mut due = tokio::time::interval_at(first, every);
                        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
                        let (mut id, mut packet) = (0_u16, Vec::new());
                        while !stop.load(Ordering::Relaxed) {
                            due.tick().await;
                            packet.clear();
                            id = id.checked_add(1).unwrap_or(1);
                            let now = epoch.elapsed().as_nanos() as u64;
                            client::publish(
                                &mut packet,
                                &format!("pace/{number:03}"),
                                shape.qos,
                                id,
                                now,
                            );
                            to.write_all(&packet).await.unwrap();
                            *sent.lock().unwrap() += 1;
                        }
                        to.shutdown().await.unwrap();
                    });
                }
                while tasks.join_next().await.is_some() {}
            });
        }
    });
    std::thread::sleep(time);
    stop.store(true, Ordering::SeqCst);
    publishers.join().unwrap();
    let expected = *sent.lock().unwrap() * shape.subscribers;
    let end = Instant::now() + Duration::from_secs(5);
    while delays.lock().unwrap().len() < expected && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = over.send(());
    subscribers.join().unwrap();
    let mut delays = std::mem::take(&mut *delays.lock().unwrap());
    assert_eq!(delays.len(), expected, "all that was sent arrives");
    delays.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    Delays { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}
