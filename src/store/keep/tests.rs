//! The broker's file on its own: what survives, what is written, and what a bad file costs.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::store::StoreError;
use crate::store::tests::{Bench, run, wait_until};

pub(super) type Rows = BTreeMap<Key, Bytes>;

pub(super) const TABLES: [Table; 4] =
    [Table::Session, Table::Progress, Table::Message, Table::Retained];

pub(super) fn put(key: Key, value: &[u8]) -> Change {
    Change::put(key, Bytes::copy_from_slice(value))
}

fn name(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn open(bench: &Bench) -> (Store, Keep) {
    let store = bench.open();
    let keep = Keep::open(&store).unwrap();
    (store, keep)
}

/// All there is; keys are in order.
pub(super) fn load(keep: &Keep) -> Rows {
    let mut rows = Rows::new();
    for table in TABLES {
        let mut last = None;
        let read = keep.load(table, &mut |key, value| {
            assert!(Some(&key) > last.as_ref(), "{key:?} after {last:?}");
            assert_eq!(key.table(), table);
            last = Some(key.clone());
            rows.insert(key, Bytes::copy_from_slice(value));
        });
        read.unwrap();
    }
    rows
}

fn path(bench: &Bench) -> PathBuf {
    file::database(bench.dir.path())
}

/// A file with rows in all tables, of all sizes, closed; most of it in the log, or all in the file.
fn filled(bench: &Bench, in_the_log: bool) -> Rows {
    let (_store, keep) = open(bench);
    let mut rows = Rows::new();
    for i in 0..200_u64 {
        let size = usize::try_from(i * i % 1_500).unwrap();
        let value = vec![u8::try_from(i).unwrap(); size];
        let keys = [
            Key::Session(name(&format!("client {i}"))),
            Key::Progress(i),
            Key::Message(i * 7),
            Key::Retained(name(&format!("plant/{i}/state"))),
        ];
        keep.put(keys.into_iter().map(|key| put(key, &value)));
        if i % 20 == 0 {
            run(keep.committed().wait()).unwrap();
        }
        let keys = [
            Key::Session(name(&format!("client {i}"))),
            Key::Progress(i),
            Key::Message(i * 7),
            Key::Retained(name(&format!("plant/{i}/state"))),
        ];
        rows.extend(keys.map(|key| (key, Bytes::from(value.clone()))));
    }
    run(keep.committed().wait()).unwrap();
    if in_the_log {
        keep.crash();
    } else {
        keep.close();
    }
    rows
}

#[test]
fn what_was_put_is_there_after_a_restart_in_order() {
    for in_the_log in [true, false] {
        let bench = Bench::new();
        let rows = filled(&bench, in_the_log);
        let (_store, keep) = open(&bench);
        assert_eq!(load(&keep), rows);
        assert_eq!(load(&keep), rows, "and once more, for a broker that starts anew");
        let status = keep.status();
        assert_eq!((status.health, status.quarantined.len()), (Health::Ok, 0));
        assert_eq!((status.counters.rows_read, status.counters.rows_damaged), (1_600, 0));
    }
}

#[test]
fn without_a_waiter_changes_are_written_when_the_window_ends() {
    let bench = Bench::new();
    let (store, keep) = open(&bench);
    assert!(!path(&bench).exists(), "nothing to keep, no file");
    keep.put([put(Key::Message(1), b"a"), put(Key::Retained(name("t")), b"b")]);
    let before = load(&keep);
    assert_eq!((before.len(), keep.status().waiting), (2, 2), "what waits is there, too");
    keep.put([put(Key::Retained(name("t")), b"c")]);
    bench.clock.advance(Duration::from_secs(1));
    wait_until("it is written", || {
        keep.status().waiting == 0 && keep.status().counters.commits == 1
    });
    let written = keep.status().counters;
    assert_eq!((written.changes_put, written.changes_written, written.changes_spared), (3, 2, 1));
    keep.crash();
    drop(store);
    let (_store, keep) = open(&bench);
    assert_eq!(load(&keep)[&Key::Retained(name("t"))], b"c".as_slice());
}

#[test]
fn what_is_made_and_removed_before_it_is_written_never_is() {
    let bench = Bench::new();
    let (store, keep) = open(&bench);
    let worn = || store.status().wear.store_bytes_total;
    let new = worn();
    keep.put([put(Key::Message(1), b"first")]);
    run(keep.committed().wait()).unwrap();
    let before = keep.status().counters;
    for i in 2..1_000 {
        // Together, so that the writer can't come between them on a slow machine.
        keep.put([put(Key::Message(i), &[7; 120]), Change::remove(Key::Message(i))]);
    }
    run(keep.committed().wait()).unwrap();
    let after = keep.status().counters;
    assert_eq!(after.bytes_written, before.bytes_written);
    assert_eq!((after.commits, after.changes_spared), (before.commits, 2 * 998));
    assert!(after.bytes_written > 0);
    // The writer adds it to the wear of the card after it has answered.
    wait_until("the card's wear has it", || worn() - new >= after.bytes_written);
    keep.put([Change::remove(Key::Message(1))]);
    run(keep.committed().wait()).unwrap();
    keep.crash();
    drop(store);
    assert_eq!(load(&open(&bench).1), Rows::new());
}

#[test]
fn a_damaged_row_is_left_out_counted_and_cleared_away() {
    let bench = Bench::new();
    let mut rows = filled(&bench, false);
    let file = rusqlite::Connection::open(path(&bench)).unwrap();
    let sql = [
        "UPDATE message SET v = x'00' WHERE k = 7",
        "UPDATE message SET k = 8 WHERE k = 14",
        "UPDATE session SET crc = crc + 1 WHERE k = CAST('client 3' AS BLOB)",
        "UPDATE retained SET v = (SELECT v FROM retained WHERE k = CAST('plant/5/state' AS BLOB))
         WHERE k = CAST('plant/6/state' AS BLOB)",
    ];
    sql.iter().for_each(|sql| assert_eq!(file.execute(sql, []).unwrap(), 1, "{sql}"));
    drop(file);
    let gone = [
        Key::Message(7),
        Key::Message(14),
        Key::Session(name("client 3")),
        Key::Retained(name("plant/6/state")),
    ];
    gone.iter().for_each(|key| drop(rows.remove(key).unwrap()));
    for damaged in [4, 0] {
        let (_store, keep) = open(&bench);
        assert_eq!(load(&keep), rows);
        assert_eq!(keep.status().counters.rows_damaged, damaged);
        assert!(keep.status().quarantined.is_empty());
        keep.close();
    }
}

/// Whatever is in the file's place, the gateway starts, says so, and goes on.
#[test]
fn a_bad_file_is_set_aside_and_what_can_be_read_of_it_is_kept() {
    type Damage = fn(&std::fs::File, u64);
    let cases: [(&str, bool, Damage); 6] = [
        ("random bytes", false, |file, length| {
            let noise: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
            file.write_all_at(&noise, 0).unwrap();
        }),
        ("cut to a third", false, |file, length| file.set_len(length / 3 / 4_096 * 4_096).unwrap()),
        ("cut within a page", false, |file, _| file.set_len(1_500).unwrap()),
        ("empty", false, |file, _| file.set_len(0).unwrap()),
        ("another program's", false, |file, _| file.write_all_at(b"abcd", 68).unwrap()),
        ("a page overwritten", true, |file, length| {
            file.write_all_at(&[0xff; 4_096], length / 4_096 / 2 * 4_096).unwrap();
        }),
    ];
    for (what, some_is_left, damage) in cases {
        let bench = Bench::new();
        let rows = filled(&bench, false);
        let [database, log, _] = quarantine::parts(&path(&bench));
        std::fs::remove_file(log).unwrap(); // It would heal the file.
        let file = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
        let length = file.metadata().unwrap().len();
        damage(&file, length);
        drop(file);
        let (store, keep) = open(&bench);
        let status = keep.status();
        assert_eq!(status.health, Health::Ok, "{what}");
        let [aside] = status.quarantined.as_slice() else { panic!("{what}: {status:?}") };
        assert!(PathBuf::from(&aside.file).exists() && aside.done, "{what}: {aside:?}");
        let back = load(&keep);
        assert!(back.iter().all(|(key, value)| rows[key] == value), "{what}");
        assert_eq!((back.len() as u64, back.is_empty()), (aside.salvaged, !some_is_left), "{what}");
        keep.put([put(Key::Message(1_000_000), b"new")]);
        run(keep.committed().wait()).unwrap();
        keep.crash();
        drop(store);
        let (_store, keep) = open(&bench);
        assert_eq!(load(&keep).len(), back.len() + 1, "{what}");
        assert_eq!(keep.status().quarantined, status.quarantined, "{what}: it is still told");
    }
}

/// One flipped bit anywhere, in the file or in the log: every row is as it was, or it is said that
/// something is missing.
#[test]
fn a_flipped_bit_never_passes_unnoticed() {
    const FLIPS: usize = 60;
    for in_the_log in [true, false] {
        let original = Bench::new();
        let rows = filled(&original, in_the_log);
        let parts = quarantine::parts(&path(&original));
        let [database, log] = [&parts[0], &parts[1]].map(|part| std::fs::read(part).unwrap());
        for _ in 0..FLIPS {
            let bench = Bench::new();
            let target = quarantine::parts(&path(&bench));
            std::fs::create_dir_all(target[0].parent().unwrap()).unwrap();
            let (mut database, mut log) = (database.clone(), log.clone());
            let hit = if in_the_log { &mut log } else { &mut database };
            let (byte, bit) = (fastrand::usize(..hit.len()), fastrand::u8(..8));
            hit[byte] ^= 1 << bit;
            write(&target[0], &database);
            if in_the_log {
                write(&target[1], &log);
            }
            let (_store, keep) = open(&bench);
            let back = load(&keep);
            let status = keep.status();
            let said = status.counters.rows_damaged > 0 || !status.quarantined.is_empty();
            let place = format!("byte {byte} bit {bit}, in the log: {in_the_log}, {status:?}");
            assert_eq!(status.health, Health::Ok, "{place}");
            for (key, value) in &back {
                assert_eq!(&rows[key], value, "{place}");
            }
            // The end of the log may as well be torn: what is lost then is its last transaction.
            let last = in_the_log && back.len() + 4 * 20 >= rows.len();
            assert!(
                said || back.len() == rows.len() || last,
                "{} missing: {place}",
                rows.len() - back.len()
            );
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), bytes).unwrap();
}

#[test]
fn a_file_that_goes_away_while_in_use_is_begun_anew_and_the_broker_is_told() {
    let bench = Bench::new();
    let (store, keep) = open(&bench);
    keep.put([put(Key::Message(1), b"old")]);
    run(keep.committed().wait()).unwrap();
    assert!(!keep.take_renewed());
    std::fs::remove_file(path(&bench)).unwrap();
    keep.put([put(Key::Message(2), b"new")]);
    run(keep.committed().wait()).unwrap();
    assert!(keep.take_renewed(), "everything has to be put once more");
    assert!(!keep.take_renewed(), "but once is enough");
    keep.put([put(Key::Message(1), b"old")]);
    run(keep.committed().wait()).unwrap();
    keep.crash();
    drop(store);
    assert_eq!(load(&open(&bench).1).len(), 2);
}

/// Something is in the way, so that no file can be made: commits fail with a reason, at once, and it
/// goes on by itself when that is gone.
#[test]
fn a_disk_that_fails_is_said_and_recovered_from() {
    let bench = Bench::new();
    let (store, keep) = open(&bench);
    let obstacle = path(&bench).with_extension("new");
    std::fs::create_dir(&obstacle).unwrap();
    keep.put([put(Key::Message(1), b"a")]);
    let error = run(keep.committed().wait()).unwrap_err();
    assert!(matches!(error, StoreError::NotKept { .. }), "{error}");
    assert!(matches!(keep.status().health, Health::RamOnly(_)));
    keep.put([put(Key::Message(2), b"b")]);
    assert!(run(keep.committed().wait()).is_err(), "nobody is kept waiting");
    assert_eq!(keep.status().waiting, 2);
    std::fs::remove_dir(&obstacle).unwrap();
    bench.clock.advance(Duration::from_secs(5));
    wait_until("on disk again", || keep.status().health == Health::Ok);
    run(keep.committed().wait()).unwrap();
    keep.crash();
    drop(store);
    assert_eq!(load(&open(&bench).1).len(), 2);
}

/// What could not be read at the start is never written into as if it had been.
#[test]
fn a_file_that_could_not_be_read_is_set_aside_before_anything_is_written() {
    let bench = Bench::new();
    filled(&bench, false);
    let away = bench.dir.path().join("away");
    std::fs::rename(path(&bench), &away).unwrap();
    std::fs::create_dir(path(&bench)).unwrap();
    let (_store, keep) = open(&bench);
    assert!(matches!(keep.status().health, Health::RamOnly(_)));
    keep.put([put(Key::Message(1), b"a")]);
    std::fs::remove_dir(path(&bench)).unwrap();
    std::fs::rename(&away, path(&bench)).unwrap();
    bench.clock.advance(Duration::from_secs(5));
    wait_until("on disk", || keep.status().health == Health::Ok);
    assert_eq!(keep.status().quarantined.len(), 1);
    assert!(keep.take_renewed());
    keep.close();
}

#[test]
fn without_a_directory_nothing_survives_and_nobody_waits() {
    let mut bench = Bench::new();
    bench.options.dir = None;
    let (_store, keep) = open(&bench);
    keep.put([put(Key::Message(1), b"a")]);
    run(keep.committed().wait()).unwrap();
    assert_eq!(load(&keep), Rows::new());
    assert_eq!(keep.status().health, Health::MemoryOnly);
}

#[test]
fn after_the_end_nothing_is_taken_any_more() {
    let bench = Bench::new();
    let (store, keep) = open(&bench);
    let other = keep.clone();
    keep.put([put(Key::Message(1), b"a")]);
    let waiting = keep.committed();
    keep.close();
    run(waiting.wait()).unwrap();
    other.put([put(Key::Message(2), b"b")]);
    assert!(matches!(run(other.committed().wait()), Err(StoreError::Closed)));
    assert_eq!(other.status().waiting, 0);
    drop((other, store));
    assert_eq!(load(&open(&bench).1).len(), 1);
}

#[test]
fn a_copy_has_what_was_committed_in_use_and_at_rest() {
    for in_the_log in [true, false] {
        let (bench, other) = (Bench::new(), Bench::new());
        let rows = filled(&bench, in_the_log);
        let to = file::database(other.dir.path());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let copied = Keep::copy_at_rest(bench.dir.path(), &to).unwrap().unwrap();
        assert_eq!(copied, KeepCopied { sessions: 200, retained: 200, damaged: 0 });
        assert_eq!(load(&open(&other).1), rows);
        // Beside the writer, which goes on.
        let (_store, keep) = open(&bench);
        let in_use = bench.dir.path().join("broker.part");
        assert_eq!(keep.copy_to(&in_use).unwrap(), Some(copied));
        keep.put([put(Key::Retained(name("later")), b"x")]);
        run(keep.committed().wait()).unwrap();
        assert_eq!(load(&keep).len(), rows.len() + 1);
        let third = Bench::new();
        std::fs::create_dir_all(third.dir.path().join("store")).unwrap();
        std::fs::rename(in_use, file::database(third.dir.path())).unwrap();
        assert_eq!(load(&open(&third).1), rows);
        assert!(!bench.dir.path().join("broker.new").exists());
    }
    let nothing = Bench::new();
    assert_eq!(Keep::copy_at_rest(nothing.dir.path(), &path(&nothing)).unwrap(), None);
    assert_eq!(open(&nothing).1.copy_to(&path(&nothing)).unwrap(), None);
    assert_eq!(Keep::none().copy_to(&path(&nothing)).unwrap(), None);
}
