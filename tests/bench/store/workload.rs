//! What is written: the plant the figures in `docs/durability.md` are about, always the same.
//!
//! A thousand tags, polled once a second in groups of 50, one decimal each. No two values of a
//! round are equal, so nothing is gained by values that repeat; what a reading takes in the file
//! is what its two bytes of value take. A figure only means something together with this file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{Batch, Class, Clock, ManualClock, Mono, Name, Reading, TagId, Value, Wall};
use fieldhold::store::{ConsumerSpec, Options, Policy, Store};

pub const TAGS: u32 = 1_000;
/// Tags read by one request.
pub const GROUP: u32 = 50;
/// Between two requests of a round.
const REQUEST_MS: i64 = 7;
pub const DAY: Duration = Duration::from_secs(86_400);

/// The value of a tag in a round, from 200.0 to 299.9.
pub fn value(tag: u32, round: u64) -> f64 {
    let step = (u64::from(tag) * 37 + round * 11) % 1_000;
    200.0 + f64::from(u32::try_from(step).unwrap()) / 10.0
}

/// One group of a round, as a bus hands it over.
pub fn group(round: u64, group: u32, start: Mono) -> Batch {
    let at = Mono(start.0 + i64::from(group) * REQUEST_MS);
    let tags = group * GROUP..(group + 1) * GROUP;
    let readings = tags.map(|tag| {
        let tag = tag % TAGS;
        Reading::good(TagId(tag + 1), at, Value::F64(value(tag, round)))
    });
    Batch { class: Class::Normal, readings: readings.collect() }
}

/// Everything one commit holds: `n` readings in groups.
pub fn groups(round: u64, n: u32, start: Mono) -> impl Iterator<Item = Batch> {
    (0..n / GROUP).map(move |i| group(round, i, start))
}

/// Appends `n` readings.
pub fn append(store: &Store, round: u64, n: u32, start: Mono) {
    for batch in groups(round, n, start) {
        let _: std::ops::Range<_> = store.append(batch);
    }
}

pub fn options(dir: &Path, commit: Duration) -> Options {
    Options {
        dir: Some(dir.to_owned()),
        commit,
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes: Some(8 << 30),
        max_age: 30 * DAY,
        ram_bytes: 32 << 20,
    }
}

pub fn required(name: &str) -> ConsumerSpec {
    ConsumerSpec { name: Name::new(name).unwrap(), policy: Policy::Required }
}

/// A store with one consumer that is away.
pub fn open(dir: &Path, commit: Duration, clock: Arc<dyn Clock>) -> Store {
    let store = Store::open(options(dir, commit), clock).unwrap();
    store.set_consumers(&[required("cloud")]);
    store
}

pub fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Mono(0), Wall(1_700_000_000_000)))
}

/// Waits for what is asynchronous, on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
