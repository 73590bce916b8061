//! What one pass over all tags of a profile takes of a line, read in three ways.

use std::time::Duration;

use crate::config::blocks::{self, Item, Limits};
use crate::config::profile::Profile;
use crate::config::wire::{LineTime, ROUND_TRIP_ASSUMED, TURNAROUND_ASSUMED};
use crate::config::{DevicePlan, Parity, SerialLine, Switching};
use crate::model::Table;

/// The lines that are compared.
pub(super) fn lines() -> [(&'static str, LineTime); 3] {
    let serial = |baud| {
        let line = SerialLine {
            port: "-".into(),
            baud,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 1,
            switching: Switching::Adapter,
        };
        LineTime::serial(&line, TURNAROUND_ASSUMED)
    };
    [
        ("9600", serial(9_600)),
        ("115200", serial(115_200)),
        ("TCP 10 ms", LineTime::tcp(ROUND_TRIP_ASSUMED)),
    ]
}

/// How requests are made of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As this gateway does.
    Planned,
    /// Each tag on its own.
    Each,
    /// Only what adjoins together.
    Adjacent,
}

/// The line time of all tags of a device.
pub(super) fn pass(device: &DevicePlan, time: LineTime, way: Way) -> Duration {
    let mut sum = Duration::ZERO;
    for table in [Table::Coil, Table::Discrete, Table::Holding, Table::Input] {
        let tags = device.in_table(table);
        let items: Vec<_> = tags.map(|(index, _, from)| Item::of(from, index)).collect();
        let most = if table.is_bits() { device.bits_max } else { device.registers_max };
        let mut limits = Limits::new(most);
        if way == Way::Adjacent {
            limits.forbidden = holes(&items);
        }
        let blocks = match way {
            Way::Each => items
                .iter()
                .flat_map(|item| blocks::plan(&[*item], time.cost(table), &limits))
                .collect(),
            Way::Planned | Way::Adjacent => blocks::plan(&items, time.cost(table), &limits),
        };
        sum += blocks.iter().map(|block| time.read(table, block.count)).sum::<Duration>();
    }
    sum
}

/// What lies between the items.
fn holes(items: &[Item]) -> Vec<std::ops::Range<u32>> {
    let mut ranges: Vec<_> = items.iter().map(Item::range).collect();
    ranges.sort_by_key(|range| range.start);
    let mut reached = 0;
    let mut holes = Vec::new();
    for range in ranges {
        if range.start > reached {
            holes.push(reached..range.start);
        }
        reached = reached.max(range.end);
    }
    holes
}

/// A Markdown table: milliseconds planned / one request per tag / only what adjoins together.
pub(super) fn table<'a>(profiles: impl Iterator<Item = &'a Profile>) -> String {
    let lines = lines();
    let heads = lines.map(|(name, _)| format!("{name}: planned | each | adjacent"));
    let mut out = format!("| profile | tags | {} |\n", heads.join(" | "));
    out += &format!("|---|--:|{}\n", "--:|".repeat(9));
    let mut ratios = [(0.0, 0.0); 3];
    let mut count = 0_u32;
    for profile in profiles {
        let mut row = format!("| {} | {} |", profile.head.name, profile.device.tags.len());
        for ((_, time), (each_sum, adjacent_sum)) in lines.into_iter().zip(&mut ratios) {
            let ms = |way| pass(&profile.device, time, way).as_secs_f64() * 1e3;
            let (planned, each, adjacent) = (ms(Way::Planned), ms(Way::Each), ms(Way::Adjacent));
            row += &format!(" {planned:.0} | {each:.0} | {adjacent:.0} |");
            *each_sum += each / planned;
            *adjacent_sum += adjacent / planned;
        }
        out += &format!("{row}\n");
        count += 1;
    }
    out += "| mean of the ratios | |";
    for (each, adjacent) in ratios {
        let n = f64::from(count.max(1));
        out += &format!(" 1 | {:.1} × | {:.1} × |", each / n, adjacent / n);
    }
    out += "\n";
    out
}
