//! The versions of the configuration on disk: `configurations/` in the state directory.
//!
//! `history.json` says of each version what it is and what became of it, `<version>.yaml` is its text.
//! Both are written beside their place and renamed, the text first, so a power cut leaves the history
//! as it was or as it is now. Which version waits for a confirmation is part of it: a restart knows.
//! For the owner alone. Reads and writes files: not for an async task.

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::record::{Record, State};
use crate::config::file::{self, SaveError};
use crate::model::{Blame, Retry};

/// Versions that are kept; the one that runs and the one to go back to always are.
pub const VERSIONS_MAX: usize = 50;
pub(in crate::runtime) const DIRECTORY: &str = "configurations";
const INDEX: &str = "history.json";
/// Far above what [`VERSIONS_MAX`] records take.
const INDEX_BYTES_MAX: u64 = 1 << 20;
/// Above what a configuration may have.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Why the history is not there.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("can't use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error("{} can't be understood", path.display())]
    Damaged { path: PathBuf },
    #[error("there is no version {0}; `fieldhold config history` lists those that are kept")]
    Unknown(u64),
}

impl HistoryError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Io { .. } | Self::Save(_) | Self::Damaged { .. } => Blame::Disk,
            Self::Unknown(_) => Blame::Config,
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::Io { .. } | Self::Save(_) => Retry::Later,
            Self::Damaged { .. } | Self::Unknown(_) => Retry::Never,
        }
    }
}

#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    /// In the order of their versions.
    records: Vec<Record>,
}

impl History {
    /// Looks at the history of a state directory, and changes nothing.
    pub fn read(state_dir: &Path) -> Result<Self, HistoryError> {
        let directory = state_dir.join(DIRECTORY);
        let index = directory.join(INDEX);
        let text = match read(&index, INDEX_BYTES_MAX) {
            Ok(text) => text,
            Err(HistoryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { directory, records: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        let mut records: Vec<Record> =
            serde_json::from_str(&text).map_err(|_| HistoryError::Damaged { path: index })?;
        records.sort_by_key(|record| record.version);
        Ok(Self { directory, records })
    }

    /// The history to go on with. One that can't be understood is set aside.
    pub fn open(state_dir: &Path) -> Result<Self, HistoryError> {
        let directory = state_dir.join(DIRECTORY);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|source| HistoryError::Io { path: directory.clone(), source })?;
        match Self::read(state_dir) {
            Err(HistoryError::Damaged { path }) => {
                let aside = path.with_extension("damaged");
                let moved = fs::rename(&path, &aside);
                moved.map_err(|source| HistoryError::Io { path: path.clone(), source })?;
                tracing::error!(
                    file = %path.display(), aside = %aside.display(),
                    "the history of the configuration can't be understood and begins anew"
                );
                Ok(Self { directory, records: Vec::new() })
            }
            other => other,
        }
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The version that runs, as far as the history knows.
    pub fn current(&self) -> Option<&Record> {
        self.records.iter().rev().find(|record| !record.state.is_rolled_back())
    }

    /// The newest version that stands and is older than this one.
    pub fn before(&self, version: u64) -> Option<&Record> {
        let older = self.records.iter().rev().filter(|record| record.version < version);
        older.into_iter().find(|record| record.state == State::Stands)
    }

    /// The text of a version, as it was.
    pub fn text(&self, version: u64) -> Result<String, HistoryError> {
        let record = self.records.iter().find(|record| record.version == version);
        let record = record.ok_or(HistoryError::Unknown(version))?;
        let path = self.text_path(version);
        let text = read(&path, TEXT_BYTES_MAX)?;
        if super::sha256(&text) != record.sha256 {
            return Err(HistoryError::Damaged { path });
        }
        Ok(text)
    }

    /// Takes in a version with its text, and gives it its number. What is too old is removed.
    pub fn add(&mut self, mut record: Record, text: &str) -> Result<u64, HistoryError> {
        let version = self.next_version();
        record.version = version;
        file::replace(&self.text_path(version), text)?;
        let mut records = self.records.clone();
        let keep = match record.state {
            State::Pending { before } => before,
            State::Stands | State::RolledBack { .. } => version,
        };
        records.push(record);
        let surplus = records.len().saturating_sub(VERSIONS_MAX);
        let old: Vec<u64> = records.iter().take(surplus).map(|old| old.version).collect();
        records.retain(|record| record.version == keep || !old.contains(&record.version));
        self.write(records)?;
        for version in old.into_iter().filter(|old| *old != keep) {
            let _ = fs::remove_file(self.text_path(version)); // Left behind, it costs its room only.
        }
        Ok(version)
    }

    /// Notes what became of a version.
    pub fn mark(&mut self, version: u64, state: State) -> Result<(), HistoryError> {
        let mut records = self.records.clone();
        let record = records.iter_mut().find(|record| record.version == version);
        record.ok_or(HistoryError::Unknown(version))?.state = state;
        self.write(records)
    }

    fn write(&mut self, records: Vec<Record>) -> Result<(), HistoryError> {
        let text = serde_json::to_string_pretty(&records).unwrap_or_default();
        file::replace(&self.directory.join(INDEX), &text)?;
        self.records = records;
        Ok(())
    }

    /// Beyond every version that left a text, also one whose record is gone.
    fn next_version(&self) -> u64 {
        let of_files = fs::read_dir(&self.directory).into_iter().flatten().filter_map(|entry| {
            let name = entry.ok()?.file_name();
            name.to_str()?.strip_suffix(".yaml")?.parse().ok()
        });
        let known = self.records.iter().map(|record| record.version);
        known.chain(of_files).max().unwrap_or(0).saturating_add(1)
    }

    fn text_path(&self, version: u64) -> PathBuf {
        self.directory.join(format!("{version}.yaml"))
    }
}

fn read(path: &Path, bytes_max: u64) -> Result<String, HistoryError> {
    let io = |source| HistoryError::Io { path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(io)?;
    file.take(bytes_max).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}
