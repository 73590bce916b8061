//! Whose turn it is on a line: polls, or requests that others wait for, clients of the server face and
//! people. Pure: time comes in.
//!
//! Polls go first. Requests take the time that polling leaves, and where it leaves none they still
//! get [`PASS_SHARE`] of the line. So a flood of requests makes no poll miss its tick on a line that
//! is polled for less than the rest, and a line that is polled without a pause still serves them.

use std::time::Duration;

/// Of a line that is busy with polls, for requests of others.
pub(crate) const PASS_SHARE: f64 = 0.25;
/// Time that can be saved up for them.
const CREDIT_MAX: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Fair {
    /// Seconds; negative is debt.
    credit: f64,
    at: Duration,
}

impl Fair {
    pub(crate) fn new() -> Self {
        Self { credit: CREDIT_MAX.as_secs_f64(), at: Duration::ZERO }
    }

    /// Whether a request may go now; without a poll that waits it always may.
    pub(crate) fn may_pass(&mut self, now: Duration, poll_waits: bool) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.credit = (self.credit + passed * PASS_SHARE).min(CREDIT_MAX.as_secs_f64());
        self.at = self.at.max(now);
        !poll_waits || self.credit > 0.0
    }

    /// A request took this long. What it takes of an idle line counts too, so that who was served
    /// while nobody polled does not go before a poll as well.
    pub(crate) fn passed(&mut self, took: Duration) {
        let floor = -took.max(CREDIT_MAX).as_secs_f64();
        self.credit = (self.credit - took.as_secs_f64()).max(floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds of a line on which both always wait; returns their numbers.
    fn flood(poll: Duration, pass: Duration) -> (u32, u32) {
        let (mut fair, mut now, mut polls, mut passes) = (Fair::new(), Duration::ZERO, 0, 0);
        while now < Duration::from_secs(10) {
            if fair.may_pass(now, true) {
                now += pass;
                fair.passed(pass);
                passes += 1;
            } else {
                now += poll;
                polls += 1;
            }
        }
        (polls, passes)
    }

    #[test]
    fn on_a_line_that_is_always_busy_both_get_their_share() {
        for (poll, pass) in [(10, 10), (10, 300), (300, 10), (3, 50)] {
            let (poll, pass) = (Duration::from_millis(poll), Duration::from_millis(pass));
            let (polls, passes) = flood(poll, pass);
            let share = pass.as_secs_f64() * f64::from(passes) / 10.0;
            assert!((0.23..0.32).contains(&share), "{poll:?} {pass:?}: {share}");
            assert!(polls > 0);
        }
    }

    #[test]
    fn an_idle_line_is_free() {
        let mut fair = Fair::new();
        let (mut now, took) = (Duration::ZERO, Duration::from_millis(20));
        for _ in 0..100 {
            assert!(fair.may_pass(now, false));
            now += took;
            fair.passed(took);
        }
        assert!(!fair.may_pass(now, true), "a poll that comes then goes first");
        assert!(fair.may_pass(now + Duration::from_secs(1), true), "but not for ever");
    }
}
