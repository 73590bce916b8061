//! Memory of a broker that has nothing to do, and of connections that do nothing.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::broker::{Broker, Kind};
use crate::client;
use crate::flood::on_one_thread;
use crate::{in_turns, median, runs};

const IDLE_BAR_MB: f64 = 6.0;
const PER_CONNECTION_BAR_KB: f64 = 10.0;
const MANY_BAR_MB: f64 = 120.0;
/// Clients from one source address.
const PER_ADDRESS: usize = 2_500;
/// Connections that are being made at the same time.
const AT_ONCE: usize = 100;

pub fn measure() {
    let kb = |values: &[u64]| median(values.iter().map(|v| *v as f64));
    let without: Vec<u64> = (0..runs()).map(|_| Broker::start_none().settled_rss()).collect();
    let [ours, theirs] = in_turns(|kind| Broker::start(kind, false).settled_rss());
    let share = (kb(&ours) - kb(&without)) / 1024.0;
    println!(
        "idle: fieldhold {:.1} MB, without its broker {:.1} MB, share of the broker {share:.1} MB; mosquitto {:.1} MB",
        kb(&ours) / 1024.0,
        kb(&without) / 1024.0,
        kb(&theirs) / 1024.0
    );
    println!(
        "{}",
        json!({ "scenario": "idle", "connections": 0, "share_mb": share, "bar_mb": IDLE_BAR_MB,
            "held": share <= IDLE_BAR_MB })
    );
    for count in [1_000, 10_000] {
        let results = in_turns(|kind| connected(kind, count));
        let [ours, theirs] = results.map(|runs| {
            let per_connection = median(
                runs.iter().map(|(before, with)| (*with as f64 - *before as f64) / count as f64),
            );
            (per_connection, median(runs.iter().map(|(_, with)| *with as f64)) / 1024.0)
        });
        println!(
            "{count} idle connections: fieldhold {:.2} KB each, {:.1} MB in all; mosquitto {:.2} KB each, {:.1} MB in all",
            ours.0, ours.1, theirs.0, theirs.1
        );
        let held = ours.0 <= PER_CONNECTION_BAR_KB && (count < 10_000 || ours.1 <= MANY_BAR_MB);
        println!(
            "{}",
            json!({ "scenario": "idle", "connections": count, "kb_each": ours.0, "mb": ours.1,
                "kb_each_mosquitto": theirs.0, "mb_mosquitto": theirs.1, "held": held })
        );
    }
}

/// Memory before and with so many connections, in KiB.
fn connected(kind: Kind, count: usize) -> (u64, u64) {
    let broker = Broker::start(kind, false);
    let before = broker.settled_rss();
    let mut with = 0;
    on_one_thread(async {
        let mut streams = Vec::with_capacity(count);
        while streams.len() < count {
            let first = streams.len();
            let next = (first..count.min(first + AT_ONCE)).map(|number| {
                let host = 2 + u8::try_from(number / PER_ADDRESS).unwrap();
                let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
                let to = broker.address;
                async move { client::connect(to, &format!("idle-{number}"), true, Some(from)).await }
            });
            let next: tokio::task::JoinSet<_> = next.collect();
            streams.extend(next.join_all().await);
        }
        with = broker.settled_rss();
    });
    (before, with)
}
