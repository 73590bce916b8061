//! What the broker's file holds, as bytes: sessions, how far each got, messages, retained messages.
//!
//! Pure. Each record begins with a version of its own; one that can't be read is `None`, and the
//! broker goes on without it. Times are on the wall clock: monotonic time ends with the boot.

mod fields;
mod message;
mod progress;
mod saved;
mod session;

use std::time::Duration;

pub use message::{KeptMessage, MessageRecord, Receiver};
pub use progress::{ProgressRecord, ReplayRecord, Since};
pub use saved::Saved;
pub use session::SessionRecord;

use crate::model::{Qos, Wall};

/// How much time has passed, by the wall clock; none if the clock can't be trusted, now or when it
/// was looked at last, or went back.
pub fn passed(since: Wall, now: Wall) -> Duration {
    if !since.is_plausible() || !now.is_plausible() {
        return Duration::ZERO;
    }
    Duration::from_millis(u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0))
}

/// How much of a time span is left.
fn left(since: Wall, whole: Duration, now: Wall) -> Duration {
    whole.saturating_sub(passed(since, now))
}

fn qos(level: u8) -> Option<Qos> {
    match level {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        2 => Some(Qos::ExactlyOnce),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
