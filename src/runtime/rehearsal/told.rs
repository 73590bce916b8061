//! What is told beside the queue: the buses, the store, and what is taken for granted.

use std::time::Duration;

use super::answer::{FieldAnswer, Sample, StoreAnswer, UplinkAnswer};
use super::rates::Rates;
use super::reckon::{Seen, whole};
use super::run::{Run, millis};
use super::{PART_MIN, Wanted};
use crate::config::{Plan, show_duration};
use crate::model::Class;
use crate::model::sensor::Ask;
use crate::south::simulator::PUSH_ASSUMED;
use crate::store::StoreStatus;

const DAY_S: f64 = 86_400.0;
const YEAR_DAYS: f64 = 365.25;

/// What the buses do.
#[expect(clippy::cast_precision_loss, reason = "rates for display")]
pub fn field(run: &Run, measured: Duration, rates: &Rates) -> FieldAnswer {
    let seconds = measured.as_secs_f64().max(1e-3);
    FieldAnswer {
        tags: run.plan.tags().count(),
        reads_per_second: run.field.read() as f64 / seconds,
        readings_per_second: rates.readings,
    }
}

/// What the store comes to when the outage ends.
#[expect(clippy::cast_precision_loss, reason = "rates for display")]
pub fn store(
    run: &Run,
    status: &StoreStatus,
    samples: &[Sample],
    (uplinks, outage): (&[(UplinkAnswer, Seen)], Duration),
    rates: &Rates,
) -> StoreAnswer {
    let plan = &run.plan.store;
    let required: Vec<_> = uplinks.iter().filter(|(uplink, _)| uplink.required).collect();
    let waits = |(uplink, _): &&(UplinkAnswer, Seen)| uplink.sum().waiting;
    let readings = match required.is_empty() {
        true => uplinks.iter().map(|uplink| waits(&uplink)).max(),
        false => required.iter().map(waits).max(),
    };
    let written_bytes = samples.last().map_or(0, |sample| sample.written_bytes);
    let per_day = whole(rates.written_per_second * DAY_S);
    let in_file = plan.path.is_some();
    let per_day = (in_file && outage >= PART_MIN).then_some(per_day);
    let years = per_day.filter(|bytes| *bytes > 0);
    let late: f64 = rates.classes.iter().filter(|(c, _)| *c != Class::Alarm).map(|c| c.1).sum();
    let power_cut_ms = status.loss_bound_ms;
    let (quota_bytes, allowed_bytes) = match in_file {
        true => (status.disk_bytes_max, status.disk_bytes_allowed),
        false => {
            let ram = u64::try_from(status.ram_bytes_max).unwrap_or(u64::MAX);
            (ram, ram)
        }
    };
    let first_drop = |(uplink, seen): &(UplinkAnswer, Seen)| {
        let first = uplink.first_drop_ms.map(Duration::from_millis);
        first.or_else(|| seen.first_drop(Duration::MAX))
    };
    let enough = match required.is_empty() {
        true => uplinks.iter().filter_map(first_drop).min(),
        false => required.iter().filter_map(|uplink| first_drop(uplink)).min(),
    };
    StoreAnswer {
        enough_ms: enough.map(millis),
        path: plan.path.as_ref().map(|path| path.display().to_string()),
        readings: readings.unwrap_or(0),
        bytes: samples.last().map_or(0, |sample| sample.bytes),
        bytes_per_reading: rates.bytes_per_reading,
        quota_bytes,
        allowed_bytes,
        max_age_ms: millis(plan.max_age),
        written_bytes,
        written_bytes_per_day: per_day,
        endurance_bytes: plan.endurance_bytes,
        card_years: years.map(|bytes| plan.endurance_bytes as f64 / bytes as f64 / YEAR_DAYS),
        power_cut_ms,
        power_cut_readings: match power_cut_ms {
            Some(ms) => whole((late * ms as f64 / 1_000.0).ceil()),
            None => readings.unwrap_or(0),
        },
    }
}

/// What the answer takes for granted.
pub fn assumed(plan: &Plan, wanted: &Wanted, measured: Duration) -> Vec<String> {
    let mut out = vec![
        format!(
            "the cloud acknowledges after {}, and the link is faster than all that is sent \
             (`fieldhold uplink test` measures yours)",
            show_duration(wanted.round_trip)
        ),
        "every device answers, as fast as `fieldhold check` counts with; values move like those of \
         `fieldhold simulate`"
            .to_owned(),
        "nothing waits when the outage begins, all uplinks are away, and nobody else fills the disk"
            .to_owned(),
    ];
    if let Some(longest) = plan.uplinks.iter().map(|uplink| uplink.reconnect_max).max() {
        out.push(format!(
            "an uplink connects at once when the link is back; it may take up to {} to try again",
            show_duration(longest)
        ));
    }
    let pushes = |bus: &&crate::config::BusPlan| {
        bus.link.sensor().is_some_and(|link| link.sensor.ask == Ask::Push)
    };
    for bus in plan.buses.iter().filter(pushes) {
        out.push(format!(
            "sensor {} sends by itself, taken as once in {}",
            bus.name,
            show_duration(PUSH_ASSUMED)
        ));
    }
    if plan.broker.is_some() {
        out.push("what clients publish on the LAN broker is not part of it".to_owned());
    }
    if measured < wanted.outage {
        out.push(format!(
            "the first {} were gone through on a fast clock, the rest is computed from their rates",
            show_duration(Duration::from_secs(measured.as_secs().max(1)))
        ));
    }
    out
}
