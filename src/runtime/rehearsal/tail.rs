//! The end of a drain that was not gone through: what waits goes evenly.

use std::time::Duration;

use super::answer::{Account, Drain, Sample, UplinkAnswer, Way};
use super::reckon::whole;
use super::run::millis;

/// Moments of it that are told.
const SAMPLES: u64 = 20;

/// From the last moment that is known to the end of the longest drain.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn after(
    samples: &[Sample],
    uplinks: &[UplinkAnswer],
    outage: Duration,
    readings_per_second: f64,
) -> Vec<Sample> {
    let Some(last) = samples.last() else { return Vec::new() };
    let ends = uplinks.iter().filter_map(|uplink| end(uplink, outage));
    let Some(end_ms) = ends.max().filter(|end| *end > last.at_ms) else { return Vec::new() };
    let moment = |k: u64| last.at_ms + (end_ms - last.at_ms) * k / SAMPLES;
    let sample = |at_ms: u64| {
        let came = whole(readings_per_second * (at_ms - last.at_ms) as f64 / 1_000.0);
        let accounts = uplinks.iter().filter_map(|uplink| {
            let before = last.uplinks.get(&uplink.name)?;
            Some((uplink.name.clone(), account(uplink, *before, (last.at_ms, at_ms), came, outage)))
        });
        let mut sample =
            Sample { at_ms, uplinks: accounts.collect(), computed: true, ..last.clone() };
        let left = sample.waiting() as f64 / last.waiting().max(1) as f64;
        sample.bytes = whole(last.bytes as f64 * left.min(1.0));
        sample
    };
    (1..=SAMPLES).map(|k| sample(moment(k))).collect()
}

/// When this uplink has drained, on the clock of the outage.
fn end(uplink: &UplinkAnswer, outage: Duration) -> Option<u64> {
    match &uplink.drain {
        Drain::Drained(way) => Some(millis(outage).saturating_add(way.ms)),
        Drain::FallsBehind(_) | Drain::Unknown { .. } => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn account(
    uplink: &UplinkAnswer,
    before: Account,
    (from_ms, at_ms): (u64, u64),
    came: u64,
    outage: Duration,
) -> Account {
    let appended = before.appended + came;
    let Some(end_ms) = end(uplink, outage) else {
        return Account { appended, waiting: before.waiting + came, ..before };
    };
    let share = end_ms.saturating_sub(at_ms) as f64 / end_ms.saturating_sub(from_ms).max(1) as f64;
    let waiting = whole(before.waiting as f64 * share.min(1.0));
    let settled = before.waiting + came - waiting;
    let Drain::Drained(Way { sent, .. }) = &uplink.drain else { return before };
    let wanted = sent.readings as f64 / (sent.readings + sent.excluded).max(1) as f64;
    let delivered = whole(settled as f64 * wanted).min(settled);
    Account {
        appended,
        delivered: before.delivered + delivered,
        excluded: before.excluded + settled - delivered,
        dropped: before.dropped,
        waiting,
    }
}
