//! Asking devices by hand, through the same guards as polling: registers, ranges with holes, and what
//! a device says it is. On a line of our own, as `fieldhold probe` and `fieldhold scan` have it, or
//! through a bus that is running, in its turn.

mod split;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::split::{Item, Split};
use super::bus::BusPort;
use super::connect::{Connector, Quotas};
use super::device::reading;
use super::hand::{Done, Hand, Said, What};
use super::identify::{self, Interview};
use super::line::{Failure, Line};
use super::trace::{Heard, Tap};
use crate::codec::pdu::exception_name;
use crate::config::{Link, TagPlan};
use crate::model::{Blame, Mono, Reading, Table};

/// Why a probe has no values.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("the link can't be used")]
    Link {
        #[source]
        source: std::io::Error,
    },
    #[error("the device did not answer within {0:?}")]
    NoAnswer(Duration),
    #[error("the answer was damaged or of the wrong shape")]
    BadAnswer,
    /// It does not know function 43/14.
    #[error("the device has no identification (it does not know function 43/14)")]
    NoIdentification,
    /// Modbus Application Protocol V1.1b3, 7.
    #[error("the device refused with exception {0} ({name})", name = exception_name(*.0))]
    Exception(u8),
    /// Of a bus that is running.
    #[error("the bus is down: {reason}")]
    Down { reason: String },
    #[error("the bus has no time now: too many requests wait for it")]
    Busy,
    #[error("the bus was stopped")]
    Ended,
}

impl ProbeError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Link { .. } | Self::Down { .. } => Blame::Link,
            Self::Busy | Self::Ended => Blame::Us,
            Self::NoAnswer(_) | Self::BadAnswer | Self::NoIdentification | Self::Exception(_) => {
                Blame::Device
            }
        }
    }
}

impl ProbeError {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            // The link's own words have the advice.
            Self::Link { .. } | Self::Down { .. } => None,
            Self::Busy => Some("try again in a moment"),
            Self::Ended => Some("was the configuration just changed? try again"),
            Self::NoAnswer(_) => Some(
                "check the unit, and on a serial line baud rate, parity and whether A and B are swapped",
            ),
            Self::BadAnswer => {
                Some("check baud rate and parity, and that no other master talks on this line")
            }
            Self::NoIdentification => {
                Some("many devices have none; its registers can be read all the same")
            }
            Self::Exception(1) => Some("the device does not have this table; try another one"),
            Self::Exception(2) => Some(
                "the device does not have all of these addresses; addresses begin at 0, so the 40001 \
                 of a manual is holding 0",
            ),
            Self::Exception(3) => Some("try fewer registers at a time"),
            Self::Exception(10 | 11) => {
                Some("a converter answered for the device: check the unit and the line behind it")
            }
            Self::Exception(_) => Some("the manual of the device says what this means"),
        }
    }
}

/// Most registers and bits of one request (Modbus Application Protocol V1.1b3, 6.1 and 6.3).
pub const REGISTERS_MAX: u16 = 125;
pub const BITS_MAX: u16 = 2_000;

/// Where devices are asked one thing after the other.
pub struct Session {
    way: Way,
    /// The longest wait for an answer.
    pub timeout: Duration,
    took: Duration,
    heard: Heard,
}

/// A request, and what came for it.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub took: Duration,
    pub heard: &'a Heard,
}

enum Way {
    /// A connection or an open port.
    Own(Box<(Line, Tap)>),
    Bus(Hand),
}

impl Session {
    /// A line of our own. A serial port is to be used on a thread that serves it alone.
    pub async fn open(link: &Link, timeout: Duration) -> Result<Self, ProbeError> {
        let link = link.modbus().ok_or_else(no_modbus)?;
        let mut connector = Connector::new(link, Duration::ZERO, timeout, &Quotas::default());
        let tap = Tap::off();
        let line = connector.connect(tap.clone()).await;
        let line = line.map_err(|source| ProbeError::Link { source })?;
        Ok(Self::new(Way::Own(Box::new((line, tap))), timeout))
    }

    /// Through a bus that is running.
    pub fn on_bus(port: &BusPort, timeout: Duration) -> Result<Self, ProbeError> {
        let hand = port.hand().ok_or_else(no_modbus)?;
        Ok(Self::new(Way::Bus(hand.clone()), timeout))
    }

    fn new(way: Way, timeout: Duration) -> Self {
        Self { way, timeout, took: Duration::ZERO, heard: Heard::default() }
    }

    /// Reads `count` items: registers, or bits as 0 and 1.
    pub async fn read(
        &mut self,
        unit: u8,
        table: Table,
        (address, count): (u16, u16),
    ) -> Result<Vec<u16>, ProbeError> {
        match self.ask(unit, What::Read { table, address, count }).await? {
            Said::Items(items) => Ok(items),
            Said::Part(_) => Err(ProbeError::BadAnswer),
        }
    }

    async fn ask(&mut self, unit: u8, what: What) -> Result<Said, ProbeError> {
        let timeout = self.timeout;
        match &mut self.way {
            Way::Own(own) => {
                let (line, tap) = &mut **own;
                tap.listen();
                let result = what.ask(line, unit, timeout).await;
                (self.took, self.heard) = (line.took(), tap.heard());
                result.map_err(|failure| failed(failure, timeout))
            }
            Way::Bus(hand) => {
                let Done { result, took, heard } = hand.ask(unit, what, timeout).await;
                (self.took, self.heard) = (took, heard);
                result
            }
        }
    }

    /// Reads what there is of a range, in as many requests as it takes; `tell` hears of each how far
    /// it is now, and says whether to go on.
    pub async fn read_all(
        &mut self,
        unit: u8,
        table: Table,
        mut split: Split,
        mut tell: impl FnMut(&Split, Exchange<'_>) -> bool,
    ) -> Result<BTreeMap<u16, Item>, ProbeError> {
        while let Some(range) = split.request() {
            match self.read(unit, table, range).await {
                Ok(words) => split.answered(&words),
                // A converter's word for a silent device says nothing about the registers.
                Err(ProbeError::Exception(code)) if code < 10 => split.refused(code),
                Err(error) => return Err(error),
            }
            let exchange = Exchange { took: self.took, heard: &self.heard };
            if !tell(&split, exchange) {
                break;
            }
        }
        Ok(split.found())
    }

    /// Reads a tag as its bus would, now being `at`; `None` for one that is no register.
    pub async fn read_tag(
        &mut self,
        unit: u8,
        tag: &TagPlan,
        at: Mono,
    ) -> Result<Option<Reading>, ProbeError> {
        let Some(from) = tag.registers() else { return Ok(None) };
        let range = from.range();
        let (Ok(start), Ok(count)) = (range.start.try_into(), range.len().try_into()) else {
            return Ok(None);
        };
        let words = self.read(unit, from.table, (start, count)).await?;
        Ok(Some(reading(tag.id, from, &words, at)))
    }

    /// What the device says about itself: the objects of function 43/14 by number, as text; see
    /// [`object_name`]. A category that fails after another one was read is left out.
    pub async fn identify(&mut self, unit: u8) -> Result<Vec<(u8, String)>, ProbeError> {
        let mut interview = Interview::new();
        while let Some(question) = interview.question() {
            match self.ask(unit, What::Identify(question)).await {
                Ok(Said::Part(part)) => interview.answered(part),
                Ok(Said::Items(_)) => return Err(ProbeError::BadAnswer),
                Err(ProbeError::Exception(1)) if interview.is_empty() => {
                    return Err(ProbeError::NoIdentification);
                }
                Err(error) if interview.is_empty() || error.blame() != Blame::Device => {
                    return Err(error);
                }
                Err(_) => break,
            }
        }
        Ok(interview.said())
    }

    /// How long the last answer took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The bytes of the last request, and what came for it.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }
}

fn no_modbus() -> ProbeError {
    let kind = std::io::ErrorKind::Unsupported;
    ProbeError::Link { source: std::io::Error::new(kind, "this is no Modbus line") }
}

pub(super) fn failed(failure: Failure, timeout: Duration) -> ProbeError {
    match failure {
        Failure::NoAnswer | Failure::NotAsked => ProbeError::NoAnswer(timeout),
        Failure::BadAnswer => ProbeError::BadAnswer,
        Failure::Exception { code, .. } => ProbeError::Exception(code),
        Failure::Link(source) => ProbeError::Link { source },
    }
}

/// What the specification calls an object of the identification.
pub fn object_name(object: u8) -> Option<&'static str> {
    identify::object_name(object)
}
