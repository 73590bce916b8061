//! The store's rate against the ring's: the same readings, the same number per commit, the same
//! cost of a sync, in one run.

use std::time::{Duration, Instant};

use fieldhold::model::{Clock, Mono};
use serde_json::json;

use crate::ring::Ring;
use crate::workload;

const PER_COMMIT: [u32; 3] = [100, 1_000, 10_000];
const DELAYS_MS: [u64; 2] = [0, 20];
const ROUNDS: usize = 3;
const MEASURE: Duration = Duration::from_secs(3);
const WARM_UP_COMMITS: u64 = 20;
/// Of the ring's rate, at the sizes and the delay that are held to it.
const BAR: f64 = 0.85;

pub fn measure() {
    for delay in DELAYS_MS {
        for per_commit in PER_COMMIT {
            let mut rates = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (way, rates) in ["ring", "store"].iter().zip(&mut rates) {
                    let words = ["rate-child", way, &per_commit.to_string()];
                    let Some(said) = workload::child(&words, delay) else { return };
                    rates.push(said.trim().parse::<f64>().unwrap());
                }
            }
            let [ring, store] = rates.map(workload::median);
            let share = store / ring;
            let bar = (delay > 0 && per_commit >= 1_000).then_some(BAR);
            println!(
                "{per_commit:6} per commit, +{delay:2} ms per sync: ring {ring:10.0}/s  store {store:10.0}/s  {:5.1} %",
                100.0 * share
            );
            println!(
                "{}",
                json!({
                    "scenario": "ring", "per_commit": per_commit, "sync_delay_ms": delay,
                    "ring_per_s": ring, "store_per_s": store, "share": share, "bar": bar,
                    "held": bar.is_none_or(|bar| share >= bar),
                })
            );
        }
    }
}

/// Prints the readings per second of one way.
pub fn child(way: &str, per_commit: u32) {
    let place = workload::scratch();
    let mut commit: Box<dyn FnMut(u64)> = if way == "ring" {
        let mut ring = Ring::make(&place.path().join("ring"));
        Box::new(move |n| {
            let batches: Vec<_> = workload::groups(n, per_commit, Mono(0)).collect();
            ring.commit(&batches);
        })
    } else {
        let clock = workload::manual_clock();
        let store = workload::open(place.path(), Duration::from_secs(1), clock.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Box::new(move |n| {
            workload::append(&store, n, per_commit, clock.mono());
            clock.advance(Duration::from_secs(1));
            runtime.block_on(store.flush());
        })
    };
    (0..WARM_UP_COMMITS).for_each(&mut commit);
    let start = Instant::now();
    let mut commits = 0;
    while start.elapsed() < MEASURE {
        commit(WARM_UP_COMMITS + commits);
        commits += 1;
    }
    println!("{}", (commits * u64::from(per_commit)) as f64 / start.elapsed().as_secs_f64());
}
