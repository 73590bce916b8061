//! Files that go bad: at the start, at run time, in a single bit.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use super::tests::{
    Bench, account, batch, best_effort, message, numbers, read_all, required, run, same, settle,
    wait_until,
};
use super::*;
use crate::model::{Name, TopicName};

fn meta(name: &str) -> TagMeta {
    TagMeta {
        topic: TopicName::new(name).unwrap(),
        device: Name::new("d").unwrap(),
        name: Name::new(name).unwrap(),
        unit: String::new(),
        coding: "u16".to_owned(),
        class: Class::Normal,
    }
}

/// A store with 5,000 readings in the file, cleanly closed.
fn filled(bench: &Bench) -> u64 {
    let store = bench.open();
    store.register_tags(&[meta("a"), meta("b")]);
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    for i in 0..50 {
        store.append(batch(Class::Normal, i * 100, 100));
        if i % 5 == 0 {
            run(store.flush());
        }
    }
    let epoch = store.epoch();
    store.close();
    epoch
}

fn damage(bench: &Bench, how: impl FnOnce(&mut std::fs::File, u64)) {
    let path = bench.database();
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    how(&mut file, length);
}

/// T9: whatever is in the file's place, the gateway starts, says so, and works.
#[test]
fn t9_a_bad_file_never_prevents_the_start() {
    type Damage = fn(&mut std::fs::File, u64);
    let cases: [(&str, Damage); 5] = [
        ("random bytes", |file, length| {
            let noise: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(&noise).unwrap();
        }),
        ("cut to a third", |file, length| file.set_len(length / 3).unwrap()),
        ("cut within a page", |file, _| file.set_len(1_500).unwrap()),
        ("empty", |file, _| file.set_len(0).unwrap()),
        ("header overwritten", |file, _| {
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(&[0xff; 100]).unwrap();
        }),
    ];
    for (name, how) in cases {
        let bench = Bench::new();
        let old = filled(&bench);
        damage(&bench, how);
        // Bytes in the WAL would heal the file; a power cut may leave none.
        let wal = bench.database().with_extension("db-wal");
        std::fs::remove_file(wal).unwrap();
        let store = bench.open();
        let status = store.status();
        assert_eq!(status.health, Health::Ok, "{name}");
        assert_eq!(status.quarantined.len(), 1, "{name}");
        assert!(PathBuf::from(&status.quarantined[0].file).exists(), "{name}");
        assert_ne!(store.epoch(), old, "{name}");
        store.set_consumers(&[required("cloud")]);
        store.append(batch(Class::Normal, 0, 10));
        run(store.flush());
        store.crash();
        let store = bench.open();
        // What is salvaged of the old file comes behind it.
        let there = read_all(&store.consumer("cloud").unwrap(), Class::Normal);
        assert_eq!(there.get(..10), Some(same(0, 10).as_slice()), "{name}");
    }
}

#[test]
fn the_log_of_a_file_that_is_gone_does_not_get_into_the_next_one() {
    let bench = Bench::new();
    filled(&bench);
    std::fs::remove_file(bench.database()).unwrap();
    let store = bench.open();
    assert_eq!(store.status().quarantined.len(), 1);
    assert!(store.tag(TagId(1)).is_none());
    store.set_consumers(&[required("cloud")]);
    assert_eq!(store.consumer("cloud").unwrap().position(Class::Normal).unsettled, vec![]);
}

#[test]
fn a_file_that_goes_bad_at_run_time_is_replaced_and_work_goes_on() {
    let bench = Bench::new();
    let store = bench.open();
    let ids = store.register_tags(&[meta("a"), meta("b")]);
    store.set_consumers(&[required("cloud")]);
    store.set_fact("a", Some("b"));
    store.append(batch(Class::Normal, 0, 1_000));
    run(store.flush());
    let (old, boot) = (store.epoch(), store.boot());
    store.shared.lock().control.poisoned = Some("as the reader would say".to_owned());
    store.shared.wake();
    wait_until("a new file", || store.epoch() != old);
    let cloud = store.consumer("cloud").unwrap();
    let range = store.append(batch(Class::Normal, 1_000, 10));
    assert_eq!(range.start, Seq(1_000), "positions go on");
    run(store.flush());
    assert_eq!(store.status().health, Health::Ok);
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, 1_010);
    assert_eq!(read_all(&cloud, Class::Normal), same(0, 1_010), "memory went into the new file");
    store.crash();
    let store = bench.open();
    assert_eq!(store.register_tags(&[meta("b"), meta("a")]), [ids[1], ids[0]]);
    assert_eq!(store.facts(), [("a".to_owned(), "b".to_owned())]);
    assert_eq!(store.wall(boot, Mono(1_000_000)), Wall(1_700_000_000_000));
    assert_eq!(read_all(&store.consumer("cloud").unwrap(), Class::Normal), same(0, 1_010));
}

#[test]
fn what_only_a_lost_file_had_is_counted() {
    let mut bench = Bench::new();
    bench.options.ram_bytes = 40_000;
    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    for i in 0..20 {
        store.append(batch(Class::Normal, i * 100, 100));
        run(store.flush());
    }
    settle(&store.consumer("lab").unwrap(), Class::Normal, 0..50, Settled::Delivered);
    let old = store.epoch();
    std::fs::remove_file(bench.database()).unwrap();
    bench.clock.advance(Duration::from_secs(60));
    wait_until("it is noticed that the file is gone", || store.epoch() != old);
    let cloud = account(&store, "cloud", Class::Normal);
    assert_eq!(cloud.dropped_why.get("corrupt"), Some(&cloud.dropped));
    assert!(cloud.dropped > 1_000, "{cloud:?}");
    assert_eq!(account(&store, "lab", Class::Normal).dropped, cloud.dropped - 50);
    let left = read_all(&store.consumer("cloud").unwrap(), Class::Normal);
    assert_eq!(left, same(cloud.dropped, 2_000));
}

/// A failed commit: the connection is replaced, nothing is lost, nothing is there twice.
#[test]
fn a_connection_that_fails_is_replaced() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    store.append(batch(Class::Normal, 0, 100));
    run(store.flush());
    // Another process that holds the write lock makes our commit fail.
    let intruder = rusqlite::Connection::open(bench.database()).unwrap();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let commit = store.append_message(Class::Alarm, message(5));
    store.append(batch(Class::Normal, 100, 100));
    wait_until("it failed", || store.status().counters.commit_failures > 0);
    wait_until("it says so", || matches!(store.status().health, Health::RamOnly(_)));
    let cloud = store.consumer("cloud").unwrap();
    assert_eq!(read_all(&cloud, Class::Normal), same(0, 200), "delivery goes on");
    drop(intruder);
    wait_until("it is tried again", || {
        bench.clock.advance(Duration::from_secs(1));
        store.status().health == Health::Ok
    });
    run(commit.wait()).unwrap();
    run(store.flush());
    store.crash();
    let store = bench.open();
    let cloud = store.consumer("cloud").unwrap();
    assert_eq!(read_all(&cloud, Class::Normal), same(0, 200));
    assert_eq!(read_all(&cloud, Class::Alarm), [(0, u64::MAX)]);
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, 200);
}

#[test]
fn without_a_disk_positions_stay_unique_and_delivery_goes_on() {
    let mut bench = Bench::new();
    bench.options.ram_bytes = 1 << 20;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let cloud = store.consumer("cloud").unwrap();
    let intruder = rusqlite::Connection::open(bench.database()).unwrap();
    run(store.flush());
    let epoch = store.epoch();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut keys = std::collections::HashSet::new();
    let mut deliver = |store: &Store| {
        let position = cloud.position(Class::Normal);
        for range in position.unsettled {
            assert!((range.start.0..range.end.0).all(|seq| keys.insert((store.epoch(), seq))));
            cloud.settle(Class::Normal, &[range], Settled::Delivered);
        }
    };
    store.append_message(Class::Alarm, message(5));
    wait_until("it says so", || matches!(store.status().health, Health::RamOnly(_)));
    // Until none of the reserved positions are left, and on.
    let steps = work::RESERVE / 4_000;
    for i in 0..2 * steps {
        store.append(batch(Class::Normal, 0, 4_000));
        deliver(&store);
        if i == steps {
            wait_until("another epoch", || store.epoch() != epoch);
            deliver(&store);
        }
    }
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, 0);
    store.crash();
    drop(intruder);
    let store = bench.open();
    assert_eq!(store.epoch(), epoch);
    let next = store.append(batch(Class::Normal, 0, 1)).start.0;
    assert!(keys.iter().all(|(of, seq)| *of != epoch || *seq < next));
}

/// Something that can't even be opened is in the file's place: memory only, until it is moved.
#[test]
fn what_cannot_be_opened_is_a_state_and_is_tried_again() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.database()).unwrap();
    let store = bench.open();
    assert!(matches!(store.status().health, Health::RamOnly(_)));
    store.set_consumers(&[required("cloud")]);
    store.append(batch(Class::Normal, 0, 10));
    let epoch = store.epoch();
    let cloud = store.consumer("cloud").unwrap();
    assert_eq!(read_all(&cloud, Class::Normal), same(0, 10));
    run(store.flush());
    wait_until("it is on disk", || {
        bench.clock.advance(Duration::from_secs(1));
        store.status().health == Health::Ok
    });
    assert_ne!(store.epoch(), epoch);
    run(store.flush());
    store.crash();
    let store = bench.open();
    assert_eq!(read_all(&store.consumer("cloud").unwrap(), Class::Normal), same(0, 10));
}

/// Boot rows live as long as there are readings of that boot.
#[test]
fn old_boots_are_forgotten_with_their_readings() {
    let bench = Bench::new();
    for year in 0..5 {
        bench.clock.set_wall(Wall(1_700_000_000_000 + year * 31_557_600_000));
        let store = bench.open();
        store.set_consumers(&[required("cloud")]);
        let first = u64::try_from(year).unwrap() * 10;
        store.append(batch(Class::Normal, first, 10));
        if year == 3 {
            settle(&store.consumer("cloud").unwrap(), Class::Normal, 0..20, Settled::Delivered);
        }
        store.close();
    }
    let store = bench.open();
    let cloud = store.consumer("cloud").unwrap();
    let entries = run(cloud.read(Class::Normal, Seq(20)..Seq(50), 1 << 20)).unwrap();
    let walls: Vec<i64> =
        entries.iter().map(|entry| store.wall(entry.boot, Mono(1_000_000)).0).collect();
    let expected: Vec<i64> = (2..5).map(|y| 1_700_000_000_000 + y * 31_557_600_000).collect();
    assert_eq!(walls, expected);
    assert_eq!(store.wall(BootNo(1), Mono(5)), Wall(5), "the first is forgotten");
}

/// A disk that is full at the start can be read: what is there is delivered, not set aside.
#[test]
fn a_file_that_cannot_be_written_at_the_start_is_delivered_and_kept() {
    for orderly in [true, false] {
        let bench = Bench::new();
        let store = bench.open();
        store.set_consumers(&[required("cloud")]);
        store.append(batch(Class::Normal, 0, 1_000));
        run(store.flush());
        let epoch = store.epoch();
        if orderly {
            store.close();
        } else {
            store.crash();
        }
        let intruder = rusqlite::Connection::open(bench.database()).unwrap();
        intruder.execute_batch("BEGIN IMMEDIATE").unwrap();

        let store = bench.open();
        assert!(matches!(store.status().health, Health::RamOnly(_)));
        store.set_consumers(&[required("cloud")]);
        let cloud = store.consumer("cloud").unwrap();
        assert_eq!(read_all(&cloud, Class::Normal), same(0, 1_000), "orderly: {orderly}");
        wait_until("an epoch of its own", || store.epoch() != epoch);
        let fresh = store.append(batch(Class::Normal, 5_000, 10));
        settle(&cloud, Class::Normal, 0..600, Settled::Delivered);
        drop(intruder);
        wait_until("it is on disk", || {
            bench.clock.advance(Duration::from_secs(1));
            store.status().health == Health::Ok
        });
        assert!(store.status().quarantined.is_empty());
        assert_eq!(store.epoch(), epoch);
        run(store.flush());
        store.crash();

        let store = bench.open();
        assert!(store.append(batch(Class::Normal, 0, 1)).start >= fresh.end, "never reused");
        let left = read_all(&store.consumer("cloud").unwrap(), Class::Normal);
        let new = (fresh.start.0..).zip(5_000..5_010);
        let expected: Vec<_> = same(600, 1_000).into_iter().chain(new).collect();
        assert_eq!(left.get(..410), Some(&*expected), "orderly: {orderly}");
    }
}

/// Positions that were told under an epoch of their own may have to wait under the file's again;
/// they are not gone.
#[test]
fn a_read_waits_for_positions_that_cannot_be_told_yet() {
    let mut bench = Bench::new();
    bench.options.dir = None;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    store.append(batch(Class::Normal, 0, 10));
    let cloud = store.consumer("cloud").unwrap();
    store.shared.lock().lanes.get_mut(Class::Normal).reserved = 4;
    run(async {
        let read = async |from| cloud.read(Class::Normal, Seq(from)..Seq(10), 1 << 20).await;
        assert_eq!(numbers(&read(0).await.unwrap()), same(0, 4));
        let told = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            store.shared.lock().lanes.get_mut(Class::Normal).reserved = 1_000;
            store.shared.announce();
        };
        let (rest, ()) = tokio::join!(read(4), told);
        assert_eq!(numbers(&rest.unwrap()), same(4, 10));
    });
}

/// Positions go on where they ended, whatever a damaged count of the newest chunk says.
#[test]
fn a_damaged_count_moves_no_position() {
    for clean in [true, false] {
        let bench = Bench::new();
        let store = bench.open();
        store.set_consumers(&[required("cloud")]);
        store.append(batch(Class::Normal, 0, 100));
        run(store.flush());
        if clean {
            store.close();
        } else {
            store.crash();
        }
        let file = rusqlite::Connection::open(bench.database()).unwrap();
        file.execute("UPDATE chunk_normal SET n = -9", []).unwrap();
        drop(file);
        let store = bench.open();
        let next = store.append(batch(Class::Normal, 100, 1)).start.0;
        assert!(next <= work::RESERVE, "{next}");
        assert_eq!(read_all(&store.consumer("cloud").unwrap(), Class::Normal), [(next, 100)]);
        let cloud = account(&store, "cloud", Class::Normal);
        assert_eq!(cloud.waiting, 1);
        assert!((100..=CHUNK_MAX).contains(&cloud.dropped), "{cloud:?}");
    }
}

/// Readers without a pause, each of them short, don't keep the WAL from being begun anew.
#[test]
fn the_wal_stays_small_while_consumers_read_without_a_pause() {
    const READ: Duration = Duration::from_millis(6);
    const WRITTEN: u64 = 6 << 20;
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let wal = bench.database().with_extension("db-wal");
    let written = std::sync::atomic::AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        for delay in [Duration::ZERO, READ / 2] {
            let (database, written) = (bench.database(), &written);
            scope.spawn(move || {
                let reader = rusqlite::Connection::open(database).unwrap();
                std::thread::sleep(delay);
                while !written.load(std::sync::atomic::Ordering::Relaxed) {
                    let read = reader.unchecked_transaction().unwrap();
                    let _: i64 =
                        read.query_row("SELECT count(*) FROM meta", [], |row| row.get(0)).unwrap();
                    std::thread::sleep(READ);
                }
            });
        }
        let mut longest = 0;
        for seed in 0..WRITTEN / (64 << 10) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut noise = message(seed);
            noise.payload = std::iter::repeat_with(|| rng.u8(..)).take(64 << 10).collect();
            store.append_message(Class::Normal, noise);
            run(store.flush());
            longest = longest.max(wal.metadata().unwrap().len());
        }
        written.store(true, std::sync::atomic::Ordering::Relaxed);
        longest
    });
    assert!(longest < WRITTEN / 2, "{longest} bytes");
}
