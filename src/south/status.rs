//! What a bus says about itself: plain numbers for the page, the metrics and the tests.
//!
//! Times named `..._at` and `since` are milliseconds of the monotonic clock ([`Mono`]).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::guard::GuardCounters;
use super::sensor::SensorCounters;
use super::share::ShareStatus;
use crate::config::BusPlan;
use crate::model::{Fault, Mono, Table};

/// State and counters of one bus since its runner was made.
#[derive(Debug, Clone, Serialize)]
pub struct BusStatus {
    pub name: String,
    /// As [`Link`](crate::config::Link) prints itself.
    pub link: String,
    /// Who is at the other end, where the link does not say it: the backup, a converter that
    /// connected.
    pub peer: Option<String>,
    /// Connections from addresses that may not make one.
    pub refused_peers: u64,
    pub state: LinkState,
    /// When the link came up, over and over.
    pub connects: u64,
    pub requests: u64,
    pub writes: u64,
    /// Commands that were not carried out, by their refusal's code.
    pub refused: BTreeMap<&'static str, u64>,
    /// What the line carried that was no answer, summed over all connections.
    pub line: GuardCounters,
    /// What came from a sensor; `None` on Modbus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<SensorCounters>,
    /// Whether the line hands our own bytes back; `None` before it is known, and on TCP.
    pub echo: Option<bool>,
    /// Share of the last minute in which the line was busy, 0 to 1.
    pub utilisation: f64,
    /// What the port could not be given, and can do without.
    pub remarks: Vec<String>,
    pub devices: Vec<DeviceStatus>,
    /// The server face, if the bus is shared.
    pub share: Option<ShareStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum LinkState {
    /// Not yet connected for the first time.
    Connecting,
    Up {
        since: i64,
    },
    Down {
        since: i64,
        reason: String,
    },
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceStatus {
    pub name: String,
    pub unit: u8,
    pub state: DeviceState,
    pub requests: u64,
    pub ok: u64,
    pub timeouts: u64,
    pub bad_answers: u64,
    pub exceptions: u64,
    /// Of the device itself, without the time its frames take on the line.
    pub latency_p50_us: u64,
    pub latency_p99_us: u64,
    /// What it is given at the moment, learned or configured.
    pub timeout_ms: u64,
    /// Polls that were not made in time and were coalesced.
    pub missed_ticks: u64,
    /// When a silent device is asked next.
    pub next_probe_at: Option<i64>,
    /// Values that were read and held back by their publish rule.
    pub suppressed: u64,
    pub readings: u64,
    pub readings_bad: u64,
    /// By table: gaps, limits and bad tags, as kept in the store; `writes`: functions it lacks;
    /// `answers`: within this time.
    pub learned: BTreeMap<String, String>,
    /// The requests that read all its tags at once.
    pub blocks: Vec<BlockStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum DeviceState {
    /// Not asked yet.
    Unknown,
    Ok,
    Silent {
        since: i64,
        fault: String,
    },
    /// The last answer was this exception.
    Exception {
        code: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockStatus {
    pub table: &'static str,
    pub start: u16,
    pub count: u16,
    pub tags: usize,
}

impl BusStatus {
    pub(crate) fn new(plan: &BusPlan) -> Self {
        let device = |device: &crate::config::DevicePlan| DeviceStatus {
            name: device.name.to_string(),
            unit: device.unit,
            state: DeviceState::Unknown,
            requests: 0,
            ok: 0,
            timeouts: 0,
            bad_answers: 0,
            exceptions: 0,
            latency_p50_us: 0,
            latency_p99_us: 0,
            timeout_ms: millis(device.timeout),
            missed_ticks: 0,
            next_probe_at: None,
            suppressed: 0,
            readings: 0,
            readings_bad: 0,
            learned: BTreeMap::new(),
            blocks: Vec::new(),
        };
        Self {
            name: plan.name.to_string(),
            link: plan.link.to_string(),
            peer: None,
            refused_peers: 0,
            state: LinkState::Connecting,
            connects: 0,
            requests: 0,
            writes: 0,
            refused: BTreeMap::new(),
            line: GuardCounters::default(),
            sensor: plan.link.sensor().map(|_| SensorCounters::default()),
            echo: None,
            utilisation: 0.0,
            remarks: Vec::new(),
            devices: plan.devices.iter().map(device).collect(),
            share: None,
        }
    }
}

impl DeviceState {
    pub(crate) fn silent(since: Mono, fault: Fault) -> Self {
        Self::Silent { since: since.0, fault: fault.to_string() }
    }
}

pub(crate) fn table_name(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::Discrete => "discrete",
        Table::Holding => "holding",
        Table::Input => "input",
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How busy a line was in the last minute.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Busy time of each of the last seconds, by second modulo the length.
    seconds: [Duration; METER_SECONDS],
    second: u64,
}

const METER_SECONDS: usize = 60;

impl Meter {
    pub(crate) fn new() -> Self {
        Self { seconds: [Duration::ZERO; METER_SECONDS], second: 0 }
    }

    pub(crate) fn busy(&mut self, now: Duration, took: Duration) {
        self.advance(now);
        if let Some(slot) = self.seconds.get_mut(slot(self.second)) {
            *slot += took;
        }
    }

    pub(crate) fn share(&mut self, now: Duration) -> f64 {
        self.advance(now);
        let window = now.as_secs_f64().clamp(1.0, 60.0);
        (self.seconds.iter().sum::<Duration>().as_secs_f64() / window).min(1.0)
    }

    fn advance(&mut self, now: Duration) {
        let passed = now.as_secs().saturating_sub(self.second).min(METER_SECONDS as u64);
        for _ in 0..passed {
            self.second += 1;
            if let Some(slot) = self.seconds.get_mut(slot(self.second)) {
                *slot = Duration::ZERO;
            }
        }
        self.second = self.second.max(now.as_secs());
    }
}

fn slot(second: u64) -> usize {
    usize::try_from(second % METER_SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_forgets_after_a_minute() {
        let mut meter = Meter::new();
        for second in 0..30 {
            meter.busy(Duration::from_secs(second), Duration::from_millis(500));
        }
        let share = meter.share(Duration::from_secs(30));
        assert!((share - 0.5).abs() < 0.02, "{share}");
        let share = meter.share(Duration::from_secs(60));
        assert!((share - 0.25).abs() < 0.02, "{share}");
        assert!(meter.share(Duration::from_secs(600)) < 1e-9);
        meter.busy(Duration::from_secs(601), Duration::from_secs(6));
        assert!((meter.share(Duration::from_secs(601)) - 0.1).abs() < 1e-9);
    }
}
