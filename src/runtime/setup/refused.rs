//! Why a change of the configuration is not made. Nothing was changed then.

use std::path::PathBuf;

use super::history::HistoryError;
use crate::codec::registers::utc;
use crate::config::Problems;
use crate::config::file::SaveError;
use crate::model::{Blame, Retry, Wall};
use crate::runtime::ApplyError;

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the configuration has problems")]
    Problems(#[source] Problems),
    #[error("version {version} waits for its confirmation until {}", show(*until))]
    Pending { version: u64, until: Wall },
    #[error(
        "{} is not what runs: someone edited it. Reload it (SIGHUP) or take the edit back first",
        path.display()
    )]
    Edited { path: PathBuf },
    #[error("it changes the gateway's name or site, which only an edit of its file can")]
    Identity,
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the gateway has no state directory, so it could not go back")]
    NoState,
    #[error("version {0} was taken back, but its file can't be written yet")]
    Owed(u64),
    #[error("nothing waits for a confirmation of version {0}")]
    NotPending(u64),
    #[error("there is no version before this one")]
    Nothing,
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("the gateway is stopping, or busy with other changes")]
    Stopping,
}

impl Refused {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Problems(_)
            | Self::Pending { .. }
            | Self::Edited { .. }
            | Self::Identity
            | Self::NoState
            | Self::NotPending(_)
            | Self::Nothing => Blame::Config,
            Self::Apply(error) => error.blame(),
            Self::Save(error) => error.blame(),
            Self::History(error) => error.blame(),
            Self::Owed(_) => Blame::Disk,
            Self::Stopping => Blame::Us,
        }
    }

    /// Whether the same change may be taken another time.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Pending { .. } | Self::Edited { .. } | Self::Owed(_) | Self::Stopping => {
                Retry::Later
            }
            Self::Save(error) => error.retry(),
            Self::History(error) => error.retry(),
            Self::Apply(error) => error.retry(),
            Self::Problems(_)
            | Self::Identity
            | Self::NoState
            | Self::NotPending(_)
            | Self::Nothing => Retry::Never,
        }
    }
}

/// Wall time as people and machines read it.
pub(in crate::runtime) fn show(wall: Wall) -> String {
    utc(wall.0).unwrap_or_else(|| format!("{} ms", wall.0))
}
