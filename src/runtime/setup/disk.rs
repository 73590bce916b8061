//! The disk's part in a change: the file, and the history. For no async task.

use std::io;
use std::path::PathBuf;

use super::history::{History, HistoryError};
use super::record::{Record, State};
use super::refused::Refused;
use super::sha256;
use crate::config::{Loaded, file};
use crate::runtime::in_full;

pub struct Disk {
    pub path: PathBuf,
    pub history: Option<History>,
}

impl Disk {
    pub fn history(&mut self) -> Result<&mut History, Refused> {
        self.history.as_mut().ok_or(Refused::NoState)
    }

    /// A text that could become the file's, as long as that is still what runs.
    pub fn check(&self, text: &str, running: &str) -> Result<Loaded, Refused> {
        let edited = || Refused::Edited { path: self.path.clone() };
        let there = std::fs::read_to_string(&self.path).map_err(|_| edited())?;
        if sha256(&there) != running {
            return Err(edited());
        }
        file::parse_as(&self.path, text).map_err(Refused::Problems)
    }

    /// First the history, then the file: a start in between finds what it has to go back from.
    pub fn keep(
        &mut self,
        record: Record,
        text: &str,
        staged: file::Staged,
    ) -> Result<u64, Refused> {
        let history = self.history()?;
        let version = history.add(record, text)?;
        if let Err(error) = staged.commit() {
            let reason = in_full(&error);
            let _ = history.mark(version, State::RolledBack { reason }); // The next start does it.
            return Err(Refused::Save(error));
        }
        Ok(version)
    }

    /// Writes `text` to the file, unless it is no longer the one that was written.
    pub fn put_back(&self, ours: &str, text: &str) -> Result<bool, Refused> {
        match std::fs::read(&self.path) {
            Ok(there) => {
                let there = String::from_utf8_lossy(&there);
                if sha256(&there) != ours {
                    // It may be back already, if only the note was missing.
                    return Ok(there == text);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let path = self.path.clone();
                return Err(HistoryError::Io { path, source }.into());
            }
        }
        file::replace(&self.path, text)?;
        Ok(true)
    }
}
