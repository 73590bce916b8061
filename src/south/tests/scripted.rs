//! A slave that misbehaves on purpose, over an in-memory stream.
//!
//! Every value it gives is its register's address in the high byte and the number of the request
//! that it answers in the low byte, so a value that belongs to another register or to an earlier
//! request is always seen.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Framing;
use crate::south::guard::{SerialMatcher, TcpMatcher, ascii, frame_rtu};
use crate::south::line::{Failure, Line};
pub(super) use crate::south::mbap::frame as mbap;
use crate::south::silence::Pace;
pub(super) use crate::south::simulator::Deed;
use crate::south::simulator::{Tempo, serve};
use crate::south::trace::{self, Tap};

impl Deed {
    pub(super) fn well() -> Self {
        Self::default()
    }
    pub(super) fn late(by: Duration) -> Self {
        Self { late: by, ..Self::default() }
    }
    pub(super) fn instead(frame: Vec<u8>) -> Self {
        Self { instead: Some(frame), ..Self::default() }
    }
    pub(super) fn silence() -> Self {
        Self::instead(Vec::new())
    }
    pub(super) fn before(bytes: Vec<u8>) -> Self {
        Self { before: bytes, ..Self::default() }
    }
}

/// Unit, PDU and number of a request, and the transaction id on TCP.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) unit: u8,
    pub(super) pdu: Vec<u8>,
    pub(super) number: u16,
    pub(super) tid: [u8; 2],
    pub(super) framing: Framing,
}

/// The value of a register as given in the answer to request `number`.
pub(super) fn value(address: u16, number: u16) -> u16 {
    (address & 0xFF) << 8 | (number & 0xFF)
}

impl Asked {
    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.pdu[at], self.pdu[at + 1]])
    }

    pub(super) fn address(&self) -> u16 {
        self.word(1)
    }

    pub(super) fn count(&self) -> u16 {
        self.word(3)
    }

    /// What an honest device answers.
    pub(super) fn honest(&self) -> Vec<u8> {
        match self.pdu[0] {
            function @ (3 | 4) => self.honest_words(function, self.count()),
            function @ (1 | 2) => {
                let bytes = u8::try_from(self.count().div_ceil(8)).unwrap();
                let mut pdu = vec![function, bytes];
                // Each byte tells the request.
                pdu.extend(std::iter::repeat_n(self.number.to_be_bytes()[1], usize::from(bytes)));
                pdu
            }
            15 | 16 => self.pdu[..5].to_vec(),
            _ => self.pdu.clone(),
        }
    }

    pub(super) fn honest_words(&self, function: u8, count: u16) -> Vec<u8> {
        let mut pdu = vec![function, u8::try_from(count * 2).unwrap()];
        for at in 0..count {
            pdu.extend(value(self.address().wrapping_add(at), self.number).to_be_bytes());
        }
        pdu
    }

    /// As an answer of the asked unit.
    pub(super) fn frame(&self, pdu: &[u8]) -> Vec<u8> {
        self.frame_of(self.unit, pdu)
    }

    pub(super) fn frame_of(&self, unit: u8, pdu: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Tcp => mbap(self.tid, unit, pdu),
            Framing::Rtu => frame_rtu(unit, pdu),
            Framing::Ascii => ascii::encode(&frame_rtu(unit, pdu)),
        }
    }
}

/// A line to a scripted slave.
pub(super) struct Scripted {
    pub(super) line: Line,
    pub(super) tap: Tap,
    /// Number of the newest request that the slave has seen.
    pub(super) number: Arc<AtomicU16>,
    /// Every request it has seen.
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
    _slave: JoinSet<()>,
}

pub(super) fn tcp(script: impl FnMut(&Asked) -> Deed + Send + 'static) -> Scripted {
    start(Framing::Tcp, false, script)
}

/// With `echo` every request comes back first, as on some lines.
pub(super) fn start(
    framing: Framing,
    echo: bool,
    mut script: impl FnMut(&Asked) -> Deed + Send + 'static,
) -> Scripted {
    let (near, far) = tokio::io::duplex(4096);
    let number = Arc::new(AtomicU16::new(0));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let pace = Pace::Task(Duration::ZERO);
    let tap = tap(match framing {
        Framing::Tcp => trace::Framing::Mbap,
        Framing::Rtu => trace::Framing::Rtu,
        Framing::Ascii => trace::Framing::Other,
    });
    let line = match framing {
        Framing::Tcp => Line::tcp(near, TcpMatcher::new(0xFFF0), pace, tap.clone()),
        Framing::Rtu => Line::serial(near, SerialMatcher::rtu(), pace, tap.clone()),
        Framing::Ascii => Line::serial(near, SerialMatcher::ascii(), pace, tap.clone()),
    };
    let mut slave = JoinSet::new();
    let (count, all) = (number.clone(), asked.clone());
    slave.spawn(async move {
        let answer = |request: &crate::south::simulator::Asked| {
            let request = Asked {
                unit: request.unit,
                pdu: request.pdu.clone(),
                number: count.fetch_add(1, Ordering::SeqCst) + 1,
                tid: request.tid,
                framing,
            };
            all.lock().unwrap().push(request.clone());
            let mut deed = script(&request);
            deed.echo |= echo;
            (Some(request.honest()), deed)
        };
        let _ = serve(far, framing, Tempo::default(), &CancellationToken::new(), answer).await;
    });
    Scripted { line, tap, number, asked, _slave: slave }
}

pub(super) fn tap(framing: trace::Framing) -> Tap {
    Tap::new(framing, vec!["seven".to_owned()], 1 << 20)
}

/// How a run of reads went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) right: usize,
    pub(super) wrong: usize,
    pub(super) no_answer: usize,
    pub(super) bad_answer: usize,
    pub(super) exceptions: usize,
    pub(super) link: usize,
}

pub(super) const TIMEOUT: Duration = Duration::from_millis(40);

impl Scripted {
    /// Reads the same holding registers over and over and judges every value.
    pub(super) async fn reads(&mut self, times: usize, address: u16, count: u16) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..times {
            self.read(&mut tally, address, count).await;
        }
        tally
    }

    pub(super) async fn read(&mut self, tally: &mut Tally, address: u16, count: u16) {
        use crate::model::Table;
        let result = self.line.read(7, Table::Holding, (address, count), 125, TIMEOUT).await;
        let number = self.number.load(Ordering::SeqCst);
        match result {
            Ok(words) => {
                let right = words.len() == usize::from(count)
                    && (address..).zip(&words).all(|(at, word)| *word == value(at, number));
                if right {
                    tally.right += 1;
                } else {
                    tally.wrong += 1;
                }
            }
            Err(Failure::NoAnswer | Failure::NotAsked) => tally.no_answer += 1,
            Err(Failure::BadAnswer) => tally.bad_answer += 1,
            Err(Failure::Exception { .. }) => tally.exceptions += 1,
            Err(Failure::Link(_)) => tally.link += 1,
        }
    }
}
