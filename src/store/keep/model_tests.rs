//! The broker's file against a plain map, through crashes and orderly ends.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{Rows, load, open, put};
use super::*;
use crate::store::tests::{Bench, run};

#[derive(Debug, Clone)]
enum Step {
    Put(Key, usize),
    Remove(Key),
    /// Somebody waits for all so far.
    Commit,
    /// Nobody does, and the window ends.
    Wait,
    /// The process is killed; a copy of the files is gone on with.
    Crash,
    Close,
}

fn key() -> impl Strategy<Value = Key> {
    let name = || (0_u8..12).prop_map(|n| Bytes::from(vec![n; usize::from(n) * 5]));
    prop_oneof![
        1 => name().prop_map(Key::Session),
        2 => (0_u64..10).prop_map(Key::Progress),
        4 => (0_u64..60).prop_map(Key::Message),
        1 => name().prop_map(Key::Retained),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (key(), prop_oneof![4 => 0_usize..300, 1 => 0_usize..9_000])
            .prop_map(|(key, size)| Step::Put(key, size)),
        8 => key().prop_map(Step::Remove),
        3 => Just(Step::Commit),
        1 => Just(Step::Wait),
        1 => Just(Step::Crash),
        1 => Just(Step::Close),
    ]
}

/// The files of one state directory as they lie, in another.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("store")).unwrap();
    for entry in std::fs::read_dir(from.join("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("broker") {
            std::fs::copy(&path, to.join("store").join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn goes_as_the_map_says(steps: Vec<Step>) {
    let mut bench = Bench::new();
    let (mut store, mut keep) = open(&bench);
    let mut rows = Rows::new();
    // What it was at the last commit that somebody was told of, and every state since.
    let mut possible = vec![rows.clone()];
    for (i, step) in steps.into_iter().enumerate() {
        match step {
            Step::Put(key, size) => {
                let value = vec![u8::try_from(i % 251).unwrap(); size];
                keep.put([put(key.clone(), &value)]);
                rows.insert(key, Bytes::from(value));
                possible.push(rows.clone());
            }
            Step::Remove(key) => {
                keep.put([Change::remove(key.clone())]);
                rows.remove(&key);
                possible.push(rows.clone());
            }
            Step::Commit => {
                run(keep.committed().wait()).unwrap();
                assert_eq!(keep.status().waiting, 0);
                possible = vec![rows.clone()];
            }
            Step::Wait => bench.clock.advance(Duration::from_secs(2)),
            Step::Crash => {
                keep.crash();
                let next = Bench::new();
                copy(bench.dir.path(), next.dir.path());
                bench = next;
                (store, keep) = open(&bench);
                rows = load(&keep);
                assert!(possible.contains(&rows), "a state that never was: {rows:?}");
                possible = vec![rows.clone()];
            }
            Step::Close => {
                keep.close();
                store.close();
                (store, keep) = open(&bench);
                assert_eq!(load(&keep), rows);
                possible = vec![rows.clone()];
            }
        }
        if i % 7 == 0 {
            assert_eq!(load(&keep), rows, "what waits and what is written, together");
        }
    }
    let status = keep.status();
    assert_eq!((status.health, status.counters.rows_damaged), (Health::Ok, 0));
    assert!(status.quarantined.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn nothing_that_was_committed_is_lost_and_no_state_is_made_up(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        goes_as_the_map_says(steps);
    }
}
