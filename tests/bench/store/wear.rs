//! Bytes and flushes per reading, from the counters of a device of its own for each way to write.
//!
//! At a thousand readings a second in real time, since the file system's own journal commits by
//! the clock: the ring and the store side by side, so both pay for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldhold::model::{Batch, Class, Clock, Mono, Seq};
use fieldhold::runtime::SystemClock;
use fieldhold::store::{Consumer, Settled};
use serde_json::json;

use crate::disk::{Counters, LoopDisk};
use crate::ring::Ring;
use crate::workload::{self, GROUP, TAGS, wait};

const DISK_BYTES: u64 = 512 << 20;
const ROUND: Duration = Duration::from_secs(1);
/// Readings written before anything is measured: the WAL has its size, and several checkpoints
/// lie behind it.
const WARM_UP_ROUNDS: u64 = 500;
const PURGE_ROUNDS: u64 = 4_000;

/// Names of files that are looked for and are not there, so that strace sees where it was.
pub const MARK_BEGIN: &str = "measuring-begins";
pub const MARK_END: &str = "measuring-ends";

/// How a second's readings get to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Ring(Duration),
    /// With the only consumer away, so that everything is written.
    Offline(Duration),
    /// With a consumer that keeps up.
    Online(Duration),
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Ring(window) => format!("ring, {} s", window.as_secs()),
            Self::Offline(window) => format!("store, {} s", window.as_secs()),
            Self::Online(window) => format!("store online, {} s", window.as_secs()),
        }
    }

    fn bar(self) -> Option<f64> {
        match self {
            Self::Ring(_) => None,
            Self::Offline(window) => Some(if window < 5 * ROUND { 16.0 } else { 6.0 }),
            Self::Online(_) => Some(1.0),
        }
    }
}

/// What one way cost.
pub struct Cost {
    way: Way,
    readings: u64,
    pub commits: u64,
    pub device: Counters,
}

pub fn measure(seconds: u64) {
    let windows = [ROUND, 10 * ROUND];
    let ways = windows
        .map(Way::Ring)
        .into_iter()
        .chain(windows.map(Way::Offline))
        .chain([Way::Online(ROUND)]);
    let costs: Vec<Option<Cost>> = std::thread::scope(|scope| {
        let threads: Vec<_> = ways.map(|way| scope.spawn(move || run(way, seconds))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for cost in costs.into_iter().flatten() {
        let per = |n: u64, of: u64| n as f64 / of.max(1) as f64;
        let bytes = per(cost.device.bytes_written, cost.readings);
        let flushes = per(cost.device.flushes, cost.commits);
        println!(
            "{:18} {bytes:6.2} bytes/reading  {flushes:5.2} flushes/commit  {} commits, {} writes",
            cost.way.name(),
            cost.commits,
            cost.device.writes
        );
        println!(
            "{}",
            json!({
                "scenario": "wear", "way": cost.way.name(), "seconds": seconds,
                "readings": cost.readings, "bytes_per_reading": bytes, "commits": cost.commits,
                "flushes": cost.device.flushes, "flushes_per_commit": flushes,
                "journal_commits": cost.device.journal_commits,
                "bar": cost.way.bar(), "held": cost.way.bar().is_none_or(|bar| bytes <= bar),
            })
        );
    }
}

pub fn run(way: Way, seconds: u64) -> Option<Cost> {
    let disk = LoopDisk::make(DISK_BYTES)?;
    Some(match way {
        Way::Ring(window) => run_ring(way, window, seconds, &disk),
        Way::Offline(window) | Way::Online(window) => run_store(way, window, seconds, &disk),
    })
}

fn run_ring(way: Way, window: Duration, seconds: u64, disk: &LoopDisk) -> Cost {
    let mut ring = Ring::make(&disk.path().join("ring"));
    let before = disk.settled();
    let rounds = window.as_secs();
    let start = Instant::now();
    for commit in 0..seconds / rounds {
        until(start + window * u32::try_from(commit + 1).unwrap());
        let batches: Vec<_> = (commit * rounds..(commit + 1) * rounds)
            .flat_map(|round| workload::groups(round, TAGS, at(round)))
            .collect();
        ring.commit(&batches);
    }
    let commits = seconds / rounds;
    let device = disk.settled().since(before);
    Cost { way, readings: commits * rounds * u64::from(TAGS), commits, device }
}

fn run_store(way: Way, window: Duration, seconds: u64, disk: &LoopDisk) -> Cost {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = workload::open(&disk.path(), window, clock.clone());
    let cloud = store.consumer("cloud").unwrap();
    let per_commit = u32::try_from(window.as_secs()).unwrap() * TAGS;
    for round in 0..WARM_UP_ROUNDS / window.as_secs() {
        workload::append(&store, round, per_commit, clock.mono());
        wait(store.flush());
    }
    let commits_before = store.status().counters.commits;
    let before = disk.settled();
    assert!(!disk.path().join(MARK_BEGIN).exists());
    let start = Instant::now();
    for round in 0..seconds {
        for group in 0..TAGS / GROUP {
            // Evenly over the second, or rounds would fall into windows as whole ones.
            let groups = u32::try_from(round).unwrap() * (TAGS / GROUP) + group;
            until(start + ROUND * groups / (TAGS / GROUP));
            let range = store.append(workload::group(round, group, clock.mono()));
            if matches!(way, Way::Online(_)) {
                cloud.settle(Class::Normal, &[range], Settled::Delivered);
            }
        }
    }
    until(start + ROUND * u32::try_from(seconds).unwrap());
    assert!(!disk.path().join(MARK_END).exists());
    let commits = store.status().counters.commits - commits_before;
    let device = disk.settled().since(before);
    // What is still in its window was not written: with the last rounds left out of both sides the
    // figure would be the same, and it is one window of many.
    let written = seconds * u64::from(TAGS);
    store.close();
    Cost { way, readings: written, commits, device }
}

fn until(then: Instant) {
    std::thread::sleep(then.saturating_duration_since(Instant::now()));
}

fn at(round: u64) -> Mono {
    Mono(i64::try_from(round).unwrap() * 1_000)
}

/// What deleting a drained backlog writes, against what the backlog took.
pub fn purge() {
    let Some(disk) = LoopDisk::make(DISK_BYTES) else { return };
    let clock = workload::manual_clock();
    let store = workload::open(&disk.path(), ROUND, clock.clone());
    let cloud = store.consumer("cloud").unwrap();
    wait(store.flush());
    let before = disk.settled();
    for round in 0..PURGE_ROUNDS {
        workload::append(&store, round, TAGS, clock.mono());
        clock.advance(ROUND);
        wait(store.flush());
    }
    let filled = disk.settled();
    let payload = store.status().counters.body_bytes;
    drain(&cloud, || {
        // Now and then there is a commit, as the readings that go on coming make the store do; that
        // of an alarm is made at once.
        let commits = store.status().counters.commits;
        clock.advance(ROUND);
        let readings = workload::group(0, 0, clock.mono()).readings;
        store.append(Batch { class: Class::Alarm, readings });
        let deadline = Instant::now() + Duration::from_secs(10);
        while store.status().counters.commits == commits && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    let left = PURGE_ROUNDS - store.status().counters.chunks_deleted.min(PURGE_ROUNDS);
    wait(store.flush());
    let purged = disk.settled().since(filled);
    let deleted = store.status().counters.chunks_deleted;
    let share = purged.bytes_written as f64 / payload as f64;
    let wrote = filled.since(before).bytes_written;
    println!(
        "purge: {deleted} chunks of {payload} bytes deleted (the last {left} at once) with {} bytes written: {:.1} %",
        purged.bytes_written,
        100.0 * share
    );
    println!(
        "{}",
        json!({
            "scenario": "purge", "payload_bytes": payload, "fill_bytes": wrote,
            "fill_bytes_per_reading": wrote as f64 / (PURGE_ROUNDS * u64::from(TAGS)) as f64,
            "purge_bytes": purged.bytes_written, "share": share, "bar": 0.35,
            "chunks_deleted": deleted, "held": share <= 0.35 && deleted >= PURGE_ROUNDS,
        })
    );
    store.close();
}

/// Reads and settles everything there was, a few thousand readings at a time, a few times a second.
fn drain(cloud: &Consumer, second: impl Fn()) {
    const PAGES_PER_SECOND: u32 = 8;
    let head = cloud.head(Class::Normal);
    let (mut at, mut pages) = (Seq(0), 0_u32);
    while at < head {
        let entries = wait(cloud.read(Class::Normal, at..head, 256 << 10)).unwrap();
        at = entries.last().map_or(head, |entry| entry.range().end);
        cloud.settle(Class::Normal, &[Seq(0)..at], Settled::Delivered);
        pages += 1;
        if pages.is_multiple_of(PAGES_PER_SECOND) {
            second();
        }
    }
}
