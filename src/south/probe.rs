//! One read and no more: what `fieldhold probe` does, through the same guards as polling. Or one
//! look at what a device says it is.

use std::time::Duration;

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

/// Reads `count` items: registers, or bits as 0 and 1.
pub async fn read(
    link: &Link,
    unit: u8,
    table: Table,
    address: u16,
    count: u16,
    timeout: Duration,
) -> Result<Vec<u16>, ProbeError> {
    let mut line = connect(link, timeout).await?;
    let most = if table.is_bits() { 2000 } else { 125 };
    let result = line.read(unit, table, (address, count), most, timeout).await;
    result.map_err(|failure| failed(failure, timeout))
}

/// What the device says about itself: the objects of function 43/14 by number, as text; see
/// [`object_name`].
pub async fn identify(
    link: &Link,
    unit: u8,
    timeout: Duration,
) -> Result<Vec<(u8, String)>, ProbeError> {
    let mut line = connect(link, timeout).await?;
    line.identify(unit, timeout).await.map_err(|failure| match failure {
        Failure::Exception { code: 1, .. } => ProbeError::NoIdentification,
        failure => failed(failure, timeout),
    })
}

async fn connect(link: &Link, timeout: Duration) -> Result<Line, ProbeError> {
    let mut connector = Connector::new(link, Duration::ZERO, timeout, &Quotas::default());
    connector.connect(Tap::off()).await.map_err(|source| ProbeError::Link { source })
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
