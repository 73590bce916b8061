//! The meter against the files themselves.

use std::time::Duration;

use super::tests::{Bench, batch, required, run, wait_until};
use super::*;

fn total(store: &Store) -> u64 {
    store.status().wear.store_bytes_total
}

#[test]
fn what_is_counted_is_what_the_files_grew_by() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    // Room is made beforehand, so the length says nothing.
    let wal = || {
        let bytes = std::fs::read(bench.database().with_extension("db-wal")).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64
    };
    let (before, wal_before) = (total(&store), wal());
    let commits = 50;
    for i in 0..commits {
        store.append(batch(Class::Normal, i * 100, 100));
        run(store.flush());
    }
    let (counted, grew) = (total(&store) - before, wal() - wal_before);
    // A block that two commits share is written by both.
    let blocks_twice = (commits + 1) * 8_192;
    assert!(grew <= counted && counted <= grew + blocks_twice, "{counted} for {grew}");

    // A checkpoint writes the file: about what its chunks take, once.
    let before = total(&store);
    bench.clock.advance(Duration::from_secs(601));
    wait_until("a checkpoint", || store.status().counters.checkpoints > 0);
    let (counted, file) = (total(&store) - before, bench.database().metadata().unwrap().len());
    assert!(counted > file / 2 && counted <= file + 4_096, "{counted} for a file of {file}");
}

#[test]
fn the_meter_survives_a_restart_and_never_causes_a_commit() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    store.append(batch(Class::Normal, 0, 100));
    run(store.flush());
    bench.clock.advance(Duration::from_secs(610));
    wait_until("a checkpoint", || store.status().counters.checkpoints > 0);
    let commits = store.status().counters.commits;
    for _ in 0..20 {
        let measured = store.status().wear.measured_ms;
        bench.clock.advance(Duration::from_secs(60));
        wait_until("time goes on", || store.status().wear.measured_ms > measured);
    }
    assert_eq!(store.status().counters.commits, commits);
    let before = store.status().wear;
    assert!(before.measured_ms >= 1_200_000 && before.store_bytes_per_day.is_some(), "{before:?}");
    let years = before.card_years.unwrap();
    assert!(years > 0.0, "{years}"); // Other tests of this process write as well.
    store.close();
    let store = bench.open();
    let after = store.status().wear;
    assert!(after.store_bytes_total >= before.store_bytes_total, "{after:?}");
    assert!(after.measured_ms >= before.measured_ms, "{after:?}");
    // After a crash at most the last of it is forgotten.
    for i in 1..3 {
        store.append(batch(Class::Normal, i * 100, 100));
        run(store.flush());
        bench.clock.advance(Duration::from_secs(601));
    }
    store.append(batch(Class::Normal, 300, 100));
    run(store.flush());
    store.crash();
    assert!(total(&bench.open()) > before.store_bytes_total);
}
