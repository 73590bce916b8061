//! Appending while others have the state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::inbox::ARRIVALS_MAX;
use super::tests::{Bench, batch, message, read_all, required, run, same, settle, wait_until};
use super::*;

#[test]
fn who_appends_does_not_wait_for_the_state_and_all_is_there_for_who_takes_it() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let held = store.shared.lock();
    let (done, is_done) = mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ranges = [0, 40].map(|from| store.append(batch(Class::Normal, from, 40)));
            let alarm = store.append(batch(Class::Alarm, 0, 3));
            done.send((ranges, alarm)).unwrap();
        });
        let appended = is_done.recv_timeout(Duration::from_secs(20));
        drop(held);
        assert_eq!(appended.unwrap(), ([Seq(0)..Seq(40), Seq(40)..Seq(80)], Seq(0)..Seq(3)));
    });
    let status = store.status();
    assert_eq!(status.counters.appended, 83);
    assert!(status.balances());
    let cloud = store.consumer("cloud").unwrap();
    assert_eq!(cloud.head(Class::Normal), Seq(80));
    assert_eq!(read_all(&cloud, Class::Normal), same(0, 80));
}

#[test]
fn the_writer_learns_of_what_came_while_the_state_was_taken() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    // Left to itself it looks once a second, after each commit anew; a machine may stand still too.
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let held = store.shared.lock();
        let commit = store.append_message(Class::Alarm, message(1));
        #[allow(clippy::disallowed_methods, reason = "how long it really takes")]
        let began = Instant::now();
        drop(held);
        run(commit.wait()).unwrap();
        quickest = quickest.min(began.elapsed());
    }
    assert!(quickest < Duration::from_millis(500), "{quickest:?}");
}

#[test]
fn what_lies_in_the_inbox_is_bounded() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let (appended, all) = (AtomicU64::new(0), ARRIVALS_MAX as u64 + 500);
    let held = store.shared.lock();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..all {
                store.append(batch(Class::Bulk, i, 1));
                appended.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait_until("the inbox is full", || store.shared.inbox().is_full());
        // Long enough for the rest, were there no bound.
        std::thread::sleep(Duration::from_millis(200));
        let n = appended.load(Ordering::Relaxed);
        drop(held);
        assert_eq!(n, ARRIVALS_MAX as u64);
    });
    assert_eq!(store.status().counters.appended, all);
}

#[test]
fn many_who_append_and_one_who_reads_keep_every_source_in_order_and_the_accounts_exact() {
    const SOURCES: u64 = 4;
    const EACH: u64 = 2_000;
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let cloud = store.consumer("cloud").unwrap();
    let source = |number: u64| {
        for i in 0..EACH {
            let range = store.append(batch(Class::Normal, number * EACH + i, 1));
            assert!(cloud.head(Class::Normal) >= range.end, "seen as soon as it is appended");
        }
    };
    let mut last: Vec<_> = (0..SOURCES).map(|_| None).collect();
    std::thread::scope(|scope| {
        for number in 0..SOURCES {
            let source = &source;
            scope.spawn(move || source(number));
        }
        let mut at = 0;
        while at < SOURCES * EACH {
            let found = read_all(&cloud, Class::Normal);
            assert!(store.status().balances());
            for (seq, value) in &found {
                assert_eq!(*seq, at, "no position is left out");
                at += 1;
                let last = &mut last[usize::try_from(value / EACH).unwrap()];
                assert!(last.replace(*value).is_none_or(|before| before + 1 == *value));
            }
            settle(&cloud, Class::Normal, 0..at, Settled::Delivered);
        }
    });
    assert_eq!(store.status().counters.appended, SOURCES * EACH);
    run(store.flush());
}
