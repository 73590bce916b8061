//! Rates of counts that only grow, measured over some seconds. Pure: the time comes in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::Mono;

/// What a rate is measured over.
const SPAN: Duration = Duration::from_secs(5);

/// Of what comes from a client and what goes to it.
#[derive(Default)]
pub struct Meter(Mutex<Measured>);

#[derive(Default)]
struct Measured {
    /// When the running span began, and the counts then.
    begun: Option<(Mono, [u64; 2])>,
    rates: [f64; 2],
}

impl Meter {
    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the counts as they are now; to be called more often than the span is long.
    pub fn measure(&self, counts: [u64; 2], now: Mono) {
        let mut measured = self.lock();
        let Some((begun, before)) = measured.begun else {
            measured.begun = Some((now, counts));
            return;
        };
        if now - begun >= SPAN {
            let seconds = (now - begun).as_secs_f64();
            let pairs = [(counts[0], before[0]), (counts[1], before[1])];
            measured.rates = pairs.map(|(after, before)| per_second(after, before, seconds));
            measured.begun = Some((now, counts));
        }
    }

    /// Per second, over the last whole span.
    pub fn rates(&self) -> [f64; 2] {
        self.lock().rates
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for display")]
fn per_second(after: u64, before: u64, seconds: f64) -> f64 {
    after.saturating_sub(before) as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_whole_span() {
        let meter = Meter::default();
        let second = |n: i64| Mono(n * 1000);
        for n in 0..=5 {
            meter.measure([u64::try_from(n).unwrap() * 10, 1], second(n));
            assert_eq!(meter.rates(), if n < 5 { [0.0, 0.0] } else { [10.0, 0.0] });
        }
        meter.measure([50, 6], second(9));
        assert_eq!(meter.rates(), [10.0, 0.0]);
        meter.measure([50, 6], second(10));
        assert_eq!(meter.rates(), [0.0, 1.0]);
    }
}
