//! Holds a client to its packets per second, and a listener to its connections. Pure: the time comes
//! in.
//!
//! What one second allows may come at once. Costs an idle connection one point in time.

use std::time::Duration;

use tokio::time::Instant;

/// What may come at once, in time.
const BURST: Duration = Duration::from_secs(1);
/// A client that is held back is read again after this at the earliest, so that a high rate
/// doesn't cost a wake-up per packet.
const PAUSE_MIN: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub struct Rate {
    /// When all that was taken would have come, had it come evenly.
    paid_until: Option<Instant>,
}

impl Rate {
    /// How many packets may be taken now.
    pub fn allowance(&self, now: Instant, per_second: u32) -> usize {
        let ahead = self.paid_until.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let left = BURST.saturating_sub(ahead).as_nanos() / interval(per_second).as_nanos().max(1);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Notes that `count` packets were taken.
    pub fn took(&mut self, count: usize, now: Instant, per_second: u32) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let from = self.paid_until.map_or(now, |at| at.max(now));
        self.paid_until = Some(from + interval(per_second).saturating_mul(count));
    }

    /// When a client of which nothing may be taken now is to be read again.
    pub fn resume_at(&self, now: Instant, per_second: u32) -> Instant {
        let one_more =
            self.paid_until.and_then(|at| (at + interval(per_second)).checked_sub(BURST));
        one_more.map_or(now, |at| at.max(now + PAUSE_MIN))
    }
}

/// What one packet costs, rounded up; at least one fits into [`BURST`].
fn interval(per_second: u32) -> Duration {
    Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(per_second.max(1))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes when: no second and no minute has more than the rate and one burst, and a
        /// client that is held back is let on as fast as the rate says.
        #[test]
        fn never_more_and_hardly_less(
            per_second in 1..5_000_u32,
            chunks in prop::collection::vec(1..3_000_usize, 1..20),
        ) {
            let start = Instant::now();
            let (mut now, mut rate, mut taken) = (start, Rate::default(), 0);
            for chunk in chunks {
                let mut left = chunk;
                while left > 0 {
                    let count = rate.allowance(now, per_second).min(left);
                    rate.took(count, now, per_second);
                    taken += count;
                    left -= count;
                    let most = (now - start + BURST).as_secs_f64() * f64::from(per_second) + 1e-6;
                    prop_assert!(f64::from(u32::try_from(taken).unwrap()) <= most);
                    if left > 0 {
                        let until = rate.resume_at(now, per_second);
                        prop_assert!(until > now);
                        let wait = until - now;
                        prop_assert!(wait <= PAUSE_MIN.max(interval(per_second)), "{wait:?}");
                        now = until;
                        prop_assert!(rate.allowance(now, per_second) > 0);
                    }
                }
            }
        }
    }
}
