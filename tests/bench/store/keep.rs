//! The broker's file: commits and changes per second, and the bytes that a message of 120 bytes
//! costs which is put and later removed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fieldhold::store::{Change, Keep, Key, Store, Table};
use serde_json::json;

use crate::workload::{self, wait};

/// A payload of 120 bytes with its topic, properties and one receiver, as the broker writes it.
const RECORD_BYTES: usize = 176;
const PROGRESS_BYTES: usize = 40;
const RATE: Duration = Duration::from_secs(3);
/// The spike of the design wrote so much to the log alone.
const BAR_BYTES: f64 = 860.0;

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
    keep: Keep,
    next: u64,
}

impl Place {
    fn new() -> Self {
        let dir = workload::scratch();
        let clock = std::sync::Arc::new(fieldhold::runtime::SystemClock::new());
        let store = workload::open(dir.path(), Duration::from_secs(1), clock);
        let keep = Keep::open(&store).unwrap();
        Self { _dir: dir, store, keep, next: 0 }
    }

    fn put(&mut self, n: u64) {
        let changes = (self.next..self.next + n).map(|number| {
            Change::put(Key::Message(number), Bytes::from(vec![fastrand::u8(..); RECORD_BYTES]))
        });
        self.keep.put(changes);
        self.next += n;
    }

    fn remove(&self, numbers: std::ops::Range<u64>) {
        self.keep.put(numbers.map(|number| Change::remove(Key::Message(number))));
        let progress = Bytes::from(vec![fastrand::u8(..); PROGRESS_BYTES]);
        self.keep.put([Change::put(Key::Progress(1), progress)]);
    }

    fn commit(&self) {
        wait(self.keep.committed().wait()).unwrap();
    }
}

pub fn measure() {
    for group in [1, 20, 50, 500] {
        let messages = (group * 400).clamp(2_000, 100_000);
        queue(messages, group);
        flow(messages, group);
    }
    rates();
    load(1_000_000);
}

/// They all wait for a receiver that is away, then it takes them group by group.
fn queue(messages: u64, group: u64) {
    let mut place = Place::new();
    for _ in 0..messages / group {
        place.put(group);
        place.commit();
    }
    let put = place.keep.status().counters.bytes_written;
    for first in (0..messages).step_by(group as usize) {
        place.remove(first..first + group);
        place.commit();
    }
    let Place { store, keep, .. } = &place;
    keep.clone().close();
    tell("queue", group, messages, put, keep);
    store.clone().close();
}

/// A receiver takes each group while the next one comes.
fn flow(messages: u64, group: u64) {
    let mut place = Place::new();
    for first in (0..messages).step_by(group as usize) {
        place.put(group);
        if first > 0 {
            place.remove(first - group..first);
        }
        place.commit();
    }
    place.keep.clone().close();
    tell("flow", group, messages, 0, &place.keep);
}

fn tell(what: &str, group: u64, messages: u64, put: u64, keep: &Keep) {
    let counters = keep.status().counters;
    let each = |bytes: u64| bytes as f64 / messages as f64;
    println!(
        "{what}: {messages} messages in groups of {group}: {:.0} bytes each ({:.0} to put it), {} commits, {} checkpoints",
        each(counters.bytes_written),
        each(put),
        counters.commits,
        counters.checkpoints,
    );
    println!(
        "{}",
        json!({
            "scenario": "keep", "pattern": what, "group": group, "bytes_per_message": each(counters.bytes_written),
            "bar": BAR_BYTES, "held": group < 20 || each(counters.bytes_written) <= BAR_BYTES,
        })
    );
}

/// One that waits for each, and fifty that do.
fn rates() {
    let mut place = Place::new();
    let (began, mut commits) = (Instant::now(), 0_u64);
    while began.elapsed() < RATE {
        place.put(1);
        place.commit();
        commits += 1;
    }
    let one = commits as f64 / began.elapsed().as_secs_f64();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let keep = place.keep.clone();
    let (began, before) = (Instant::now(), keep.status().counters.commits);
    let mut tasks = tokio::task::JoinSet::new();
    let next = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1 << 32));
    for _ in 0..50 {
        let (keep, next) = (keep.clone(), std::sync::Arc::clone(&next));
        let publish = async move {
            let mut done = 0_u64;
            while began.elapsed() < RATE {
                // As a publisher does with twenty messages in flight.
                let numbers = next.fetch_add(20, std::sync::atomic::Ordering::Relaxed);
                keep.put((numbers..numbers + 20).map(|number| {
                    Change::put(Key::Message(number), Bytes::from(vec![7; RECORD_BYTES]))
                }));
                keep.committed().wait().await.unwrap();
                keep.put((numbers..numbers + 20).map(|n| Change::remove(Key::Message(n))));
                done += 20;
            }
            done
        };
        tasks.spawn_on(publish, runtime.handle());
    }
    let messages: u64 = wait(async {
        let mut sum = 0;
        while let Some(done) = tasks.join_next().await {
            sum += done.unwrap();
        }
        sum
    });
    let seconds = began.elapsed().as_secs_f64();
    let counters = keep.status().counters;
    println!(
        "rates: one that waits for each {one:.0}/s; fifty with twenty in flight {:.0} messages/s in {:.0} commits/s, {:.0} bytes each",
        messages as f64 / seconds,
        (counters.commits - before) as f64 / seconds,
        counters.bytes_written as f64 / messages as f64,
    );
    println!(
        "{}",
        json!({
            "scenario": "keep", "pattern": "rates", "commits_per_s": one,
            "messages_per_s": messages as f64 / seconds, "held": messages as f64 / seconds >= 20_000.0,
        })
    );
}

fn load(messages: u64) {
    let mut place = Place::new();
    while place.next < messages {
        place.put(10_000);
        place.commit();
    }
    let Place { _dir, store, keep, .. } = place;
    keep.close();
    let began = Instant::now();
    let keep = Keep::open(&store).unwrap();
    let opened = began.elapsed();
    let mut n = 0_u64;
    keep.load(Table::Message, &mut |_, _| n += 1).unwrap();
    println!(
        "load: {n} messages, {} MB: opened and checked in {opened:.1?}, read after {:.1?}",
        keep.status().file_bytes / 1_000_000,
        began.elapsed(),
    );
}
