//! A day without an uplink at a thousand readings a second, then all of it delivered.

use std::time::{Duration, Instant};

use fieldhold::model::{Class, Clock, Seq};
use serde_json::json;

use crate::workload::{self, TAGS, wait};

/// Memory may not grow by more than this over the whole outage, once the store's own bound is full.
const GROWTH_BAR_MB: f64 = 8.0;

pub fn measure(hours: u64) {
    let place = workload::scratch();
    let clock = workload::manual_clock();
    let window = Duration::from_secs(1);
    let store = workload::open(place.path(), window, clock.clone());
    let cloud = store.consumer("cloud").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (rounds, warm) = (hours * 3_600, 3_600.min(hours * 3_600 / 4));
    let (mut start, mut before) = (Instant::now(), workload::resident_mb());
    for round in 0..rounds {
        if round == warm {
            before = workload::resident_mb();
        }
        workload::append(&store, round, TAGS, clock.mono());
        clock.advance(window);
        runtime.block_on(store.flush());
    }
    let (wrote_s, away) = (start.elapsed().as_secs_f64(), workload::resident_mb());
    let disk = store.status().disk_bytes;
    start = Instant::now();
    let n = rounds * u64::from(TAGS);
    let taken = workload::take(&cloud, Seq(0), Seq(0)..cloud.head(Class::Normal));
    let drained_s = start.elapsed().as_secs_f64();
    wait(store.flush());
    let (after, status) = (workload::resident_mb(), store.status());
    let account = status.consumers[0].classes.iter().find(|a| a.class == "normal").unwrap();
    let once = account.delivered == n && account.waiting == 0 && account.dropped == 0;
    let all = taken.is_all(n) && once && status.balances();
    println!(
        "outage: {hours} h, {n} readings written in {wrote_s:.0} s, {:.2} MB per million on disk; drained in {drained_s:.0} s; all back once and right: {all}",
        disk as f64 / n as f64
    );
    println!(
        "memory (MB, now/most): after the first part {:.1}/{:.1}, after the outage {:.1}/{:.1}, after the drain {:.1}/{:.1}",
        before.0, before.1, away.0, away.1, after.0, after.1
    );
    println!(
        "{}",
        json!({
            "scenario": "outage", "hours": hours, "readings": n, "write_s": wrote_s,
            "drain_s": drained_s, "disk_bytes": disk, "mb_per_million": disk as f64 / n as f64,
            "read": taken.read, "right": taken.right, "rss_mb_warm": before.0,
            "rss_mb_after_outage": away.0, "rss_mb_after_drain": after.0, "rss_mb_most": after.1,
            "balances": status.balances(),
            "held": all && after.1 - before.1 <= GROWTH_BAR_MB && disk as f64 / n as f64 <= 3.0,
        })
    );
    store.close();
}
