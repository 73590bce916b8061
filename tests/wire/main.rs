//! The broker by the book: rows of bytes in and bytes out, over real sockets, named by the numbers
//! of the statements they show; and the document that lists every statement with its rows.
//!
//! Rows live in `v3.txt` (MQTT 3.1.1, and 3.1) and `v5.txt` (MQTT 5.0); [`row`] says how they are
//! written. `FIELDHOLD_WIRE=words` plays only the rows whose first line holds the words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod document;
mod notation;
mod play;
mod row;
mod statements;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Rows played at a time; most of one is waiting for the other side.
const SIDE_BY_SIDE: usize = 16;
/// Plays only rows whose first line holds this.
const ONLY: &str = "FIELDHOLD_WIRE";

fn play_all(text: &'static str, at_least: usize) {
    let rows = row::read(text);
    assert!(rows.len() >= at_least, "only {} rows were found", rows.len());
    let only = std::env::var(ONLY).unwrap_or_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let failed: Vec<String> = runtime.block_on(async {
        let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        let mut playing = JoinSet::new();
        for row in rows.into_iter().filter(|row| row.head.contains(&only)) {
            let places = Arc::clone(&places);
            playing.spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                let played = play::play(&row).await;
                played.err().map(|error| format!("case {}\n{error}", row.head))
            });
        }
        playing.join_all().await.into_iter().flatten().collect()
    });
    assert!(failed.is_empty(), "{} rows failed\n\n{}\n", failed.len(), failed.join("\n\n"));
}

#[test]
fn mqtt_3_1_1() {
    play_all(row::V3, 20);
}

#[test]
fn mqtt_5_0() {
    play_all(row::V5, 40);
}
