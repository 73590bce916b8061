//! A slave that misbehaves on purpose, over an in-memory stream.
//!
//! Every value it gives is its register's address in the high byte and the number of the request
//! that it answers in the low byte, so a value that belongs to another register or to an earlier
//! request is always seen.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinSet;

use crate::south::guard::frame_rtu;
use crate::south::line::{Failure, Line};
use crate::south::silence::Pace;
use crate::south::simulator::find_request;

/// What the slave does with one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Deed {
    /// Sent before the answer.
    pub(super) before: Vec<u8>,
    /// Waits this long before the answer.
    pub(super) late: Duration,
    /// Instead of the right answer; an empty one is silence.
    pub(super) instead: Option<Vec<u8>>,
    /// Bytes per write, with a pause in between.
    pub(super) pieces: Option<usize>,
    /// Sent after the answer, and how long after.
    pub(super) after: Vec<u8>,
    pub(super) pause: Duration,
    /// Others may be answered while this answer waits (a line with memory, out of order).
    pub(super) overtaken: bool,
}

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

    pub(super) fn rtu(&self, pdu: &[u8]) -> Vec<u8> {
        frame_rtu(self.unit, pdu)
    }

    pub(super) fn tcp(&self, pdu: &[u8]) -> Vec<u8> {
        mbap(self.tid, self.unit, pdu)
    }
}

pub(super) fn mbap(tid: [u8; 2], unit: u8, pdu: &[u8]) -> Vec<u8> {
    let [l1, l0] = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
    let mut frame = vec![tid[0], tid[1], 0, 0, l1, l0, unit];
    frame.extend_from_slice(pdu);
    frame
}

/// A line to a scripted slave.
pub(super) struct Scripted {
    pub(super) line: Line,
    /// Number of the newest request that the slave has seen.
    pub(super) number: Arc<AtomicU16>,
    /// Every request it has seen.
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
    _slave: JoinSet<()>,
}

/// On a serial line; with `echo` every byte comes back first.
pub(super) fn rtu(echo: bool, script: impl FnMut(&Asked) -> Deed + Send + 'static) -> Scripted {
    start(false, echo, script)
}

pub(super) fn tcp(script: impl FnMut(&Asked) -> Deed + Send + 'static) -> Scripted {
    start(true, false, script)
}

fn start(
    is_tcp: bool,
    echo: bool,
    script: impl FnMut(&Asked) -> Deed + Send + 'static,
) -> Scripted {
    let (near, far) = tokio::io::duplex(4096);
    let number = Arc::new(AtomicU16::new(0));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut slave = JoinSet::new();
    let pace = Pace::Task(Duration::ZERO);
    let line = if is_tcp { Line::tcp(near, 0xFFF0, pace) } else { Line::serial(near, pace) };
    slave.spawn(serve(far, is_tcp, echo, number.clone(), asked.clone(), script));
    Scripted { line, number, asked, _slave: slave }
}

async fn serve(
    far: DuplexStream,
    is_tcp: bool,
    echo: bool,
    number: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<Asked>>>,
    mut script: impl FnMut(&Asked) -> Deed,
) {
    let (mut from, to) = tokio::io::split(far);
    let to = Arc::new(tokio::sync::Mutex::new(to));
    let mut later = JoinSet::new();
    let mut input = Vec::new();
    let mut chunk = [0; 512];
    loop {
        let Ok(n @ 1..) = from.read(&mut chunk).await else { return };
        if echo {
            let _ = to.lock().await.write_all(&chunk[..n]).await;
        }
        input.extend_from_slice(&chunk[..n]);
        while let Some(mut request) = take_request(&mut input, is_tcp) {
            request.number = number.fetch_add(1, Ordering::SeqCst) + 1;
            asked.lock().unwrap().push(request.clone());
            let deed = script(&request);
            let honest = request.honest();
            let frame = if is_tcp { request.tcp(&honest) } else { request.rtu(&honest) };
            let answer = deed.instead.clone().unwrap_or(frame);
            let to = to.clone();
            let overtaken = deed.overtaken;
            let send = async move {
                tokio::time::sleep(deed.late).await;
                let mut to = to.lock().await;
                let bytes = [deed.before, answer].concat();
                for piece in bytes.chunks(deed.pieces.unwrap_or(usize::MAX)) {
                    let _ = to.write_all(piece).await;
                    if deed.pieces.is_some() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                tokio::time::sleep(deed.pause).await;
                let _ = to.write_all(&deed.after).await;
            };
            if overtaken {
                later.spawn(send);
            } else {
                send.await;
            }
        }
    }
}

fn take_request(input: &mut Vec<u8>, is_tcp: bool) -> Option<Asked> {
    if is_tcp {
        let length = usize::from(u16::from_be_bytes([*input.get(4)?, *input.get(5)?]));
        let frame: Vec<u8> =
            (input.len() >= 6 + length).then(|| input.drain(..6 + length).collect())?;
        let tid = [frame[0], frame[1]];
        return Some(Asked { unit: frame[6], pdu: frame[7..].to_vec(), number: 0, tid });
    }
    let (at, length) = find_request(input)?;
    let frame: Vec<u8> = input.drain(..at + length).skip(at).collect();
    let pdu = frame[1..length - 2].to_vec();
    Some(Asked { unit: frame[0], pdu, number: 0, tid: [0; 2] })
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
