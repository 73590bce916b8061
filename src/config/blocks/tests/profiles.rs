//! The plan of every shipped profile against every other way to cut its tags into requests.

use super::*;
use crate::config::profile::{self, SHIPPED};
use crate::config::wire::LineTime;
use crate::config::{Parity, SerialLine, Switching};
use crate::model::Table;

/// The least line time, from the last item to the first: what it costs to read from item `i` on.
/// Written apart from the planner, which goes the other way and prunes.
fn oracle(items: &[Item], cost: Cost, limits: &Limits) -> f64 {
    let mut sorted = items.to_vec();
    sorted.sort_by_key(|item| (item.start, item.end));
    let mut from = vec![0.0; sorted.len() + 1];
    for i in (0..sorted.len()).rev() {
        let mut best = f64::INFINITY;
        for last in i..sorted.len() {
            let run = &sorted[i..=last];
            let end = run.iter().map(|item| item.end).max().unwrap();
            let span = end - u32::from(run[0].start);
            if run.len() == 1 || span <= u32::from(limits.max_span) {
                best = f64::min(best, cost.of(span) + from[last + 1]);
            }
        }
        from[i] = best;
    }
    from[0]
}

#[test]
fn every_shipped_profile_is_read_in_the_least_time() {
    let serial = |baud| {
        let line = SerialLine {
            port: "-".into(),
            baud,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 1,
            switching: Switching::Adapter,
        };
        LineTime::serial(&line, Duration::from_millis(5))
    };
    let lines = [serial(9_600), serial(115_200), LineTime::tcp(Duration::from_millis(10))];
    let (mut forced, mut planned) = (0, 0);
    for (name, text) in SHIPPED {
        let (profile, _) = profile::check(text, name, name).unwrap_or_else(|p| panic!("{p}"));
        for table in [Table::Coil, Table::Discrete, Table::Holding, Table::Input] {
            let device = &profile.device;
            let items: Vec<Item> =
                device.in_table(table).map(|(index, _, from)| Item::of(from, index)).collect();
            if items.is_empty() {
                continue;
            }
            let most = if table.is_bits() { device.bits_max } else { device.registers_max };
            for time in lines {
                let (cost, limits) = (time.cost(table), Limits::new(most));
                let blocks = plan(&items, cost, &limits);
                let total: f64 = blocks.iter().map(|b| cost.of(u32::from(b.count))).sum();
                let mut best = oracle(&items, cost, &limits);
                if items.len() <= 12 {
                    let all = brute_force_runs(&items, cost, &limits);
                    assert!((best - all).abs() < 1e-9, "{name}: the oracle errs");
                    best = all;
                    forced += 1;
                }
                assert!((total - best).abs() < 1e-9, "{name} {table:?}: {total} for {best}");
                planned += 1;
            }
        }
    }
    assert!(forced >= 40 && planned > forced, "{forced} of {planned}");
}
