//! The slave side of a connection: requests taken out of a stream, answers put into it as a
//! [`Deed`] says. What is answered is the script's; a script may be [`Devices`](super::Devices) or
//! a test.
//!
//! A slave handles one request after the other: while an answer is late the next request waits,
//! unless the deed lets others overtake it. Knows no devices and no faults.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Framing;
use crate::south::guard::{ascii, crc16, frame_rtu};
use crate::south::mbap;

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub unit: u8,
    pub pdu: Vec<u8>,
    /// The transaction id, where the framing has one.
    pub tid: [u8; 2],
    /// The bytes as they came.
    pub frame: Vec<u8>,
}

/// What the slave does with one request. The default is to answer it well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deed {
    /// The request's bytes come back at once, as adapters with a local echo do.
    pub echo: bool,
    /// Waits this long before the answer.
    pub late: Duration,
    /// Sent before the answer.
    pub before: Vec<u8>,
    /// Instead of the right answer; an empty one is silence.
    pub instead: Option<Vec<u8>>,
    /// Bytes per write, with a pause in between.
    pub pieces: Option<usize>,
    /// Sent after the answer, and how long after.
    pub after: Vec<u8>,
    pub pause: Duration,
    /// Others may be answered while this answer waits (a line with memory, out of order).
    pub overtaken: bool,
    /// The connection ends when all is sent.
    pub close: bool,
}

/// The time that a line takes; the default takes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tempo {
    /// One character on the wire.
    pub character: Duration,
    /// From the request's last character to the answer's first.
    pub turnaround: Duration,
}

/// Input kept while looking for a request; the longest has 513 characters.
const INPUT_BYTES_MAX: usize = 1024;
/// Answers that may wait for their time; beyond this no request is taken.
const PENDING_MAX: usize = 1024;
/// Between two pieces of an answer that comes in pieces.
const PIECE_PAUSE: Duration = Duration::from_millis(1);

/// Takes the first whole request out of the input.
pub(super) fn take(framing: Framing, input: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    match framing {
        Framing::Tcp => {
            let asked = |mbap::Request { tid, unit, pdu, frame }| Asked { unit, pdu, tid, frame };
            Ok(mbap::take(input)?.map(asked))
        }
        Framing::Rtu => Ok(take_rtu(input)),
        Framing::Ascii => Ok(take_ascii(input)),
    }
}

/// A frame of this unit in answer to a request.
pub(crate) fn answer(framing: Framing, asked: &Asked, unit: u8, pdu: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Tcp => mbap::frame(asked.tid, unit, pdu),
        Framing::Rtu => frame_rtu(unit, pdu),
        Framing::Ascii => ascii::encode(&frame_rtu(unit, pdu)),
    }
}

fn take_rtu(input: &mut Vec<u8>) -> Option<Asked> {
    let Some((at, length)) = find_request(input) else {
        let excess = input.len().saturating_sub(INPUT_BYTES_MAX);
        input.drain(..excess);
        return None;
    };
    let frame: Vec<u8> = input.drain(..at + length).skip(at).collect();
    let [unit, pdu @ .., _, _] = frame.as_slice() else { return None };
    Some(Asked { unit: *unit, pdu: pdu.to_vec(), tid: [0; 2], frame })
}

/// Lines that are no sound request are skipped.
fn take_ascii(input: &mut Vec<u8>) -> Option<Asked> {
    while let Some(end) = input.iter().position(|character| *character == b'\n') {
        let line: Vec<u8> = input.drain(..=end).collect();
        let begin = line.iter().rposition(|character| *character == b':');
        let frame = line.get(begin.unwrap_or(0)..).unwrap_or_default();
        let mut request = Vec::new();
        ascii::Decoder::default().decode(frame, &mut request);
        if let Some(asked) = take_rtu(&mut request) {
            return Some(Asked { frame: frame.to_vec(), ..asked });
        }
    }
    let excess = input.len().saturating_sub(INPUT_BYTES_MAX);
    input.drain(..excess);
    None
}

/// The first sound request frame: its place and length.
fn find_request(input: &[u8]) -> Option<(usize, usize)> {
    (0..input.len()).find_map(|at| {
        let rest = input.get(at..)?;
        let length = match *rest.get(1)? {
            1..=6 => 8,
            15 | 16 => 9 + usize::from(*rest.get(6)?),
            22 => 10,
            23 => 13 + usize::from(*rest.get(10)?),
            43 => 7,
            _ => return None,
        };
        let (body, crc) = rest.get(..length)?.split_last_chunk::<2>()?;
        (crc16(body).to_le_bytes() == *crc).then_some((at, length))
    })
}

/// Serves until stopped, until the other side goes, or until a deed ends the connection. The script
/// gives the PDU of the right answer, if anyone answers, and what is done with it.
pub(crate) async fn serve<T>(
    mut io: T,
    framing: Framing,
    tempo: Tempo,
    stop: &CancellationToken,
    mut script: impl FnMut(&Asked) -> (Option<Vec<u8>>, Deed),
) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = Vec::new();
    let mut chunk = [0_u8; 512];
    let mut pending = Pending::default();
    loop {
        let now = Instant::now();
        match pending.due(now) {
            Some(Act::Send(bytes)) => {
                io.write_all(&bytes).await?;
                io.flush().await?;
                continue;
            }
            Some(Act::Close) => return io.shutdown().await,
            None => {}
        }
        let free = pending.is_free();
        if free && let Some(asked) = take(framing, &mut input)? {
            let (right, deed) = script(&asked);
            let right = right.map(|pdu| answer(framing, &asked, asked.unit, &pdu));
            pending.plan(deed, &asked, right.unwrap_or_default(), tempo, now);
            continue;
        }
        let wake = pending.next();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            n = io.read(&mut chunk), if free => match n? {
                0 => return Ok(()),
                n => input.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            },
            () = tokio::time::sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
        }
    }
}

enum Act {
    Send(Vec<u8>),
    Close,
}

/// What is still to be done.
#[derive(Default)]
struct Pending {
    /// By time.
    waiting: Vec<Utterance>,
    /// Nothing else is said before it is over, so frames never mix.
    speaking: Option<Utterance>,
}

/// One answer on its way out.
struct Utterance {
    at: Instant,
    /// Each with the time before it, from the one before or from `at`.
    parts: VecDeque<(Duration, Act)>,
    overtaken: bool,
}

impl Pending {
    fn next(&self) -> Option<Instant> {
        self.speaking.as_ref().or(self.waiting.first()).map(|utterance| utterance.at)
    }

    /// Whether the next request may be taken.
    fn is_free(&self) -> bool {
        let in_order = |utterance: &Utterance| !utterance.overtaken;
        self.waiting.len() < PENDING_MAX && !self.waiting.iter().chain(&self.speaking).any(in_order)
    }

    fn due(&mut self, now: Instant) -> Option<Act> {
        while self.next()? <= now {
            if self.speaking.is_none() {
                self.speaking = Some(self.waiting.remove(0));
            }
            let part = self.speaking.as_mut().and_then(|utterance| {
                let (_, act) = utterance.parts.pop_front()?;
                let pause = utterance.parts.front().map_or(Duration::ZERO, |(pause, _)| *pause);
                utterance.at = now + pause;
                Some(act)
            });
            if self.speaking.as_ref().is_none_or(|utterance| utterance.parts.is_empty()) {
                self.speaking = None;
            }
            if part.is_some() {
                return part;
            }
        }
        None
    }

    /// Lays out a deed in time.
    fn plan(&mut self, deed: Deed, asked: &Asked, right: Vec<u8>, tempo: Tempo, now: Instant) {
        if deed.echo {
            let parts = [(Duration::ZERO, Act::Send(asked.frame.clone()))].into();
            self.add(Utterance { at: now, parts, overtaken: true });
        }
        let answer = deed.instead.unwrap_or(right);
        let characters = u32::try_from(asked.frame.len() + answer.len()).unwrap_or(u32::MAX);
        let bytes = [deed.before, answer].concat();
        let mut at = now + deed.late;
        if !bytes.is_empty() {
            at += tempo.character * characters + tempo.turnaround;
        }
        let pause = if deed.pieces.is_some() { PIECE_PAUSE } else { Duration::ZERO };
        let size = deed.pieces.unwrap_or(usize::MAX).max(1);
        let mut parts: VecDeque<_> =
            bytes.chunks(size).map(|piece| (pause, Act::Send(piece.to_vec()))).collect();
        if !deed.after.is_empty() {
            parts.push_back((deed.pause, Act::Send(deed.after)));
        }
        if deed.close {
            parts.push_back((Duration::ZERO, Act::Close));
        }
        self.add(Utterance { at, parts, overtaken: deed.overtaken });
    }

    fn add(&mut self, utterance: Utterance) {
        let place = self.waiting.partition_point(|other| other.at <= utterance.at);
        self.waiting.insert(place, utterance);
    }
}
