//! The whole store in one process, with a clock moved by hand.

use std::time::Duration;

use super::*;
use crate::model::{ManualClock, Name, Qos, Reading, TopicName, Value};

const MS: Duration = Duration::from_millis(1);

pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) options: Options,
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Mono(1_000_000), Wall(1_700_000_000_000)));
        let options = Options {
            dir: Some(dir.path().to_owned()),
            commit: Duration::from_secs(1),
            write_behind: true,
            endurance_bytes: 4_000_000_000_000,
            max_bytes: Some(1 << 30),
            max_age: Duration::from_secs(30 * 86_400),
            ram_bytes: 32 << 20,
        };
        Self { dir, clock, options }
    }

    pub(super) fn open(&self) -> Store {
        Store::open(self.options.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>).unwrap()
    }

    pub(super) fn database(&self) -> PathBuf {
        database(self.dir.path())
    }

    pub(super) fn inspector(&self) -> Inspector {
        Inspector::open(&self.database()).unwrap()
    }
}

pub(super) fn required(name: &str) -> ConsumerSpec {
    ConsumerSpec { name: Name::new(name).unwrap(), policy: Policy::Required }
}

pub(super) fn best_effort(name: &str) -> ConsumerSpec {
    ConsumerSpec { name: Name::new(name).unwrap(), policy: Policy::BestEffort }
}

/// Readings whose value is their number, so that any mix-up shows.
pub(super) fn batch(class: Class, from: u64, n: u64) -> Batch {
    let readings = (from..from + n).map(|i| {
        let at = Mono(1_000_000 + i64::try_from(i).unwrap());
        Reading::good(TagId(1 + u32::try_from(i % 50).unwrap()), at, Value::U64(i))
    });
    Batch { class, readings: readings.collect() }
}

pub(super) fn message(i: u64) -> Message {
    let topic = TopicName::new(&format!("lan/{i}")).unwrap();
    let payload = vec![7; usize::try_from(i % 300).unwrap()].into();
    Message { topic, payload, qos: Qos::AtLeastOnce, retain: false, at: Mono(1_000_000) }
}

pub(super) fn numbers(entries: &[Entry]) -> Vec<(u64, u64)> {
    let of = |entry: &Entry| match &entry.body {
        Body::Readings(readings) => {
            let numbers = readings.iter().enumerate().map(|(i, reading)| match reading.value() {
                Some(Value::U64(n)) => (entry.seq.0 + i as u64, *n),
                other => panic!("{other:?}"),
            });
            numbers.collect::<Vec<_>>()
        }
        Body::Message(_) => vec![(entry.seq.0, u64::MAX)],
    };
    entries.iter().flat_map(of).collect()
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Everything the consumer waits for, as (position, number).
pub(super) fn read_all(consumer: &Consumer, class: Class) -> Vec<(u64, u64)> {
    run(async {
        let mut all = Vec::new();
        let mut at = Seq(0);
        loop {
            let open = consumer.position(class).unsettled;
            let Some(range) = open.iter().find(|range| range.end > at) else { return all };
            let range = range.start.max(at)..range.end;
            let entries = consumer.read(class, range.clone(), 20_000).await.unwrap();
            at = entries.last().map_or(range.end, |entry| entry.range().end);
            all.extend(numbers(&entries));
        }
    })
}

pub(super) fn settle(consumer: &Consumer, class: Class, range: Range<u64>, how: Settled) {
    consumer.settle(class, &[Seq(range.start)..Seq(range.end)], how);
}

pub(super) fn account(store: &Store, consumer: &str, class: Class) -> AccountStatus {
    let status = store.status();
    assert!(status.balances(), "{status:#?}");
    let consumer = status.consumers.into_iter().find(|c| c.name == consumer).unwrap();
    consumer.classes.into_iter().find(|a| a.class == class.as_str()).unwrap()
}

pub(super) fn same(from: u64, to: u64) -> Vec<(u64, u64)> {
    (from..to).map(|i| (i, i)).collect()
}

pub(super) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        std::thread::sleep(10 * MS);
    }
    panic!("never: {what}");
}

#[test]
fn what_was_flushed_is_there_after_a_crash_and_positions_are_not_reused() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    for i in 0..20 {
        store.append(batch(Class::Normal, i * 50, 50));
    }
    run(store.flush());
    store.append(batch(Class::Normal, 1_000, 50));
    let epoch = store.epoch();
    store.crash();

    let store = bench.open();
    assert_eq!(store.epoch(), epoch);
    assert!(!store.status().clean_start);
    let cloud = store.consumer("cloud").unwrap();
    assert_eq!(read_all(&cloud, Class::Normal), same(0, 1_000));
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, 1_000);
    let range = store.append(batch(Class::Normal, 0, 1));
    assert_eq!(range.start.0, work::RESERVE, "jumps over all that may have been given out");
    assert!(store.status().drops.iter().any(|row| row.reason == "skipped" && row.n == 0));
    store.close();

    let store = bench.open();
    assert!(store.status().clean_start);
    assert_eq!(store.append(batch(Class::Normal, 0, 1)).start.0, work::RESERVE + 1);
}

#[test]
fn what_is_settled_within_the_window_is_never_written() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    let cloud = store.consumer("cloud").unwrap();
    for i in 0..200 {
        let range = store.append(batch(Class::Normal, i * 50, 50));
        bench.clock.advance(Duration::from_millis(50));
        cloud.settle(Class::Normal, &[range], Settled::Delivered);
    }
    run(store.flush());
    let counters = store.status().counters;
    assert_eq!((counters.written, counters.spared), (0, 10_000));
    assert_eq!(account(&store, "cloud", Class::Normal).delivered, 10_000);
    store.crash();
    let store = bench.open();
    assert_eq!(read_all(&store.consumer("cloud").unwrap(), Class::Normal), vec![]);
    assert_eq!(account(&store, "cloud", Class::Normal).delivered, 10_000);
}

#[test]
fn a_best_effort_consumer_causes_no_write_but_its_loss_is_counted() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    let range = store.append(batch(Class::Normal, 0, 100));
    store.consumer("cloud").unwrap().settle(Class::Normal, &[range], Settled::Delivered);
    run(store.flush());
    assert_eq!(store.status().counters.written, 0);
    assert_eq!(read_all(&store.consumer("lab").unwrap(), Class::Normal), same(0, 100));
    store.close();
    let store = bench.open();
    assert_eq!(account(&store, "lab", Class::Normal).waiting, 100);
    assert_eq!(read_all(&store.consumer("lab").unwrap(), Class::Normal), vec![]);
    let lab = account(&store, "lab", Class::Normal);
    assert_eq!((lab.waiting, lab.dropped_why.get("lost")), (0, Some(&100)));
}

#[test]
fn a_message_is_acknowledged_when_it_is_safe() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let commits: Vec<Commit> =
        (0..100).map(|i| store.append_message(Class::Normal, message(i))).collect();
    for commit in commits {
        run(commit.wait()).unwrap();
    }
    store.crash();
    let store = bench.open();
    let cloud = store.consumer("cloud").unwrap();
    let entries = run(cloud.read(Class::Normal, Seq(0)..Seq(1_000), 1 << 20)).unwrap();
    let expected: Vec<Body> = (0..100).map(|i| Body::Message(message(i))).collect();
    assert_eq!(entries.into_iter().map(|entry| entry.body).collect::<Vec<_>>(), expected);
}

#[test]
fn tags_facts_consumers_and_boots_outlive_the_process() {
    let bench = Bench::new();
    let store = bench.open();
    let meta = |name: &str| TagMeta {
        topic: TopicName::new(name).unwrap(),
        device: Name::new("d").unwrap(),
        name: Name::new(name).unwrap(),
        unit: "°C".to_owned(),
        coding: "f32".to_owned(),
        class: Class::Bulk,
    };
    let ids = store.register_tags(&[meta("a"), meta("b"), meta("a")]);
    assert_eq!(ids, [TagId(1), TagId(2), TagId(1)]);
    store.set_fact("bus/d/gap", Some("100"));
    store.set_fact("bus/d/limit", Some("8"));
    store.set_fact("bus/d/gap", None);
    let boot = store.boot();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    store.append(batch(Class::Normal, 0, 1)); // A boot lives as long as its readings.
    store.close();
    bench.clock.set_wall(Wall(1_800_000_000_000));
    let store = bench.open();
    assert_eq!(store.register_tags(&[meta("c"), meta("b")]), [TagId(3), TagId(2)]);
    assert_eq!(*store.tag(TagId(1)).unwrap(), meta("a"));
    assert_eq!(store.facts(), [("bus/d/limit".to_owned(), "8".to_owned())]);
    assert_ne!(store.boot(), boot);
    assert_eq!(store.wall(boot, Mono(1_000_500)), Wall(1_700_000_000_500));
    assert_eq!(store.wall(store.boot(), Mono(1_000_000)), Wall(1_800_000_000_000));
    let names: Vec<_> =
        store.status().consumers.into_iter().map(|c| (c.name, c.required)).collect();
    assert_eq!(names, [("cloud".to_owned(), true), ("lab".to_owned(), false)]);
}

#[test]
fn two_gateways_never_share_a_store() {
    let bench = Bench::new();
    let store = bench.open();
    let second = Store::open(bench.options.clone(), Arc::clone(&bench.clock) as Arc<dyn Clock>);
    let error = second.err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(store);
    bench.open();
}

#[test]
fn memory_overflow_drops_the_oldest_of_the_lowest_class() {
    let mut bench = Bench::new();
    bench.options.dir = None;
    bench.options.ram_bytes = 100_000;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    store.append(batch(Class::Alarm, 0, 100));
    store.append(batch(Class::Normal, 0, 100));
    for i in 0..100 {
        store.append(batch(Class::Bulk, i * 50, 50));
    }
    let cloud = store.consumer("cloud").unwrap();
    let bulk = account(&store, "cloud", Class::Bulk);
    assert!(bulk.dropped > 1_000 && bulk.dropped_why.len() == 1, "{bulk:?}");
    assert_eq!(bulk.dropped_why.get("ram-full"), Some(&bulk.dropped));
    assert_eq!(read_all(&cloud, Class::Bulk), same(bulk.dropped, 5_000));
    assert_eq!(read_all(&cloud, Class::Normal).len(), 100);
    for i in 0..100 {
        store.append(batch(Class::Alarm, i * 50, 50));
    }
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, 0);
    assert!(store.status().ram_bytes <= 100_000);
    let drops = store.status().drops;
    assert_eq!(drops.len(), 3, "one row per class: {drops:?}");
    run(store.flush());
    store.close();
}

#[test]
fn the_quota_drops_whole_chunks_and_says_so() {
    let mut bench = Bench::new();
    bench.options.max_bytes = Some(200_000);
    bench.options.ram_bytes = 1 << 20;
    let store = bench.open();
    store.set_consumers(&[required("cloud"), required("fast")]);
    let fast = store.consumer("fast").unwrap();
    let mut appended = 0;
    for round in 0..200_u64 {
        for class in [Class::Bulk, Class::Normal] {
            let readings = (0..1_000).map(|i| {
                let noise = (round * 1_000 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                Reading::good(TagId(1), Mono(1_000_000), Value::U64(noise))
            });
            store.append(Batch { class, readings: readings.collect() });
        }
        appended += 1_000;
        settle(&fast, Class::Normal, 0..appended, Settled::Delivered);
        bench.clock.advance(Duration::from_secs(1));
        run(store.flush());
        assert!(store.status().balances());
    }
    let bytes = store.status().disk_bytes;
    assert!(bytes < 300_000, "{bytes}");
    let (bulk, normal) =
        (account(&store, "cloud", Class::Bulk), account(&store, "cloud", Class::Normal));
    assert!(bulk.dropped > normal.dropped, "bulk goes first");
    assert_eq!(bulk.dropped_why.get("quota"), Some(&bulk.dropped));
    assert_eq!(account(&store, "fast", Class::Normal).dropped, 0, "it waited for nothing");
    let left = read_all(&store.consumer("cloud").unwrap(), Class::Normal);
    assert_eq!(left.len() as u64, normal.waiting);
    assert_eq!(left.last().map(|(seq, _)| *seq), Some(appended - 1), "the newest stay");
    let ledger = store.status().drops;
    let counted: u64 = ledger.iter().filter(|r| r.reason == "quota").map(|row| row.n).sum();
    let dropped: u64 =
        store.status().consumers.iter().flat_map(|c| &c.classes).map(|a| a.dropped).sum();
    assert_eq!(counted, dropped);
    store.close();
    let inspected = bench.inspector().status(&*bench.clock).unwrap();
    assert!(inspected.balances());
    assert_eq!(inspected.consumers.len(), 2);
}

/// A batch that does not compress, so that the file grows by as much.
pub(super) fn noise(class: Class, n: u64, seed: u64) -> Batch {
    let mut rng = fastrand::Rng::with_seed(seed);
    let reading = |_| Reading::good(TagId(1), Mono(1_000_000), Value::U64(rng.u64(..)));
    Batch { class, readings: (0..n).map(reading).collect() }
}

#[test]
fn a_store_at_its_quota_ends_in_order() {
    let mut bench = Bench::new();
    bench.options.max_bytes = Some(200_000);
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    for seed in 0..30 {
        store.append(noise(Class::Normal, 1_000, seed));
        run(store.flush());
    }
    store.append(noise(Class::Normal, 4_000, 99));
    store.close();
    let store = bench.open();
    assert!(store.status().clean_start);
    assert_eq!(store.append(noise(Class::Normal, 1, 1)).start, Seq(34_000));
}

/// What is to go and has not gone yet is not given up a second time.
#[test]
fn the_quota_takes_no_more_than_it_must() {
    let mut bench = Bench::new();
    bench.options.max_bytes = Some(200_000);
    bench.options.commit = Duration::from_secs(3_600);
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    // So much that it is written at once.
    for seed in 0..40 {
        store.append(noise(Class::Normal, 1_000, seed));
    }
    let counters = || store.status().counters;
    wait_until("something goes", || account(&store, "cloud", Class::Normal).dropped > 0);
    let commits = counters().commits;
    bench.clock.advance(Duration::from_secs(6)); // The room is looked at again.
    wait_until("it went", || counters().commits > commits && counters().chunks_deleted > 0);
    let bytes = store.status().disk_bytes;
    assert!(bytes > 140_000, "{bytes}");
}

#[test]
fn t2_what_is_too_old_goes_but_never_on_a_guess() {
    let mut bench = Bench::new();
    bench.options.max_age = Duration::from_secs(3_600);
    bench.options.ram_bytes = 12_000; // So that what is stored is soon in the file only.
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    for i in 0..10 {
        let now = bench.clock.mono();
        let readings = (0..100).map(|j| Reading::good(TagId(1), now, Value::U64(i * 100 + j)));
        store.append(Batch { class: Class::Normal, readings: readings.collect() });
        run(store.flush());
        bench.clock.advance(Duration::from_secs(600));
    }
    // The wall clock jumping by years must not matter: ages are monotonic within a boot (T2).
    bench.clock.set_wall(Wall(1_900_000_000_000));
    bench.clock.advance(Duration::from_secs(10));
    wait_until("old chunks go", || account(&store, "cloud", Class::Normal).dropped >= 500);
    let normal = account(&store, "cloud", Class::Normal);
    assert_eq!(normal.dropped, 500, "{normal:?}");
    assert_eq!(normal.dropped_why.get("age"), Some(&normal.dropped));
    run(store.flush());
    let left = read_all(&store.consumer("cloud").unwrap(), Class::Normal);
    assert_eq!(left, same(normal.dropped, 1_000));
}

#[test]
fn a_store_in_memory_delivers_and_accounts_alike() {
    let mut bench = Bench::new();
    bench.options.dir = None;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    assert_eq!(store.status().health, Health::MemoryOnly);
    let changed = store.changed();
    store.append(batch(Class::Normal, 0, 100));
    assert!(changed.has_changed().unwrap());
    let commit = store.append_message(Class::Normal, message(1));
    run(commit.wait()).unwrap();
    let cloud = store.consumer("cloud").unwrap();
    settle(&cloud, Class::Normal, 10..20, Settled::Excluded);
    settle(&cloud, Class::Normal, 0..15, Settled::Delivered);
    settle(&cloud, Class::Normal, 20..21, Settled::Dead("too-large"));
    let normal = account(&store, "cloud", Class::Normal);
    assert_eq!((normal.appended, normal.delivered, normal.excluded), (101, 10, 10));
    assert_eq!(normal.dropped_why.get("dead:too-large"), Some(&1));
    let position = cloud.position(Class::Normal);
    assert_eq!((position.head, position.unsettled), (Seq(101), vec![Seq(21)..Seq(101)]));
    let part = run(cloud.read(Class::Normal, Seq(30)..Seq(40), 1 << 20)).unwrap();
    assert_eq!(numbers(&part), same(30, 40));
    let one = run(cloud.read(Class::Normal, Seq(30)..Seq(40), 1)).unwrap();
    assert_eq!(numbers(&one), same(30, 31));
    store.set_consumers(&[]);
    assert_eq!(store.status().ram_bytes, 0);
    store.set_consumers(&[required("new")]);
    assert_eq!(store.consumer("new").unwrap().position(Class::Normal).unsettled, vec![]);
}

#[test]
fn a_window_that_ends_is_committed_without_being_asked() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    store.append(batch(Class::Normal, 0, 10));
    bench.clock.advance(Duration::from_millis(1_001));
    wait_until("written", || store.status().counters.written == 10);
    store.append(batch(Class::Alarm, 0, 1));
    wait_until("an alarm does not wait", || store.status().counters.written == 11);
    assert!(bench.database().exists());
}

#[test]
fn removing_a_consumer_is_not_silent_and_a_closed_store_says_so() {
    let mut bench = Bench::new();
    bench.options.ram_bytes = 12_000;
    let store = bench.open();
    store.set_consumers(&[required("cloud"), required("old")]);
    for i in 0..10 {
        store.append(batch(Class::Normal, i * 100, 100));
        run(store.flush());
    }
    store.set_consumers(&[required("cloud")]);
    let row = store.status().drops.pop().unwrap();
    assert_eq!((&*row.reason, row.consumer.as_str(), row.n), ("consumer-removed", "old", 1_000));
    assert!(store.consumer("old").is_none());
    let cloud = store.consumer("cloud").unwrap();
    let other = store.clone();
    store.close();
    let read = run(cloud.read(Class::Normal, Seq(0)..Seq(10), 1 << 20));
    assert!(matches!(read, Err(StoreError::Closed)), "{read:?}");
    assert_eq!(account(&other, "cloud", Class::Normal).waiting, 1_000, "nothing counts as lost");
    run(other.flush());
    other.append(batch(Class::Normal, 0, 1));
    let late = run(other.append_message(Class::Normal, message(1)).wait());
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    let json = serde_json::to_value(other.status()).unwrap();
    assert_eq!(json["state"], "closed");
    assert_eq!(json["consumers"][0]["classes"][1]["appended"], 1_002);
}

/// A drained backlog of thousands of chunks neither holds up the end nor comes back.
#[test]
fn a_drained_backlog_is_deleted_in_steps() {
    let mut bench = Bench::new();
    bench.options.max_bytes = Some(200_000);
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    for i in 0..600_u64 {
        // Two boots in turn, so that every batch is a chunk of its own.
        bench.clock.set_wall(Wall(1_700_000_000_000 + if i % 2 == 0 { 0 } else { 10_000 }));
        store.append(batch(Class::Normal, i * 10, 10));
        // If the writer had the state just then, the clock is looked at here.
        let _ = store.boot();
    }
    run(store.flush());
    assert_eq!(store.status().counters.chunks, 600);
    settle(&store.consumer("cloud").unwrap(), Class::Normal, 0..5_990, Settled::Delivered);
    store.close();
    let store = bench.open();
    assert!(store.status().clean_start);
    store.append(batch(Class::Normal, 6_000, 10));
    run(store.flush());
    assert_eq!(store.status().counters.chunks_deleted, 256);
    assert_eq!(read_all(&store.consumer("cloud").unwrap(), Class::Normal), same(5_990, 6_010));
    settle(&store.consumer("cloud").unwrap(), Class::Normal, 5_990..6_010, Settled::Delivered);
    run(store.flush());
    assert_eq!(store.status().counters.chunks_deleted, 345, "the rest as a whole");
}

/// A consumer that keeps up for a while and then stalls: little is written, and a crash loses
/// nothing that is older than the window.
#[test]
fn write_behind_keeps_the_promise_of_the_window() {
    const STEP: Duration = Duration::from_millis(50);
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    let cloud = store.consumer("cloud").unwrap();
    for i in 0..100 {
        store.append(batch(Class::Normal, i * 50, 50));
        bench.clock.advance(STEP);
        if (5..60).contains(&i) {
            let done = (i - 5) * 50;
            settle(&cloud, Class::Normal, done..done + 50, Settled::Delivered);
        }
    }
    // One window is 20 steps: everything up to batch 79 is due.
    wait_until("the writer caught up", || {
        let state = store.shared.lock();
        state.lanes.get(Class::Normal).scan_from >= 80 * 50
    });
    let written = store.status().counters.written;
    assert!((25 * 50..=45 * 50).contains(&written), "{written} of 5,000 written");
    store.crash();
    let store = bench.open();
    let left = read_all(&store.consumer("cloud").unwrap(), Class::Normal);
    for number in 55 * 50..80 * 50 {
        assert!(left.contains(&(number, number)), "{number} is lost");
    }
}

#[test]
fn handles_go_to_any_task() {
    fn any_task<T: Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send>(_: T) {}
    let mut bench = Bench::new();
    bench.options.dir = None;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let cloud = store.consumer("cloud").unwrap();
    any_task(&store);
    any_task(&cloud);
    sent(cloud.read(Class::Normal, Seq(0)..Seq(1), 1));
    sent(store.flush());
    sent(store.append_message(Class::Normal, message(1)).wait());
}

pub(super) fn asked(asked: &str, carried_out: bool) -> AuditRecord {
    AuditRecord {
        origin: "lan:hmi".to_owned(),
        topic: "press/setpoint/set".to_owned(),
        tag: "press.setpoint".to_owned(),
        old: None,
        asked: asked.to_owned(),
        outcome: if carried_out { "done" } else { "out-of-limits" }.to_owned(),
        reason: None,
        read_back: None,
        carried_out,
        took_ms: 3,
    }
}

#[test]
fn records_of_commands_are_there_after_a_crash_and_go_on() {
    let bench = Bench::new();
    let store = bench.open();
    store.record(asked("1", true));
    store.record(asked("2", true));
    bench.clock.advance(Duration::from_millis(1_001));
    wait_until("written within the commit window", || {
        bench.inspector().audit(10).unwrap().len() == 2
    });
    store.record(asked("3", true));
    run(store.flush());
    store.record(asked("lost", true));
    store.crash();
    let store = bench.open();
    store.record(asked("4", true));
    run(store.flush());
    let rows = bench.inspector().audit(3).unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.id, &*row.record.asked)).collect();
    assert_eq!(rows, [(2, "2"), (3, "3"), (4, "4")]);
    assert_eq!(store.audit().len(), 1, "of this life alone");
}

#[test]
fn records_are_bounded_each_kind_for_itself_and_damage_is_left_out() {
    let bench = Bench::new();
    let store = bench.open();
    run(store.flush());
    store.close();
    let connection = schema::connect(&schema::QUEUE, &bench.database(), 1 << 30).unwrap();
    let row = |id, carried_out| AuditRow {
        id,
        n: 1,
        first_ms: 0,
        last_ms: 0,
        record: asked("1", carried_out),
    };
    let most = audit::ROWS_MAX;
    let refused: Vec<_> = (1..=most + 128).map(|id| row(id, false)).collect();
    rows::put_audit(&connection, &[row(0, true)]).unwrap();
    rows::put_audit(&connection, &refused).unwrap();
    let all = bench.inspector().audit(usize::MAX).unwrap();
    assert_eq!(i64::try_from(all.len()).unwrap(), most + 1, "the flood pushed nothing else out");
    assert_eq!((all[0].id, all[1].id), (0, 129));
    connection.execute("UPDATE audit SET row = replace(row, '3', '4') WHERE id = 200", []).unwrap();
    assert_eq!(bench.inspector().audit(usize::MAX).unwrap().len(), all.len() - 1);
}

/// A row and the cursor that it explains are in one transaction: after a crash both are there, or
/// neither is.
#[test]
fn a_crash_takes_back_no_notice_and_tells_of_the_jump() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    store.append(batch(Class::Normal, 0, 100));
    run(store.flush());
    let cloud = store.consumer("cloud").unwrap();
    settle(&cloud, Class::Normal, 10..20, Settled::Dead("too-large"));
    assert_eq!(cloud.notices(9).len(), 3, "the new epoch; the loss waits for the file");
    run(store.flush());
    let told = cloud.notices(9);
    let gap = told.last().unwrap();
    assert_eq!((gap.range.start, gap.range.end), (Seq(10), Seq(20)));
    settle(&cloud, Class::Normal, 20..30, Settled::Dead("too-large"));
    cloud.told(gap.id);
    store.crash();

    let store = bench.open();
    let cloud = store.consumer("cloud").unwrap();
    let again = cloud.notices(4);
    assert_eq!(again, told, "an acknowledgement may be forgotten, a notice may not");
    cloud.told(gap.id);
    run(store.flush());
    let resume = cloud.notices(9);
    let seen: Vec<_> = resume.iter().map(|n| (n.class, n.kind.clone(), n.range.end)).collect();
    let end = Seq(work::RESERVE);
    assert_eq!(seen, Class::ALL.map(|class| (class, NoticeKind::Resume, end)));
    assert_eq!(resume[1].range.start, Seq(100));
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, 90, "20..30 wait again");
    cloud.told(resume.last().unwrap().id);
    run(store.flush());
    store.close();
    let store = bench.open();
    assert!(!store.consumer("cloud").unwrap().has_notices());
    store.shared.lock().control.poisoned = Some("test".to_owned());
    run(store.flush());
    let told = store.consumer("cloud").unwrap().notices(9);
    let epochs = told.iter().filter(|notice| notice.kind == NoticeKind::NewEpoch).count();
    assert_eq!(epochs, 3, "{told:?}");
}

/// A week without the uplink: room runs out again and again, for two consumers in turn.
#[test]
fn a_long_outage_ends_in_few_notices_also_after_restarts() {
    let mut bench = Bench::new();
    bench.options.dir = None;
    bench.options.ram_bytes = 30_000;
    let store = bench.open();
    store.set_consumers(&[required("cloud"), required("lab")]);
    let lab = store.consumer("lab").unwrap();
    for i in 0..2_000 {
        let range = store.append(batch(Class::Normal, i * 20, 20)).start.0;
        // What the other one has settled is no loss to it: its losses are scattered.
        settle(&lab, Class::Normal, range + 3..range + 9, Settled::Delivered);
    }
    for (name, rows) in [("cloud", 4), ("lab", ledger::UNTOLD_MAX)] {
        let consumer = store.consumer(name).unwrap();
        let (mut told, mut lost) = (0, 0);
        while consumer.has_notices() {
            for notice in consumer.notices(NOTICES_MAX) {
                told += 1;
                if let NoticeKind::Gap { n, .. } = notice.kind {
                    lost += n;
                }
                consumer.told(notice.id);
            }
        }
        assert!(told <= rows, "{name}: {told}");
        assert_eq!(lost, account(&store, name, Class::Normal).dropped);
    }
}

/// A clock of a machine without a battery, moved by hand.
struct Lost(ManualClock, std::sync::atomic::AtomicBool);

impl Clock for Lost {
    fn mono(&self) -> Mono {
        self.0.mono()
    }
    fn wall(&self) -> Wall {
        self.0.wall()
    }
    fn boot_id(&self) -> &str {
        self.0.boot_id()
    }
    fn synced(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Delivered in 1970, and once more after somebody set a date; a restart later the time is known.
#[test]
fn wrong_times_that_were_delivered_are_corrected_across_a_restart() {
    let bench = Bench::new();
    let clock = Arc::new(Lost(ManualClock::new(Mono(5_000), Wall(5_000)), false.into()));
    let open = || Store::open(bench.options.clone(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let store = open();
    store.set_consumers(&[required("cloud"), required("late")]);
    store.append(batch(Class::Normal, 0, 10));
    let cloud = store.consumer("cloud").unwrap();
    settle(&cloud, Class::Normal, 0..4, Settled::Delivered);
    settle(&cloud, Class::Normal, 6..8, Settled::Delivered);
    clock.0.set_wall(Wall(1_600_000_000_000)); // Still no time that could be.
    store.append(batch(Class::Normal, 10, 10));
    settle(&cloud, Class::Normal, 10..20, Settled::Delivered);
    run(store.flush());
    store.close();

    clock.0.set_wall(Wall(1_700_000_000_000 + 50_000_000_000));
    clock.1.store(true, std::sync::atomic::Ordering::Relaxed);
    let store = open();
    let cloud = store.consumer("cloud").unwrap();
    run(store.flush());
    let corrections = |consumer: &Consumer| -> Vec<(u64, u64, Option<i64>)> {
        let of = |notice: Notice| match notice.kind {
            NoticeKind::TimeCorrection { shift_ms } => {
                Some((notice.range.start.0, notice.range.end.0, shift_ms))
            }
            _ => None,
        };
        consumer.notices(NOTICES_MAX).into_iter().filter_map(of).collect()
    };
    let far = Some(1_750_000_000_000 - 5_000);
    let near = Some(150_000_000_000);
    assert_eq!(corrections(&cloud), [(0, 4, far), (6, 8, far), (10, 20, near)]);
    assert_eq!(corrections(&store.consumer("late").unwrap()), [], "it was delivered nothing");
    let entries = run(cloud.read(Class::Normal, Seq(4)..Seq(6), 1 << 20)).unwrap();
    assert_eq!(store.wall(entries[0].boot, Mono(5_000)), Wall(1_750_000_000_000));
}

/// A file that was made to shrink in steps and may not grow beyond its share is written anew when a
/// big backlog is drained: short, without a map of its pages, and with all that is waited for.
#[test]
fn a_drained_file_is_written_anew_without_a_map_of_its_pages() {
    let bench = Bench::new();
    bench.open().close();
    let ask = |pragma: &str| -> i64 {
        let connection = rusqlite::Connection::open(bench.database()).unwrap();
        connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
    };
    assert_eq!(ask("auto_vacuum"), 0);
    let old = rusqlite::Connection::open(bench.database()).unwrap();
    old.execute_batch("PRAGMA auto_vacuum=INCREMENTAL; VACUUM;").unwrap();
    drop(old);
    assert_eq!(ask("auto_vacuum"), 2);

    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let cloud = store.consumer("cloud").unwrap();
    for i in 0..600 {
        let payload: Vec<u8> = (0..32_768).map(|_| fastrand::u8(..)).collect();
        store.append_message(Class::Bulk, Message { payload: payload.into(), ..message(i) });
        if i % 50 == 0 {
            run(store.flush());
        }
    }
    store.append(batch(Class::Normal, 0, 1_000));
    run(store.flush());
    settle(&cloud, Class::Bulk, 0..600, Settled::Delivered);
    settle(&cloud, Class::Normal, 0..10, Settled::Delivered);
    wait_until("it is short", || {
        bench.clock.advance(Duration::from_secs(70));
        store.append(batch(Class::Alarm, 0, 1));
        run(store.flush());
        bench.database().metadata().unwrap().len() < 1 << 20
    });
    store.append(batch(Class::Normal, 1_000, 1_000));
    run(store.flush());
    store.crash();
    assert_eq!(ask("auto_vacuum"), 0);
    let store = bench.open();
    assert_eq!(store.status().health, Health::Ok);
    let cloud = store.consumer("cloud").unwrap();
    assert_eq!(read_all(&cloud, Class::Normal), same(10, 2_000));
    assert_eq!(account(&store, "cloud", Class::Bulk).waiting, 0);
}

/// A process that is started again on the same kernel, with a clock that went on as before.
#[test]
fn times_are_known_after_a_restart() {
    let bench = Bench::new();
    let store = bench.open();
    store.append(batch(Class::Normal, 0, 1));
    let (boot, at) = (store.boot(), Mono(1_000_000));
    store.close();
    let store = bench.open();
    assert_eq!(store.boot(), boot);
    assert_eq!(store.times().wall(boot, at), Wall(1_700_000_000_000));
}
