//! What an outage of the uplinks would come to, by the user's own configuration, in seconds.
//!
//! The real store in a scratch directory, fed by simulated devices through the gateway's own schedule
//! and publish rules, on a clock that is moved from one thing to do to the next (`run`). When the link
//! is back every uplink drains it with its own packing, window and rate (`back`). So the figures are the
//! gateway's own: its accounts, its ledger, its wear meter. What a budget of work does not reach is
//! computed from the rates of the part that was gone through (`reckon`), and said to be.
//!
//! What is not known here and assumed instead is part of the answer: how long the cloud's answers take,
//! that all devices answer, that the queue is empty before. Reads the room of the configured directory
//! and changes nothing there; blocks, so it belongs on a thread of its own.

mod answer;
mod back;
mod rates;
mod reckon;
mod run;
mod scratch;
mod tail;
#[cfg(test)]
mod tests;
mod told;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use answer::{
    Account, Answer, ClassAnswer, Drain, FieldAnswer, Sample, StoreAnswer, UplinkAnswer, Way,
};

use self::answer::ClassAnswer as Class;
use self::rates::Rates;
use self::reckon::{Seen, whole};
use self::run::{Polls, Run, millis};
use crate::config::{Plan, Policy, show_duration};
use crate::store::{AccountStatus, ConsumerStatus, StoreError, StoreStatus};

/// The longest outage.
pub const OUTAGE_MAX: Duration = Duration::from_secs(366 * 86_400);
pub const OUTAGE_MIN: Duration = Duration::from_secs(10);
/// The round trip to the cloud that is assumed unless told otherwise.
pub const ROUND_TRIP: Duration = Duration::from_millis(50);
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(60);
/// Readings that are gone through unless told otherwise; an hour of a thousand a second, and some.
pub const READINGS: u64 = 5_000_000;
/// A commit costs as much work as so many readings.
const COMMIT_READINGS: f64 = 200.0;
/// Something happens in every second of a gateway.
const STEP: Duration = Duration::from_secs(1);
/// Where there were fewer commits, their beginning is not left out of what is counted.
const COMMITS_MIN: u32 = 20;
/// Moments of the outage that are told.
const SAMPLES: u32 = 60;
/// Less than this says little about the rates: pages fill, and checkpoints come each ten minutes.
const PART_MIN: Duration = Duration::from_secs(600);

/// What is to be rehearsed.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub outage: Duration,
    /// From a message to its acknowledgement.
    pub round_trip: Duration,
    /// Where the scratch directory is made; `None`: where temporary files are.
    pub dir: Option<PathBuf>,
    /// About so much is gone through; what is beyond is computed.
    pub readings_max: u64,
    /// Of the simulated devices.
    pub seed: u64,
}

impl Wanted {
    pub fn of(outage: Duration) -> Self {
        let (round_trip, readings_max) = (ROUND_TRIP, READINGS);
        Self { outage, round_trip, dir: None, readings_max, seed: 1 }
    }
}

/// Is told which share of it is done, 0 to 1; says whether to go on.
pub type Progress<'a> = dyn Fn(f64) -> bool + 'a;
/// Of it, the outage; the rest is the drain.
const AWAY_SHARE: f64 = 0.8;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error("there is no uplink in this configuration, so nothing waits for one")]
    NoUplink,
    #[error("no tag of this configuration is read, so there is nothing to send")]
    NothingRead,
    #[error(
        "an outage of {} to {} can be rehearsed",
        show_duration(OUTAGE_MIN),
        show_duration(OUTAGE_MAX)
    )]
    Outage,
    #[error("a round trip of at most {} can be rehearsed", show_duration(ROUND_TRIP_MAX))]
    RoundTrip,
    #[error(
        "{} has {} MB free, and a rehearsal takes up to {} MB for a while",
        dir.display(), free / 1_000_000, needed / 1_000_000
    )]
    Room { dir: PathBuf, free: u64, needed: u64 },
    #[error("{} can't be used", dir.display())]
    Directory { dir: PathBuf, source: io::Error },
    #[error("the machine has no room for another thread")]
    Machine(#[source] io::Error),
    #[error("the store of the rehearsal failed")]
    Store(#[from] StoreError),
    #[error("the rehearsal was ended")]
    Cancelled,
}

/// Goes through it.
pub fn rehearse(
    plan: &Plan,
    wanted: &Wanted,
    progress: &Progress<'_>,
) -> Result<Answer, RehearsalError> {
    if plan.uplinks.is_empty() {
        return Err(RehearsalError::NoUplink);
    }
    let polls = Polls::of(plan);
    if polls.is_empty() {
        return Err(RehearsalError::NothingRead);
    }
    if !(OUTAGE_MIN..=OUTAGE_MAX).contains(&wanted.outage) {
        return Err(RehearsalError::Outage);
    }
    if wanted.round_trip > ROUND_TRIP_MAX {
        return Err(RehearsalError::RoundTrip);
    }
    let part = part(plan, wanted, polls.iter().map(|polls| polls.per_second()).sum());
    let mut run = Run::new(plan, wanted, wanted.readings_max)?;
    let Away { mut samples, status, first_drops, measured } =
        away(&mut run, wanted.outage, part, progress)?;
    let rates = Rates::of(&samples, &status, measured, (&run, &polls));
    let mut uplinks = Vec::new();
    for (plan, consumer) in plan.uplinks.iter().zip(&status.consumers) {
        let required = plan.policy == Policy::Required;
        let name = plan.name.as_str().to_owned();
        let first_drop = first_drops.iter().find(|(of, _)| *of == name).map(|(_, at)| *at);
        let seen = rates.seen(consumer, &status, plan.policy, run.plan.store.max_age, measured);
        let (classes, first) = match measured < wanted.outage {
            false => (classes(consumer), first_drop),
            true => {
                let first = first_drop.or_else(|| seen.first_drop(wanted.outage));
                (seen.at(wanted.outage), first)
            }
        };
        let drain = Drain::Unknown { why: String::new() };
        let first_drop_ms = first.map(millis);
        let answer =
            UplinkAnswer { name, required, classes, first_drop_ms, last_drop_ms: None, drain };
        uplinks.push((answer, seen));
    }
    if measured < wanted.outage {
        samples.extend(computed(&uplinks, &rates, (measured, wanted.outage), &samples));
    }
    let field = told::field(&run, measured, &rates);
    let store = told::store(&run, &status, &samples, (&uplinks, wanted.outage), &rates);
    let back = back::drain(&mut run, wanted.round_trip, wanted.readings_max, progress)?;
    let mut uplinks: Vec<_> = uplinks.into_iter().map(|(answer, _)| answer).collect();
    let whole = measured >= wanted.outage;
    for (uplink, consumer) in uplinks.iter_mut().zip(&status.consumers) {
        let Some(mut drain) = back.drains.get(&uplink.name).cloned() else { continue };
        let seen: u64 = consumer.classes.iter().map(|class| class.waiting).sum();
        if let (false, Drain::Drained(way)) = (whole, &mut drain) {
            back::scale(way, uplink.sum().waiting, seen);
        }
        uplink.drain = drain;
    }
    if whole {
        samples.extend(back.samples);
    }
    samples.extend(tail::after(&samples, &uplinks, wanted.outage, rates.readings));
    for uplink in &mut uplinks {
        uplink.last_drop_ms = last_drop(&samples, &uplink.name);
    }
    Ok(Answer {
        outage_ms: millis(wanted.outage),
        measured_ms: millis(measured),
        field,
        store,
        assumed: told::assumed(&run.plan, wanted, measured),
        samples,
        uplinks,
    })
}

/// How much of the outage the budget is enough for.
fn part(plan: &Plan, wanted: &Wanted, reads: f64) -> Duration {
    let commits = 1.0 / plan.store.commit.min(STEP).as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a budget")]
    let seconds = wanted.readings_max as f64 / (reads + COMMIT_READINGS * commits);
    let part = Duration::try_from_secs_f64(seconds).unwrap_or(OUTAGE_MAX);
    // Periods mostly divide a minute: then what is computed has no part of a round too many.
    let part = Duration::from_secs(part.as_secs() / 60 * 60);
    part.max(PART_MIN).max(plan.store.commit * COMMITS_MIN).min(wanted.outage)
}

/// What the outage was, as far as it was gone through.
struct Away {
    samples: Vec<Sample>,
    status: StoreStatus,
    first_drops: Vec<(String, Duration)>,
    measured: Duration,
}

fn away(
    run: &mut Run,
    outage: Duration,
    part: Duration,
    progress: &Progress<'_>,
) -> Result<Away, RehearsalError> {
    let part_s = part.as_secs_f64().max(1e-3);
    let progress = |at: Duration| progress(AWAY_SHARE * at.as_secs_f64() / part_s);
    let mut samples = vec![run.sample()];
    let mut first_drops: Vec<(String, Duration)> = Vec::new();
    let consumers = run.plan.uplinks.len();
    for k in 1..=SAMPLES {
        let whole = part == outage;
        // The rates want moments of the part, the answer those of the outage.
        let until = if whole { outage * k / SAMPLES } else { part * k / SAMPLES };
        while run.now() < until {
            run.away(until, &progress, |run| {
                if first_drops.len() == consumers {
                    return true;
                }
                for (name, account) in run.sample().uplinks {
                    if account.dropped > 0 && first_drops.iter().all(|(of, _)| *of != name) {
                        first_drops.push((name, run.now()));
                    }
                }
                true
            })?;
        }
        samples.push(run.sample());
        if samples.last().is_some_and(|sample| sample.bytes > scratch::BYTES_MAX) {
            break;
        }
    }
    Ok(Away { samples, status: run.store.status(), first_drops, measured: run.now() })
}

fn classes(consumer: &ConsumerStatus) -> std::collections::BTreeMap<&'static str, Class> {
    let class = |of: &AccountStatus| {
        let AccountStatus { appended, delivered, excluded, dropped, waiting, .. } = *of;
        let account = Account { appended, delivered, excluded, dropped, waiting };
        (of.class, Class { account, dropped_why: of.dropped_why.clone() })
    };
    consumer.classes.iter().map(class).collect()
}

/// The moments of the outage that were not gone through.
fn computed(
    uplinks: &[(UplinkAnswer, Seen)],
    rates: &Rates,
    (measured, outage): (Duration, Duration),
    before: &[Sample],
) -> Vec<Sample> {
    let Some(last) = before.last() else { return Vec::new() };
    let moments = (1..=SAMPLES).map(|k| outage * k / SAMPLES).filter(|at| *at > measured);
    let sample = |at: Duration| {
        let accounts = uplinks.iter().map(|(uplink, seen)| {
            let at = UplinkAnswer { classes: seen.at(at), ..uplink.clone() };
            (uplink.name.clone(), at.sum())
        });
        let uplinks: std::collections::BTreeMap<_, _> = accounts.collect();
        let after = (at - measured).as_secs_f64();
        let mut sample = Sample {
            at_ms: millis(at),
            bytes: 0,
            written_bytes: last.written_bytes + whole(rates.written_per_second * after),
            uplinks,
            computed: true,
        };
        sample.bytes = bytes_of(&sample, last, rates);
        sample
    };
    moments.map(sample).collect()
}

/// The live data, from that of an earlier moment.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn bytes_of(sample: &Sample, before: &Sample, rates: &Rates) -> u64 {
    let more = sample.waiting() as f64 - before.waiting() as f64;
    whole((before.bytes as f64 + more * rates.bytes_per_reading.unwrap_or(0.0)).max(0.0))
}

fn last_drop(samples: &[Sample], uplink: &str) -> Option<u64> {
    let dropped = |sample: &Sample| sample.uplinks.get(uplink).map_or(0, |account| account.dropped);
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let mut more = pairs.filter(|(before, after)| dropped(after) > dropped(before));
    more.next_back().map(|(_, after)| after.at_ms)
}
