//! A rate over the last ten seconds. Pure: time comes in.

use crate::model::Mono;

const SECONDS: usize = 10;

/// Counts per second, in a ring of whole seconds.
#[derive(Debug, Default, Clone)]
pub struct Rate {
    counts: [u64; SECONDS],
    /// The second the newest count belongs to.
    newest: i64,
    /// The second of the first count, since a young rate must not be divided by ten.
    first: Option<i64>,
}

fn second(at: Mono) -> i64 {
    at.0.div_euclid(1000)
}

fn slot(second: i64) -> usize {
    usize::try_from(second.rem_euclid(10)).unwrap_or(0)
}

impl Rate {
    pub fn add(&mut self, at: Mono, count: u64) {
        let now = second(at);
        if self.first.is_none() {
            self.first = Some(now);
            self.newest = now;
        }
        self.forget_until(now);
        if let Some(counted) = self.counts.get_mut(slot(now)) {
            *counted += count;
        }
    }

    /// Per second, over what was counted in the last ten.
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    pub fn per_second(&self, at: Mono) -> f64 {
        let mut copy = self.clone();
        copy.forget_until(second(at));
        let Some(first) = self.first else { return 0.0 };
        let seconds = (second(at) - first + 1).clamp(1, 10);
        copy.counts.iter().sum::<u64>() as f64 / seconds as f64
    }

    fn forget_until(&mut self, now: i64) {
        let from = self.newest.max(now - 10) + 1;
        for gone in from..=now {
            if let Some(counted) = self.counts.get_mut(slot(gone)) {
                *counted = 0;
            }
        }
        self.newest = self.newest.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_and_forgets() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(Mono(5)), 0.0);
        rate.add(Mono(100_000), 50);
        assert_eq!(rate.per_second(Mono(100_900)), 50.0);
        for second in 101..120 {
            rate.add(Mono(second * 1000), 100);
        }
        assert_eq!(rate.per_second(Mono(119_999)), 100.0);
        assert_eq!(rate.per_second(Mono(124_999)), 50.0);
        assert_eq!(rate.per_second(Mono(500_000)), 0.0);
    }
}
