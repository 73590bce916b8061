//! What a poller waits for in `append` while the disk takes half a second for every sync; beside it
//! the floor: what the same threads wait for where there is no lock, which is the scheduler's alone.
//! Only the thread that writes is traced: strace stops whom it traces at calls that it is not to look
//! at as well, and the pollers would wait for strace.

use std::collections::VecDeque;
use std::fs::DirEntry;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldhold::model::{Batch, Clock, Reading};
use fieldhold::runtime::SystemClock;
use serde_json::json;

use crate::workload::{self, GROUP, TAGS};

const SYNC_DELAY_MS: u64 = 500;
const POLLERS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(4);
const BAR_US: u128 = 1_000;

/// Delays every sync of the thread until it is killed; `None`, said loudly, where there is no strace
/// or none may trace.
fn slow_down(thread: &str) -> Option<Child> {
    let is_it = |task: &DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == thread)
    };
    // A thread has its name when it runs.
    let task = loop {
        let mut tasks = std::fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap);
        match tasks.find(is_it) {
            Some(task) => break task,
            None => std::thread::sleep(PAUSE),
        }
    };
    let delay = format!("inject=fdatasync,fsync:delay_exit={}", SYNC_DELAY_MS * 1_000);
    let spawned = Command::new("strace")
        .args(["-qqq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &delay, "-p"])
        .arg(task.file_name())
        .spawn();
    let mut strace = match spawned {
        Ok(strace) => strace,
        Err(error) => {
            println!("SKIPPED: strace: {error}");
            return None;
        }
    };
    loop {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap();
        if !status.contains("TracerPid:\t0\n") {
            return Some(strace);
        }
        if let Some(ended) = strace.try_wait().unwrap() {
            println!("SKIPPED: strace: {ended}");
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

pub fn measure(seconds: u64) {
    let place = workload::scratch();
    let clock = Arc::new(SystemClock::new());
    let store = workload::open(place.path(), Duration::from_secs(1), clock.clone());
    let Some(mut strace) = slow_down("store-writer") else { return };
    let end = Instant::now() + Duration::from_secs(seconds);
    let took: Vec<(u128, u128)> = std::thread::scope(|scope| {
        let poller = |number: u32| {
            let (store, clock) = (&store, &clock);
            move || {
                let (mut took, mut round) = (Vec::new(), 0);
                let mut alone = Alone::default();
                while Instant::now() < end {
                    let group = (number * 5 + round as u32) % (TAGS / GROUP);
                    let batch = workload::group(round, group, clock.mono());
                    let before = Instant::now();
                    store.append(batch);
                    let shared = before.elapsed().as_micros();
                    let batch = workload::group(round, group, clock.mono());
                    let before = Instant::now();
                    alone.append(batch);
                    took.push((shared, before.elapsed().as_micros()));
                    std::thread::sleep(PAUSE);
                    round += 1;
                }
                took
            }
        };
        let threads: Vec<_> = (0..POLLERS).map(|n| scope.spawn(poller(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    strace.kill().unwrap();
    strace.wait().unwrap();
    let appends = took.len();
    let (mut took, mut floor): (Vec<_>, Vec<_>) = took.into_iter().unzip();
    took.sort_unstable();
    floor.sort_unstable();
    let of = |took: &[u128], share: f64| took[((appends - 1) as f64 * share) as usize];
    let (at, floor_at) = (|share| of(&took, share), |share| of(&floor, share));
    let status = store.status();
    let within_ram = status.ram_bytes <= status.ram_bytes_max;
    let commits = status.counters.commits;
    println!(
        "append with {SYNC_DELAY_MS} ms per sync: {} appends by {POLLERS} threads, {commits} commits; µs: p50 {} p99 {} p99.9 {} p99.99 {} max {}; without a lock {} {} {} {} {}; {} of {} bytes of memory",
        appends,
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0),
        floor_at(0.5),
        floor_at(0.99),
        floor_at(0.999),
        floor_at(0.9999),
        floor_at(1.0),
        status.ram_bytes,
        status.ram_bytes_max
    );
    println!(
        "{}",
        json!({
            "scenario": "append", "sync_delay_ms": SYNC_DELAY_MS, "appends": appends,
            "commits": commits, "p50_us": at(0.5), "p99_us": at(0.99), "p99_99_us": at(0.9999),
            "max_us": at(1.0), "ram_bytes": status.ram_bytes, "ram_bytes_max": status.ram_bytes_max,
            "floor_p99_99_us": floor_at(0.9999), "floor_max_us": floor_at(1.0), "bar_us": BAR_US, "held": at(0.9999) <= BAR_US && within_ram && commits > 0,
        })
    );
    store.close();
}

/// What one thread keeps for itself: about the work of an append, and nobody else in it.
#[derive(Default)]
struct Alone {
    items: VecDeque<(Arc<Vec<Reading>>, usize)>,
    bytes: usize,
}

impl Alone {
    fn append(&mut self, batch: Batch) {
        const BYTES_MAX: usize = 8 << 20;
        let bytes = batch.readings.iter().map(size_of_val).sum();
        self.bytes += bytes;
        self.items.push_back((Arc::new(batch.readings), bytes));
        while self.bytes > BYTES_MAX
            && let Some((_, bytes)) = self.items.pop_front()
        {
            self.bytes -= bytes;
        }
    }
}
