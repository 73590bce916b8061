//! Reading the wire for a while: bytes in, frames out, silences noticed, values aged.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SensorRunner;
use super::io::Io;
use crate::codec::sensor::{Cut, Frame, Skip};
use crate::model::{Mono, Refusal};
use crate::south::trace::Verdict;

/// Bytes taken from the wire at a time.
const READ_MAX: usize = 4_096;
/// How often it is looked for values that grew too old, at the most.
const AGE_STEP: Duration = Duration::from_millis(100);
/// Nobody's output buffer is full for so long on a line that works.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection is no longer worked on.
#[derive(Debug)]
pub(super) enum Ended {
    Stopped,
    Broken(io::Error),
}

/// What a frame is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treat {
    /// A value that the sensor sent by itself.
    Pushed,
    /// The answer to a poll; the first frame is not, if it had begun before.
    Answer { skip: bool },
    /// Nothing that was asked for.
    Late,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

pub(super) async fn send(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let sent = tokio::time::timeout(SEND_TIMEOUT, io.write_all(bytes)).await;
    sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// An end of file is a port that is gone.
pub(super) async fn read(io: &mut Io, buffer: &mut [u8]) -> io::Result<usize> {
    match io.read(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

/// The word of the trace. Several frames of one piece of the wire share its bytes: they stand with
/// the first.
fn verdict(why: Skip) -> Verdict {
    match why {
        Skip::Noise => Verdict::Noise,
        Skip::NotFromStart | Skip::Incomplete => Verdict::Short,
        Skip::Checksum { .. } => Verdict::Crc,
        Skip::TooLong | Skip::Malformed => Verdict::WrongShape,
    }
}

impl SensorRunner {
    /// Reads until this moment, or until the answer came; whether it came.
    pub(super) async fn listen(
        &mut self,
        io: &mut Io,
        until: Instant,
        mut treat: Treat,
        stop: &CancellationToken,
    ) -> Result<bool, Ended> {
        let mut buffer = [0; READ_MAX];
        let mut last_byte = Instant::now();
        let mut ports_gone = false;
        let aging = self.link.sensor.silent_after;
        let step = aging.map_or(AGE_STEP, |after| after / 10).max(AGE_STEP);
        let mut next_look = Instant::now() + step;
        loop {
            let silence = last_byte + self.splitter.gap();
            let waits = self.splitter.has_begun();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Ended::Stopped),
                command = self.commands.recv(), if !ports_gone => match command {
                    Some(command) => self.refuse(command, &Refusal::UnknownTag),
                    None => ports_gone = true,
                },
                count = read(io, &mut buffer) => {
                    let bytes = buffer.get(..count?).unwrap_or_default();
                    let at = self.clock.mono();
                    last_byte = Instant::now();
                    self.note_bytes(bytes);
                    if self.cut_all(io, bytes, at, &mut treat).await? {
                        return Ok(true);
                    }
                }
                () = tokio::time::sleep_until(silence), if waits => {
                    let at = self.clock.mono();
                    last_byte = Instant::now();
                    if let Some(cut) = self.splitter.silence()
                        && self.cut(io, cut, at, &mut treat).await?
                    {
                        return Ok(true);
                    }
                }
                () = tokio::time::sleep_until(next_look), if aging.is_some() => {
                    self.age();
                    next_look = Instant::now() + step;
                }
                () = tokio::time::sleep_until(until) => return Ok(false),
            }
        }
    }

    /// Sends these bytes; the trace sees them.
    pub(super) async fn send(&self, io: &mut Io, bytes: &[u8]) -> io::Result<()> {
        self.tap.sent(bytes);
        send(io, bytes).await
    }

    pub(super) fn note_bytes(&self, bytes: &[u8]) {
        self.tap.came(bytes);
        self.count(|counters| counters.bytes += u64::try_from(bytes.len()).unwrap_or(0));
    }

    /// What these bytes complete; whether the answer was among it.
    pub(super) async fn cut_all(
        &mut self,
        io: &mut Io,
        bytes: &[u8],
        at: Mono,
        treat: &mut Treat,
    ) -> Result<bool, Ended> {
        self.splitter.push(bytes);
        let mut answered = false;
        while let Some(cut) = self.splitter.next() {
            if self.cut(io, cut, at, treat).await? {
                answered = true;
                // There is one answer to a request.
                *treat = Treat::Late;
            }
        }
        Ok(answered)
    }

    async fn cut(
        &mut self,
        io: &mut Io,
        cut: Cut,
        at: Mono,
        treat: &mut Treat,
    ) -> Result<bool, Ended> {
        let Frame { body, .. } = match cut {
            Cut::Frame(frame) => frame,
            Cut::Skipped { bytes, why } => {
                self.count(|counters| counters.skipped(bytes.len(), why));
                self.tap.conclude(verdict(why));
                self.disturbed |= *treat != Treat::Late;
                // What had begun before the request is over.
                if matches!(treat, Treat::Answer { .. }) {
                    *treat = Treat::Answer { skip: false };
                }
                return Ok(false);
            }
        };
        match *treat {
            Treat::Late => {
                self.count(|counters| counters.late += 1);
                self.tap.conclude(Verdict::Late);
                return Ok(false);
            }
            Treat::Answer { skip: true } => {
                self.count(|counters| counters.late += 1);
                self.tap.conclude(Verdict::Late);
                *treat = Treat::Answer { skip: false };
                return Ok(false);
            }
            Treat::Pushed | Treat::Answer { skip: false } => {}
        }
        let Some(samples) = self.decoder.decode(&body) else {
            self.count(|counters| counters.unmatched += 1);
            self.tap.conclude(Verdict::WrongShape);
            self.disturbed = true;
            return Ok(false);
        };
        if !self.link.sensor.ack.is_empty() {
            let ack = self.link.sensor.ack.clone();
            self.send(io, &ack).await?;
        }
        self.tap.conclude(Verdict::Ok);
        self.frame(&body, &samples, at, *treat != Treat::Pushed);
        Ok(*treat != Treat::Pushed)
    }
}
