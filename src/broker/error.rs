//! What can go wrong with the broker as a whole; a client's faults end that client's connection.

use std::io;
use std::net::SocketAddr;

use crate::model::{Blame, Retry};

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("can't listen on {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("a part of the broker stopped unexpectedly")]
    Stopped,
}

impl BrokerError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Bind { .. } => Blame::Config,
            Self::Stopped => Blame::Us,
        }
    }

    /// An address may be free again, or come up, later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Retry::Never
            }
            Self::Bind { .. } | Self::Stopped => Retry::Later,
        }
    }
}
