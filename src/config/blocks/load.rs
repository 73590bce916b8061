//! What a bus has to carry: its utilisation before it is started.
//!
//! Every table of every device is polled by due sets: at each moment at which some of its tags are
//! due, one plan for exactly those. Slow tags ride along when their moment falls on a fast one's,
//! which is always so when their interval is a multiple of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::plan::{BusPlan, DevicePlan};
use super::super::wire::LineTime;
use super::{Item, Limits, block_time_max, plan};
use crate::model::{Name, Table};

/// Moments looked at before the average is taken as it is, for intervals that hardly ever meet.
const MOMENTS_MAX: u32 = 4_096;

/// What a bus is asked to do, per second of wall time.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Share of the time that the line is occupied; above 1 the rates can't be reached.
    pub utilisation: f64,
    pub requests_per_second: f64,
    /// The utilisation of each device.
    pub devices: Vec<(Name, f64)>,
}

/// Line time asked for per second of wall time, with the assumed turnaround or round trip.
pub fn utilisation(bus: &BusPlan) -> f64 {
    load(bus).utilisation
}

/// The load of a bus with the assumed turnaround or round trip.
pub fn load(bus: &BusPlan) -> Load {
    load_at(bus, LineTime::of(&bus.link))
}

/// The load of a bus whose line takes these times; the pauses of bus and devices are added.
pub fn load_at(bus: &BusPlan, time: LineTime) -> Load {
    let time = time.with_pause(bus.pause);
    let mut sum = Load { utilisation: 0.0, requests_per_second: 0.0, devices: Vec::new() };
    for device in &bus.devices {
        let mut share = 0.0;
        let time = time.with_pause(device.pause);
        for table in [Table::Coil, Table::Discrete, Table::Holding, Table::Input] {
            let (busy, requests) = table_load(device, table, time, block_time_max(&bus.link));
            share += busy;
            sum.requests_per_second += requests;
        }
        sum.utilisation += share;
        sum.devices.push((device.name.clone(), share));
    }
    sum
}

/// Busy share and requests per second of one table of one device.
fn table_load(
    device: &DevicePlan,
    table: Table,
    time: LineTime,
    block_time_max: Option<Duration>,
) -> (f64, f64) {
    let mut rates: BTreeMap<Duration, Vec<Item>> = BTreeMap::new();
    for (index, tag, registers) in device.in_table(table) {
        let Some(every) = tag.every else { continue };
        let every = every.max(Duration::from_millis(1));
        rates.entry(every).or_default().push(Item::of(registers, index));
    }
    if rates.is_empty() {
        return (0.0, 0.0);
    }
    let max_span = if table.is_bits() { device.bits_max } else { device.registers_max };
    let limits = Limits { block_time_max, ..Limits::new(max_span) };

    // The plan of each due set, by the intervals that are due.
    let mut known: BTreeMap<Vec<Duration>, (f64, f64)> = BTreeMap::new();
    let mut next: Vec<(Duration, Duration)> =
        rates.keys().map(|every| (*every, Duration::ZERO)).collect();
    let (mut busy, mut requests, mut now) = (0.0, 0.0, Duration::ZERO);
    for _ in 0..MOMENTS_MAX {
        let mut due = Vec::new();
        for (every, at) in &mut next {
            if *at == now {
                due.push(*every);
                *at += *every;
            }
        }
        let (line_s, blocks) = *known.entry(due).or_insert_with_key(|due| {
            let items: Vec<Item> =
                due.iter().filter_map(|every| rates.get(every)).flatten().copied().collect();
            let blocks = plan(&items, time.cost(table), &limits);
            let line_s = blocks.iter().map(|b| time.read(table, b.count).as_secs_f64()).sum();
            (line_s, blocks.iter().map(|_| 1.0).sum())
        });
        busy += line_s;
        requests += blocks;
        now = next.iter().map(|(_, at)| *at).min().unwrap_or(now);
        if next.iter().all(|(_, at)| *at == now) {
            break; // all due together again: from here on it repeats
        }
    }
    let elapsed = now.as_secs_f64();
    (busy / elapsed, requests / elapsed)
}
