//! Asking devices by hand, as `fieldhold probe` and `fieldhold scan` do, through the same guards as
//! polling: registers, ranges with holes, and what a device says it is.

mod split;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::split::{Item, Split};
use super::connect::{Connector, Quotas};
use super::identify;
use super::line::{Failure, Line};
use super::trace::Tap;
use crate::codec::pdu::exception_name;
use crate::config::Link;
use crate::model::{Blame, Table};

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
}

impl ProbeError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Link { .. } => Blame::Link,
            Self::NoAnswer(_) | Self::BadAnswer | Self::NoIdentification | Self::Exception(_) => {
                Blame::Device
            }
        }
    }
}

/// Most registers and bits of one request (Modbus Application Protocol V1.1b3, 6.1 and 6.3).
const REGISTERS_MAX: u16 = 125;
const BITS_MAX: u16 = 2_000;

/// A connection or an open port, to ask devices one thing after the other.
pub struct Session {
    line: Line,
    /// The longest wait for an answer.
    pub timeout: Duration,
}

impl Session {
    pub async fn open(link: &Link, timeout: Duration) -> Result<Self, ProbeError> {
        let Some(link) = link.modbus() else {
            let kind = std::io::ErrorKind::Unsupported;
            let source = std::io::Error::new(kind, "this is no Modbus line");
            return Err(ProbeError::Link { source });
        };
        let mut connector = Connector::new(link, Duration::ZERO, timeout, &Quotas::default());
        let line =
            connector.connect(Tap::off()).await.map_err(|source| ProbeError::Link { source })?;
        Ok(Self { line, timeout })
    }

    /// Reads `count` items: registers, or bits as 0 and 1.
    pub async fn read(
        &mut self,
        unit: u8,
        table: Table,
        range: (u16, u16),
    ) -> Result<Vec<u16>, ProbeError> {
        let most = if table.is_bits() { BITS_MAX } else { REGISTERS_MAX };
        let result = self.line.read(unit, table, range, most, self.timeout).await;
        result.map_err(|failure| failed(failure, self.timeout))
    }

    /// Reads what there is of a range, in as many requests as it takes; `tell` hears how far it is.
    pub async fn read_all(
        &mut self,
        unit: u8,
        table: Table,
        mut split: Split,
        mut tell: impl FnMut(&Split),
    ) -> Result<BTreeMap<u16, Item>, ProbeError> {
        while let Some(range) = split.request() {
            match self.read(unit, table, range).await {
                Ok(words) => split.answered(&words),
                // A converter's word for a silent device says nothing about the registers.
                Err(ProbeError::Exception(code)) if code < 10 => split.refused(code),
                Err(error) => return Err(error),
            }
            tell(&split);
        }
        Ok(split.found())
    }

    /// What the device says about itself: the objects of function 43/14 by number, as text; see
    /// [`object_name`].
    pub async fn identify(&mut self, unit: u8) -> Result<Vec<(u8, String)>, ProbeError> {
        self.line.identify(unit, self.timeout).await.map_err(|failure| match failure {
            Failure::Exception { code: 1, .. } => ProbeError::NoIdentification,
            failure => failed(failure, self.timeout),
        })
    }

    /// How long the last answer took.
    pub fn took(&self) -> Duration {
        self.line.took()
    }
}

fn failed(failure: Failure, timeout: Duration) -> ProbeError {
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
