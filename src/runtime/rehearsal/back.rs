//! The link is back: every uplink delivers what waited, while new readings come in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::{Drain, Sample, Way};
use super::run::{Run, millis};
use super::{AWAY_SHARE, Progress, RehearsalError};
use crate::model::Clock;
use crate::runtime::SystemClock;
use crate::uplink::rehearsal::{Return, can_be_rehearsed};

/// A drain is gone through for so many messages; the rest is computed.
const MESSAGES_MAX: u64 = 400_000;
/// And for so long, on the simulated clock; a drain that takes longer is even enough by then.
const WATCHED_MAX: Duration = Duration::from_secs(3_600);
/// Samples of it that are kept, at least; at most twice as many.
const SAMPLES: usize = 32;
/// Between the first of them.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// An uplink whose queue shrinks by less than this part while it is watched falls behind.
const PROGRESS_PART: u64 = 1_000;
/// So many round trips of drain are enough to tell.
const LONG: u32 = 20;

/// One uplink on its way.
struct Link {
    name: String,
    way: Return,
    /// What waited when it came back.
    waited: u64,
    /// When it wants to do something next.
    next: Option<Duration>,
    /// When all that had waited was delivered, and how it was then.
    done: Option<Then>,
}

/// How it was at a moment of the drain.
#[derive(Debug, Clone, Copy)]
struct Then {
    /// Since the return.
    time: Duration,
    /// How long that really took.
    really: Duration,
    waiting: u64,
}

/// How each uplink fared, for as much as waited in the store of this rehearsal.
pub struct Back {
    pub drains: BTreeMap<String, Drain>,
    pub samples: Vec<Sample>,
}

/// Goes through the drain, until all is delivered or it was watched long enough.
pub fn drain(
    run: &mut Run,
    round_trip: Duration,
    readings_max: u64,
    progress: &Progress<'_>,
) -> Result<Back, RehearsalError> {
    let begun = run.now();
    let machine = SystemClock::new();
    let really = machine.mono();
    let mut drains = BTreeMap::new();
    let mut links = Vec::new();
    for plan in run.plan.uplinks.clone() {
        let name = plan.name.as_str().to_owned();
        if !can_be_rehearsed(&plan) {
            let why = "what an edge node of Sparkplug sends depends on its host".to_owned();
            drains.insert(name, Drain::Unknown { why });
            continue;
        }
        let Some(consumer) = run.store.consumer(&name) else { continue };
        let way = Return::connect(&plan, &run.store, consumer, round_trip, begun);
        let waited = way.left();
        links.push(Link { name, waited, way, next: Some(begun), done: None });
    }
    let dropped_before = dropped(run);
    let mut samples = Samples::new(begun);
    let read_before = run.field.read();
    loop {
        turn(run, &mut links, begun, || machine.mono() - really)?;
        samples.look(run);
        let messages: u64 = links.iter().map(|link| link.way.sent().messages).sum();
        let watched = run.now().saturating_sub(begun);
        let enough = messages > MESSAGES_MAX
            || watched > WATCHED_MAX
            || run.field.read() - read_before > readings_max;
        if enough || links.iter().all(|link| link.done.is_some()) {
            break;
        }
        let wants = links.iter().filter_map(|link| link.next);
        let end = wants.chain([run.writer_due(), samples.next]).min().unwrap_or(samples.next);
        if let Some(answer) = run.field.until(end) {
            run.take(answer)?;
            let now = run.now();
            for link in &mut links {
                link.way.appended(now);
                link.next = Some(now);
            }
        } else {
            run.go_to(end)?;
            if !progress(links.iter().map(Link::share).fold(1.0, f64::min)) {
                return Err(RehearsalError::Cancelled);
            }
        }
    }
    samples.take(run);
    let watched = (run.now().saturating_sub(begun), machine.mono() - really);
    let dropped_after = dropped(run);
    for link in links {
        let count = |of: &BTreeMap<String, u64>| of.get(&link.name).copied().unwrap_or(0);
        let dropped = count(&dropped_after) - count(&dropped_before);
        drains.insert(link.name.clone(), link.fared(watched, round_trip, dropped));
    }
    Ok(Back { drains, samples: samples.kept })
}

/// Lets those links go on that want to by now.
fn turn(
    run: &mut Run,
    links: &mut [Link],
    begun: Duration,
    really: impl Fn() -> Duration,
) -> Result<(), RehearsalError> {
    let now = run.now();
    for link in links.iter_mut().filter(|link| link.next.is_some_and(|next| next <= now)) {
        let settled = link.way.sent();
        link.next = run.runtime.block_on(link.way.turn(now))?;
        if link.done.is_none() && (link.way.sent() != settled || link.waited == 0) {
            let (time, waiting) = (now.saturating_sub(begun), link.way.waiting());
            link.done = (link.way.left() == 0).then(|| Then { time, really: really(), waiting });
        }
    }
    run.settled()
}

fn dropped(run: &Run) -> BTreeMap<String, u64> {
    let consumers = run.store.status().consumers.into_iter();
    let sum = |classes: &[crate::store::AccountStatus]| classes.iter().map(|c| c.dropped).sum();
    consumers.map(|consumer| (consumer.name, sum(&consumer.classes))).collect()
}

impl Link {
    /// How much of the whole rehearsal is done, by this link.
    #[expect(clippy::cast_precision_loss, reason = "a share for display")]
    fn share(&self) -> f64 {
        let left = self.way.left() as f64 / self.waited.max(1) as f64;
        AWAY_SHARE + (1.0 - AWAY_SHARE) * (1.0 - left)
    }

    fn fared(&self, watched: (Duration, Duration), round_trip: Duration, dropped: u64) -> Drain {
        let (left, sent) = (self.way.left(), self.way.sent());
        let through = self.waited.saturating_sub(left);
        let readings = sent.readings.max(1);
        let now = Then { time: watched.0, really: watched.1, waiting: self.way.waiting() };
        let then = self.done.unwrap_or(now);
        let mut way = Way {
            ms: millis(then.time),
            machine_ms: millis(then.really),
            computed: false,
            sent,
            #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
            bytes_per_reading: (sent.readings > 0).then(|| sent.bytes as f64 / readings as f64),
            bound: self.way.bound(),
            live_ms: self.way.delays().map(|(middle, most)| (millis(middle), millis(most))),
            dropped,
        };
        // Of a short drain what is on its way is much of what waits.
        let shrank = self.waited.saturating_sub(then.waiting);
        let is_long = then.time > round_trip * LONG;
        if is_long && through.min(shrank) <= self.waited / PROGRESS_PART {
            return Drain::FallsBehind(way);
        }
        if self.done.is_some() {
            return Drain::Drained(way);
        }
        scale(&mut way, self.waited, through);
        Drain::Drained(way)
    }
}

/// What a way is for `whole` if it is this for `part`.
pub fn scale(way: &mut Way, whole: u64, part: u64) {
    let scaled = |n: u64| {
        let scaled = u128::from(n) * u128::from(whole) / u128::from(part.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    way.computed = true;
    way.ms = scaled(way.ms);
    way.machine_ms = scaled(way.machine_ms);
    way.sent.messages = scaled(way.sent.messages);
    way.sent.bytes = scaled(way.sent.bytes);
    way.sent.readings = scaled(way.sent.readings);
    way.sent.excluded = scaled(way.sent.excluded);
    way.sent.dead = scaled(way.sent.dead);
    way.dropped = scaled(way.dropped);
}

/// Moments of a time whose length is not known before, evenly.
struct Samples {
    kept: Vec<Sample>,
    every: Duration,
    next: Duration,
}

impl Samples {
    fn new(begun: Duration) -> Self {
        Self { kept: Vec::new(), every: SAMPLE_EVERY, next: begun + SAMPLE_EVERY }
    }

    fn look(&mut self, run: &Run) {
        if run.now() < self.next {
            return;
        }
        self.take(run);
        if self.kept.len() >= 2 * SAMPLES {
            self.every *= 2;
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                !keep
            });
        }
        self.next = run.now() + self.every;
    }

    fn take(&mut self, run: &Run) {
        self.kept.push(run.sample());
    }
}
