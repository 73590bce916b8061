//! The trace of a bus: a ring of its last exchanges, with every byte, its time and the verdict.
//!
//! A [`Tap`] is where the bytes pass by (the guard of a line, the reader of a serial sensor) and
//! where the line says what it made of them. Nothing is decoded here; that is done when somebody
//! looks. Always on, so that what happened an hour ago can be asked for: an exchange costs a few
//! copies into buffers that are used again.
//!
//! Invariants: at most [`EXCHANGES_MAX`] exchanges and the bytes that were configured are kept, the
//! oldest go first; of one exchange at most [`BYTES_MAX`] bytes in [`PIECES_MAX`] pieces; a number
//! is given to every exchange, so who reads on sees what was lost in between.

mod export;
mod frames;
mod page;
pub mod text;
mod verdict;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use export::Format;
pub use frames::{Frame, Role, frames};
pub use page::{Exchange, Page, Part};
pub use verdict::{Purpose, Verdict, Way};

use super::guard::GuardCounters;
use super::line::Failure;
use crate::config::{self, Link};

/// Exchanges kept, however small they are.
pub const EXCHANGES_MAX: usize = 10_000;
/// Bytes kept of one exchange, both ways together; four of the longest frames.
pub const BYTES_MAX: usize = 1_040;
/// Separately timed pieces kept of one exchange; what comes later is added to the last one.
pub const PIECES_MAX: usize = 64;

/// How the bytes of a bus are framed, which decides how they are shown and exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// MBAP header and PDU, over TCP, UDP or TLS.
    Mbap,
    /// Unit, PDU and CRC, on a serial line or inside a stream.
    Rtu,
    /// Anything else: shown as bytes.
    Other,
}

impl Framing {
    pub(crate) fn of(link: &Link) -> Self {
        match link {
            Link::Modbus(link) => match link.framing {
                config::Framing::Tcp => Self::Mbap,
                config::Framing::Rtu => Self::Rtu,
                config::Framing::Ascii => Self::Other,
            },
            Link::Sensor(_) => Self::Other,
        }
    }
}

/// The way into the trace of one bus; cheap to clone.
#[derive(Clone)]
pub struct Tap(Arc<Mutex<Ring>>);

/// See the module.
struct Ring {
    /// Names this ring, so that a reader sees that another one has taken its place.
    id: u64,
    framing: Framing,
    /// Names of the bus's devices, by their index.
    devices: Vec<String>,
    /// Bytes that the kept exchanges may take in memory.
    memory_max: usize,
    memory: usize,
    /// Times are counted from here.
    origin: Instant,
    /// The wall time of the origin, in microseconds, as of the last page.
    origin_wall_us: Option<i64>,
    kept: VecDeque<Record>,
    /// The exchange under way. It is begun by the first byte and ended by the verdict.
    open: Record,
    /// Number of the exchange under way.
    next: u64,
    connection: u32,
    device: Option<usize>,
    purpose: Purpose,
    /// What the guard had counted when the last exchange ended.
    counted: GuardCounters,
    /// Of who asks by hand, and wants to see it.
    heard: Option<Heard>,
}

/// The bytes of some requests and of what came for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
}

/// One exchange, as compact as it is kept.
#[derive(Debug, Default)]
struct Record {
    /// From the origin to the first byte.
    at_us: u64,
    /// From the request, or the first byte, to the verdict.
    took_us: u64,
    device: Option<usize>,
    purpose: Purpose,
    verdict: Verdict,
    /// What else the line carried, beside a request and its answer.
    also: GuardCounters,
    connection: u32,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// Bytes that were not kept.
    cut: u32,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// From the record's time.
    after_us: u32,
    length: u16,
    way: Way,
}

impl Tap {
    /// `devices` are the names behind the indices of [`Tap::about`]; `memory_max` bounds the ring.
    pub fn new(framing: Framing, devices: Vec<String>, memory_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Ring {
            // A number that JSON keeps in every reader.
            id: fastrand::u64(..1 << 53),
            framing,
            devices,
            memory_max,
            memory: 0,
            origin: Instant::now(),
            origin_wall_us: None,
            kept: VecDeque::new(),
            open: Record::default(),
            next: 0,
            connection: 0,
            device: None,
            purpose: Purpose::default(),
            counted: GuardCounters::default(),
            heard: None,
        })))
    }

    /// A trace that keeps nothing, for a line that nobody can ask about.
    pub(crate) fn off() -> Self {
        Self::new(Framing::Other, Vec::new(), 0)
    }

    /// What the next exchanges are for, and with which device.
    pub fn about(&self, device: Option<usize>, purpose: Purpose) {
        let mut ring = self.lock();
        (ring.device, ring.purpose) = (device, purpose);
    }

    /// From now on what passes is put by as well, whether or not it is kept.
    pub(crate) fn listen(&self) {
        self.lock().heard = Some(Heard::default());
    }

    /// What passed since.
    pub(crate) fn heard(&self) -> Heard {
        self.lock().heard.take().unwrap_or_default()
    }

    /// The link was made anew: its guard counts from zero, and nothing goes on from before.
    pub fn connected(&self) {
        let mut ring = self.lock();
        if !ring.open.pieces.is_empty() {
            let now = ring.now();
            ring.conclude(Verdict::Link, now);
        }
        ring.connection = ring.connection.wrapping_add(1);
        ring.counted = GuardCounters::default();
    }

    /// These bytes are handed to the port.
    pub fn sent(&self, bytes: &[u8]) {
        self.passes(Way::Out, bytes, Instant::now());
    }

    /// These bytes came from the port.
    pub fn came(&self, bytes: &[u8]) {
        self.passes(Way::In, bytes, Instant::now());
    }

    /// These bytes passed at that time: of exchanges that went on together each is told as a whole
    /// when it is over.
    pub(crate) fn passes(&self, way: Way, bytes: &[u8], at: Instant) {
        let mut ring = self.lock();
        let at = micros(at.saturating_duration_since(ring.origin));
        ring.pass(way, bytes, at);
    }

    /// The exchange is over, as its reader says; for lines without requests, a frame is over.
    pub fn conclude(&self, verdict: Verdict) {
        let mut ring = self.lock();
        let now = ring.now();
        ring.conclude(verdict, now);
    }

    /// The request of a guarded line was over at `ended`; `counted` is what its guard counted so far.
    pub(crate) fn answered(
        &self,
        result: Result<(), &Failure>,
        counted: GuardCounters,
        ended: Instant,
    ) {
        let mut ring = self.lock();
        let also = counted.minus(ring.counted);
        ring.counted = counted;
        ring.open.also = also;
        let verdict = verdict::of(result, also, ring.framing, &ring.open);
        let now = micros(ended.saturating_duration_since(ring.origin));
        ring.conclude(verdict, now);
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn pass(&mut self, way: Way, bytes: &[u8], now: u64) {
        if let Some(heard) = &mut self.heard {
            heard.pass(way, bytes);
        }
        if self.memory_max == 0 {
            return;
        }
        let open = &mut self.open;
        if open.pieces.is_empty() {
            open.at_us = now;
        }
        let room = BYTES_MAX.saturating_sub(open.bytes.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        let cut = u32::try_from(bytes.len() - kept.len()).unwrap_or(u32::MAX);
        open.cut = open.cut.saturating_add(cut);
        open.bytes.extend_from_slice(kept);
        let length = u16::try_from(kept.len()).unwrap_or(u16::MAX);
        let full = open.pieces.len() >= PIECES_MAX;
        match open.pieces.last_mut() {
            Some(last) if full && last.way == way => last.length += length,
            _ => {
                let after_us = u32::try_from(now.saturating_sub(open.at_us)).unwrap_or(u32::MAX);
                open.pieces.push(Piece { after_us, length, way });
            }
        }
    }

    fn now(&self) -> u64 {
        micros(self.origin.elapsed())
    }

    fn conclude(&mut self, verdict: Verdict, now: u64) {
        if self.memory_max == 0 {
            return;
        }
        self.next += 1;
        let open = &mut self.open;
        if open.pieces.is_empty() {
            open.at_us = now;
        }
        let sent = open.pieces.iter().find(|piece| piece.way == Way::Out);
        let start = open.at_us + sent.map_or(0, |piece| u64::from(piece.after_us));
        open.took_us = now.saturating_sub(start);
        open.verdict = verdict;
        (open.device, open.purpose, open.connection) = (self.device, self.purpose, self.connection);
        let record = std::mem::take(&mut self.open);
        self.memory += record.memory();
        self.kept.push_back(record);
        while self.memory > self.memory_max || self.kept.len() > EXCHANGES_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.memory -= oldest.memory();
            // Its buffers are as large as what comes next will be.
            self.open = oldest.emptied();
        }
    }
}

impl Heard {
    fn pass(&mut self, way: Way, bytes: &[u8]) {
        let to = match way {
            Way::Out => &mut self.sent,
            // What came before the request is not for it.
            Way::In if self.sent.is_empty() => return,
            Way::In => &mut self.received,
        };
        let room = BYTES_MAX.saturating_sub(to.len());
        to.extend(bytes.iter().take(room));
    }
}

impl Record {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.pieces.clear();
        Self { bytes: self.bytes, pieces: self.pieces, ..Self::default() }
    }

    /// The pieces with their bytes.
    fn parts(&self) -> impl Iterator<Item = (Piece, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.pieces.iter().map(move |piece| {
            let (bytes, after) = rest.split_at_checked(piece.length.into()).unwrap_or((rest, &[]));
            rest = after;
            (*piece, bytes)
        })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
