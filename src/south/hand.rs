//! Requests that a person makes of a bus by hand: a read anywhere, or a part of what a device says it
//! is. [`Hand`] is the way into a running bus; its engine carries them out, one at a time.
//!
//! Invariants: at most [`WAITING_MAX`] wait, a further one is refused at once; one that waited for
//! [`WAIT_MAX`] is refused; none keeps the line for longer than [`TIMEOUT_MAX`]; no poll waits for
//! more of them than its share. Nothing that was read here becomes a reading.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::identify::{Part, Question};
use super::line::{Failure, Line};
use super::probe::{BITS_MAX, ProbeError, REGISTERS_MAX, failed};
use super::trace::{Heard, Purpose};
use crate::model::Table;

/// Requests that may wait for a bus.
const WAITING_MAX: usize = 8;
/// Who waited for so long is told that the bus is busy.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest wait for an answer on a line that is polled.
const TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// The unit that is everybody on a line: it never answers.
const BROADCAST: u8 = 0;

/// What is asked of a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// So many registers, or bits as 0 and 1.
    Read {
        table: Table,
        address: u16,
        count: u16,
    },
    Identify(Question),
}

/// What it said.
pub(crate) enum Said {
    Items(Vec<u16>),
    Part(Part),
}

/// A request that came to its end.
pub(crate) struct Done {
    pub(crate) result: Result<Said, ProbeError>,
    /// From the first byte out to the last one in.
    pub(crate) took: Duration,
    pub(crate) heard: Heard,
}

/// A request on its way to the line.
pub(crate) struct Asked {
    unit: u8,
    what: What,
    timeout: Duration,
    asked: Instant,
    reply: oneshot::Sender<Done>,
}

/// The way into a running bus; cheap to clone.
#[derive(Clone)]
pub(crate) struct Hand(mpsc::Sender<Asked>);

/// Both ends.
pub(crate) fn hand() -> (Hand, mpsc::Receiver<Asked>) {
    let (sender, asked) = mpsc::channel(WAITING_MAX);
    (Hand(sender), asked)
}

impl Hand {
    /// Waits for its turn and for the answer.
    pub(crate) async fn ask(&self, unit: u8, what: What, timeout: Duration) -> Done {
        let (reply, answer) = oneshot::channel();
        let timeout = timeout.min(TIMEOUT_MAX);
        let asked = Asked { unit, what, timeout, asked: Instant::now(), reply };
        match self.0.try_send(asked) {
            // Dropped unanswered only when the bus ends.
            Ok(()) => answer.await.unwrap_or_else(|_| Done::refused(ProbeError::Ended)),
            Err(mpsc::error::TrySendError::Full(_)) => Done::refused(ProbeError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Done::refused(ProbeError::Ended),
        }
    }
}

impl Done {
    fn refused(error: ProbeError) -> Self {
        Self { result: Err(error), took: Duration::ZERO, heard: Heard::default() }
    }
}

impl Asked {
    pub(crate) fn refuse(self, reason: &str) {
        let _ = self.reply.send(Done::refused(ProbeError::Down { reason: reason.to_owned() }));
    }
}

impl What {
    pub(crate) async fn ask(
        self,
        line: &mut Line,
        unit: u8,
        timeout: Duration,
    ) -> Result<Said, Failure> {
        match self {
            Self::Read { table, address, count } => {
                let most = if table.is_bits() { BITS_MAX } else { REGISTERS_MAX };
                let items = line.read(unit, table, (address, count), most, timeout).await;
                items.map(Said::Items)
            }
            Self::Identify(question) => {
                line.identify(unit, question, timeout).await.map(Said::Part)
            }
        }
    }
}

impl Engine {
    /// Answers in every case; an error is a broken link.
    pub(super) async fn by_hand(
        &mut self,
        line: &mut Line,
        asked: Asked,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let Asked { unit, what, timeout, asked, reply } = asked;
        // Who went away asks nothing any more.
        if reply.is_closed() {
            return Ok(());
        }
        if asked.elapsed() > WAIT_MAX {
            let _ = reply.send(Done::refused(ProbeError::Busy));
            return Ok(());
        }
        if self.is_line && unit == BROADCAST {
            let _ = reply.send(Done::refused(ProbeError::NoAnswer(timeout)));
            return Ok(());
        }
        let index = self.devices.iter().position(|device| device.plan.unit == unit);
        self.tap.about(index, Purpose::Hand);
        self.tap.listen();
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            result = what.ask(line, unit, timeout) => result,
        };
        let heard = self.tap.heard();
        self.asked_by_hand(index, line, timeout, result.as_ref().map(|_| ()));
        let took = line.took();
        self.visits.took(took);
        let (result, end) = match result {
            Err(Failure::Link(error)) => {
                let again = io::Error::new(error.kind(), error.to_string());
                (Err(ProbeError::Link { source: again }), Err(error))
            }
            Err(failure) => (Err(failed(failure, timeout)), Ok(())),
            Ok(said) => (Ok(said), Ok(())),
        };
        let _ = reply.send(Done { result, took, heard });
        end
    }
}
