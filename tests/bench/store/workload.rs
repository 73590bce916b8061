//! What is written: the plant the figures in `docs/durability.md` are about, always the same.
//!
//! A thousand tags, polled once a second in groups of 50, each one decimal in a range of a hundred.
//! Every value is as good as random, which no plant is: nothing is gained by values that repeat or
//! change little. A figure only means something together with this file.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{
    Batch, Class, Clock, ManualClock, Mono, Name, Reading, Seq, TagId, Value, Wall,
};
use fieldhold::store::{Body, Consumer, ConsumerSpec, Options, Policy, Settled, Store};

pub const TAGS: u32 = 1_000;
/// Tags read by one request.
pub const GROUP: u32 = 50;
/// Between two requests of a round.
const REQUEST_MS: i64 = 7;
pub const DAY: Duration = Duration::from_secs(86_400);

/// The value of a tag in a round, from 200.0 to 299.9: as good as drawn (SplitMix64), so that no
/// pattern in it helps the encoding.
pub fn value(tag: u32, round: u64) -> f64 {
    let mut x = (round << 32 | u64::from(tag)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let step = (x ^ x >> 31) % 1_000;
    200.0 + f64::from(u32::try_from(step).unwrap()) / 10.0
}

/// One group of a round, as a bus hands it over; groups beyond the last are those of later rounds.
pub fn group(round: u64, group: u32, start: Mono) -> Batch {
    let round = round + u64::from(group / (TAGS / GROUP));
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

/// Whether a reading at this position is what [`groups`] made of it, if a round is `TAGS` long and
/// positions began at `first`.
pub fn is_right(seq: Seq, first: Seq, reading: &Reading) -> bool {
    let place = seq.0 - first.0;
    let (round, tag) = (place / u64::from(TAGS), u32::try_from(place % u64::from(TAGS)).unwrap());
    reading.tag() == TagId(tag + 1) && reading.value() == Some(&Value::F64(value(tag, round)))
}

pub fn options(dir: &Path, commit: Duration) -> Options {
    Options {
        dir: Some(dir.to_owned()),
        commit,
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes: None,
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

/// Reads a class from one position to another, and says how many readings were there and how many
/// of them were right; settles what it read.
pub fn take(cloud: &Consumer, first: Seq, range: std::ops::Range<Seq>) -> Taken {
    const PAGE_BYTES: usize = 512 << 10;
    let mut taken = Taken { at: range.start, ..Taken::default() };
    while taken.at < range.end {
        let entries = wait(cloud.read(Class::Normal, taken.at..range.end, PAGE_BYTES)).unwrap();
        let Some(last) = entries.last() else { break };
        let end = last.range().end;
        for entry in &entries {
            taken.twice_or_never += u64::from(entry.seq != taken.at);
            taken.at = entry.range().end;
            let Body::Readings(readings) = &entry.body else { continue };
            taken.read += readings.len() as u64;
            taken.right += (0..)
                .zip(readings)
                .filter(|(i, reading)| is_right(entry.seq.plus(*i), first, reading))
                .count() as u64;
        }
        cloud.settle(Class::Normal, &[range.start..end], Settled::Delivered);
    }
    taken
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// Up to where.
    pub at: Seq,
    pub read: u64,
    pub right: u64,
    /// Entries that did not begin where the one before ended.
    pub twice_or_never: u64,
}

impl Taken {
    pub fn is_all(&self, n: u64) -> bool {
        self.read == n && self.right == n && self.twice_or_never == 0
    }
}

/// A place on a real disk; gone with the value.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Resident memory of this process in MB: now, and the most it ever was.
pub fn resident_mb() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1_024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Runs this program again with `words`, every `fdatasync` and `fsync` of it delayed. The delay is
/// the kernel's answer coming late, so nothing in the store is made for it. `None`, said loudly,
/// where there is no strace.
pub fn child(words: &[&str], sync_delay_ms: u64) -> Option<String> {
    let this = std::env::current_exe().unwrap();
    let mut command = if sync_delay_ms == 0 {
        Command::new(this)
    } else {
        let mut strace = Command::new("strace");
        let delay = format!("inject=fdatasync,fsync:delay_exit={}", sync_delay_ms * 1_000);
        strace.args(["-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null"]);
        strace.args(["-e", "trace=fdatasync,fsync", "-e", &delay]).arg(this);
        strace
    };
    match command.args(words).stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => panic!("{words:?}: {}", output.status),
        Err(error) => {
            println!("SKIPPED: strace: {error}");
            None
        }
    }
}
