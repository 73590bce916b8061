//! What a poller waits for in `append` while the disk takes half a second for every sync.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldhold::model::Clock;
use fieldhold::runtime::SystemClock;
use serde_json::json;

use crate::workload::{self, GROUP, TAGS};

const SYNC_DELAY_MS: u64 = 500;
const POLLERS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(4);
const BAR_US: u128 = 1_000;

pub fn measure(seconds: u64) {
    match workload::child(&["append-child", &seconds.to_string()], SYNC_DELAY_MS) {
        Some(said) => print!("{said}"),
        None => println!("SKIPPED: append"),
    }
}

pub fn child(seconds: u64) {
    let place = workload::scratch();
    let clock = Arc::new(SystemClock::new());
    let store = workload::open(place.path(), Duration::from_secs(1), clock.clone());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut took: Vec<u128> = std::thread::scope(|scope| {
        let poller = |number: u32| {
            let (store, clock) = (&store, &clock);
            move || {
                let (mut took, mut round) = (Vec::new(), 0);
                while Instant::now() < end {
                    let group = (number * 5 + round as u32) % (TAGS / GROUP);
                    let batch = workload::group(round, group, clock.mono());
                    let before = Instant::now();
                    store.append(batch);
                    took.push(before.elapsed().as_micros());
                    std::thread::sleep(PAUSE);
                    round += 1;
                }
                took
            }
        };
        let threads: Vec<_> = (0..POLLERS).map(|n| scope.spawn(poller(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let status = store.status();
    let within_ram = status.ram_bytes <= status.ram_bytes_max;
    let commits = status.counters.commits;
    println!(
        "append with {SYNC_DELAY_MS} ms per sync: {} appends by {POLLERS} threads, {commits} commits; µs: p50 {} p99 {} p99.99 {} max {}; {} of {} bytes of memory",
        took.len(),
        at(0.5),
        at(0.99),
        at(0.9999),
        at(1.0),
        status.ram_bytes,
        status.ram_bytes_max
    );
    println!(
        "{}",
        json!({
            "scenario": "append", "sync_delay_ms": SYNC_DELAY_MS, "appends": took.len(),
            "commits": commits, "p50_us": at(0.5), "p99_us": at(0.99), "p99_99_us": at(0.9999),
            "max_us": at(1.0), "ram_bytes": status.ram_bytes, "ram_bytes_max": status.ram_bytes_max,
            "bar_us": BAR_US, "held": at(0.9999) <= BAR_US && within_ram && commits > 0,
        })
    );
    store.close();
}
