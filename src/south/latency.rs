//! What a device's answers teach about its speed, and the timeout that follows from it.
//!
//! Latency here is the device's own: line time of the frames is subtracted before. A timeout counts
//! as a sample of its own length, so a device that grows slower pulls its timeout up with it.

use std::time::Duration;

/// Samples kept; p99 is the third largest of them.
const SAMPLES: usize = 256;
/// Samples before the learned value is used.
const SAMPLES_MIN: usize = 32;
/// Percentiles are computed anew after this many samples.
const REFRESH: usize = 32;
/// The learned timeout is this many times p99, and never below the floor.
const MARGIN: u32 = 4;
const FLOOR: Duration = Duration::from_millis(100);

/// A window of the newest samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency {
    /// Microseconds, a ring.
    samples: Vec<u32>,
    at: usize,
    fresh: usize,
    p50: Duration,
    p99: Duration,
}

impl Latency {
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
    }

    pub(crate) fn p50(&self) -> Duration {
        self.p50
    }

    pub(crate) fn p99(&self) -> Duration {
        self.p99
    }

    /// How long to wait for the device, at most `configured`.
    pub(crate) fn timeout(&self, configured: Duration) -> Duration {
        if self.samples.len() < SAMPLES_MIN {
            return configured;
        }
        (self.p99 * MARGIN).max(FLOOR).min(configured)
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
}
