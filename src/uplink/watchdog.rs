//! Whether the broker still acknowledges: all that is out, and the oldest of it.

use std::time::Duration;

use tokio::time::Instant;

use super::cause::{Cause, Ended};

/// So many times its patience has a broker for one message while it answers others. Some throw away
/// what comes too fast, and on 3.1.1 nothing else tells of it.
const OLDEST_PATIENCE: u32 = 6;

pub struct Watchdog {
    patience: Duration,
    /// How much longer an acknowledgement may take, for what has to go out before it.
    slack: Duration,
    /// The last acknowledgement, or the hand-over that ended a time with nothing out.
    quiet_since: Instant,
    /// The oldest message that is out, by its number, and since when it is that.
    oldest: Option<(u64, Instant)>,
    /// Something was acknowledged since that was noted.
    heard: bool,
}

impl Watchdog {
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            slack: Duration::ZERO,
            quiet_since: Instant::now(),
            oldest: None,
            heard: false,
        }
    }

    /// Something is out, after a time with nothing.
    pub fn starts(&mut self) {
        self.quiet_since = Instant::now();
    }

    /// Something was acknowledged. The time is taken once for many, by [`Watchdog::look`].
    pub fn heard(&mut self) {
        self.heard = true;
    }

    pub fn look(&mut self, slack: Duration) {
        self.slack = slack;
        if std::mem::take(&mut self.heard) {
            self.quiet_since = Instant::now();
        }
    }

    /// An error if the broker has left all that is out, or the oldest of it, for too long. A message
    /// that is forgotten while others are answered is sent again by a new connection.
    pub fn check(&mut self, now: Instant, out: usize, oldest: Option<u64>) -> Result<(), Ended> {
        let patience = self.patience + self.slack;
        if out > 0 && now - self.quiet_since >= patience {
            let seconds = patience.as_secs_f64();
            let reason = format!("the broker acknowledged none of {out} messages for {seconds} s");
            return Err(Ended::new(Cause::NoAcknowledgement, reason));
        }
        if self.oldest.map(|(number, _)| number) != oldest {
            self.oldest = oldest.map(|number| (number, now));
        }
        let patience = self.patience * OLDEST_PATIENCE + self.slack;
        if self.oldest.is_none_or(|(_, since)| now - since < patience) {
            return Ok(());
        }
        let seconds = patience.as_secs_f64();
        let reason = format!(
            "the broker acknowledges messages, and left one unacknowledged for {seconds} s"
        );
        Err(Ended::new(Cause::NoAcknowledgement, reason))
    }
}
