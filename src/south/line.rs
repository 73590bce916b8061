//! One open line: requests through tokio-modbus over a guard, with every answer checked.
//!
//! A read returns exactly as many values as were asked for or a [`Failure`]; a write returns `Ok`
//! only after its full echo. Knows units and addresses, no tags.

use std::borrow::Cow;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_modbus::client::{Client, Context};
use tokio_modbus::slave::{Slave, SlaveContext};
use tokio_modbus::{Request, Response};

use super::guard::{Echo, Guard, GuardCounters, Matcher, Saw, SerialMatcher, Shared, TcpMatcher};
use super::resync::{Suspects, Variant};
use crate::model::{Fault, Table};

/// A late answer is expected for at most this many timeouts.
const HOLD_TIMEOUTS: u32 = 4;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer")]
    NoAnswer,
    #[error("the answer was damaged or of the wrong shape")]
    BadAnswer,
    /// `doubtful` when it may be the late answer to an earlier request.
    #[error("exception {code}")]
    Exception { code: u8, doubtful: bool },
    #[error("the link broke")]
    Link(#[source] std::io::Error),
}

impl Failure {
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::NoAnswer => Fault::NoAnswer,
            Self::BadAnswer => Fault::BadAnswer,
            Self::Exception { code, .. } => Fault::Exception(*code),
            Self::Link(_) => Fault::LinkDown,
        }
    }
}

/// What to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Coil(bool),
    Coils(Vec<bool>),
    Register(u16),
    Registers(Vec<u16>),
    /// Function 22: `(current & and) | (or & !and)`.
    Mask {
        and: u16,
        or: u16,
    },
}

/// How the silence between two requests is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// By blocking the thread: accurate, for a thread that serves this line alone.
    Thread(Duration),
    /// By the runtime's timer, to the millisecond.
    Task(Duration),
}

/// See the module.
pub(crate) struct Line {
    client: Context,
    kind: Kind,
    pace: Pace,
    opened: Instant,
    last: Instant,
    /// Time the last exchange took, from its first byte out to its last byte in.
    took: Duration,
}

enum Kind {
    Tcp(Shared<TcpMatcher>),
    Serial { matcher: Shared<SerialMatcher>, suspects: Suspects },
}

impl Line {
    pub(crate) fn tcp<T>(io: T, seed: u16, pace: Pace) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let matcher = Shared::new(TcpMatcher::new(seed));
        let client = tokio_modbus::client::tcp::attach(Guard::new(io, matcher.clone()));
        Self::new(client, Kind::Tcp(matcher), pace)
    }

    pub(crate) fn serial<T>(io: T, pace: Pace) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let matcher = Shared::new(SerialMatcher::new());
        let client = tokio_modbus::client::rtu::attach(Guard::new(io, matcher.clone()));
        Self::new(client, Kind::Serial { matcher, suspects: Suspects::default() }, pace)
    }

    fn new(client: Context, kind: Kind, pace: Pace) -> Self {
        let now = Instant::now();
        Self { client, kind, pace, opened: now, last: now, took: Duration::ZERO }
    }

    pub(crate) fn counters(&self) -> GuardCounters {
        match &self.kind {
            Kind::Tcp(matcher) => matcher.lock().counters(),
            Kind::Serial { matcher, .. } => matcher.lock().counters(),
        }
    }

    /// `None` on TCP, where there is no such thing.
    pub(crate) fn echo(&self) -> Option<Echo> {
        match &self.kind {
            Kind::Tcp(_) => None,
            Kind::Serial { matcher, .. } => Some(matcher.lock().echo()),
        }
    }

    /// Time the last exchange took.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Reads `count` items, as 16-bit words or bits as 0 and 1. `most` is the device's limit, which
    /// the resync may use up to.
    pub(crate) async fn read(
        &mut self,
        unit: u8,
        table: Table,
        (address, count): (u16, u16),
        most: u16,
        timeout: Duration,
    ) -> Result<Vec<u16>, Failure> {
        let now = self.opened.elapsed();
        let plain = Variant { address, count, skip: 0 };
        let (variants, doubtful) = match &mut self.kind {
            Kind::Tcp(_) => (vec![plain], false),
            Kind::Serial { suspects, .. } => {
                suspects.forget_expired(now);
                (suspects.variants(unit, table, address, count, most), suspects.any(unit))
            }
        };
        // With no length left that a late answer can't have, not asking is the only safe way.
        let mut result = Err(Failure::NoAnswer);
        for variant in variants {
            result = self.read_variant(unit, table, variant, timeout).await;
            match &mut result {
                // The padding may have reached a register that does not exist.
                Err(Failure::Exception { code: 2 | 3, .. }) if variant != plain => continue,
                Err(Failure::Exception { doubtful: d, .. }) => *d = doubtful,
                Err(Failure::NoAnswer | Failure::BadAnswer) => {
                    if let Kind::Serial { suspects, .. } = &mut self.kind {
                        let now = self.opened.elapsed();
                        let hold = timeout * HOLD_TIMEOUTS;
                        suspects.unanswered(unit, table, variant.count, now, hold);
                    }
                }
                Ok(words) => {
                    let (skip, count) = (usize::from(variant.skip), usize::from(count));
                    words.drain(..skip.min(words.len()));
                    words.truncate(count);
                    if words.len() != count {
                        result = Err(Failure::BadAnswer);
                    }
                }
                Err(Failure::Link(_)) => {}
            }
            return result;
        }
        result
    }

    async fn read_variant(
        &mut self,
        unit: u8,
        table: Table,
        Variant { address, count, .. }: Variant,
        timeout: Duration,
    ) -> Result<Vec<u16>, Failure> {
        let request = match table {
            Table::Coil => Request::ReadCoils(address, count),
            Table::Discrete => Request::ReadDiscreteInputs(address, count),
            Table::Holding => Request::ReadHoldingRegisters(address, count),
            Table::Input => Request::ReadInputRegisters(address, count),
        };
        let count = usize::from(count);
        match self.exchange(unit, request, timeout).await? {
            // The last byte of an answer may hold bits that were not asked for.
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits)
                if bits.len() == count.div_ceil(8) * 8 =>
            {
                Ok(bits.into_iter().take(count).map(u16::from).collect())
            }
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words)
                if words.len() == count =>
            {
                Ok(words)
            }
            _ => Err(Failure::BadAnswer),
        }
    }

    /// Writes once; an answer that does not repeat the write is none.
    pub(crate) async fn write(
        &mut self,
        unit: u8,
        address: u16,
        write: &Write,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let (request, expected) = match write {
            Write::Coil(on) => {
                (Request::WriteSingleCoil(address, *on), Response::WriteSingleCoil(address, *on))
            }
            Write::Coils(bits) => (
                Request::WriteMultipleCoils(address, Cow::Borrowed(bits)),
                Response::WriteMultipleCoils(address, count(bits.len())),
            ),
            Write::Register(word) => (
                Request::WriteSingleRegister(address, *word),
                Response::WriteSingleRegister(address, *word),
            ),
            Write::Registers(words) => (
                Request::WriteMultipleRegisters(address, Cow::Borrowed(words)),
                Response::WriteMultipleRegisters(address, count(words.len())),
            ),
            Write::Mask { and, or } => (
                Request::MaskWriteRegister(address, *and, *or),
                Response::MaskWriteRegister(address, *and, *or),
            ),
        };
        let response = self.exchange(unit, request, timeout).await?;
        if response == expected { Ok(()) } else { Err(Failure::BadAnswer) }
    }

    async fn exchange(
        &mut self,
        unit: u8,
        request: Request<'_>,
        timeout: Duration,
    ) -> Result<Response, Failure> {
        keep_silence(self.pace, self.last.elapsed()).await;
        self.client.set_slave(Slave(unit));
        let started = Instant::now();
        let result = tokio::time::timeout(timeout, self.client.call(request)).await;
        self.last = Instant::now();
        self.took = self.last.saturating_duration_since(started);
        let answered = matches!(result, Ok(Ok(_)));
        let saw = match &self.kind {
            Kind::Tcp(matcher) => matcher.lock().conclude(answered),
            Kind::Serial { matcher, .. } => matcher.lock().conclude(answered),
        };
        match result {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(_))) if saw == Saw::BadAnswer && self.is_tcp() => Err(Failure::BadAnswer),
            Ok(Ok(Err(code))) => Err(Failure::Exception { code: code.into(), doubtful: false }),
            Ok(Err(tokio_modbus::Error::Transport(error))) => Err(Failure::Link(error)),
            // The guard lets nothing through that could be this; if it is, the stream is in doubt.
            Ok(Err(tokio_modbus::Error::Protocol(error))) => {
                Err(Failure::Link(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
            }
            Err(_) if saw == Saw::BadAnswer => Err(Failure::BadAnswer),
            Err(_) => Err(Failure::NoAnswer),
        }
    }

    fn is_tcp(&self) -> bool {
        matches!(self.kind, Kind::Tcp(_))
    }
}

/// Waits until the line has been silent for long enough.
async fn keep_silence(pace: Pace, since: Duration) {
    match pace {
        Pace::Thread(gap) => {
            if let Some(rest) = gap.checked_sub(since) {
                std::thread::sleep(rest);
            }
        }
        Pace::Task(gap) => {
            if let Some(rest) = gap.checked_sub(since) {
                tokio::time::sleep(rest).await;
            }
        }
    }
}
