//! The modes: what is written when, and what that costs in memory.

use std::time::Duration;

use super::tests::{Bench, account, batch, best_effort, read_all, required, run, same};
use super::tests::{settle, wait_until};
use super::*;

const SD_SAVER: Duration = Duration::from_secs(10);

/// Lets the writer do all that is due by now.
fn written_what_is_due(store: &Store) {
    wait_until("what is due is written", || {
        let now = store.shared.clock.mono();
        store.shared.lock().due(now).is_none_or(|due| due > now)
    });
}

#[test]
fn with_write_behind_off_everything_is_written_though_it_was_settled_in_time() {
    let mut bench = Bench::new();
    bench.options.write_behind = false;
    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    run(store.flush());
    let range = store.append(batch(Class::Normal, 0, 100));
    store.append(batch(Class::Bulk, 0, 1));
    for name in ["cloud", "lab"] {
        let consumer = store.consumer(name).unwrap();
        consumer.settle(Class::Normal, std::slice::from_ref(&range), Settled::Delivered);
        consumer.settle(Class::Bulk, &[Seq(0)..Seq(1)], Settled::Delivered);
    }
    assert_eq!(store.status().counters.written, 0, "the window is not over");
    bench.clock.advance(Duration::from_secs(1));
    written_what_is_due(&store);
    let status = store.status();
    assert_eq!((status.counters.written, status.counters.spared), (101, 0));
    assert_eq!((status.ram_bytes, status.write_behind), (0, Some(false)));
    // It is in the file, and goes from there like all that is settled.
    let rows = |class| {
        let sql = format!("SELECT coalesce(sum(n), 0) FROM {}", schema::chunk_table(class));
        let file = schema::connect_reader(&bench.database()).unwrap();
        file.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((rows(Class::Normal), rows(Class::Bulk)), (100, 1));
    store.append(batch(Class::Normal, 100, 7));
    run(store.flush());
    assert_eq!(rows(Class::Normal), 7);
    store.crash();
    let store = bench.open();
    assert_eq!(read_all(&store.consumer("cloud").unwrap(), Class::Normal), same(100, 107));
    assert_eq!(account(&store, "cloud", Class::Normal).delivered, 100);
}

#[test]
fn an_alarm_is_written_at_once_however_long_the_window_is() {
    let mut bench = Bench::new();
    bench.options.commit = SD_SAVER;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    store.append(batch(Class::Normal, 0, 50));
    store.append(batch(Class::Alarm, 0, 1));
    wait_until("the alarm is in the file", || store.status().counters.written == 1);
    bench.clock.advance(SD_SAVER / 2);
    store.append(batch(Class::Alarm, 1, 1));
    wait_until("what is due soon came along", || store.status().counters.written == 52);
    store.crash();
    let store = bench.open();
    assert_eq!(read_all(&store.consumer("cloud").unwrap(), Class::Alarm), same(0, 2));
}

/// Ten seconds of this need half of the memory, so they are not waited for.
#[test]
fn a_long_window_at_a_high_rate_ends_early_and_memory_holds() {
    let mut bench = Bench::new();
    bench.options.commit = SD_SAVER;
    bench.options.ram_bytes = 8 << 20;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    let before = store.status().counters.commits;
    let mut unwritten_max = 0;
    for i in 0..200 {
        store.append(batch(Class::Normal, i * 1_000, 1_000));
        let status = store.status();
        unwritten_max = unwritten_max.max(status.counters.appended - status.counters.written);
        assert!(status.ram_bytes <= status.ram_bytes_max, "{} bytes", status.ram_bytes);
        bench.clock.advance(Duration::from_millis(100));
        written_what_is_due(&store);
    }
    let commits = store.status().counters.commits - before;
    assert!((5..=20).contains(&commits), "{commits} commits in 20 s");
    assert!(unwritten_max < 30_000, "{unwritten_max} readings in memory alone");
    assert_eq!(account(&store, "cloud", Class::Normal).dropped, 0);
    // A lull ends the window as configured.
    let left = store.status().counters.appended - store.status().counters.written;
    assert!(left > 0 || commits > 5);
    bench.clock.advance(SD_SAVER);
    wait_until("the rest is written", || store.status().counters.written == 200_000);
}

/// The disk is away for the whole window at that rate: memory still holds all of it.
#[test]
fn a_whole_long_window_fits_into_the_default_memory() {
    let bytes: usize = (0..100)
        .map(|i| lane::body_bytes(&Body::Readings(batch(Class::Normal, i, 1_000).readings)) + 96)
        .sum();
    assert!(bytes < 8 << 20, "{bytes} bytes for 10 s of 10,000 readings/s");
}

#[test]
fn the_loss_bound_is_told_and_grows_while_the_disk_is_away() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    run(store.flush());
    let status = store.status();
    assert_eq!((status.commit_ms, status.loss_bound_ms), (Some(1_000), Some(1_000)));
    store.shared.lock().health = Health::RamOnly("test".to_owned());
    {
        // As if the writer could not.
        let mut state = store.shared.lock();
        store.append(batch(Class::Normal, 0, 5));
        store.shared.take_over(&mut state);
        bench.clock.advance(Duration::from_secs(90));
        let status = status::of(&state, &bench.options, &*bench.clock);
        assert_eq!(status.loss_bound_ms, Some(90_000));
    }
    settle(&store.consumer("cloud").unwrap(), Class::Normal, 0..5, Settled::Delivered);
    assert_eq!(store.status().commit_ms, Some(1_000));
    store.close();
    let memory = Options { dir: None, ..bench.options.clone() };
    let store = Store::open(memory, Arc::clone(&bench.clock) as Arc<dyn Clock>).unwrap();
    let status = store.status();
    assert_eq!((status.commit_ms, status.loss_bound_ms, status.write_behind), (None, None, None));
}
