//! What a device's answers teach about its speed, and the timeout that follows from it.
//!
//! Latency here is the device's own: line time of the frames is subtracted before. A timeout counts
//! as a sample of its own length, so a device that grows slower pulls its timeout up with it. What
//! was learned is kept across restarts, roughly, and used again from the first answer on: until the
//! device has answered it is given all the time that is configured.

use std::time::Duration;

use crate::config::{parse_duration, show_duration};

/// Samples kept; p99 is the third largest of them.
const SAMPLES: usize = 256;
/// Samples before the learned value is used.
const SAMPLES_MIN: usize = 32;
/// Percentiles are computed anew after this many samples.
const REFRESH: usize = 32;
/// The learned timeout is this many times p99, and never below the floor.
const MARGIN: u32 = 4;
const FLOOR: Duration = Duration::from_millis(100);
/// What is kept stays between these, and while p99 is not this many times smaller.
const KEPT_MIN: Duration = Duration::from_millis(5);
const KEPT_MAX: Duration = Duration::from_secs(60);
const KEPT_RANGE: u32 = 4;

/// A window of the newest samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency {
    /// Microseconds, a ring.
    samples: Vec<u32>,
    at: usize,
    fresh: usize,
    p50: Duration,
    p99: Duration,
    /// What is kept: p99 and half as much, which stays as long as p99 is not far from it.
    kept: Option<Duration>,
    changed: bool,
}

impl Latency {
    /// Of a device of which this was kept.
    pub(crate) fn remembering(fact: Option<&str>) -> Self {
        let kept = fact.and_then(|fact| parse_duration(fact).ok());
        Self { kept: kept.map(|kept| kept.clamp(KEPT_MIN, KEPT_MAX)), ..Self::default() }
    }

    /// What is to be kept.
    pub(crate) fn fact(&self) -> Option<String> {
        self.kept.map(show_duration)
    }

    /// Whether that is another than when it was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(crate) fn add(&mut self, sample: Duration) {
        let micros = u32::try_from(sample.as_micros()).unwrap_or(u32::MAX);
        if self.samples.len() < SAMPLES {
            self.samples.push(micros);
        } else if let Some(slot) = self.samples.get_mut(self.at) {
            *slot = micros;
        }
        self.at = (self.at + 1) % SAMPLES;
        self.fresh += 1;
        if self.fresh >= REFRESH || self.samples.len() < SAMPLES_MIN {
            self.refresh();
        }
    }

    /// An answer took this long. One that comes after the learned timeout shows that the device has
    /// another pace now, so nothing is known of it any more.
    pub(crate) fn answered_after(&mut self, took: Duration) {
        if took > self.timeout(Duration::MAX) {
            *self = Self::default();
        }
    }

    fn refresh(&mut self) {
        self.fresh = 0;
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
            Duration::from_micros(sorted.get(index).copied().unwrap_or(0).into())
        };
        self.p50 = at(50);
        self.p99 = at(99);
        let near = |kept: Duration| self.p99 <= kept && self.p99 * KEPT_RANGE >= kept;
        let floor = self.p99 < KEPT_MIN && self.kept == Some(KEPT_MIN);
        if self.samples.len() >= SAMPLES_MIN && !floor && !self.kept.is_some_and(near) {
            let millis = (self.p99 + self.p99 / 2).as_millis();
            let kept = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
            self.kept = Some(kept.clamp(KEPT_MIN, KEPT_MAX));
            self.changed = true;
        }
    }

    pub(crate) fn p50(&self) -> Duration {
        self.p50
    }

    pub(crate) fn p99(&self) -> Duration {
        self.p99
    }

    /// How long to wait for the device, at most `configured`.
    pub(crate) fn timeout(&self, configured: Duration) -> Duration {
        let p99 = match self.kept {
            _ if self.samples.len() >= SAMPLES_MIN => self.p99,
            Some(kept) if !self.samples.is_empty() => kept,
            _ => return configured,
        };
        (p99 * MARGIN).max(FLOOR).min(configured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_timeout_follows_the_slowest_answers_and_stays_below_the_configured_one() {
        let mut latency = Latency::default();
        assert_eq!(latency.timeout(ms(1000)), ms(1000), "nothing learned yet");
        for i in 0..200 {
            latency.add(ms(20 + i % 21));
        }
        assert_eq!(latency.p99(), ms(40));
        assert_eq!(latency.timeout(ms(1000)), ms(160));
        assert_eq!(latency.timeout(ms(120)), ms(120));
        for _ in 0..300 {
            latency.add(ms(1));
        }
        assert_eq!(latency.timeout(ms(1000)), FLOOR);
    }

    #[test]
    fn timeouts_pull_the_timeout_up_again() {
        let mut latency = Latency::default();
        for _ in 0..300 {
            latency.add(ms(30));
        }
        assert_eq!(latency.timeout(ms(1000)), ms(120));
        for _ in 0..32 {
            latency.add(latency.timeout(ms(1000)));
        }
        assert!(latency.timeout(ms(1000)) >= ms(480), "{:?}", latency.timeout(ms(1000)));
    }

    #[test]
    fn what_was_learned_is_used_again_after_the_first_answer() {
        let mut latency = Latency::default();
        for _ in 0..64 {
            latency.add(ms(60));
        }
        assert!(latency.take_changed());
        assert_eq!(latency.fact().as_deref(), Some("90ms"));
        for sample in [40, 80, 30, 90] {
            for _ in 0..300 {
                latency.add(ms(sample));
            }
        }
        assert!(!latency.take_changed(), "near enough, so nothing is written");
        for _ in 0..300 {
            latency.add(ms(5));
        }
        assert!(latency.take_changed());
        let mut again = Latency::remembering(Some("90ms"));
        assert_eq!(again.timeout(ms(1000)), ms(1000), "it has not answered yet");
        again.add(ms(70));
        assert_eq!(again.timeout(ms(1000)), ms(360));
        assert_eq!(again.timeout(ms(200)), ms(200));
        for fact in [None, Some(""), Some("soon"), Some("99999d")] {
            let mut strange = Latency::remembering(fact);
            strange.add(ms(1));
            assert_eq!(strange.timeout(ms(1000)), ms(1000), "{fact:?}");
        }
    }
}
