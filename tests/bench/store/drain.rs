//! Three consumers drain a large backlog while fifty thousand readings a second are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fieldhold::model::{Class, Clock, Seq};
use fieldhold::runtime::SystemClock;
use fieldhold::store::Store;
use serde_json::json;

use crate::workload::{self, Taken, wait};

const PER_FLUSH: u32 = 10_000;
const WRITTEN_PER_SECOND: u32 = 50_000;
const STEP: Duration = Duration::from_millis(20);
const CONSUMERS: [&str; 3] = ["cloud", "plant", "archive"];
const WAL_BAR: u64 = 4 << 20;

pub fn measure(millions: u64) {
    let place = workload::scratch();
    let clock = Arc::new(SystemClock::new());
    let window = Duration::from_secs(1);
    let store = Store::open(workload::options(place.path(), window), clock.clone()).unwrap();
    store.set_consumers(&CONSUMERS.map(workload::required));
    let wal = place.path().join("store/queue.db-wal");
    let wal_bytes = || wal.metadata().map_or(0, |metadata| metadata.len());
    let wal_max = AtomicU64::new(0);
    let backlog = millions * 1_000_000;
    let mut round = 0;
    for _ in 0..backlog / u64::from(PER_FLUSH) {
        workload::append(&store, round, PER_FLUSH, clock.mono());
        round += u64::from(PER_FLUSH / workload::TAGS);
        wait(store.flush());
        wal_max.fetch_max(wal_bytes(), Ordering::Relaxed);
    }
    println!("filled: WAL at most {} bytes", wal_max.load(Ordering::Relaxed));
    let before = store.status().counters;
    let start = Instant::now();
    let (done, writing) = (AtomicBool::new(false), AtomicBool::new(true));
    // Up to where there is something to read, once that is known.
    let end = AtomicU64::new(u64::MAX);
    let (taken, written) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                wal_max.fetch_max(wal_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let writer = scope.spawn(|| {
            let (mut round, mut steps) = (round, 0_u32);
            while writing.load(Ordering::Relaxed) {
                let per_step = WRITTEN_PER_SECOND / 50;
                workload::append(&store, round, per_step, clock.mono());
                round += u64::from(per_step / workload::TAGS);
                steps += 1;
                let next = start + STEP * steps;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            let written = u64::from(steps) * u64::from(WRITTEN_PER_SECOND / 50);
            end.store(backlog + written, Ordering::Release);
            written
        });
        let threads: Vec<_> = CONSUMERS
            .map(|name| scope.spawn(|| drain(&store, name, backlog, &writing, &end)))
            .into();
        let taken: Vec<Taken> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        (taken, writer.join().unwrap())
    });
    let seconds = start.elapsed().as_secs_f64();
    let status = store.status();
    let counters = &status.counters;
    let commits = counters.commits - before.commits;
    let slow = counters.commits_slow - before.commits_slow;
    let wal_max = wal_max.into_inner();
    let all = taken.iter().all(|taken| taken.is_all(backlog + written));
    for taken in taken.iter().filter(|taken| !taken.is_all(backlog + written)) {
        println!("of {} were delivered: {taken:?}", backlog + written);
    }
    let p99_held = slow * 100 <= commits;
    println!(
        "drain: {millions} M × 3 in {seconds:.1} s while {written} were written; WAL at most {wal_max} bytes; {slow} of {commits} commits took over 50 ms (longest {} ms); all delivered once and right: {all}; equation: {}",
        counters.commit_max_ms,
        status.balances()
    );
    println!(
        "{}",
        json!({
            "scenario": "drain", "backlog": backlog, "written": written, "seconds": seconds,
            "read_per_s_each": (backlog + written) as f64 / seconds, "wal_bytes_max": wal_max,
            "commits": commits, "commits_over_50_ms": slow, "commit_max_ms": counters.commit_max_ms,
            "all_right": all, "balances": status.balances(),
            "held": all && status.balances() && wal_max <= WAL_BAR && p99_held,
        })
    );
    store.close();
}

/// Until it has caught up with a writer that was told to stop when the backlog was through.
fn drain(store: &Store, name: &str, backlog: u64, writing: &AtomicBool, end: &AtomicU64) -> Taken {
    let cloud = store.consumer(name).unwrap();
    let mut all = Taken::default();
    // The head that a consumer sees may be behind what was appended.
    while all.at.0 < end.load(Ordering::Acquire) {
        let head = cloud.head(Class::Normal);
        let part = workload::take(&cloud, Seq(0), all.at..head);
        all.read += part.read;
        all.right += part.right;
        all.twice_or_never += part.twice_or_never;
        all.at = part.at;
        if all.at.0 >= backlog {
            // The first one through ends the writing; the others still have theirs to read.
            writing.store(false, Ordering::Relaxed);
        }
        if part.read == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    all
}
