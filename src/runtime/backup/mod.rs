//! A gateway in one file, and out of it again: configuration and what it names, its history,
//! accounts, the device's own certificates, and if wanted what waits: the queue, and what the LAN broker
//! keeps; sealed with a passphrase.
//!
//! ```text
//! seal (passphrase) ─ archive (files in a row) ─ manifest.json · config/… · state/… · store/….db
//! ```
//!
//! What is not in it: what was set aside of a damaged store. The broker's file belongs to the running
//! broker alone, which is asked to copy it.

mod archive;
mod make;
mod moves;
mod restore;
mod seal;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Problems;
use crate::config::file::{SaveError, directory_or_here as directory_of};
use crate::model::{Blame, Retry};
use crate::store::{Copied, KeepCopied, StoreError};

pub use archive::is_inside;
pub use make::{Made, Wanted, look_at, make};
pub use moves::{Left, resume};
pub use restore::{Restored, restore, show};
pub use seal::SealError;

/// How archives are called.
pub const EXTENSION: &str = "backup";
/// How what is being written is called.
const PART: &str = "part";
/// Letters of a passphrase, at least.
pub const PASSPHRASE_MIN: usize = 12;

const MANIFEST: &str = "manifest.json";
const CONFIG: &str = "config";
const STATE: &str = "state";
const QUEUE: &str = "store/queue.db";
const BROKER: &str = "store/broker.db";

/// What an archive is; its first file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the program that made it.
    pub version: String,
    pub made_wall_ms: i64,
    pub gateway: String,
    /// The name of the configuration file.
    pub config: PathBuf,
    pub queue: Option<Copied>,
    /// Sessions and retained messages of the LAN broker; the first archives had none.
    #[serde(default)]
    pub broker: Option<KeepCopied>,
}

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("the configuration has problems")]
    Config(#[source] Problems),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the queue can't be copied")]
    Queue(#[source] StoreError),
    #[error(transparent)]
    Broker(StoreError),
    #[error("can't {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} needs {needed} MB, and there are {free} MB free", path.display())]
    Room { path: PathBuf, needed: u64, free: u64 },
    #[error("a gateway is running with {}; stop it first, as with `systemctl stop fieldhold`", state.display())]
    Running { state: PathBuf },
    #[error(
        "a passphrase has at least {PASSPHRASE_MIN} letters; some words in a row are a good one"
    )]
    Short,
    #[error("{} is there already", .0.display())]
    There(PathBuf),
    #[error("a restore is going on")]
    Restoring,
    #[error(
        "a restore was interrupted; the gateway's next start ends it, or a restore without --dry-run"
    )]
    Interrupted,
    #[error(
        "a restore is half done, and can be neither ended nor taken back until this is mended: {why}"
    )]
    HalfDone { why: String },
    #[error("the configuration in the backup can't run here, and nothing was changed")]
    Foreign(#[source] Problems),
}

impl BackupError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Config(_)
            | Self::Seal(_)
            | Self::Running { .. }
            | Self::Short
            | Self::There(_)
            | Self::Restoring
            | Self::Interrupted
            | Self::Foreign(_) => Blame::Config,
            Self::Save(_)
            | Self::Queue(_)
            | Self::Broker(_)
            | Self::HalfDone { .. }
            | Self::Io { .. }
            | Self::Room { .. } => Blame::Disk,
        }
    }

    /// Somebody has to do something first.
    pub fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Where a gateway that runs copies the broker's file to, for whoever makes the archive.
pub fn broker_copy(state_dir: &Path) -> PathBuf {
    state_dir.join(format!("broker.{PART}"))
}

fn io_at<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> BackupError + 'p {
    move |source| BackupError::Io { doing, path: path.to_owned(), source }
}
