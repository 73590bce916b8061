//! Holds a client to its packets per second, and a listener to its connections. Pure: the time comes
//! in.
//!
//! Some of what one second allows may come at once. Costs an idle connection one point in time.

use std::time::Duration;

use tokio::time::Instant;

/// How much is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    interval: Duration,
    /// What may come at once, in time.
    burst: Duration,
    /// What is held back goes on after this at the earliest, so that a high rate doesn't cost a
    /// wake-up for each.
    pause_min: Duration,
}

impl Pace {
    /// Packets of a client: one second's worth may come at once.
    pub fn of_packets(per_second: u32) -> Self {
        Self::new(per_second, Duration::from_secs(1), Duration::from_millis(10))
    }

    /// Connections of a listener: a few at once, so that those who are connected get their turn
    /// between them, however many come.
    pub fn of_connections(per_second: u32) -> Self {
        Self::new(per_second, Duration::from_millis(5), Duration::from_millis(1))
    }

    fn new(per_second: u32, burst: Duration, pause_min: Duration) -> Self {
        let interval = Duration::from_nanos(1_000_000_000_u64.div_ceil(per_second.max(1).into()));
        // One may come at any rate.
        Self { interval, burst: burst.max(interval), pause_min }
    }
}

#[derive(Debug, Default)]
pub struct Rate {
    /// When all that was taken would have come, had it come evenly.
    paid_until: Option<Instant>,
}

impl Rate {
    /// How many may be taken now.
    pub fn allowance(&self, now: Instant, pace: Pace) -> usize {
        let ahead = self.paid_until.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let left = pace.burst.saturating_sub(ahead).as_nanos() / pace.interval.as_nanos().max(1);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Notes that `count` were taken.
    pub fn took(&mut self, count: usize, now: Instant, pace: Pace) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let from = self.paid_until.map_or(now, |at| at.max(now));
        self.paid_until = Some(from + pace.interval.saturating_mul(count));
    }

    /// When to go on with one of whom nothing may be taken now.
    pub fn resume_at(&self, now: Instant, pace: Pace) -> Instant {
        let one_more = self.paid_until.and_then(|at| (at + pace.interval).checked_sub(pace.burst));
        one_more.map_or(now, |at| at.max(now + pace.pause_min))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes when: no second and no minute has more than the rate and one burst, and
        /// who is held back is let on as fast as the rate says.
        #[test]
        fn never_more_and_hardly_less(
            per_second in 1..5_000_u32,
            packets in any::<bool>(),
            chunks in prop::collection::vec(1..3_000_usize, 1..20),
        ) {
            let pace = match packets {
                true => Pace::of_packets(per_second),
                false => Pace::of_connections(per_second),
            };
            let start = Instant::now();
            let (mut now, mut rate, mut taken) = (start, Rate::default(), 0);
            for chunk in chunks {
                let mut left = chunk;
                while left > 0 {
                    let count = rate.allowance(now, pace).min(left);
                    rate.took(count, now, pace);
                    taken += count;
                    left -= count;
                    let time = now - start + pace.burst;
                    let most = time.as_secs_f64() * f64::from(per_second) + 1e-6;
                    prop_assert!(f64::from(u32::try_from(taken).unwrap()) <= most);
                    if left > 0 {
                        let until = rate.resume_at(now, pace);
                        prop_assert!(until > now);
                        let wait = until - now;
                        prop_assert!(wait <= pace.pause_min.max(pace.interval), "{wait:?}");
                        now = until;
                        prop_assert!(rate.allowance(now, pace) > 0);
                    }
                }
            }
        }
    }
}
