//! Whether a bus has the time for what is polled on it.
//!
//! Two estimates: with the answers as fast as physics lets them be, more than all of the time is
//! impossible and an error; with the usual answers, more than [`WARN_ABOVE`] is a warning.

use std::sync::Arc;
use std::time::Duration;

use crate::config::blocks;
use crate::config::plan::{BusPlan, DevicePlan};
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::values::show_duration;
use crate::config::wire::{LineTime, ROUND_TRIP_ASSUMED, TURNAROUND_ASSUMED};
use crate::model::Name;

/// From here on too little time is left for writes, retries and slow answers.
const WARN_ABOVE: f64 = 0.9;
/// The fastest answer over TCP: a good device on a quiet network.
const ROUND_TRIP_BEST: Duration = Duration::from_micros(200);
/// Classes that a message names.
const NAMED_MAX: usize = 3;

pub(super) fn check(bus: &BusPlan, spot: &Spot, out: &mut Findings) {
    let (best, what, assumed) = match LineTime::frames(&bus.link) {
        Some(frames) => (frames, "line", TURNAROUND_ASSUMED),
        None => (LineTime::tcp(ROUND_TRIP_BEST), "connection", ROUND_TRIP_ASSUMED),
    };
    let usual = LineTime::of(&bus.link);
    let utilisation = blocks::load_at(bus, usual).utilisation;
    if utilisation <= WARN_ABOVE {
        return;
    }
    let least = blocks::load_at(bus, best).utilisation;
    if least > 1.0 {
        let message = format!("polling needs {} of the time of this {what}", percent(least));
        out.error(spot, Complaint::new(message).hint(slow_down(bus, best)));
    } else {
        let message = format!(
            "polling takes {} of the time of this {what} if devices answer in {}",
            percent(utilisation),
            show_duration(assumed)
        );
        out.warning(spot, Complaint::new(message).hint(slow_down(bus, usual)));
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// The tags of one device that are read at one interval.
struct PollClass<'a> {
    device: &'a Name,
    every: Duration,
    tags: usize,
    /// What the bus would gain without it.
    gain: f64,
}

/// Names the classes that take the most.
fn slow_down(bus: &BusPlan, time: LineTime) -> String {
    let load = blocks::load_at(bus, time);
    let mut shares: Vec<f64> = load.devices.iter().map(|(_, share)| *share).collect();
    shares.sort_by(|a, b| b.total_cmp(a));
    let least = shares.get(NAMED_MAX - 1).copied().unwrap_or(0.0);
    let heavy = |name: &Name| load.devices.iter().any(|(n, share)| n == name && *share >= least);
    let mut classes: Vec<PollClass<'_>> =
        bus.devices.iter().filter(|d| heavy(&d.name)).flat_map(|d| classes(bus, d, time)).collect();
    classes.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    let named: Vec<String> = classes
        .iter()
        .take(NAMED_MAX)
        .map(|class| {
            let (device, every, tags) = (class.device, show_duration(class.every), class.tags);
            let s = if tags == 1 { "" } else { "s" };
            format!("{device} every {every} ({tags} tag{s}, {})", percent(class.gain))
        })
        .collect();
    format!("slow down {}", named.join(", "))
}

fn classes<'a>(bus: &BusPlan, device: &'a DevicePlan, time: LineTime) -> Vec<PollClass<'a>> {
    let share = |device: DevicePlan| {
        let alone = BusPlan { devices: vec![device], ..bus_without_devices(bus) };
        blocks::load_at(&alone, time).utilisation
    };
    let whole = share(device.clone());
    let mut intervals: Vec<Duration> = device.tags.iter().filter_map(|tag| tag.every).collect();
    intervals.sort_unstable();
    intervals.dedup();
    // The fast ones are where the time goes; a device seldom has more than a handful.
    intervals.truncate(2 * NAMED_MAX);
    let class = |every: Duration| {
        let mut rest = device.clone();
        Arc::make_mut(&mut rest.tags).retain(|tag| tag.every != Some(every));
        let tags = device.tags.len() - rest.tags.len();
        PollClass { device: &device.name, every, tags, gain: whole - share(rest) }
    };
    intervals.into_iter().map(class).collect()
}

fn bus_without_devices(bus: &BusPlan) -> BusPlan {
    BusPlan {
        name: bus.name.clone(),
        link: bus.link.clone(),
        pause: bus.pause,
        trace_bytes: bus.trace_bytes,
        share: None,
        devices: Vec::new(),
    }
}
