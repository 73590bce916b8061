//! What can go wrong with the broker as a whole; a client's faults end that client's connection.

use std::io;

use crate::model::{Blame, Retry};
use crate::thread::ThreadError;
use crate::tls::TlsError;

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("can't listen on {listener}")]
    Bind { listener: String, source: io::Error },
    #[error("the listener {listener} has no usable certificate")]
    Tls { listener: String, source: TlsError },
    #[error("the broker stopped")]
    Thread(#[from] ThreadError),
    #[error("a part of the broker stopped unexpectedly")]
    Stopped,
}

impl BrokerError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Bind { .. } | Self::Tls { .. } => Blame::Config,
            Self::Thread(_) | Self::Stopped => Blame::Us,
        }
    }

    /// An address may be free again, or come up, later; a file may appear.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Retry::Never
            }
            Self::Bind { .. } | Self::Tls { .. } | Self::Thread(_) | Self::Stopped => Retry::Later,
        }
    }
}
