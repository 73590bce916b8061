//! The store on a disk that fails, lies, forgets and tears, with an oracle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod faults;
mod image;
mod images;
mod keep;
mod oracle;
mod panics;
mod vfs;
mod workload;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{Class, ManualClock, Message, Mono, Name, Qos, TopicName, Wall};
use fieldhold::store::{ConsumerSpec, Health, Options, Policy, Store};
use vfs::{Disk, Fault, How, Io, Manners, Op};

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    let options = Options {
        dir: Some(dir.to_owned()),
        commit: Duration::from_secs(1),
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes: Some(1 << 30),
        max_age: Duration::from_secs(86_400),
        ram_bytes: 1 << 20,
    };
    let store = Store::open(options, Arc::<ManualClock>::clone(clock)).unwrap();
    store.set_consumers(&[ConsumerSpec {
        name: Name::new("cloud").unwrap(),
        policy: Policy::Required,
    }]);
    store
}

fn message(clock: &ManualClock) -> Message {
    use fieldhold::model::Clock;
    Message {
        topic: TopicName::new("lan/x").unwrap(),
        payload: b"payload".as_slice().into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        at: clock.mono(),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The VFS is in the way of everything: it sees, delays and fails it.
#[test]
fn the_disk_sees_and_fails_what_the_store_does() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::watch(dir.path(), Manners { log: true, ..Manners::default() }).unwrap();
    let clock = Arc::new(ManualClock::new(Mono(1_000), Wall(1_700_000_000_000)));
    let store = open(dir.path(), &clock);
    let before = disk.now();
    run(store.append_message(Class::Normal, message(&clock)).wait()).unwrap();
    let ops = disk.ops();
    assert!(ops.iter().any(|op| matches!(op, Op::Renamed { to, .. } if to == "store/queue.db")));
    let wrote = ops[before..].iter().position(|op| matches!(op, Op::Write { .. })).unwrap();
    assert!(ops[before + wrote..].iter().any(|op| matches!(op, Op::Sync { kept: true, .. })));

    let delay = Duration::from_millis(50);
    disk.set_manners(|manners| manners.sync_delay = delay);
    let begun = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    run(store.append_message(Class::Normal, message(&clock)).wait()).unwrap();
    let took = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic) - begun;
    assert!(Duration::try_from(took).unwrap() >= delay, "{took:?}");
    disk.set_manners(|manners| manners.sync_delay = Duration::ZERO);

    disk.set_fault(Some(Fault { io: Io::Sync, how: How::Error, at: 1, lasting: true }));
    store.append_message(Class::Normal, message(&clock));
    assert!(!run(store.flush()), "what was not written is not said to be");
    assert!(disk.fault_hits() > 0);
    assert!(matches!(store.status().health, Health::RamOnly(_)), "{:?}", store.status().health);

    disk.set_fault(None);
    clock.advance(Duration::from_secs(6));
    while !run(store.flush()) {
        clock.advance(Duration::from_secs(6));
    }
    assert_eq!(store.status().health, Health::Ok);
}

/// Whoever of two makes a file: it is made once, and what is written to it is seen in one place.
#[test]
fn a_file_that_two_open_at_once_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::watch(dir.path(), Manners { log: true, ..Manners::default() }).unwrap();
    let (rounds, both) = (1_000, std::sync::Barrier::new(2));
    let open_all = || {
        for round in 0..rounds {
            both.wait();
            rusqlite::Connection::open(dir.path().join(format!("{round}.db"))).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(open_all);
        open_all();
    });
    let ops = disk.ops();
    let made = ops.iter().filter(|op| matches!(op, Op::Open { created: true, .. })).count();
    assert_eq!(made, rounds);
}
