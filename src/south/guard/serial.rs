//! Matching on a serial line, where nothing but the content tells an answer from anything else; the
//! same behind a converter. Frames are those of RTU, also where the wire carries ASCII.
//!
//! Every offset is tried, so noise before a frame does no harm. A frame matches by unit, function,
//! byte count (or the whole echo of a write) and CRC. What our own transmitter sends back (local
//! echo of two-wire adapters) is recognised by being our request, byte for byte; on a line that
//! does so a write is believed only when the echo *and* the answer came, because for most writes
//! the two are the same bytes.
//!
//! What another master says is counted as a collision, and an answer that may be meant for it is
//! nobody's ([`Others`]).
//!
//! What it can't tell: a late answer of the same unit, function and length that arrives after an
//! identical request went out. The line above asks for another length then (`resync`).

use std::io;

use super::expect::{Judgement, identity_len};
use super::others::{Others, is_echoed};
use super::{Expect, GuardCounters, Matcher, Saw, ascii};

/// Input kept while waiting for a frame; the longest frame has 256 bytes.
const INPUT_BYTES_MAX: usize = 1024;
/// Requests without an answer that are remembered, to call their answers late.
const UNANSWERED_MAX: usize = 32;
/// Answered reads without an echo before an echo line is believed to have lost its echo.
const ECHO_MISSES: u8 = 2;

const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_MODBUS);

pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    CRC.checksum(bytes)
}

/// Unit, PDU and CRC: a frame as it goes over the wire.
pub(crate) fn frame_rtu(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(pdu.len() + 3);
    frame.push(unit);
    frame.extend_from_slice(pdu);
    let crc = crc16(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    frame
}

/// Whether the line hands our own bytes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    /// No read has been seen yet.
    Unknown,
    Absent,
    Present,
}

/// See the module.
pub(crate) struct SerialMatcher {
    /// Where the wire carries ASCII.
    ascii: Option<ascii::Decoder>,
    request: Vec<u8>,
    expect: Option<Expect>,
    unanswered: Vec<Expect>,
    /// Those of them whose answers came since they were last asked for.
    came_late: Vec<Expect>,
    echo: Echo,
    /// Answered reads in a row that had no echo, while the line is an echo line.
    echo_misses: u8,
    /// The echo of the open request has been taken out of the input.
    echo_passed: bool,
    others: Others,
    rx: Vec<u8>,
    up: Option<Vec<u8>>,
    counters: GuardCounters,
}

impl SerialMatcher {
    pub(crate) fn rtu() -> Self {
        Self::new(None)
    }

    pub(crate) fn ascii() -> Self {
        Self::new(Some(ascii::Decoder::default()))
    }

    fn new(ascii: Option<ascii::Decoder>) -> Self {
        Self {
            ascii,
            request: Vec::new(),
            expect: None,
            unanswered: Vec::new(),
            came_late: Vec::new(),
            echo: Echo::Unknown,
            echo_misses: 0,
            echo_passed: false,
            others: Others::default(),
            rx: Vec::new(),
            up: None,
            counters: GuardCounters::default(),
        }
    }

    pub(crate) fn echo(&self) -> Echo {
        self.echo
    }

    /// Reads that had been given up and whose answers have been seen since.
    pub(crate) fn take_late(&mut self) -> Vec<Expect> {
        std::mem::take(&mut self.came_late)
    }

    /// The line is silent: what it carried is complete. Says whether a device is about to answer
    /// another master.
    pub(crate) fn silence(&mut self) -> bool {
        let rx = std::mem::take(&mut self.rx);
        let _ = self.classify(&rx);
        self.others.is_waiting()
    }

    /// Requests of another master whose answers may still come, each once.
    pub(crate) fn take_others(&mut self) -> Vec<Expect> {
        self.others.take()
    }

    /// Whether the answer to a request may still be on its way.
    pub(crate) fn owes(&self) -> bool {
        !self.unanswered.is_empty()
    }

    fn receive(&mut self, bytes: &[u8]) {
        match &mut self.ascii {
            None => self.rx.extend_from_slice(bytes),
            Some(decoder) => {
                let noise = decoder.decode(bytes, &mut self.rx);
                self.counters.noise_bytes += u64::try_from(noise).unwrap_or(0);
            }
        }
    }

    /// Whether the request itself would pass as its answer: most writes, and reads of 17 to 24
    /// bits at address 0x03xx.
    fn answers_itself(&self) -> bool {
        self.expect.as_ref().is_some_and(|expect| {
            split_frame(&self.request)
                .is_some_and(|(_, pdu)| expect.judge(pdu) == Judgement::Answer)
        })
    }

    /// Takes our own request out of the input, if it is there and is no answer.
    fn pass_echo(&mut self) {
        if self.echo_passed || self.request.is_empty() {
            return;
        }
        let is_read = self.expect.as_ref().is_some_and(|expect| expect.data_bytes().is_some());
        let is_answer = self.answers_itself()
            && match self.echo {
                Echo::Absent => true,
                Echo::Present => false,
                // A write is taken at its word (its sender reads back), a read is not.
                Echo::Unknown => !is_read,
            };
        if is_answer {
            return;
        }
        let length = self.request.len();
        let Some(at) = self.rx.windows(length).position(|window| window == self.request) else {
            return;
        };
        let rest = self.rx.split_off(at + length);
        let mut before = std::mem::replace(&mut self.rx, rest);
        before.truncate(at);
        let _ = self.classify(&before);
        self.counters.echoes += 1;
        self.echo_passed = true;
        if is_read {
            self.echo = Echo::Present;
            self.echo_misses = 0;
        }
    }

    fn scan(&mut self) {
        self.pass_echo();
        let Some(expect) = self.expect.clone() else { return };
        let is_read = expect.data_bytes().is_some();
        if self.echo == Echo::Present && !is_read && !self.echo_passed {
            return;
        }
        let frame = loop {
            let Some((at, length)) = find(&expect, &self.rx) else { return };
            let rest = self.rx.split_off(at + length);
            let mut before = std::mem::replace(&mut self.rx, rest);
            let frame = before.split_off(at);
            let _ = self.classify(&before);
            let judged = split_frame(&frame).map(|(_, pdu)| expect.judge(pdu));
            if judged.is_some_and(|judged| !self.others.spoils(&expect, judged)) {
                break frame;
            }
            self.counters.collisions += 1;
        };
        self.up = Some(frame);
        self.expect = None;
        if is_read && !self.echo_passed {
            self.echo_misses = self.echo_misses.saturating_add(1);
            if self.echo == Echo::Unknown || self.echo_misses >= ECHO_MISSES {
                self.echo = Echo::Absent;
            }
        }
    }

    /// Counts what is in bytes that are thrown away.
    fn classify(&mut self, bytes: &[u8]) -> Saw {
        let mut saw = Saw::Nothing;
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some(length) = sound_frame(rest) {
                let (frame, after) = rest.split_at(length);
                if self.count_frame(frame) == Saw::BadAnswer {
                    saw = Saw::BadAnswer;
                }
                rest = after;
                continue;
            }
            let (head, after) = rest.split_at(1);
            let header = self.expect.as_ref().map(|expect| [expect.unit, expect.function]);
            if after.len() >= 2 && header.is_some_and(|header| rest.starts_with(&header)) {
                self.counters.damaged += 1;
                saw = Saw::BadAnswer;
            }
            self.counters.noise_bytes += u64::try_from(head.len()).unwrap_or(0);
            rest = after;
        }
        saw
    }

    /// Counts a sound frame that was not handed up.
    fn count_frame(&mut self, frame: &[u8]) -> Saw {
        let Some((unit, pdu)) = split_frame(frame) else { return Saw::Nothing };
        if self.others.answers(unit, pdu) {
            self.counters.collisions += 1;
            return Saw::Nothing;
        }
        let answers =
            |expect: &Expect| expect.unit == unit && matches!(expect.judge(pdu), Judgement::Answer);
        if let Some(at) = self.unanswered.iter().position(answers) {
            let late = self.unanswered.remove(at);
            if self.came_late.len() < UNANSWERED_MAX {
                self.came_late.push(late);
            }
            self.counters.late += 1;
            return Saw::Nothing;
        }
        let asked = self
            .expect
            .as_ref()
            .is_some_and(|expect| expect.unit == unit && expect.judge(pdu) != Judgement::Foreign);
        // Of a frame that could be both, a request and its answer, the unit that we asked is meant.
        let may_ask = !asked || pdu.first().is_some_and(|function| !is_echoed(*function));
        if frame == self.request && self.echo != Echo::Absent {
            self.counters.echoes += 1;
        } else if may_ask && self.others.asks(unit, pdu) {
            self.counters.collisions += 1;
        } else if asked {
            self.counters.wrong_shape += 1;
            return Saw::BadAnswer;
        } else {
            self.counters.foreign += 1;
        }
        Saw::Nothing
    }
}

impl Matcher for SerialMatcher {
    fn stale(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.expect = None;
        self.receive(bytes);
        if self.rx.len() > INPUT_BYTES_MAX {
            let rx = std::mem::take(&mut self.rx);
            let _ = self.classify(&rx);
        }
        Ok(())
    }

    fn begin(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        self.expect = None;
        self.others.begin();
        let rx = std::mem::take(&mut self.rx);
        let _ = self.classify(&rx);
        if let Some(decoder) = &mut self.ascii {
            self.counters.noise_bytes += u64::try_from(decoder.reset()).unwrap_or(0);
        }
        self.up = None;
        self.echo_passed = false;
        let (unit, expect) = split_frame(frame)
            .and_then(|(unit, pdu)| Some((unit, Expect::of(unit, pdu)?)))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an unknown function"))?;
        self.request = frame.to_vec();
        if unit == 0 {
            let answer = expect.local_answer().ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "a read can't be broadcast")
            })?;
            self.up = Some(frame_rtu(0, &answer));
        } else {
            self.expect = Some(expect);
        }
        Ok(if self.ascii.is_some() { ascii::encode(frame) } else { frame.to_vec() })
    }

    fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.receive(bytes);
        self.scan();
        if self.rx.len() > INPUT_BYTES_MAX {
            let keep = self.rx.split_off(self.rx.len() - INPUT_BYTES_MAX / 2);
            let old = std::mem::replace(&mut self.rx, keep);
            let _ = self.classify(&old);
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.up.take()
    }

    fn conclude(&mut self, answered: bool) -> Saw {
        let rx = std::mem::take(&mut self.rx);
        let saw = self.classify(&rx);
        if let Some(expect) = self.expect.take().filter(|_| !answered) {
            if self.unanswered.len() >= UNANSWERED_MAX {
                self.unanswered.remove(0);
            }
            self.unanswered.push(expect);
        }
        saw
    }

    fn counters(&self) -> GuardCounters {
        self.counters
    }
}

/// Unit and PDU of a frame, without looking at the CRC.
fn split_frame(frame: &[u8]) -> Option<(u8, &[u8])> {
    let (&unit, rest) = frame.split_first()?;
    let pdu = rest.get(..rest.len().checked_sub(2)?)?;
    (!pdu.is_empty()).then_some((unit, pdu))
}

/// Where the expected frame lies in the input, and its length.
fn find(expect: &Expect, rx: &[u8]) -> Option<(usize, usize)> {
    (0..rx.len()).find_map(|at| {
        let rest = rx.get(at..)?;
        let matches = |pdu_len: usize| {
            let frame = rest.get(..pdu_len + 3)?;
            let (unit, pdu) = split_frame(frame)?;
            let fits = unit == expect.unit
                && matches!(expect.judge(pdu), Judgement::Answer | Judgement::Exception)
                && is_sound(frame);
            fits.then_some((at, pdu_len + 3))
        };
        matches(2).or_else(|| matches(expect.pdu_len(rest.get(1..)?)?))
    })
}

fn is_sound(frame: &[u8]) -> bool {
    frame.split_last_chunk::<2>().is_some_and(|(body, crc)| crc16(body).to_le_bytes() == *crc)
}

/// The length of a sound frame at the start of `bytes`, request or answer of any usual function.
pub(crate) fn sound_frame(bytes: &[u8]) -> Option<usize> {
    let function = *bytes.get(1)?;
    let counted = |at: usize, fixed: usize| bytes.get(at).map(|n| fixed + usize::from(*n));
    let lengths = match function {
        1..=4 => [Some(8), counted(2, 5)],
        5 | 6 => [Some(8), None],
        15 | 16 => [Some(8), counted(6, 9)],
        22 => [Some(10), None],
        23 => [counted(2, 5), counted(10, 13)],
        43 => [Some(7), bytes.get(1..).and_then(identity_len).map(|length| length + 3)],
        f if f >= 0x80 => [Some(5), None],
        _ => return None,
    };
    lengths.into_iter().flatten().find(|length| bytes.get(..*length).is_some_and(is_sound))
}
