//! One open line: requests through tokio-modbus over a guard, with every answer checked.
//!
//! A read returns exactly as many values as were asked for or a [`Failure`]; a write returns `Ok`
//! only after its full echo. Knows units and addresses, no tags.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_modbus::client::{Client, Context};
use tokio_modbus::slave::{Slave, SlaveContext};
use tokio_modbus::{Request, Response};

use super::guard::{
    Echo, Guard, GuardCounters, Hear, Matcher, Saw, SerialMatcher, Shared, TcpMatcher,
};
use super::pipeline::{Batch, Flight, Read};
use super::resync::{self, Suspects, Variant};
use super::silence::{Pace, Silence};
use super::trace::Tap;
use crate::config::wire::LineTime;
use crate::model::{Fault, Table};

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer")]
    NoAnswer,
    /// Any answer could be the late one to an earlier request, so none was asked for.
    #[error("no answer that could be told from a late one")]
    NotAsked,
    #[error("the answer was damaged or of the wrong shape")]
    BadAnswer,
    /// `doubtful` when it may be the late answer to an earlier request.
    #[error("exception {code}")]
    Exception { code: u8, doubtful: bool },
    #[error("the link broke")]
    Link(#[source] std::io::Error),
}

/// "Path unavailable" and "target failed to respond" (Modbus Application Protocol V1.1b3, 7).
const GATEWAY_EXCEPTIONS: std::ops::RangeInclusive<u8> = 10..=11;

impl Failure {
    /// Whether it is a gateway that speaks, of a device behind it that does not answer.
    pub(crate) fn is_gateways(&self) -> bool {
        matches!(self, Self::Exception { code, .. } if GATEWAY_EXCEPTIONS.contains(code))
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::NoAnswer | Self::NotAsked => Fault::NoAnswer,
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
    /// Function 23: as above, and the answer is what the same registers hold then.
    AndRead(Vec<u16>),
    /// Function 22: `(current & and) | (or & !and)`.
    Mask {
        and: u16,
        or: u16,
    },
}

impl Write {
    pub(crate) fn table(&self) -> Table {
        match self {
            Self::Coil(_) | Self::Coils(_) => Table::Coil,
            Self::Register(_) | Self::Registers(_) | Self::AndRead(_) | Self::Mask { .. } => {
                Table::Holding
            }
        }
    }

    /// What its frames take on a line.
    pub(crate) fn time(&self, line: &LineTime) -> Duration {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        match self {
            Self::Coil(_) | Self::Register(_) => line.write_one(),
            Self::Coils(bits) => line.write_bits(count(bits.len())),
            Self::Registers(words) => line.write_registers(count(words.len())),
            Self::AndRead(words) => {
                let count = count(words.len());
                line.write_registers(count) + line.read_registers(count)
            }
            Self::Mask { .. } => line.mask_write(),
        }
    }
}

/// See the module.
pub(crate) struct Line {
    client: Context,
    kind: Kind,
    tap: Tap,
    silence: Silence,
    opened: Instant,
    /// Time the last exchange took, from its first byte out to its last byte in.
    took: Duration,
    /// By unit: until then the answer to a write may come that got none in time.
    late_until: HashMap<u8, Instant>,
    /// Where several reads may be in flight together.
    flight: Option<Flight>,
    /// A connection that we can make anew.
    renewable: bool,
    /// Since when it carries nothing, if the last request was answered.
    idle: Option<Instant>,
}

/// The unit that is everybody on a line.
const BROADCAST: u8 = 0;
/// How late an answer may be at most, beyond which nothing is expected of it.
const LATE_MAX: Duration = Duration::from_secs(10);
/// A connection that carried nothing for so long may have been forgotten on the way: NATs, firewalls and
/// mobile networks do so, and say nothing.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(50);

enum Kind {
    Tcp(Shared<TcpMatcher>),
    Serial { matcher: Shared<SerialMatcher>, ear: Box<dyn Hear>, suspects: Suspects },
}

impl Line {
    /// Frames with a transaction id.
    pub(crate) fn tcp<T>(io: T, matcher: TcpMatcher, pace: Pace, tap: Tap) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let matcher = Shared::new(matcher);
        let guard = Guard::new(io, matcher.clone(), tap.clone());
        Self::new(tokio_modbus::client::tcp::attach(guard), Kind::Tcp(matcher), pace, tap)
    }

    /// As [`Line::tcp`], with up to `most` reads in flight together.
    pub(crate) fn pipelined<T>(
        io: T,
        matcher: TcpMatcher,
        pace: Pace,
        tap: Tap,
        most: usize,
    ) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if most < 2 {
            return Self::tcp(io, matcher, pace, tap);
        }
        let matcher = Shared::new(matcher);
        let guard = Guard::new(io, matcher.clone(), tap.clone());
        let flight = Flight::new(Box::new(guard.port()), matcher.clone(), tap.clone(), most);
        let client = tokio_modbus::client::tcp::attach(guard);
        let line = Self::new(client, Kind::Tcp(matcher), pace, tap);
        Self { flight: Some(flight), ..line }
    }

    /// Frames without one: a serial line, or a converter in front of one.
    pub(crate) fn serial<T>(io: T, matcher: SerialMatcher, pace: Pace, tap: Tap) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let matcher = Shared::new(matcher);
        let guard = Guard::new(io, matcher.clone(), tap.clone());
        let ear = guard.ear();
        let kind = Kind::Serial { matcher, ear, suspects: Suspects::default() };
        Self::new(tokio_modbus::client::rtu::attach(guard), kind, pace, tap)
    }

    fn new(client: Context, kind: Kind, pace: Pace, tap: Tap) -> Self {
        tap.connected();
        let silence = Silence::new(pace);
        let (opened, took) = (Instant::now(), Duration::ZERO);
        Self {
            client,
            kind,
            tap,
            silence,
            opened,
            took,
            late_until: HashMap::new(),
            flight: None,
            renewable: false,
            idle: None,
        }
    }

    /// The connection can be made anew: silence after a long pause is then said of it, and not of the
    /// device.
    #[must_use]
    pub(crate) fn renewable(self) -> Self {
        Self { renewable: true, ..self }
    }

    /// The device needs this time after its answer, before anybody is asked.
    pub(crate) fn pause_after(&mut self, unit: u8, pause: Duration) {
        self.silence.pause_after(unit, pause);
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

    /// Whether an answer that nobody waits for may come, and could not be told from another.
    pub(crate) fn owes(&self) -> bool {
        match &self.kind {
            Kind::Tcp(_) => false,
            Kind::Serial { matcher, .. } => matcher.lock().owes(),
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
        let plain = Variant { address, count, skip: 0 };
        self.took = Duration::ZERO;
        self.get_silent().await?;
        let now = self.opened.elapsed();
        let Kind::Serial { suspects, .. } = &mut self.kind else {
            return self.read_variant(unit, table, plain, timeout).await;
        };
        suspects.forget(now);
        let doubtful = suspects.any(unit);
        let variants = suspects.variants(unit, table, (address, count), most, now);
        let (mut behind, mut in_front) = resync::may_pad(table, (address, count), most);
        for variant in variants {
            let side = if variant.skip == 0 { &mut behind } else { &mut in_front };
            if variant != plain && !*side {
                continue;
            }
            match self.read_part(unit, table, variant, count, timeout).await {
                // The padding reaches an address that does not exist, or is too long.
                Err(Failure::Exception { code: 2 | 3, .. }) if variant != plain => *side = false,
                Err(Failure::Exception { code, .. }) => {
                    return Err(Failure::Exception { code, doubtful });
                }
                result => return result,
            }
        }
        if behind || in_front {
            // All lengths are suspect, of a device that answered none of its last requests. Not
            // asking for a while is the only safe way.
            return Err(Failure::NotAsked);
        }
        let Kind::Serial { suspects, .. } = &self.kind else { return Err(Failure::NotAsked) };
        let Some(smaller) = suspects.smaller(unit, table, (address, count), now) else {
            return Err(Failure::NotAsked);
        };
        match self.read_part(unit, table, smaller, smaller.count, timeout).await {
            Ok(_) => {}
            Err(Failure::Exception { .. }) => return Err(Failure::NoAnswer),
            Err(failure) => return Err(failure),
        }
        if let Kind::Serial { suspects, .. } = &mut self.kind {
            suspects.synchronised(unit);
            if suspects.is_suspect(unit, table, count, now) {
                return Err(Failure::NotAsked);
            }
        }
        self.read_part(unit, table, plain, count, timeout).await
    }

    /// How many reads may be in flight together.
    pub(crate) fn together_max(&self) -> usize {
        self.flight.as_ref().map_or(1, Flight::most)
    }

    /// See [`Flight::lost`].
    pub(crate) fn lost_in_company(&mut self) -> bool {
        self.flight.as_mut().is_some_and(Flight::lost)
    }

    /// Several reads in flight together; nothing where [`Line::together_max`] is 1.
    pub(crate) async fn read_together(
        &mut self,
        unit: u8,
        reads: &[Read],
        timeout: Duration,
    ) -> Batch {
        self.silence.keep().await;
        let started = Instant::now();
        let Some(flight) = &mut self.flight else { return Batch::default() };
        let mut batch = flight.read(unit, reads, timeout).await;
        let ended = Instant::now();
        self.silence.begins(ended, unit);
        let answered = batch.landed.iter().any(|one| !matches!(one.result, Err(Failure::NoAnswer)));
        if !answered && batch.broken.is_none() && self.is_forgotten(started) {
            batch = Batch { landed: Vec::new(), broken: Some(forgotten()) };
        }
        self.idle = answered.then_some(ended);
        batch
    }

    /// One request on a serial line, and the part of its answer that was wanted.
    async fn read_part(
        &mut self,
        unit: u8,
        table: Table,
        variant: Variant,
        count: u16,
        timeout: Duration,
    ) -> Result<Vec<u16>, Failure> {
        let result = self.read_variant(unit, table, variant, timeout).await;
        let now = self.opened.elapsed();
        if let Kind::Serial { matcher, suspects, .. } = &mut self.kind {
            match &result {
                Ok(_) => suspects.answered(unit),
                Err(Failure::NoAnswer | Failure::BadAnswer) => {
                    suspects.unanswered(unit, table, variant.count, now, timeout);
                }
                // That a gateway gave the device up does not keep it from answering.
                Err(failure) if failure.is_gateways() => {
                    suspects.unanswered(unit, table, variant.count, now, timeout);
                }
                Err(Failure::Exception { .. } | Failure::NotAsked | Failure::Link(_)) => {}
            }
            for late in matcher.lock().take_late() {
                if let (Some(table), Some(bytes)) = (late.table(), late.data_bytes()) {
                    suspects.came_late(late.unit, table, bytes.into());
                }
            }
        }
        let wanted = usize::from(variant.skip)..usize::from(variant.skip) + usize::from(count);
        result?.get(wanted).map(<[u16]>::to_vec).ok_or(Failure::BadAnswer)
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

    /// Writes once; an answer that does not repeat the write is none. With function 23 it gives
    /// what the registers hold, unless that may be a late answer to an earlier write.
    pub(crate) async fn write(
        &mut self,
        unit: u8,
        address: u16,
        write: &Write,
        timeout: Duration,
    ) -> Result<Option<Vec<u16>>, Failure> {
        let (request, expected) = request_of(address, write);
        let result = self.exchange(unit, request, timeout).await;
        let in_doubt = self.late_until.get(&unit).is_some_and(|until| Instant::now() < *until);
        match (result, write) {
            (Ok(Response::ReadWriteMultipleRegisters(held)), Write::AndRead(words))
                if held.len() == words.len() =>
            {
                Ok((!in_doubt).then_some(held))
            }
            (Ok(answer), _) if answer == expected => Ok(None),
            (Ok(_), _) => Err(Failure::BadAnswer),
            (Err(Failure::Exception { code, .. }), _) if in_doubt => {
                Err(Failure::Exception { code, doubtful: true })
            }
            (Err(failure), _) => {
                let refused = matches!(failure, Failure::Exception { .. });
                if !self.is_tcp() && (!refused || failure.is_gateways()) {
                    self.late_until.insert(unit, Instant::now() + LATE_MAX.max(timeout * 4));
                }
                Err(failure)
            }
        }
    }

    /// Writes to everybody on the line, which nobody answers, and leaves the line alone for `time`,
    /// from the first byte on.
    pub(crate) async fn broadcast(
        &mut self,
        address: u16,
        write: &Write,
        time: Duration,
    ) -> Result<(), Failure> {
        let (request, _) = request_of(address, write);
        self.exchange(BROADCAST, request, time).await?;
        tokio::time::sleep(time.saturating_sub(self.took)).await;
        self.took = self.took.max(time);
        self.silence.begins(Instant::now(), BROADCAST);
        Ok(())
    }

    /// One request and its answer, whatever they are.
    pub(super) async fn exchange(
        &mut self,
        unit: u8,
        request: Request<'_>,
        timeout: Duration,
    ) -> Result<Response, Failure> {
        self.get_silent().await?;
        self.client.set_slave(Slave(unit));
        let started = Instant::now();
        let result = tokio::time::timeout(timeout, self.client.call(request)).await;
        let ended = Instant::now();
        self.took = ended.saturating_duration_since(started);
        self.silence.begins(ended, unit);
        let answered = matches!(result, Ok(Ok(_)));
        let saw = match &self.kind {
            Kind::Tcp(matcher) => matcher.lock().conclude(answered),
            Kind::Serial { matcher, .. } => matcher.lock().conclude(answered),
        };
        let result = match result {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(_))) if saw == Saw::BadAnswer && self.is_tcp() => Err(Failure::BadAnswer),
            Ok(Ok(Err(code))) => Err(Failure::Exception { code: code.into(), doubtful: false }),
            Ok(Err(tokio_modbus::Error::Transport(error))) => Err(Failure::Link(error)),
            // The guard lets nothing through that could be this; if it is, the stream is in doubt.
            Ok(Err(tokio_modbus::Error::Protocol(error))) => {
                Err(Failure::Link(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
            }
            Err(_) if saw == Saw::BadAnswer => Err(Failure::BadAnswer),
            Err(_) if self.is_forgotten(started) => Err(Failure::Link(forgotten())),
            Err(_) => Err(Failure::NoAnswer),
        };
        self.idle = answered.then_some(ended);
        self.tap.answered(result.as_ref().map(|_| ()), self.counters(), ended);
        result
    }

    /// Waits until the line may be used, and learns what another master asked for meanwhile.
    async fn get_silent(&mut self) -> Result<(), Failure> {
        self.silence.keep().await;
        let Kind::Serial { matcher, ear, suspects } = &mut self.kind else { return Ok(()) };
        self.silence.hear(ear.as_mut(), matcher).await.map_err(Failure::Link)?;
        let now = self.opened.elapsed();
        for asked in matcher.lock().take_others() {
            if let (Some(table), Some(bytes)) = (asked.table(), asked.data_bytes()) {
                suspects.overheard(asked.unit, table, bytes.into(), now);
            }
        }
        Ok(())
    }

    fn is_tcp(&self) -> bool {
        matches!(self.kind, Kind::Tcp(_))
    }

    /// Whether the silence after a request that began then is rather that of the connection.
    fn is_forgotten(&self, started: Instant) -> bool {
        let idle = self.idle.filter(|_| self.renewable);
        idle.is_some_and(|since| started.saturating_duration_since(since) >= FORGOTTEN_AFTER)
    }
}

fn forgotten() -> std::io::Error {
    let said = "nothing came back after a long pause";
    std::io::Error::new(std::io::ErrorKind::TimedOut, said)
}

/// The request that writes this, and the answer that repeats it.
fn request_of(address: u16, write: &Write) -> (Request<'_>, Response) {
    let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    match write {
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
        Write::AndRead(words) => {
            let (count, words) = (count(words.len()), Cow::Borrowed(words.as_slice()));
            (
                Request::ReadWriteMultipleRegisters(address, count, address, words),
                Response::ReadWriteMultipleRegisters(Vec::new()),
            )
        }
        Write::Mask { and, or } => (
            Request::MaskWriteRegister(address, *and, *or),
            Response::MaskWriteRegister(address, *and, *or),
        ),
    }
}
