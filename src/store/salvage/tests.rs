//! Files that go bad, and what comes back of them.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use crate::model::{Batch, Class, Name, TagMeta, TopicName, Value, Wall};
use crate::store::tests::{
    Bench, account, batch, best_effort, message, required, run, settle, wait_until,
};
use crate::store::{Body, Check, Consumer, Health, Quarantined, Settled, Store};

fn meta(i: u32) -> TagMeta {
    TagMeta {
        topic: TopicName::new(&format!("works/edge/t{i}")).unwrap(),
        device: Name::new("d").unwrap(),
        name: Name::new(&format!("t{i}")).unwrap(),
        unit: String::new(),
        coding: "u16".to_owned(),
        class: Class::Normal,
    }
}

/// `batch` gives reading `i` to tag `1 + i % 50`.
fn tags() -> Vec<TagMeta> {
    (1..=50).map(meta).collect()
}

/// 5,000 readings and some of the other classes and messages; `cloud` has settled the first 1,000
/// and ten more, `lab` all but the last 100.
fn fill(store: &Store) {
    store.register_tags(&tags());
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    store.append(batch(Class::Alarm, 0, 70));
    for i in 0..50 {
        store.append(batch(Class::Normal, i * 100, 100));
        if i % 5 == 0 {
            run(store.flush());
        }
    }
    for i in 0..20 {
        store.append_message(Class::Bulk, message(i));
    }
    let (cloud, lab) = (store.consumer("cloud").unwrap(), store.consumer("lab").unwrap());
    settle(&cloud, Class::Normal, 0..1_000, Settled::Delivered);
    settle(&cloud, Class::Normal, 2_000..2_010, Settled::Delivered);
    settle(&lab, Class::Normal, 0..4_900, Settled::Delivered);
    run(store.flush());
}

/// Overwrites the beginning of the database, so that SQLite does not know it any more.
fn behead(bench: &Bench) {
    let path = bench.database();
    let connection = rusqlite::Connection::open(&path).unwrap();
    // The log has a first page of its own.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&[0xff; 100]).unwrap();
}

fn done(store: &Store) -> Vec<Quarantined> {
    wait_until("everything is salvaged", || {
        let status = store.status();
        assert!(status.balances(), "{status:#?}");
        status.quarantined.iter().all(|aside| aside.done)
    });
    store.status().quarantined
}

/// Bytes of a log that were written: behind them it has room.
fn used(log: &[u8]) -> usize {
    log.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// `batch` as a gateway of today would read it, under today's numbers of the tags.
fn live(store: &Store) -> Batch {
    let ids = store.register_tags(&tags());
    let mut live = batch(Class::Normal, 9_000, 10);
    for reading in &mut live.readings {
        let tag = usize::try_from(reading.tag().0).unwrap() - 1;
        *reading = reading.clone().with_tag(ids[tag]);
    }
    live
}

/// Everything the consumer waits for: number of the reading → name of its tag and its wall time.
/// Fails if anything is there twice.
fn readings(store: &Store, consumer: &Consumer, class: Class) -> BTreeMap<u64, (String, Wall)> {
    let mut all = BTreeMap::new();
    for range in consumer.position(class).unsettled {
        let mut at = range.start;
        while at < range.end {
            let entries = run(consumer.read(class, at..range.end, 100_000)).unwrap();
            at = entries.last().map_or(range.end, |entry| entry.range().end);
            for entry in entries {
                let Body::Readings(readings) = entry.body else { continue };
                for reading in readings {
                    let Some(Value::U64(number)) = reading.value() else { panic!("{reading:?}") };
                    let name = store.tag(reading.tag()).unwrap().name.to_string();
                    let told = (name, store.wall(entry.boot, reading.at()));
                    assert!(all.insert(*number, told).is_none(), "{number} is there twice");
                }
            }
        }
    }
    all
}

/// What reading `i` of `batch` was called and when it was read.
fn was(i: u64, offset_ms: i64) -> (u64, (String, Wall)) {
    let at = 1_000_000 + i64::try_from(i).unwrap();
    (i, (format!("t{}", 1 + i % 50), Wall(at + offset_ms)))
}

const OFFSET_MS: i64 = 1_700_000_000_000 - 1_000_000;

/// At the start: the gateway goes on at once, and everything that was not settled comes back,
/// whatever its tags and boots are called now.
#[test]
fn a_file_that_is_bad_at_the_start_comes_back_whole() {
    for crash in [false, true] {
        let bench = Bench::new();
        let store = bench.open();
        fill(&store);
        if crash {
            store.crash(); // Everything is in the log.
        } else {
            store.close();
        }
        behead(&bench);
        bench.clock.set_wall(Wall(1_800_000_000_000));

        #[allow(clippy::disallowed_methods, reason = "how long it really takes")]
        let begun = std::time::Instant::now();
        let store = bench.open();
        store.register_tags(&[meta(1_000), meta(7)]);
        store.set_consumers(&[required("cloud"), best_effort("lab"), required("new")]);
        let live = store.append(batch(Class::Normal, 9_000, 10));
        run(store.flush());
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(store.status().health, Health::Ok);

        let aside = done(&store);
        assert_eq!(aside.len(), 1);
        assert_eq!((aside[0].salvaged, aside[0].lost), (70 + 3_990 + 20, 0), "{aside:?}");
        let cloud = store.consumer("cloud").unwrap();
        let mut back = readings(&store, &cloud, Class::Normal);
        assert!((9_000..9_010).all(|i| back.remove(&i).is_some()));
        let owed = (1_000..2_000).chain(2_010..5_000).map(|i| was(i, OFFSET_MS));
        assert_eq!(back, owed.collect::<BTreeMap<_, _>>(), "crash: {crash}");
        assert_eq!(readings(&store, &cloud, Class::Alarm).len(), 70);
        assert_eq!(account(&store, "cloud", Class::Bulk).waiting, 20);
        let lab = readings(&store, &store.consumer("lab").unwrap(), Class::Normal);
        assert_eq!(lab.len(), 100 + 10);
        assert!(lab.contains_key(&4_950));
        let new = account(&store, "new", Class::Normal);
        assert_eq!((new.appended, new.waiting), (10, 10), "it was not there then");
        let normal = account(&store, "cloud", Class::Normal);
        assert_eq!((normal.appended, normal.dropped, normal.waiting), (4_000, 0, 4_000));
        let drops = store.status().drops;
        let told = |reason: &str| -> u64 {
            let rows = drops.iter().filter(|r| r.reason == reason && r.consumer == "cloud");
            rows.map(|row| row.n).sum()
        };
        assert_eq!((told("corrupt"), told("salvaged")), (4_080, 4_080));
        assert!(live.start < cloud.position(Class::Normal).head);

        // Once is enough, and it stays so.
        settle(&cloud, Class::Normal, 0..3_000, Settled::Delivered);
        let left = readings(&store, &cloud, Class::Normal);
        store.close();
        let store = bench.open();
        store.set_consumers(&[required("cloud"), best_effort("lab"), required("new")]);
        assert_eq!(done(&store), aside);
        let cloud = store.consumer("cloud").unwrap();
        assert_eq!(readings(&store, &cloud, Class::Normal), left);
        assert!(account(&store, "cloud", Class::Normal).dropped_why.is_empty());
    }
}

/// Positions that were jumped over after a crash were never anyone's, so none of them is lost; also
/// where no cursor can be read that says so.
#[test]
fn what_was_jumped_over_is_not_lost_with_the_file() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store);
    store.crash();
    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    let jumped = store.append(batch(Class::Normal, 5_000, 100));
    assert!(jumped.start.0 > 100_000, "{jumped:?}");
    run(store.flush());
    store.close();
    let connection = rusqlite::Connection::open(bench.database()).unwrap();
    assert_ne!(connection.execute("UPDATE cursor SET crc = crc + 1", []).unwrap(), 0);
    drop(connection);
    behead(&bench);

    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    let aside = done(&store);
    assert_eq!(aside[0].lost, 0, "{aside:?}");
    let back = readings(&store, &store.consumer("cloud").unwrap(), Class::Normal);
    assert!((1_000..5_100).all(|i| back.contains_key(&i)), "{}", back.len());
    assert_eq!(account(&store, "cloud", Class::Normal).dropped, 0);
}

/// At run time: what was counted as dropped is so no more when it is back.
#[test]
fn a_file_that_goes_bad_at_run_time_comes_back() {
    let mut bench = Bench::new();
    bench.options.ram_bytes = 100_000; // Memory has the newest only.
    let store = bench.open();
    fill(&store);
    let before = account(&store, "cloud", Class::Normal);
    let epoch = store.epoch();
    let cloud = store.consumer("cloud").unwrap();
    let waiting = readings(&store, &cloud, Class::Normal);
    store.shared.lock().control.poisoned = Some("as the reader would say".to_owned());
    store.shared.wake();
    wait_until("a new file", || store.epoch() != epoch);
    assert_eq!(done(&store)[0].lost, 0);
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, before.waiting);
    assert_eq!(account(&store, "cloud", Class::Normal).appended, before.appended);
    assert_eq!(account(&store, "lab", Class::Normal).waiting, 100);
    assert_eq!(readings(&store, &cloud, Class::Normal), waiting);
    assert!(store.status().drops.iter().any(|row| row.reason == "salvaged"));
    run(store.flush());
    store.crash();
    let store = bench.open();
    let cloud = store.consumer("cloud").unwrap();
    assert_eq!(readings(&store, &cloud, Class::Normal), waiting, "and after a crash");
}

/// However often it is interrupted, everything comes back once and is counted once.
#[test]
fn a_crash_in_the_middle_neither_loses_nor_doubles() {
    for in_use in [false, true] {
        let mut bench = Bench::new();
        bench.options.ram_bytes = 100_000;
        let store = bench.open();
        store.register_tags(&tags());
        store.set_consumers(&[required("cloud"), best_effort("lab")]);
        for i in 0..400 {
            store.append(batch(Class::Normal, i * 100, 100));
            if i % 2 == 0 {
                run(store.flush());
            }
        }
        run(store.flush());
        let mut store = if in_use {
            let epoch = store.epoch();
            store.shared.lock().control.poisoned = Some("test".to_owned());
            store.shared.wake();
            wait_until("a new file", || store.epoch() != epoch);
            store
        } else {
            store.crash();
            behead(&bench);
            bench.open()
        };
        let mut crashes = 0;
        loop {
            store.set_consumers(&[required("cloud"), best_effort("lab")]);
            let before = store.status().quarantined[0].salvaged;
            wait_until("some of it is back", || {
                assert!(store.status().balances());
                let aside = &store.status().quarantined[0];
                aside.done || aside.salvaged > before
            });
            if store.status().quarantined[0].done {
                break;
            }
            store.crash();
            crashes += 1;
            store = bench.open();
        }
        assert!(crashes > 2, "{crashes}");
        let aside = done(&store);
        assert_eq!(aside[0].lost, 0);
        for name in ["cloud", "lab"] {
            let normal = account(&store, name, Class::Normal);
            assert_eq!((normal.appended, normal.waiting), (40_000, 40_000), "{normal:?}");
            let back = readings(&store, &store.consumer(name).unwrap(), Class::Normal);
            assert!(
                back.into_iter().eq((0..40_000).map(|i| was(i, OFFSET_MS))),
                "in use: {in_use}"
            );
        }
    }
}

/// A consumer that goes is owed nothing any more; one that comes back later neither.
#[test]
fn what_nobody_wants_is_not_brought_back() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store);
    store.close();
    behead(&bench);
    let store = bench.open();
    store.set_consumers(&[required("other")]);
    done(&store);
    store.set_consumers(&[required("cloud"), required("other")]);
    assert_eq!(account(&store, "cloud", Class::Normal).appended, 0);
    assert_eq!(account(&store, "other", Class::Normal).appended, 0);
    assert_eq!(store.status().counters.chunks, 0);
}

/// A flipped bit in the log makes SQLite forget what is behind it; that comes back, too.
#[test]
fn the_end_of_a_damaged_log_comes_back() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store);
    store.crash();
    let log = super::log_of(&bench.database());
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = used(&bytes) / 2;
    bytes[middle] ^= 0x10;
    std::fs::File::create(&log).unwrap().write_all(&bytes).unwrap();

    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    let aside = done(&store);
    assert_eq!(aside.len(), 1);
    assert!(aside[0].salvaged > 500 && aside[0].lost < 501, "{aside:?}");
    let cloud = store.consumer("cloud").unwrap();
    let back = readings(&store, &cloud, Class::Normal);
    let normal = account(&store, "cloud", Class::Normal);
    assert_eq!(back.len() as u64, normal.waiting);
    assert!(back.iter().all(|(i, told)| (*i, told.clone()) == was(*i, OFFSET_MS)));
    // What was settled just before the crash may come again, but nothing is missing uncounted.
    let missing = (1_000..2_000).chain(2_010..5_000).filter(|i| !back.contains_key(i)).count();
    assert_eq!(missing as u64, normal.dropped, "{normal:?}");
    store.close();
    let store = bench.open();
    assert_eq!(store.status().quarantined.len(), 1, "the log is not damaged a second time");
}

/// After an unclean stop the file is looked at beside the work; damage sets it aside.
#[test]
fn an_unclean_stop_has_the_file_checked_in_the_background() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store);
    assert_eq!(store.status().check, Check::None);
    store.crash();
    let store = bench.open();
    wait_until("it is checked", || store.status().check == Check::Sound);
    store.close();

    // A free page that is used: nobody notices, until it is given out a second time.
    {
        let connection = rusqlite::Connection::open(bench.database()).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let pages: u32 =
            connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        drop(connection);
        let mut file = std::fs::OpenOptions::new().write(true).open(bench.database()).unwrap();
        file.seek(SeekFrom::Start(32)).unwrap();
        file.write_all(&pages.to_be_bytes()).unwrap();
        file.write_all(&1_u32.to_be_bytes()).unwrap();
    }
    let store = bench.open();
    let epoch = store.epoch();
    assert!(matches!(store.status().check, Check::None | Check::Sound), "an orderly start");
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    store.crash();
    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    wait_until("it is set aside", || store.epoch() != epoch);
    assert!(matches!(store.status().check, Check::Damaged(_)));
    assert_eq!(done(&store)[0].lost, 0);
    let back = readings(&store, &store.consumer("cloud").unwrap(), Class::Normal);
    assert!((1_000..2_000).chain(2_010..5_000).all(|i| back.contains_key(&i)));
}

/// A text that is none is damage, not a disk that can't be read.
#[test]
fn a_text_that_is_no_utf_8_sets_the_file_aside() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store);
    store.close();
    let connection = rusqlite::Connection::open(bench.database()).unwrap();
    connection.execute("UPDATE boot SET kernel = CAST(x'ff' AS TEXT)", []).unwrap();
    drop(connection);
    let store = bench.open();
    assert_eq!(store.status().health, Health::Ok);
    assert_eq!(store.status().quarantined.len(), 1);
}

/// How many bits are flipped, one at a time; the long form is asked for.
fn flips() -> usize {
    std::env::var("FIELDHOLD_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// Of many single bits that flip in the file and in its log, none makes a reading wrong or its tag or
/// its time, every reading that does not come back is counted, and the gateway goes on.
#[test]
fn flipped_bits_are_found_and_counted_and_the_gateway_goes_on() {
    let bench = Bench::new();
    let store = bench.open();
    store.register_tags(&tags());
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    for i in 0..50 {
        store.append(batch(Class::Normal, i * 100, 100));
        if i % 5 == 4 {
            run(store.flush());
        }
        if i == 29 {
            let connection = rusqlite::Connection::open(bench.database()).unwrap();
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
    }
    settle(&store.consumer("cloud").unwrap(), Class::Normal, 0..500, Settled::Delivered);
    run(store.flush());
    store.crash();
    let parts = [bench.database(), super::log_of(&bench.database())];
    let whole = parts.map(|part| std::fs::read(part).unwrap());
    let bits = [whole[0].len() * 8, used(&whole[1]) * 8];
    assert!(bits.iter().all(|bits| *bits > 40_000));

    let mut rng = fastrand::Rng::with_seed(0x0f1e_2d3c);
    let mut sums = BTreeMap::<&str, u64>::new();
    for _ in 0..flips() {
        let bit = rng.usize(..bits[0] + bits[1]);
        let in_log = bit >= bits[0];
        let bench = Bench::new();
        std::fs::create_dir_all(bench.database().parent().unwrap()).unwrap();
        let parts = [bench.database(), super::log_of(&bench.database())];
        for (i, (part, bytes)) in parts.iter().zip(&whole).enumerate() {
            let mut bytes = bytes.clone();
            if i == usize::from(in_log) {
                let bit = bit - i * bits[0];
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            std::fs::File::create(part).unwrap().write_all(&bytes).unwrap();
        }

        let store = bench.open();
        store.set_consumers(&[required("cloud"), best_effort("lab")]);
        store.append(live(&store));
        run(store.flush());
        assert_eq!(store.status().health, Health::Ok, "bit {bit}");
        wait_until("it is checked", || {
            !matches!(store.status().check, Check::None | Check::Running)
        });
        let cloud = store.consumer("cloud").unwrap();
        let (mut back, mut nameless) = (std::collections::BTreeSet::new(), 0);
        loop {
            done(&store);
            let Some(range) = cloud.position(Class::Normal).unsettled.first().cloned() else {
                break;
            };
            // A read that finds the file to be bad has it set aside.
            let Ok(entries) = run(cloud.read(Class::Normal, range, 1 << 20)) else { continue };
            for entry in entries {
                cloud.settle(Class::Normal, &[entry.range()], Settled::Delivered);
                let Body::Readings(readings) = entry.body else { panic!("bit {bit}: {entry:?}") };
                for reading in readings {
                    let Some(Value::U64(number)) = reading.value() else { panic!("bit {bit}") };
                    let Some(tag) = store.tag(reading.tag()) else {
                        nameless += 1; // Counted by who can't name it.
                        continue;
                    };
                    let told = (tag.name.to_string(), store.wall(entry.boot, reading.at()));
                    assert_eq!((*number, told), was(*number, OFFSET_MS), "bit {bit}");
                    back.insert(*number);
                }
            }
        }
        assert!((9_000..9_010).all(|i| back.contains(&i)), "bit {bit}: what came after");
        let missing = (500..5_000).filter(|i| !back.contains(i)).count() as u64;
        let normal = account(&store, "cloud", Class::Normal);
        let counted = normal.dropped + nameless;
        let status = store.status();
        let aside = &status.quarantined;
        assert!(
            missing <= counted,
            "bit {bit}: {missing} missing, {counted} counted: {normal:?}, {aside:?}"
        );
        *sums.entry("flips").or_default() += 1;
        *sums.entry("in the log").or_default() += u64::from(in_log);
        *sums.entry("set aside").or_default() += u64::from(!status.quarantined.is_empty());
        *sums.entry("with a loss, counted").or_default() += u64::from(missing > 0);
        *sums.entry("readings salvaged").or_default() +=
            status.quarantined.iter().map(|aside| aside.salvaged).sum::<u64>();
        *sums.entry("readings lost, counted").or_default() += missing;
    }
    println!("{sums:?}");
    assert!(sums["set aside"] > 0, "{sums:?}");
}
