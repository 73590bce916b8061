//! A device's circuit breaker, and the share of a line's time that its silent devices may take.
//!
//! A device that does not answer is asked once per interval, 1 s at first, doubling up to 60 s, for
//! ever (T12). The interval starts over only after the device has been well for as long as it was
//! last out, so one that answers now and then can't eat the line. Whatever the intervals say, all
//! silent devices together stay below [`SILENT_SHARE`] of the line's time (T14): time spent on
//! timeouts is a debt that is paid off at that rate, and nobody is probed while there is debt.
//!
//! Where that would keep the living from being found, it yields: on a line where nobody answers
//! there is nobody to be spared, so there is no debt and no long interval; when one comes back,
//! every other one is asked once beyond its share, because what silenced them may have been the
//! same cable; and noticing that many fell silent costs no more than [`DEBT_MAX`].
//! Pure: time comes in.

use std::time::Duration;

/// Of a line's time, for requests to devices that don't answer.
pub(crate) const SILENT_SHARE: f64 = 0.05;
pub(crate) const INTERVAL_MIN: Duration = Duration::from_secs(1);
pub(crate) const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Requests in a row without an answer after which a device that had answered counts as silent.
const FAILURES_MAX: u32 = 2;
/// Requests without an answer that a line may start with, before any of its time was saved up.
const CREDIT_MAX: Duration = Duration::from_millis(250);
/// What is paid off at most, unless one timeout alone is longer: 20 s of no probes.
const DEBT_MAX: Duration = Duration::from_secs(1);
/// Longest interval between probes on a line where nobody answers.
pub(crate) const INTERVAL_ALONE_MAX: Duration = Duration::from_secs(5);
/// A probe beyond the share goes before regular requests when it has waited for this long.
const RETRY_WITHIN: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    state: State,
    interval: Duration,
    /// Whether the device has ever answered; one that never did is silent at its first failure.
    known: bool,
    /// A probe beyond the share.
    retry: Retry,
    /// Time that requests without an answer took since the last answer, of a device that does not
    /// count as silent.
    doubtful: Duration,
}

/// One is given when another device of the line comes back, and again only to a device that has
/// been well for some seconds since, or after the whole line was dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Left,
    Due,
    Used,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { since: Duration, failures: u32 },
    Open { since: Duration, probe_at: Duration },
}

/// What an exchange changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Same,
    /// The device is silent from now on.
    Opened,
    /// It answers again.
    Closed,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Closed { since: Duration::ZERO, failures: 0 },
            interval: INTERVAL_MIN,
            known: false,
            retry: Retry::Left,
            doubtful: Duration::ZERO,
        }
    }

    pub(crate) fn answered(&mut self, now: Duration) -> Turn {
        self.known = true;
        match &mut self.state {
            State::Closed { since, failures } => {
                *failures = 0;
                let well = now.saturating_sub(*since);
                if well >= self.interval {
                    self.interval = INTERVAL_MIN;
                }
                if well >= self.interval.min(INTERVAL_ALONE_MAX) {
                    self.retry = Retry::Left;
                }
                Turn::Same
            }
            State::Open { .. } => {
                self.retry = Retry::Used;
                self.state = State::Closed { since: now, failures: 0 };
                Turn::Closed
            }
        }
    }

    pub(crate) fn failed(&mut self, now: Duration) -> Turn {
        match &mut self.state {
            State::Closed { failures, .. } => {
                *failures += 1;
                if self.known && *failures < FAILURES_MAX {
                    return Turn::Same;
                }
                self.state = State::Open { since: now, probe_at: now + self.interval };
                Turn::Opened
            }
            State::Open { probe_at, .. } => {
                if self.retry == Retry::Due {
                    self.retry = Retry::Used;
                }
                self.interval = (self.interval * 2).min(INTERVAL_MAX);
                *probe_at = now + self.interval;
                Turn::Same
            }
        }
    }

    /// Another device of the line came back: a silent one may be asked at once, if it was not for
    /// that reason before, or if the whole line was dead.
    pub(crate) fn try_again(&mut self, now: Duration, line_was_dead: bool) {
        if let State::Open { probe_at, .. } = &mut self.state
            && (line_was_dead || self.retry == Retry::Left)
        {
            self.retry = Retry::Due;
            *probe_at = (*probe_at).min(now);
        }
    }

    /// Whether its next request is not counted against the share.
    pub(crate) fn is_free(&self) -> bool {
        self.retry == Retry::Due && self.is_open()
    }

    /// When its probe goes before regular requests.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let patience = if self.is_free() { RETRY_WITHIN } else { Duration::ZERO };
        Some(self.probe_at()? + patience)
    }

    /// Notes what a request without an answer took.
    pub(crate) fn took(&mut self, took: Duration) {
        self.doubtful = if self.is_open() { Duration::ZERO } else { self.doubtful + took };
    }

    /// What to give back of the time that was charged, as the device was not silent after all.
    pub(crate) fn refund(&mut self) -> Duration {
        std::mem::take(&mut self.doubtful)
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// When a silent device may be asked again.
    pub(crate) fn probe_at(&self) -> Option<Duration> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at),
            State::Closed { .. } => None,
        }
    }

    /// As [`Breaker::probe_at`], on a line where nobody answers.
    pub(crate) fn probe_at_alone(&self) -> Option<Duration> {
        let cut = self.interval.saturating_sub(INTERVAL_ALONE_MAX);
        Some(self.probe_at()?.saturating_sub(cut))
    }

    /// Whether its last request got no answer.
    pub(crate) fn is_doubtful(&self) -> bool {
        !matches!(self.state, State::Closed { failures: 0, .. })
    }

    pub(crate) fn silent_since(&self) -> Option<Duration> {
        match self.state {
            State::Open { since, .. } => Some(since),
            State::Closed { .. } => None,
        }
    }
}

/// The line's account of time spent on devices that did not answer.
#[derive(Debug, Clone)]
pub(crate) struct SilentTime {
    /// Seconds; negative is debt.
    credit: f64,
    at: Duration,
}

impl SilentTime {
    pub(crate) fn new() -> Self {
        Self { credit: CREDIT_MAX.as_secs_f64(), at: Duration::ZERO }
    }

    fn accrue(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.credit = (self.credit + passed * SILENT_SHARE).min(CREDIT_MAX.as_secs_f64());
        self.at = self.at.max(now);
    }

    pub(crate) fn spend(&mut self, now: Duration, took: Duration) {
        self.accrue(now);
        self.credit = (self.credit - took.as_secs_f64()).max(-took.max(DEBT_MAX).as_secs_f64());
    }

    pub(crate) fn refund(&mut self, now: Duration, took: Duration) {
        self.accrue(now);
        self.credit = (self.credit + took.as_secs_f64()).min(CREDIT_MAX.as_secs_f64());
    }

    /// When a silent device may next be asked, as far as the share goes.
    pub(crate) fn free_at(&self) -> Duration {
        if self.credit >= 0.0 {
            return self.at;
        }
        let wait = Duration::try_from_secs_f64(-self.credit / SILENT_SHARE);
        // One tick more than the quotient, so that rounding can't leave a sliver of debt.
        self.at + wait.unwrap_or(INTERVAL_MAX) + Duration::from_nanos(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn backs_off_from_one_second_to_sixty_for_ever() {
        let mut breaker = Breaker::new();
        let mut now = Duration::ZERO;
        assert_eq!(breaker.failed(now), Turn::Opened, "never answered: silent at once");
        let mut gaps = Vec::new();
        for _ in 0..9 {
            let at = breaker.probe_at().unwrap();
            gaps.push((at - now).as_secs());
            now = at;
            assert_eq!(breaker.failed(now), Turn::Same);
        }
        assert_eq!(gaps, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(breaker.answered(now), Turn::Closed);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_known_device_may_miss_one_request() {
        let mut breaker = Breaker::new();
        breaker.answered(s(1));
        assert_eq!(breaker.failed(s(2)), Turn::Same);
        breaker.answered(s(3));
        assert_eq!(breaker.failed(s(4)), Turn::Same);
        assert_eq!(breaker.failed(s(5)), Turn::Opened);
        assert_eq!(breaker.silent_since(), Some(s(5)));
    }

    #[test]
    fn one_good_answer_does_not_reset_the_interval_of_a_flapping_device() {
        let mut breaker = Breaker::new();
        breaker.failed(s(0));
        breaker.failed(s(1));
        breaker.failed(s(3));
        breaker.answered(s(7));
        breaker.failed(s(8));
        breaker.failed(s(9));
        assert_eq!(breaker.probe_at(), Some(s(13)), "still 4 s");
        breaker.answered(s(13));
        breaker.answered(s(18));
        breaker.failed(s(19));
        breaker.failed(s(20));
        assert_eq!(breaker.probe_at(), Some(s(21)), "well for 5 s: from 1 s again");
    }

    #[test]
    fn debt_is_paid_off_at_the_share() {
        let mut account = SilentTime::new();
        account.spend(s(100), s(1));
        let free = account.free_at();
        assert!(free > s(114) && free < s(116), "{free:?}: 0.75 s at 5 %");
        account.spend(free, Duration::ZERO);
        assert!(account.free_at() <= free);
    }
}
