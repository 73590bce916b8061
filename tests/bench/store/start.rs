//! How long a start takes until the first reading is safe, with a large file, after an orderly
//! and after an unclean end; and what memory the store takes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldhold::model::Clock;
use fieldhold::runtime::SystemClock;
use serde_json::json;

use crate::workload::{self, wait};

const PER_FLUSH: u32 = 10_000;
const BAR_MS: f64 = 50.0;
const MEMORY_BAR_MB: f64 = 10.0;

pub fn measure(millions: u64) {
    let place = workload::scratch();
    let dir = place.path().to_str().unwrap();
    let before = Instant::now();
    workload::child(&["start-fill", dir, &millions.to_string()], 0);
    let file = place.path().join("store/queue.db").metadata().unwrap().len();
    let fill = before.elapsed().as_secs_f64();
    println!("start: {millions} M readings in {fill:.0} s, {} MB", file / 1_000_000);
    for end in ["orderly", "orderly", "unclean", "unclean"] {
        // How this one ends is what the next one finds.
        let said = workload::child(&["start-child", dir, end], 0).unwrap();
        print!("{said}");
    }
    workload::child(&["start-child", dir, "orderly"], 0).inspect(|said| print!("{said}"));
}

pub fn fill(dir: &Path, millions: u64) {
    let clock = Arc::new(SystemClock::new());
    let store = workload::open(dir, Duration::from_secs(1), clock.clone());
    for round in 0..millions * 1_000_000 / u64::from(PER_FLUSH) {
        workload::append(&store, round * 10, PER_FLUSH, clock.mono());
        wait(store.flush());
    }
    store.close();
}

pub fn child(dir: &Path, end: &str) {
    let idle = workload::resident_mb().0;
    let clock = Arc::new(SystemClock::new());
    let start = Instant::now();
    let store = workload::open(dir, Duration::from_secs(1), clock.clone());
    let opened = start.elapsed().as_secs_f64() * 1_000.0;
    workload::append(&store, 0, 1_000, clock.mono());
    wait(store.flush());
    let durable = start.elapsed().as_secs_f64() * 1_000.0;
    let clean = store.status().clean_start;
    for round in 0..60 {
        workload::append(&store, round, 1_000, clock.mono());
        wait(store.flush());
    }
    let memory = workload::resident_mb().0 - idle;
    println!(
        "start after an {} end: open {opened:.1} ms, first reading safe after {durable:.1} ms; {memory:.1} MB more than before it",
        if clean { "orderly" } else { "unclean" }
    );
    println!(
        "{}",
        json!({
            "scenario": "start", "clean": clean, "open_ms": opened, "first_durable_ms": durable,
            "memory_mb": memory, "bar_ms": BAR_MS, "bar_mb": MEMORY_BAR_MB,
            "held": durable <= BAR_MS && memory <= MEMORY_BAR_MB,
        })
    );
    if end == "unclean" {
        // Nothing is closed.
        std::process::exit(0);
    }
    store.close();
}
