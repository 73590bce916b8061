//! Exponential back-off with full jitter, as a pure iterator.

use std::time::Duration;

/// Delays before the next try: full jitter, uniform between zero and an upper limit that doubles
/// from `first` to `cap`. The first delay is jittered as well, so that a thousand gateways that
/// lose their broker at once do not return at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    limit: Duration,
    state: u64,
}

impl Backoff {
    /// `seed` makes gateways differ; any value does.
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, limit: first, state: seed }
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.limit = self.first;
    }

    /// The next delay; there is always one.
    pub fn next_delay(&mut self) -> Duration {
        let fraction = self.random();
        let delay = self.limit.mul_f64(fraction);
        self.limit = (self.limit * 2).min(self.cap);
        delay
    }

    /// splitmix64 (Steele, Lea, Flood 2014), scaled to 0..1.
    #[expect(clippy::cast_precision_loss, reason = "53 random bits fit an f64 exactly")]
    fn random(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_the_doubling_limit_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 7);
        for limit in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert!(backoff.next_delay() <= Duration::from_secs(limit));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_secs(1));
    }

    #[test]
    fn spreads_over_the_whole_interval() {
        let delays: Vec<_> = (0..1000)
            .map(|seed| {
                Backoff::new(Duration::from_secs(1), Duration::from_secs(60), seed).next_delay()
            })
            .collect();
        let early = delays.iter().filter(|d| **d < Duration::from_millis(500)).count();
        assert!((400..600).contains(&early), "{early} of 1000 below the middle");
    }
}
