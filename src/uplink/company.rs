//! Backlog messages go out in company.
//!
//! A window that is full gets free place by place, as acknowledgements come. Messages that go one by
//! one, each into the place of another, cost a system call and a wake-up each, on both sides. So
//! after the window was full the backlog waits until a part of it is free, but not longer than
//! [`WAIT`], which no line that is worth a window notices. Pure: time comes in.

use std::time::Duration;

use tokio::time::Instant;

/// How long a free place may wait for others.
pub const WAIT: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub struct Company {
    /// The window was full, and is to be filled no further yet.
    gathers: bool,
    /// When a place that is free has waited long enough.
    until: Option<Instant>,
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
        *self = Self::default();
        Ok(())
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
}
