//! Every kind of contradiction is found when a test makes it, told once, and told again when it
//! changes.

use std::time::Duration;

use super::tests::wait_until;
use super::tests::{Bench, account, batch, best_effort, read_all, required, run, same, settle};
use super::*;

/// Three classes in the file, and something in memory.
fn filled(bench: &Bench) -> Store {
    let store = bench.open();
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    for class in Class::ALL {
        for i in 0..10 {
            store.append(batch(class, i * 50, 50));
            run(store.flush());
        }
    }
    let cloud = store.consumer("cloud").unwrap();
    settle(&cloud, Class::Normal, 100..150, Settled::Delivered);
    settle(&cloud, Class::Bulk, 0..7, Settled::Dead("too-large"));
    run(store.flush());
    assert_eq!(store.status().violations, [""; 0]);
    store.shared.lock().control.violations_expected = true;
    store
}

fn found(store: &Store) -> Vec<String> {
    run(store.flush());
    store.status().violations
}

fn broken(change: impl FnOnce(&mut State)) -> Vec<String> {
    let store = filled(&Bench::new());
    change(&mut store.shared.lock());
    found(&store)
}

fn account_of(state: &mut State, class: Class) -> &mut accounting::Account {
    &mut state.consumers[0].shares.get_mut(class).account
}

#[test]
fn a_contradiction_in_memory_is_found() {
    let of = |change: fn(&mut State)| broken(change).join("; ");
    assert_eq!(
        of(|state| account_of(state, Class::Normal).delivered += 3),
        "cloud normal: -3 appended without a fate"
    );
    assert_eq!(
        of(|state| account_of(state, Class::Alarm).appended += 2),
        "cloud alarm: 2 appended without a fate"
    );
    let moved = of(|state| {
        account_of(state, Class::Normal).delivered -= 1;
        account_of(state, Class::Normal).excluded += 1;
    });
    assert_eq!(moved, "cloud normal: a sum went back");
    let unlisted = of(|state| {
        let share = state.consumers[0].shares.get_mut(Class::Bulk);
        let n = share.cursor.settle(10..15);
        share.account.drop(Reason::Lost, n);
    });
    assert_eq!(unlisted, "cloud bulk: 5 dropped that are not in the ledger");
    let back = of(|state| state.lanes.get_mut(Class::Bulk).head -= 50);
    assert!(back.contains("bulk: the head went back by 50"), "{back}");
    assert!(back.contains("bulk: 50 in the file beyond the head"), "{back}");
    assert_eq!(of(|state| state.ram_bytes += 1), "the bytes in memory are miscounted");
}

#[test]
fn what_waits_and_is_nowhere_is_found() {
    let mut bench = Bench::new();
    bench.options.ram_bytes = 7_000; // So that nearly all of it is in the file alone.
    let store = filled(&bench);
    let file = schema::connect(&schema::QUEUE, &bench.database(), 1 << 30).unwrap();
    file.execute("DELETE FROM chunk_normal WHERE seq BETWEEN 100 AND 299", []).unwrap();
    drop(file);
    let what = "cloud normal: 150 waiting that are neither in memory nor in the file";
    assert_eq!(found(&store), [what], "50 of them were delivered");
    assert_eq!(store.status().counters.violations, 1);
    assert_eq!(found(&store), [what]);
    assert_eq!(store.status().counters.violations, 1, "told once");
    store.shared.lock().ram_bytes += 1;
    assert_eq!(found(&store).len(), 2);
    assert_eq!(store.status().counters.violations, 2, "told again when it changes");
    // Nothing was put right in silence; reading counts it as lost, and then all is said.
    store.shared.lock().ram_bytes -= 1;
    let all = read_all(&store.consumer("cloud").unwrap(), Class::Normal);
    assert_eq!(all, [same(0, 100), same(300, 500)].concat());
    assert_eq!(account(&store, "cloud", Class::Normal).dropped_why.get("lost"), Some(&150));
    assert_eq!(found(&store), [""; 0]);
}

#[test]
fn the_accounts_are_checked_at_the_start_and_every_minute() {
    let bench = Bench::new();
    filled(&bench).close();
    let file = schema::connect(&schema::QUEUE, &bench.database(), 1 << 30).unwrap();
    file.execute("DELETE FROM chunk_alarm WHERE seq < 50", []).unwrap();
    drop(file);
    let store = bench.open();
    store.shared.lock().control.violations_expected = true;
    wait_until("the check at the start", || store.status().counters.violations == 1);
    store.shared.lock().consumers[0].shares.get_mut(Class::Bulk).account.excluded += 1;
    bench.clock.advance(Duration::from_secs(61));
    wait_until("the check of the minute", || store.status().counters.violations == 2);
    assert_eq!(store.status().violations.len(), 2);
}

#[test]
fn a_large_file_is_looked_through_a_part_at_a_time() {
    let mut bench = Bench::new();
    bench.options.ram_bytes = 1_000;
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    let chunks = proof::ROWS as u64 * 2 + 10;
    for i in 0..chunks {
        store.append(batch(Class::Normal, i, 1));
        run(store.flush());
    }
    store.shared.lock().control.violations_expected = true;
    let file = schema::connect(&schema::QUEUE, &bench.database(), 1 << 30).unwrap();
    file.execute("DELETE FROM chunk_normal WHERE seq = ?1", [400]).unwrap();
    drop(file);
    let rounds = (0..4).position(|_| !found(&store).is_empty());
    assert!(rounds.is_some(), "the gap is found within one round through the file");
}
