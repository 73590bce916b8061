//! What the LAN broker knows and a restart must not forget: sessions, how far each has got, the
//! messages that wait for them, and what clients retained.
//!
//! Memory is the truth while the gateway runs, and it is the broker's; here are only the changes
//! that the file has not yet. Keys and values are bytes of the broker's own making.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Store;
use super::error::StoreError;

/// The broker's rows, by what they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    Session,
    Progress,
    Message,
    Retained,
}

/// Where a row stands: its table, and its place in the order of that.
///
/// A message that is put for the first time with a higher number than all before it costs nothing
/// when it is removed before it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// By client id.
    Session(Bytes),
    /// By the number of the session.
    Progress(u64),
    /// By a number that only ever goes up.
    Message(u64),
    /// By topic.
    Retained(Bytes),
}

/// A row that is new, has another value, or is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: Key,
    /// `None` removes it.
    pub value: Option<Bytes>,
}

impl Change {
    pub fn put(key: Key, value: Bytes) -> Self {
        Self { key, value: Some(value) }
    }

    pub fn remove(key: Key) -> Self {
        Self { key, value: None }
    }
}

/// The broker's file, or none. Clones are the same one.
#[derive(Clone)]
pub struct Keep {}

/// Tells when changes are safe.
#[derive(Debug)]
pub struct KeepCommit {
    told: Option<oneshot::Receiver<Result<(), StoreError>>>,
}

impl KeepCommit {
    /// Resolves when the changes are in the file, or could not be written (then they still are as
    /// soon as the disk allows it); at once if nothing is meant to survive.
    pub async fn wait(self) -> Result<(), StoreError> {
        match self.told {
            None => Ok(()),
            Some(told) => told.await.unwrap_or(Err(StoreError::Closed)),
        }
    }
}

impl Keep {
    /// Nothing survives, and every commit resolves at once.
    pub fn none() -> Self {
        Self {}
    }

    /// Whether nothing survives.
    pub fn is_none(&self) -> bool {
        true
    }

    /// Opens the broker's file beside the store's. A file that can't be used is set aside.
    pub fn open(_store: &Store) -> Self {
        Self::none()
    }

    /// What there is, a table in the order of its keys: at the start what the last run left, later
    /// what was put. A row that is damaged is left out and counted, so any row may be missing.
    /// Blocks.
    ///
    /// # Errors
    /// Not everything could be read.
    pub fn load(&self, _table: Table, _each: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes changes in order; never waits. A later change of a row replaces an earlier one that is
    /// not written yet; what is made and removed between two commits is never written.
    pub fn put(&self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(drop);
    }

    /// Resolves when everything that was put before is durable. Whoever waits is not kept waiting
    /// for the commit window.
    pub fn committed(&self) -> KeepCommit {
        KeepCommit { told: None }
    }

    /// Whether the file was begun anew since this was last asked, because the old one was lost while
    /// in use: then everything has to be put once more.
    pub fn take_renewed(&self) -> bool {
        false
    }
}
