//! Backlog messages go out in company.
//!
//! A window that is full gets free place by place, as acknowledgements come. Messages that go one by
//! one, each into the place of another, cost a system call and a wake-up each, on both sides. So
//! after the window was full the backlog waits until a part of it is free, but not longer than
//! [`WAIT`], which no line that is worth a window notices.
//!
//! Being woken for each acknowledgement meanwhile costs both sides more than the message itself. So
//! the uplink naps for as long as the broker should need for a part of what is out, by its pace; the
//! rest keeps the broker busy until we are back.

use std::time::Duration;

use tokio::time::Instant;

/// How long a free place may wait for others.
pub const WAIT: Duration = Duration::from_millis(1);

/// The kernel may end a nap so much later than asked (prctl(2), PR_SET_TIMERSLACK); a shorter one is
/// not worth it.
const SLACK: Duration = Duration::from_micros(50);

#[derive(Debug, Default)]
pub struct Company {
    /// The window was full, and is to be filled no further yet.
    gathers: bool,
    /// When a place that is free has waited long enough.
    until: Option<Instant>,
    pace: Pace,
}

/// How fast the broker acknowledges while the window is full.
#[derive(Debug, Default)]
struct Pace {
    since: Option<Instant>,
    /// Acknowledgements since then.
    acks: u32,
    /// The time for one; zero as long as it is not known.
    each: Duration,
}

impl Company {
    /// There was no room for the next message.
    pub fn full(&mut self) {
        self.gathers = true;
        self.until = None;
    }

    /// There is room for the next message: whether it goes, or until when it waits for others.
    /// `is_low`: a good part of the window is free.
    pub fn goes(&mut self, is_low: bool) -> Result<(), Instant> {
        if self.gathers && !is_low {
            let now = Instant::now();
            let until = *self.until.get_or_insert(now + WAIT);
            if now < until {
                return Err(until);
            }
        }
        (self.gathers, self.until) = (false, None);
        Ok(())
    }

    /// Something was acknowledged.
    pub fn acknowledged(&mut self) {
        self.pace.acks = self.pace.acks.saturating_add(1);
    }

    /// All was handed over that may be, and so many messages are out: how long to nap before the
    /// acknowledgements are looked at.
    pub fn nap(&mut self, out: usize) -> Option<Duration> {
        if !self.gathers {
            self.pace = Pace::default();
            return None;
        }
        let each = self.pace.look(Instant::now());
        let part = u32::try_from(out * 2 / 5).unwrap_or(u32::MAX);
        let nap = each.saturating_mul(part).min(WAIT).saturating_sub(SLACK);
        (nap >= SLACK).then_some(nap)
    }
}

impl Pace {
    /// The time for one acknowledgement, the latest of them weighing more.
    fn look(&mut self, now: Instant) -> Duration {
        if let Some(since) = self.since
            && self.acks > 0
        {
            let latest = (now - since) / self.acks;
            self.each = if self.each.is_zero() { latest } else { (self.each * 3 + latest) / 4 };
        }
        (self.since, self.acks) = (Some(now), 0);
        self.each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_waits_for_others_and_not_for_long() {
        let mut company = Company::default();
        assert_eq!(company.goes(false), Ok(()), "the window was never full");
        company.full();
        let until = Instant::now() + WAIT;
        assert_eq!(company.goes(false), Err(until));
        tokio::time::advance(WAIT / 2).await;
        assert_eq!(company.goes(false), Err(until), "the wait is not begun anew");
        tokio::time::advance(WAIT / 2).await;
        assert_eq!(company.goes(false), Ok(()));
        assert_eq!(company.goes(false), Ok(()), "until the window is full");
        company.full();
        assert_eq!(company.goes(true), Ok(()), "company enough");
        company.full();
        assert!(company.goes(false).is_err());
        company.full();
        tokio::time::advance(WAIT).await;
        assert!(company.goes(false).is_err(), "another place, another wait");
    }

    #[tokio::test(start_paused = true)]
    async fn naps_for_a_part_of_the_window_at_the_pace_of_the_broker() {
        let mut company = Company::default();
        let after = async |company: &mut Company, acks, micros| {
            (0..acks).for_each(|_| company.acknowledged());
            tokio::time::advance(Duration::from_micros(micros)).await;
            company.nap(20)
        };
        assert_eq!(after(&mut company, 20, 400).await, None, "the window was never full");
        company.full();
        assert_eq!(company.nap(20), None, "its pace is not known");
        let nap = Duration::from_micros(160) - SLACK;
        assert_eq!(after(&mut company, 20, 400).await, Some(nap));
        assert_eq!(after(&mut company, 0, 400).await, Some(nap), "nothing new is known");
        assert_eq!(after(&mut company, 10, 600).await, Some(Duration::from_micros(240) - SLACK));
        assert_eq!(after(&mut company, 1, 1_000_000).await, Some(WAIT - SLACK), "not for long");
        assert_eq!(company.goes(true), Ok(()));
        assert_eq!(after(&mut company, 20, 400).await, None, "it has room");
        company.full();
        assert_eq!(company.nap(20), None, "what was is forgotten");
        assert_eq!(after(&mut company, 20, 90).await, None, "too short for a nap");
    }
}
