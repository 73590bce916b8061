//! The silence before a request: that of the protocol (t3.5), the pauses that bus and device ask
//! for, and the time in which another master on the line is heard and let finish.
//!
//! A line that is never silent is used all the same, after [`HEAR_MAX`]: noise must not end the
//! polling.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::guard::{Hear, SerialMatcher, Shared};

/// The longest wait for others to finish.
const HEAR_MAX: Duration = Duration::from_millis(500);
/// How long a device is given to answer another master, before we talk.
const ANSWER_MAX: Duration = Duration::from_millis(50);
/// What is left to the thread of a longer wait: the timer of the runtime is late by 2 ms at most.
const PRECISE: Duration = Duration::from_millis(4);
/// Between two looks at a line whose protocol asks for no silence.
const GAP_MIN: Duration = Duration::from_millis(1);

/// How the silence between two requests is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// By blocking the thread: accurate, for a thread that serves this line alone.
    Thread(Duration),
    /// By the runtime's timer, to the millisecond.
    Task(Duration),
}

/// See the module.
pub(crate) struct Silence {
    pace: Pace,
    /// When the last exchange ended.
    since: Instant,
    /// What is to be waited after it on top of the pace.
    rest: Duration,
    /// By unit, for those that ask for one.
    pauses: HashMap<u8, Duration>,
}

impl Silence {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, since: Instant::now(), rest: Duration::ZERO, pauses: HashMap::new() }
    }

    /// The device needs this time after its answer, before anybody on the line is asked.
    pub(crate) fn pause_after(&mut self, unit: u8, pause: Duration) {
        if !pause.is_zero() {
            let most = self.pauses.entry(unit).or_default();
            *most = pause.max(*most);
        }
    }

    /// An exchange with this unit ended.
    pub(crate) fn begins(&mut self, now: Instant, unit: u8) {
        self.since = now;
        self.rest = self.pauses.get(&unit).copied().unwrap_or_default();
    }

    /// Waits until the line has been silent for long enough.
    pub(crate) async fn keep(&self) {
        let whole = self.gap() + self.rest;
        if let Some(left) = whole.checked_sub(self.since.elapsed()) {
            self.wait(left).await;
        }
    }

    /// Hears whether others use the line, and waits until they have finished.
    pub(crate) async fn hear(
        &self,
        ear: &mut dyn Hear,
        matcher: &Shared<SerialMatcher>,
    ) -> io::Result<()> {
        let began = Instant::now();
        if !self.drain(ear).await? {
            return Ok(());
        }
        while began.elapsed() < HEAR_MAX {
            self.wait(self.gap().max(GAP_MIN)).await;
            if self.drain(ear).await? {
                continue;
            }
            let answer_comes = matcher.lock().silence();
            if !answer_comes || began.elapsed() >= ANSWER_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Whether there was anything.
    async fn drain(&self, ear: &mut dyn Hear) -> io::Result<bool> {
        if matches!(self.pace, Pace::Thread(_)) {
            // While the thread slept, nobody told the runtime what came.
            tokio::task::yield_now().await;
        }
        Ok(poll_fn(|cx| ear.poll_hear(cx)).await? > 0)
    }

    fn gap(&self) -> Duration {
        match self.pace {
            Pace::Thread(gap) | Pace::Task(gap) => gap,
        }
    }

    async fn wait(&self, time: Duration) {
        match self.pace {
            Pace::Task(_) => tokio::time::sleep(time).await,
            Pace::Thread(_) => {
                let end = Instant::now() + time;
                if let Some(long) = time.checked_sub(PRECISE) {
                    tokio::time::sleep(long).await;
                }
                std::thread::sleep(end.saturating_duration_since(Instant::now()));
            }
        }
    }
}
