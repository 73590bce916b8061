//! Matching on Modbus TCP: by transaction id first, then by unit, function and shape.
//!
//! Transaction ids are our own: they start at random, are never zero, and zero from the other
//! side is never taken for ours. A header that can't be one ends the connection, because nothing
//! after it can be trusted (Modbus Messaging on TCP/IP V1.0b, 3.1.3). A datagram (UDP) stands for
//! itself: what is broken in it ends with it.

use std::io;

use super::expect::{Judgement, word};
use super::{Expect, GuardCounters, Matcher, Saw};
use crate::south::mbap;

/// Transaction id, protocol id, length, unit.
const HEADER_BYTES: usize = 7;
/// A unit byte and a PDU of 1 to 253 bytes.
const LENGTH_RANGE: std::ops::RangeInclusive<usize> = 2..=254;
/// Stands in for an answer of the wrong shape, so that the exchange ends at once.
const LOCAL_EXCEPTION: u8 = 0xFF;

/// See the module.
pub(crate) struct TcpMatcher {
    /// The id of the last request.
    tid: u16,
    /// The first four bytes that tokio-modbus put on the request: its own id comes back to it.
    client_tid: [u8; 2],
    expect: Option<Expect>,
    datagrams: bool,
    rx: Vec<u8>,
    up: Option<Vec<u8>>,
    saw: Saw,
    counters: GuardCounters,
    /// Reads that are in flight together, instead of the one.
    together: Option<Together>,
}

#[derive(Default)]
struct Together {
    open: Vec<(u16, Expect)>,
    came: Vec<Came>,
}

/// A frame that came while reads were in flight together.
pub(crate) struct Came {
    /// The id of its request; `None` when it is nobody's.
    pub(crate) id: Option<u16>,
    pub(crate) frame: Vec<u8>,
    pub(crate) judgement: Judgement,
    /// As of this frame.
    pub(crate) counters: GuardCounters,
}

impl Came {
    pub(crate) fn pdu(&self) -> &[u8] {
        self.frame.get(HEADER_BYTES..).unwrap_or_default()
    }
}

impl TcpMatcher {
    pub(crate) fn new(seed: u16) -> Self {
        Self {
            tid: seed,
            client_tid: [0; 2],
            expect: None,
            datagrams: false,
            rx: Vec::new(),
            up: None,
            saw: Saw::Nothing,
            counters: GuardCounters::default(),
            together: None,
        }
    }

    /// Every chunk of input is a datagram.
    pub(crate) fn in_datagrams(mut self) -> Self {
        self.datagrams = true;
        self
    }

    /// One more read that is in flight together with others; gives its id and frame.
    pub(crate) fn open(&mut self, unit: u8, pdu: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let expect = Expect::of(unit, pdu)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an unknown function"))?;
        self.expect = None;
        let id = self.next_id();
        self.together.get_or_insert_default().open.push((id, expect));
        Ok((id, mbap::frame(id.to_be_bytes(), unit, pdu)))
    }

    /// What came for the open reads, and what came beside.
    pub(crate) fn take_came(&mut self) -> Vec<Came> {
        self.together
            .as_mut()
            .map(|together| std::mem::take(&mut together.came))
            .unwrap_or_default()
    }

    /// Nobody waits for any of the open reads any more.
    pub(crate) fn close(&mut self) {
        self.together = None;
    }

    fn next_id(&mut self) -> u16 {
        self.tid = self.tid.checked_add(1).unwrap_or(1);
        self.tid
    }

    /// Takes all whole frames out of the input.
    fn parse(&mut self) -> io::Result<()> {
        while let Some(header) = self.rx.get(..HEADER_BYTES) {
            let length = usize::from(word(header, 4).unwrap_or(0));
            if word(header, 2) != Some(0) || !LENGTH_RANGE.contains(&length) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a broken Modbus TCP header",
                ));
            }
            let end = HEADER_BYTES - 1 + length;
            if self.rx.len() < end {
                return Ok(());
            }
            let rest = self.rx.split_off(end);
            let frame = std::mem::replace(&mut self.rx, rest);
            self.frame(&frame);
        }
        Ok(())
    }

    fn frame(&mut self, frame: &[u8]) {
        let [t0, t1, _, _, _, _, unit, pdu @ ..] = frame else { return };
        let id = u16::from_be_bytes([*t0, *t1]);
        if let Some(together) = &mut self.together {
            let at = together.open.iter().position(|(open, _)| *open == id);
            let open = at.map(|at| together.open.swap_remove(at));
            let judgement = match &open {
                None => Judgement::Foreign,
                Some((_, expect)) if *unit != expect.unit => Judgement::WrongShape,
                Some((_, expect)) => expect.judge(pdu),
            };
            match judgement {
                Judgement::Answer | Judgement::Exception => {}
                _ if open.is_none() => self.counters.late += 1,
                Judgement::WrongShape | Judgement::Foreign => self.counters.wrong_shape += 1,
            }
            let (id, frame) = (open.map(|(id, _)| id), frame.to_vec());
            together.came.push(Came { id, frame, judgement, counters: self.counters });
            return;
        }
        let mine = id == self.tid;
        let Some(expect) = self.expect.take_if(|_| mine) else {
            self.counters.late += 1;
            return;
        };
        let judgement =
            if *unit == expect.unit { expect.judge(pdu) } else { Judgement::WrongShape };
        let pdu = match judgement {
            Judgement::Answer | Judgement::Exception => pdu.to_vec(),
            Judgement::WrongShape | Judgement::Foreign => {
                self.counters.wrong_shape += 1;
                self.saw = Saw::BadAnswer;
                vec![expect.function | 0x80, LOCAL_EXCEPTION]
            }
        };
        let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
        let mut up = Vec::with_capacity(HEADER_BYTES + pdu.len());
        up.extend_from_slice(&self.client_tid);
        up.extend_from_slice(&[0, 0]);
        up.extend_from_slice(&length);
        up.push(expect.unit);
        up.extend_from_slice(&pdu);
        self.up = Some(up);
    }
}

impl Matcher for TcpMatcher {
    /// The stream's framing goes on, so stale bytes are parsed as well; with no request open,
    /// nothing in them can match.
    fn stale(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.expect = None;
        self.feed(bytes)
    }

    fn begin(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        let [t0, t1, _, _, _, _, unit, pdu @ ..] = frame else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let expect = Expect::of(*unit, pdu)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an unknown function"))?;
        self.expect = Some(expect);
        self.saw = Saw::Nothing;
        self.up = None;
        self.client_tid = [*t0, *t1];
        let id = self.next_id();
        let mut out = frame.to_vec();
        for (byte, id) in out.iter_mut().zip(id.to_be_bytes()) {
            *byte = id;
        }
        Ok(out)
    }

    fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.rx.extend_from_slice(bytes);
        let parsed = self.parse();
        if !self.datagrams {
            return parsed;
        }
        self.counters.noise_bytes += u64::try_from(self.rx.len()).unwrap_or(0);
        self.rx.clear();
        Ok(())
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.up.take()
    }

    fn conclude(&mut self, _answered: bool) -> Saw {
        self.expect = None;
        std::mem::take(&mut self.saw)
    }

    fn counters(&self) -> GuardCounters {
        self.counters
    }
}
