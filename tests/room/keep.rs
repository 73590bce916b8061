//! The broker's file on a disk that is full, and on one that turns read-only.

use bytes::Bytes;
use fieldhold::store::{Change, Health, Keep, KeepStatus, Key, StoreError, Table};

use crate::disk::Disk;
use crate::plant::{open, run};
use std::time::{Duration, Instant};

fn put(keep: &Keep, number: u64) -> Result<(), StoreError> {
    let value: Vec<u8> = (0..4_000).map(|_| fastrand::u8(..)).collect();
    keep.put([Change::put(Key::Message(number), Bytes::from(value))]);
    run(keep.committed().wait())
}

fn count(keep: &Keep) -> usize {
    let mut n = 0;
    keep.load(Table::Message, &mut |_, _| n += 1).unwrap();
    n
}

fn wait_for(keep: &Keep, what: &str, holds: impl Fn(&KeepStatus) -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds(&keep.status()) {
        assert!(Instant::now() < until, "never: {what}\n{:#?}", keep.status());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Others fill the disk: what does not fit is refused with the reason, what was safe stays, and it
/// goes on by itself when there is room again.
fn a_full_disk(disk: &Disk) {
    let store = open(&disk.path(), None);
    let keep = Keep::open(&store).unwrap();
    let mut safe = 0;
    for number in 0..100 {
        put(&keep, number).unwrap();
        safe += 1;
    }
    disk.fill(0);
    let mut refused = None;
    for number in 100..4_000 {
        disk.fill(0);
        match put(&keep, number) {
            Ok(()) => safe += 1,
            Err(error) => {
                refused = Some(error.to_string());
                break;
            }
        }
    }
    let why = refused.unwrap();
    assert!(why.contains("full"), "{why}");
    assert!(put(&keep, 5_000).is_err(), "nobody is kept waiting");
    assert!(matches!(keep.status().health, Health::RamOnly(_)));
    disk.empty();
    wait_for(&keep, "on disk again", |status| status.health == Health::Ok);
    put(&keep, 6_000).unwrap();
    // The two that were refused are there now, as they are in memory.
    assert_eq!(count(&keep), safe + 3);
    assert!(!keep.take_renewed() && keep.status().quarantined.is_empty());
    keep.close();
    assert_eq!(count(&Keep::open(&store).unwrap()), safe + 3);
}

#[test]
fn the_broker_recovers_from_a_tmpfs_filled_by_others() {
    let Some(disk) = Disk::tmpfs(32) else { return };
    a_full_disk(&disk);
}

#[test]
fn the_broker_recovers_from_an_ext4_filled_by_others() {
    let Some(disk) = Disk::ext4(32) else { return };
    a_full_disk(&disk);
}

/// What is there is served; what is new is refused until the disk can be written again.
#[test]
fn the_broker_starts_on_a_disk_that_is_read_only_and_goes_on_when_it_is_not() {
    let Some(mut disk) = Disk::ext4(32) else { return };
    let store = open(&disk.path(), None);
    let keep = Keep::open(&store).unwrap();
    (0..50).for_each(|number| put(&keep, number).unwrap());
    if !disk.break_down() {
        return;
    }
    let error = put(&keep, 50).unwrap_err().to_string();
    assert!(error.contains("read-only"), "{error}");
    drop(keep);
    let keep = Keep::open(&store).unwrap();
    assert_eq!(count(&keep), 50);
    assert!(matches!(keep.status().health, Health::RamOnly(_)), "{:?}", keep.status());
    assert!(put(&keep, 51).is_err());
    disk.mount_again();
    wait_for(&keep, "on disk again", |status| status.health == Health::Ok);
    put(&keep, 52).unwrap();
    assert_eq!(count(&keep), 52);
    assert!(!keep.take_renewed() && keep.status().quarantined.is_empty());
}
