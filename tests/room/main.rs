//! Room on the disk, on small file systems of its own: a disk that others fill under load and free
//! again, one that the store fills itself, a start on a full one, one that turns read-only.
//!
//! Needs root to mount; skipped, loudly, without.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits in real time"
)]

mod disk;
mod keep;
mod plant;

use std::time::{Duration, Instant};

use disk::{Disk, MIB, size};
use fieldhold::model::Class;
use fieldhold::store::{Health, Settled, Store};
use plant::{Load, Oracle, dropped, is_ok, is_ram_only, message, noise, open, run, wait_for};

/// How long the disk stays full under load, in seconds; the long form is run by hand.
const LONG: &str = "FIELDHOLD_FULL_DISK_SECONDS";

/// Others fill the disk and take every byte that becomes free, for a while; then they go.
fn a_full_disk_under_load(disk: &Disk) {
    let seconds = std::env::var(LONG).map_or(3, |text| text.parse().unwrap());
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    let load = Load::start(&store, &oracle, 20);
    wait_for(&store, 30, "some work", |_| oracle.len() > 100);
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        disk.fill(0);
        std::thread::sleep(Duration::from_millis(5));
    }
    // What is safe stays; what is new does not find room for ever, and that is counted.
    wait_for(&store, 120, "something goes", |status| {
        disk.fill(0);
        is_ram_only(status) && dropped(status, "ram-full") > 0
    });
    let safe_before = oracle.len();
    let freed = Instant::now();
    disk.empty();
    wait_for(&store, 30, "on disk again", is_ok);
    let took = freed.elapsed();
    wait_for(&store, 30, "messages are safe again", |_| oracle.len() > safe_before + 10);
    load.stop();
    run(store.flush());
    let found = oracle.check(&store);
    let status = store.status();
    eprintln!(
        "full for {seconds} s: {} safe, {found} of them there; {} lost in memory, counted; \
         on disk again after {took:?}; {:?}",
        oracle.len(),
        dropped(&status, "ram-full"),
        status.counters,
    );
    assert_eq!((found, dropped(&status, "disk")), (oracle.len(), 0));
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(status.quarantined.is_empty());
    store.close();
    let store = open(&disk.path(), None);
    assert!(store.status().clean_start);
    assert_eq!(oracle.check(&store), found, "as before the restart");
}

#[test]
fn a_tmpfs_filled_by_others_is_recovered_from() {
    let Some(disk) = Disk::tmpfs(32) else { return };
    a_full_disk_under_load(&disk);
}

#[test]
fn an_ext4_filled_by_others_is_recovered_from() {
    let Some(disk) = Disk::ext4(32) else { return };
    a_full_disk_under_load(&disk);
}

/// Fills the file with what is worth least.
fn grow(store: &Store, to: u64) {
    for _ in 0..1_000 {
        for _ in 0..20 {
            let payload: Vec<u8> = (0..32_768).map(|_| fastrand::u8(..)).collect();
            store.append_message(Class::Bulk, message(&payload));
        }
        run(store.flush());
        if store.status().disk_bytes > to {
            return;
        }
    }
    panic!("{:#?}", store.status());
}

/// Nobody frees anything: the store makes its own room and goes on, whatever it was told it may
/// take.
#[test]
fn a_disk_that_the_store_fills_itself_is_recovered_from_by_itself() {
    let Some(disk) = Disk::ext4(32) else { return };
    let (store, oracle) = (open(&disk.path(), Some(1 << 30)), Oracle::default());
    let ballast = disk.path().join("store/ballast");
    wait_for(&store, 10, "a ballast", |_| size(&ballast) > MIB);
    let load = Load::start(&store, &oracle, 20);
    grow(&store, 16 * MIB);
    // The rest is gone in a moment: no byte is free, and most of the disk is the store's.
    disk.fill(0);
    wait_for(&store, 60, "stored data goes for room", |status| dropped(status, "disk") > 0);
    let safe = oracle.len();
    wait_for(&store, 60, "goes on", |status| is_ok(status) && oracle.len() > safe + 100);
    wait_for(&store, 60, "the ballast is there again", |_| size(&ballast) > MIB);
    load.stop();
    run(store.flush());
    let status = store.status();
    assert!(status.disk_bytes_allowed < status.disk_bytes_max, "{status:#?}");
    assert!(status.disk_bytes > 4 * MIB, "not more than needed goes: {status:#?}");
    oracle.check(&store);
    assert!(disk.free() > MIB, "room is given back: {}", disk.free());
    store.close();
    oracle.check(&open(&disk.path(), Some(1 << 30)));
}

/// However much is written meanwhile.
#[test]
fn a_ballast_that_is_gone_comes_back_under_load() {
    let Some(disk) = Disk::ext4(32) else { return };
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    let ballast = disk.path().join("store/ballast");
    wait_for(&store, 10, "a ballast", |_| size(&ballast) > MIB);
    let load = Load::start(&store, &oracle, 20);
    std::fs::remove_file(&ballast).unwrap();
    wait_for(&store, 30, "the ballast is there again", |_| size(&ballast) > MIB);
    load.stop();
}

/// A drained backlog gives its room back to the file system.
#[test]
fn a_drained_backlog_gives_its_room_back() {
    let Some(disk) = Disk::ext4(128) else { return };
    let store = open(&disk.path(), None);
    grow(&store, 20 * MIB);
    let database = disk.path().join("store/queue.db");
    wait_for(&store, 30, "in the file", |_| size(&database) > 16 * MIB);
    // So much settled at once is deleted at once.
    store.append(noise(Class::Bulk, 100_000));
    let cloud = store.consumer("cloud").unwrap();
    for range in cloud.position(Class::Bulk).unsettled {
        cloud.settle(Class::Bulk, &[range], Settled::Delivered);
    }
    wait_for(&store, 60, "the file is short", |_| size(&database) < 6 * MIB);
    assert!(store.status().balances());
}

/// Nothing is free, neither a ballast nor a log: what is in the file is delivered, and work goes on
/// alone when there is room again.
#[test]
fn a_start_on_a_full_disk_delivers_what_is_there() {
    let Some(disk) = Disk::ext4(32) else { return };
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    (0..50).for_each(|_| oracle.publish(&store));
    let ballast = disk.path().join("store/ballast");
    wait_for(&store, 10, "a ballast", |_| size(&ballast) > MIB);
    store.close();
    std::fs::remove_file(ballast).unwrap();
    std::fs::remove_file(disk.path().join("store/queue.db-wal")).unwrap();
    disk.fill(0);
    let store = open(&disk.path(), None);
    let Health::RamOnly(why) = store.status().health else { panic!("{:#?}", store.status()) };
    assert!(why.contains("the disk is full"), "{why}");
    assert_eq!(oracle.check(&store), 50);
    let waiting = store.append_message(Class::Normal, message(b"new"));
    disk.empty();
    wait_for(&store, 6, "on disk", is_ok);
    run(waiting.wait()).unwrap();
    assert!(store.status().quarantined.is_empty());
    store.close();
    assert_eq!(oracle.check(&open(&disk.path(), None)), 50);
}

/// With the ballast there is room enough for a start, and for the work.
#[test]
fn a_start_on_a_full_disk_with_a_ballast_is_a_start() {
    let Some(disk) = Disk::ext4(32) else { return };
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    (0..50).for_each(|_| oracle.publish(&store));
    let ballast = disk.path().join("store/ballast");
    wait_for(&store, 10, "a ballast", |_| size(&ballast) > MIB);
    store.close();
    disk.fill(0);
    let store = open(&disk.path(), None);
    assert!(is_ok(&store.status()), "{:#?}", store.status());
    (0..50).for_each(|_| oracle.publish(&store));
    assert_eq!(oracle.check(&store), 100);
    disk.empty();
    wait_for(&store, 10, "the ballast is there again", |_| size(&ballast) > MIB);
}

#[test]
fn a_start_on_a_read_only_file_system_delivers_and_recovers() {
    let Some(disk) = Disk::ext4(32) else { return };
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    (0..50).for_each(|_| oracle.publish(&store));
    store.close();
    disk.remount("ro");
    let store = open(&disk.path(), None);
    let Health::RamOnly(why) = store.status().health else { panic!("{:#?}", store.status()) };
    assert!(why.contains("read-only"), "{why}");
    assert_eq!(oracle.check(&store), 50);
    let waiting = store.append_message(Class::Normal, message(b"new"));
    disk.remount("rw");
    wait_for(&store, 6, "on disk", is_ok);
    run(waiting.wait()).unwrap();
    oracle.publish(&store);
    assert!(store.status().quarantined.is_empty());
    store.close();
    assert_eq!(oracle.check(&open(&disk.path(), None)), 51);
}

/// A first start where no directory can be made.
#[test]
fn a_first_start_on_a_read_only_file_system_waits_for_it() {
    let Some(disk) = Disk::ext4(16) else { return };
    disk.remount("ro");
    let dir = disk.path().join("state");
    let (store, oracle) = (open(&dir, None), Oracle::default());
    assert!(is_ram_only(&store.status()));
    let waiting = store.append_message(Class::Normal, message(b"new"));
    disk.remount("rw");
    wait_for(&store, 6, "on disk", is_ok);
    run(waiting.wait()).unwrap();
    oracle.publish(&store);
    store.close();
    assert_eq!(oracle.check(&open(&dir, None)), 1);
}

#[test]
fn a_directory_that_cannot_be_written_is_said_and_recovered_from() {
    let Some(disk) = Disk::ext4(32) else { return };
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    (0..50).for_each(|_| oracle.publish(&store));
    store.close();
    if !disk.set_immutable("store/queue.db", true) {
        return;
    }
    assert!(disk.set_immutable("store", true));
    let store = open(&disk.path(), None);
    let Health::RamOnly(why) = store.status().health else { panic!("{:#?}", store.status()) };
    assert!(why.contains("directory can't be written"), "{why}");
    assert_eq!(oracle.check(&store), 50);
    assert!(disk.set_immutable("store", false) && disk.set_immutable("store/queue.db", false));
    wait_for(&store, 6, "on disk", is_ok);
    oracle.publish(&store);
    assert_eq!(oracle.check(&store), 51);
}

/// The kernel makes a file system read-only when it finds an error in it. Only mounting it again
/// helps, under the store's feet.
#[test]
fn a_file_system_that_turns_read_only_at_run_time_is_said_and_recovered_from() {
    let Some(mut disk) = Disk::ext4(32) else { return };
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    (0..50).for_each(|_| oracle.publish(&store));
    if !disk.break_down() {
        return;
    }
    store.append(noise(Class::Normal, 100));
    wait_for(&store, 30, "memory only", is_ram_only);
    wait_for(&store, 8, "why", |status| match &status.health {
        Health::RamOnly(why) => why.contains("read-only"),
        _ => false,
    });
    let waiting = store.append_message(Class::Normal, message(b"new"));
    disk.mount_again();
    wait_for(&store, 8, "on disk", is_ok);
    run(waiting.wait()).unwrap();
    assert_eq!(oracle.check(&store), 50);
    assert!(store.status().quarantined.is_empty(), "{:#?}", store.status().quarantined);
}

/// A reader that holds its view keeps the WAL from being reused: it grows until the disk is full.
#[test]
fn a_log_that_grows_until_the_disk_is_full_loses_nothing_that_was_safe() {
    let Some(disk) = Disk::ext4(16) else { return };
    let (store, oracle) = (open(&disk.path(), None), Oracle::default());
    oracle.publish(&store);
    let reader = rusqlite::Connection::open(disk.path().join("store/queue.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM meta;").unwrap();
    let load = Load::start(&store, &oracle, 100);
    wait_for(&store, 120, "the disk is full", is_ram_only);
    let log = size(&disk.path().join("store/queue.db-wal"));
    wait_for(&store, 60, "memory overflows, counted", |status| dropped(status, "ram-full") > 0);
    let safe = oracle.len();
    drop(reader);
    wait_for(&store, 30, "on disk again", |status| is_ok(status) && oracle.len() > safe);
    load.stop();
    run(store.flush());
    eprintln!(
        "the log had {log} bytes; {} safe, {} of them there",
        oracle.len(),
        oracle.check(&store)
    );
    assert!(log > 4 * MIB, "{log}");
    assert!(store.status().quarantined.is_empty());
}
