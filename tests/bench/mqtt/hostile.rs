//! What clients that behave notice of those that don't: their p99 with and without, and the memory
//! the broker comes to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::broker::{Broker, Kind};
use crate::client;
use crate::flood::on_one_thread;
use crate::paced::{self, Delays, Shape};
use crate::{median, runs};

const WELL_BEHAVED: Shape = Shape { publishers: 10, subscribers: 5, qos: 1 };
const MEASURE: Duration = Duration::from_secs(10);
const P99_BAR: f64 = 2.0;
const STORM: usize = 5_000;
const LORIS: usize = 500;
/// What flows past a subscriber that does not read.
const UNREAD_BYTES: u64 = 100_000_000;
const UNREAD_PAYLOAD: usize = 10_000;

type Misdeed = fn(SocketAddr, &Arc<AtomicBool>) -> u64;

/// Name, what is done (says how much of it), and the memory that the broker's limits allow for it on
/// top of what it has without, in MB.
const MISDEEDS: [(&str, Misdeed, f64); 4] = [
    ("half-open storm", storm, 24.0),
    ("slow-loris", loris, 24.0),
    ("oversized lengths", oversized, 8.0),
    ("a subscriber that stops reading", unread, 24.0),
];

pub fn measure() {
    let quiet = || {
        let broker = Broker::start(Kind::Fieldhold, false);
        let delays = paced::run(broker.address, WELL_BEHAVED, MEASURE);
        (delays, broker.rss_max() as f64 / 1024.0)
    };
    for (name, misdeed, allowed) in MISDEEDS {
        let mut results: [Vec<(Delays, f64, u64)>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..runs() {
            let (delays, memory) = quiet();
            results[0].push((delays, memory, 0));
            let broker = Broker::start(Kind::Fieldhold, false);
            let (stop, address) = (Arc::new(AtomicBool::new(false)), broker.address);
            let bad = std::thread::spawn({
                let stop = Arc::clone(&stop);
                move || misdeed(address, &stop)
            });
            let delays = paced::run(broker.address, WELL_BEHAVED, MEASURE);
            stop.store(true, Ordering::SeqCst);
            let done = bad.join().unwrap();
            results[1].push((delays, broker.rss_max() as f64 / 1024.0, done));
            assert!(!broker.log().contains("panic"), "{}", broker.log());
        }
        let p99 = |of: &[(Delays, f64, u64)]| median(of.iter().map(|(d, ..)| d.p99));
        let memory = |of: &[(Delays, f64, u64)]| median(of.iter().map(|(_, m, _)| *m));
        let [before, with] = &results;
        let (times, more) = (p99(with) / p99(before), memory(with) - memory(before));
        let done = with.iter().map(|(.., done)| *done).min().unwrap();
        println!(
            "{name} ({done}): p99 of others {:.0} us, alone {:.0} us, {times:.2} times; {more:.1} MB more at most",
            p99(with),
            p99(before)
        );
        println!(
            "{}",
            json!({ "scenario": "hostile", "what": name, "amount": done, "p99_us": p99(with),
                "p99_us_alone": p99(before), "times": times, "more_mb": more,
                "held": times < P99_BAR && more <= allowed })
        );
    }
}

/// Connections that say nothing: so many at once, and new ones for those that are closed.
fn storm(address: SocketAddr, stop: &Arc<AtomicBool>) -> u64 {
    let made = AtomicU64::new(0);
    on_one_thread(async {
        let mut open = Vec::new();
        let start = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            // In half a second, then held.
            let due = (start.elapsed().as_secs_f64() * 2.0 * STORM as f64) as usize;
            while open.len() < due.min(STORM) {
                open.push(TcpStream::connect(address).await.unwrap());
                made.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    made.into_inner()
}

/// Clients that send their CONNECT byte by byte; those who are cut come again.
fn loris(address: SocketAddr, stop: &Arc<AtomicBool>) -> u64 {
    let sent = Arc::new(AtomicU64::new(0));
    on_one_thread(async {
        let mut tasks = JoinSet::new();
        for number in 0..LORIS {
            let (stop, sent) = (Arc::clone(stop), Arc::clone(&sent));
            tasks.spawn(async move {
                let packet = client::connect_packet(&format!("loris-{number}-{:a<40}", ""), true);
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    for byte in &packet[..packet.len() - 1] {
                        if stop.load(Ordering::Relaxed) || stream.write_all(&[*byte]).await.is_err()
                        {
                            break;
                        }
                        sent.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    sent.load(Ordering::SeqCst)
}

/// Packets that announce more than they have and more than is allowed.
fn oversized(address: SocketAddr, stop: &Arc<AtomicBool>) -> u64 {
    let made = AtomicU64::new(0);
    on_one_thread(async {
        let mut number = 0_usize;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let head: &[u8] = match number % 4 {
                0 => &[0x10, 0xFF, 0xFF, 0xFF, 0x7F],
                1 => &[0x30, 0xFF, 0xFF, 0xFF, 0x7F],
                2 => &[0x82, 0x80, 0x80, 0x80, 0x01],
                _ => &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            };
            let mut stream = match number % 2 {
                0 => TcpStream::connect(address).await.unwrap(),
                _ => client::connect(address, &format!("big-{number}"), true, None).await,
            };
            let _ = stream.write_all(head).await;
            // The broker ends it: nothing of that length is waited for.
            let mut rest = [0; 16];
            while matches!(stream.read(&mut rest).await, Ok(count) if count > 0) {}
            made.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    made.into_inner()
}

/// A subscriber that never reads, while as much flows as it should have read.
fn unread(address: SocketAddr, stop: &Arc<AtomicBool>) -> u64 {
    let sent = AtomicU64::new(0);
    on_one_thread(async {
        let mut deaf = client::connect(address, "deaf", true, None).await;
        client::subscribe(&mut deaf, "unread", 1).await;
        let mut publisher = client::connect(address, "pub", true, None).await;
        let mut packet = vec![0x30];
        let mut length = 2 + 6 + UNREAD_PAYLOAD;
        while length >= 128 {
            packet.push((length % 128) as u8 | 0x80);
            length /= 128;
        }
        packet.push(length as u8);
        packet.extend([0, 6]);
        packet.extend(b"unread");
        packet.resize(packet.len() + UNREAD_PAYLOAD, 0x55);
        let start = Instant::now();
        while !stop.load(Ordering::Relaxed) && sent.load(Ordering::Relaxed) < UNREAD_BYTES {
            // Evenly over most of the time that is measured.
            let due =
                start.elapsed().as_secs_f64() / (MEASURE.as_secs_f64() * 0.8) * UNREAD_BYTES as f64;
            while (sent.load(Ordering::Relaxed) as f64) < due.min(UNREAD_BYTES as f64) {
                publisher.write_all(&packet).await.unwrap();
                sent.fetch_add(UNREAD_PAYLOAD as u64, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    sent.into_inner()
}
