//! A stream of bytes, cut into frames.
//!
//! Whoever reads the line pushes bytes, asks for cuts until there are none, and says when the line
//! was silent for [`Splitter::gap`]. A piece whose beginning was not seen, that was broken off, is too
//! long or fails its checksum is skipped, with the reason; the search goes on at the next byte that
//! may begin a frame. The buffer never holds more than the longest frame and one push.

use std::ops::Range;
use std::time::Duration;

use super::checksum;
use super::sml;
use crate::model::sensor::{ByteOrder, Check, Framing, Sensor, Span};

/// A silence this long ends a frame that is not complete: its rest will not come.
const BROKEN_OFF: Duration = Duration::from_millis(500);

/// The next thing on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    Frame(Frame),
    Skipped { bytes: Vec<u8>, why: Skip },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// As checked: without line end, without escapes.
    pub bytes: Vec<u8>,
    /// The part that is parsed.
    pub body: Vec<u8>,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Nothing that begins a frame.
    Noise,
    /// The end of a frame whose beginning was not seen.
    NotFromStart,
    /// A frame that was broken off, by silence or by the next one.
    Incomplete,
    TooLong,
    /// The checksum that stands in the frame, if it can be read, is not the one of its bytes.
    Checksum {
        want: u64,
        got: Option<u64>,
    },
    /// It contradicts its own form: an impossible length, an unknown escape.
    Malformed,
}

/// See the module.
#[derive(Debug)]
pub struct Splitter {
    framing: Framing,
    frame_max: usize,
    body: Option<Span>,
    check: Option<Check>,
    buffer: Vec<u8>,
    /// The next byte begins a frame or is noise; otherwise it may be the middle of a frame.
    synchronised: bool,
}

/// What the beginning of the buffer turned out to be.
enum Found {
    /// Not enough bytes to tell.
    Nothing,
    /// The first so many bytes are no frame.
    Skip(usize, Skip),
    /// The first so many bytes are a frame: what is checked, and which part of it is its content.
    Whole { length: usize, bytes: Vec<u8>, content: Range<usize> },
    /// The first so many bytes mean nothing at all.
    Pass(usize),
}

impl Splitter {
    pub fn new(sensor: &Sensor) -> Self {
        Self {
            framing: sensor.framing.clone(),
            frame_max: sensor.frame_max,
            body: sensor.body,
            check: sensor.check.clone(),
            buffer: Vec::new(),
            // Where a beginning is marked there is nothing to be mistaken about.
            synchronised: !matches!(sensor.framing, Framing::Line { .. } | Framing::Idle { .. }),
        }
    }

    /// The silence after which [`Splitter::silence`] is to be called.
    pub fn gap(&self) -> Duration {
        match self.framing {
            Framing::Idle { gap } => gap,
            _ => BROKEN_OFF,
        }
    }

    /// Whether a frame has begun and not ended.
    pub fn has_begun(&self) -> bool {
        !self.buffer.is_empty() || !self.synchronised
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The line was silent: what is there is complete or broken off, and what comes next is a
    /// beginning.
    pub fn silence(&mut self) -> Option<Cut> {
        let bytes = std::mem::take(&mut self.buffer);
        let whole = std::mem::replace(&mut self.synchronised, true);
        if bytes.is_empty() {
            return None;
        }
        if !matches!(self.framing, Framing::Idle { .. }) {
            return Some(Cut::Skipped { bytes, why: Skip::Incomplete });
        }
        if !whole {
            return Some(Cut::Skipped { bytes, why: Skip::NotFromStart });
        }
        if bytes.len() > self.frame_max {
            return Some(Cut::Skipped { bytes, why: Skip::TooLong });
        }
        let content = 0..bytes.len();
        match self.checked(bytes, content) {
            Ok(frame) => Some(Cut::Frame(frame)),
            Err((bytes, why)) => Some(Cut::Skipped { bytes, why }),
        }
    }

    /// The next frame, or what is skipped before it.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<Cut> {
        loop {
            match self.look() {
                Found::Nothing => return None,
                Found::Pass(length) => drop(self.take(length)),
                Found::Skip(length, why) => {
                    let bytes = self.take(length);
                    return Some(Cut::Skipped { bytes, why });
                }
                Found::Whole { length, bytes, content } => match self.checked(bytes, content) {
                    Ok(frame) => {
                        self.take(length);
                        return Some(Cut::Frame(frame));
                    }
                    Err((bytes, why)) => {
                        let resume = self.resume(length);
                        self.take(resume);
                        return Some(Cut::Skipped { bytes, why });
                    }
                },
            }
        }
    }

    fn look(&mut self) -> Found {
        match self.framing.clone() {
            Framing::Line { ends } => self.line(&ends),
            Framing::StartStop { start, end, after, escape } => {
                self.start_stop(&start, &end, after, escape)
            }
            Framing::Fixed { length, sync } => self.sized(&sync, |_| Some(Ok(length))),
            Framing::LengthField { sync, offset, width, order, adjust } => {
                self.sized(&sync, |buffer| length_of(buffer, offset, width, order, adjust))
            }
            Framing::Idle { .. } => self.until_silence(),
            Framing::Sml => self.sml(),
        }
    }

    /// Nothing ends before the silence; only what is too long already is let go.
    fn until_silence(&mut self) -> Found {
        if self.buffer.len() <= self.frame_max {
            return Found::Nothing;
        }
        let why = if self.synchronised { Skip::TooLong } else { Skip::NotFromStart };
        self.synchronised = false;
        Found::Skip(self.buffer.len(), why)
    }

    fn line(&mut self, ends: &[Vec<u8>]) -> Found {
        let at = |end: &Vec<u8>| find(&self.buffer, end).map(|at| (at, end.len()));
        // Where two ends begin at one place the longer one is meant.
        let first =
            ends.iter().filter_map(at).min_by_key(|(at, length)| (*at, usize::MAX - length));
        let Some((length, end)) = first else {
            if self.buffer.len() <= self.frame_max {
                return Found::Nothing;
            }
            self.synchronised = false;
            return Found::Skip(self.buffer.len(), Skip::TooLong);
        };
        let whole = std::mem::replace(&mut self.synchronised, true);
        if length == 0 {
            return Found::Pass(end);
        }
        if !whole {
            return Found::Skip(length + end, Skip::NotFromStart);
        }
        if length > self.frame_max {
            return Found::Skip(length + end, Skip::TooLong);
        }
        let bytes = self.buffer.get(..length).unwrap_or_default().to_vec();
        Found::Whole { length: length + end, bytes, content: 0..length }
    }

    fn start_stop(&self, start: &[u8], end: &[u8], after: usize, escape: Option<u8>) -> Found {
        if let Some(before) = self.before(start) {
            return before;
        }
        let mut bytes = start.to_vec();
        let mut at = start.len();
        loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            let Some((byte, next)) = rest.split_first() else { break };
            if Some(*byte) == escape {
                let Some(content) = next.first() else { break };
                bytes.push(*content);
                at += 2;
            } else if rest.starts_with(end) {
                let content = start.len()..bytes.len();
                let length = at + end.len() + after;
                let Some(tail) = self.buffer.get(at..length) else { break };
                if length > self.frame_max {
                    return Found::Skip(length, Skip::TooLong);
                }
                bytes.extend_from_slice(tail);
                return Found::Whole { length, bytes, content };
            } else if escape.is_none() && rest.starts_with(start) {
                return Found::Skip(at, Skip::Incomplete);
            } else {
                bytes.push(*byte);
                at += 1;
            }
        }
        self.unfinished()
    }

    /// Frames that say how long they are; `None` means that it is not known yet.
    fn sized(&self, sync: &[u8], length: impl Fn(&[u8]) -> Option<Result<usize, Skip>>) -> Found {
        if let Some(before) = self.before(sync) {
            return before;
        }
        let length = match length(&self.buffer) {
            None => return self.unfinished(),
            Some(Err(why)) => return Found::Skip(self.resume(self.buffer.len()), why),
            Some(Ok(length)) if length > self.frame_max => {
                return Found::Skip(self.resume(self.buffer.len()), Skip::TooLong);
            }
            Some(Ok(length)) => length.max(1),
        };
        match self.buffer.get(..length) {
            Some(bytes) => Found::Whole { length, bytes: bytes.to_vec(), content: 0..length },
            None => self.unfinished(),
        }
    }

    fn sml(&self) -> Found {
        if let Some(before) = self.before(&sml::START) {
            return before;
        }
        match sml::unwrap(&self.buffer) {
            sml::Transport::Unfinished => self.unfinished(),
            sml::Transport::Broken { at } => Found::Skip(at.max(1), Skip::Malformed),
            sml::Transport::Again { at } => Found::Skip(at.max(1), Skip::Incomplete),
            sml::Transport::Whole { length, .. } if length > self.frame_max => {
                Found::Skip(length, Skip::TooLong)
            }
            sml::Transport::Whole { length, checksum: Err((want, got)), .. } => {
                Found::Skip(length, Skip::Checksum { want, got: Some(got) })
            }
            sml::Transport::Whole { length, content, checksum: Ok(()) } => {
                let all = 0..content.len();
                Found::Whole { length, bytes: content, content: all }
            }
        }
    }

    /// What stands in front of the next beginning; `None` if it stands right here.
    fn before(&self, start: &[u8]) -> Option<Found> {
        if let Some(at) = find(&self.buffer, start) {
            return (at > 0).then_some(Found::Skip(at, Skip::Noise));
        }
        // The beginning may have come in part.
        let part = (1..start.len())
            .rev()
            .find(|n| start.get(..*n).is_some_and(|part| self.buffer.ends_with(part)));
        let noise = self.buffer.len() - part.unwrap_or(0).min(self.buffer.len());
        Some(if noise > 0 { Found::Skip(noise, Skip::Noise) } else { Found::Nothing })
    }

    /// The frame goes on, unless it is too long already.
    fn unfinished(&self) -> Found {
        if self.buffer.len() <= self.frame_max {
            return Found::Nothing;
        }
        Found::Skip(self.resume(self.buffer.len()), Skip::TooLong)
    }

    /// How much of the first `length` bytes to drop so that the next possible beginning comes first.
    fn resume(&self, length: usize) -> usize {
        let start: &[u8] = match &self.framing {
            Framing::StartStop { start, .. } => start,
            Framing::Fixed { sync, .. } | Framing::LengthField { sync, .. } => sync,
            Framing::Line { .. } | Framing::Idle { .. } => return length,
            Framing::Sml => &sml::START,
        };
        let inside = self.buffer.get(1..length).unwrap_or_default();
        find(inside, start).map_or(length, |at| at + 1)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    fn checked(&self, bytes: Vec<u8>, content: Range<usize>) -> Result<Frame, (Vec<u8>, Skip)> {
        if let Some(check) = &self.check
            && let Err((want, got)) = checksum::verify(check, &bytes)
        {
            return Err((bytes, Skip::Checksum { want, got }));
        }
        let part = match self.body {
            Some(span) => span.within(bytes.len()),
            None => Some(content),
        };
        match part.and_then(|part| bytes.get(part)) {
            Some(body) => Ok(Frame { body: body.to_vec(), bytes }),
            None => Err((bytes, Skip::Malformed)),
        }
    }
}

/// What the length field says; `None` when it has not come yet.
fn length_of(
    buffer: &[u8],
    offset: usize,
    width: usize,
    order: ByteOrder,
    adjust: i64,
) -> Option<Result<usize, Skip>> {
    let end = offset.saturating_add(width.min(4));
    let field = buffer.get(offset..end)?;
    let append = |sum: i64, byte: &u8| (sum << 8) | i64::from(*byte);
    let said = match order {
        ByteOrder::Big => field.iter().fold(0, append),
        ByteOrder::Little => field.iter().rev().fold(0, append),
    };
    let length = usize::try_from(said.saturating_add(adjust)).ok().filter(|n| *n >= end);
    Some(length.ok_or(Skip::Malformed))
}

/// Where `part` begins first; an empty one begins everywhere.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    bytes.windows(part.len()).position(|window| window == part)
}
