//! When settled chunks leave the file, and what that costs.

use std::time::Duration;

use super::tests::{Bench, account, batch, noise, read_all, required, run, settle, wait_until};
use super::*;

const READINGS: u64 = 100;
const DELETES: Duration = Duration::from_secs(61);

/// Chunks of noise in the file, one after the other.
fn fill(store: &Store, class: Class, chunks: u64) {
    for seed in 0..chunks {
        store.append(noise(class, READINGS, seed));
        run(store.flush());
    }
    assert!(store.status().counters.chunks >= chunks);
}

/// A commit that is not a flush, which would delete at once: that of an alarm.
fn commit(store: &Store) {
    let commits = store.status().counters.commits;
    store.append(batch(Class::Alarm, 0, 1));
    wait_until("a commit", || store.status().counters.commits > commits);
}

fn deleted(store: &Store) -> u64 {
    store.status().counters.chunks_deleted
}

#[test]
fn what_is_settled_waits_for_its_table_to_be_emptied_which_writes_little() {
    const CHUNKS: u64 = 600;
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    fill(&store, Class::Normal, CHUNKS);
    let cloud = store.consumer("cloud").unwrap();
    let last = (CHUNKS - 1) * READINGS;
    settle(&cloud, Class::Normal, 0..last, Settled::Delivered);
    bench.clock.advance(DELETES);
    commit(&store);
    assert_eq!(deleted(&store), 0);
    assert_eq!(cloud.position(Class::Normal).unsettled[0].start.0, last);

    let before = store.status().wear.store_bytes_total;
    settle(&cloud, Class::Normal, last..last + READINGS, Settled::Delivered);
    bench.clock.advance(DELETES);
    commit(&store);
    wait_until("all are deleted", || deleted(&store) == CHUNKS);
    // They took more than 500,000 bytes, and one by one would have written most of that again.
    let wrote = store.status().wear.store_bytes_total - before;
    assert!(wrote < 100_000, "{wrote}");

    // It goes on, and comes back without them.
    store.append(batch(Class::Normal, 7, 50));
    run(store.flush());
    store.crash();
    let store = bench.open();
    let cloud = store.consumer("cloud").unwrap();
    let first = CHUNKS * READINGS;
    let expected: Vec<_> = (0..50).map(|i| (first + i, 7 + i)).collect();
    assert_eq!(read_all(&cloud, Class::Normal), expected);
}

/// With most of the quota in use nothing that is settled stays for the rest of its table.
#[test]
fn a_full_store_does_not_wait_for_the_rest() {
    const CHUNKS: u64 = 300;
    let mut bench = Bench::new();
    bench.options.max_bytes = Some(600_000);
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    fill(&store, Class::Normal, CHUNKS);
    let cloud = store.consumer("cloud").unwrap();
    settle(&cloud, Class::Normal, 0..(CHUNKS - 10) * READINGS, Settled::Delivered);
    bench.clock.advance(DELETES);
    commit(&store);
    // As soon as it is no longer full there is time again.
    wait_until("they go", || deleted(&store) >= 256);
    assert_eq!(account(&store, "cloud", Class::Normal).waiting, 10 * READINGS);
    assert_eq!(account(&store, "cloud", Class::Normal).dropped, 0);
}

/// However much of it there is.
#[test]
fn what_is_settled_goes_before_what_is_waited_for() {
    const CHUNKS: u64 = 400;
    let mut bench = Bench::new();
    bench.options.max_bytes = Some(600_000);
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    fill(&store, Class::Bulk, 10);
    fill(&store, Class::Normal, CHUNKS);
    let cloud = store.consumer("cloud").unwrap();
    settle(&cloud, Class::Normal, 0..(CHUNKS - 1) * READINGS, Settled::Delivered);
    for seed in 0..45 {
        store.append(noise(Class::Bulk, 1_000, seed));
    }
    bench.clock.advance(Duration::from_secs(1));
    wait_until("all is written", || store.status().counters.written >= 86_000);
    wait_until("they go", || deleted(&store) >= CHUNKS - 1);
    assert_eq!(account(&store, "cloud", Class::Bulk).dropped, 0);
    assert_eq!(account(&store, "cloud", Class::Normal).dropped, 0);
}
