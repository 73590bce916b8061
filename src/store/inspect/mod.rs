//! Looking into a store's file from outside: beside the gateway that writes it, or at a copy.
//!
//! Nothing in the file is changed, and beside a copy nothing is left behind. No transaction outlasts
//! one call, so the writer's WAL does not grow while someone looks. What a running gateway has in
//! memory alone is not seen from here.

mod open;
mod pages;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

pub use verify::Findings;

use super::audit::AuditRow;
use super::error::StoreError;
use super::ledger::DropRow;
use super::ledger_rows;
use super::quarantine;
use super::rows::{self, LoadError};
use super::state::{Consumer, State};
use super::status::{self, Health, StoreStatus};
use super::{Options, file, schema, space};
use crate::model::{Class, Clock};

pub use pages::{Damage, Pages, RowPage};

use open::Beside;

/// A store's file that is looked into.
pub struct Inspector {
    path: PathBuf,
    connection: Connection,
    /// How it was opened.
    beside: Beside,
}

impl Inspector {
    /// Opens a store's file (see [`super::database`]), which may be in use, for reading alone. A copy
    /// needs its `-wal` beside it if there was one; no right to write is needed.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing { file: path.to_owned() });
        }
        let beside = open::beside(path);
        let connection = open::connect(path, beside).map_err(failed("open the store's file"))?;
        Ok(Self { path: path.to_owned(), connection, beside })
    }

    /// What the file says about itself and everyone who consumes from it.
    pub fn status(&self, clock: &dyn Clock) -> Result<StoreStatus, StoreError> {
        let mut state = self.state()?;
        state.disk.quarantined = quarantine::list(&self.path);
        state.health = Health::Closed;
        state.disk.quota = space::quota(&self.path, None);
        state.disk.allowed = state.disk.quota;
        let options = Options {
            dir: Some(self.path.clone()),
            commit: Duration::ZERO,
            write_behind: true,
            endurance_bytes: 0,
            max_bytes: None,
            max_age: Duration::ZERO,
            ram_bytes: 0,
        };
        Ok(status::of(&state, &options, clock))
    }

    /// One moment of the file, as a file of its own.
    pub(super) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_str().ok_or(rusqlite::Error::InvalidPath(path.to_owned()));
        let copied = path.and_then(|path| self.connection.execute("VACUUM INTO ?1", [path]));
        copied.map(drop).map_err(failed("copy the store's file"))
    }

    /// What the consumer waits for that waits for most.
    pub(super) fn waiting(&self) -> Result<u64, StoreError> {
        let state = self.state()?;
        let of = |consumer: &Consumer| {
            let waits =
                |class| consumer.shares.get(class).cursor.waiting(state.lanes.get(class).head);
            Class::ALL.into_iter().map(waits).sum::<u64>()
        };
        Ok(state.consumers.iter().map(of).max().unwrap_or(0))
    }

    /// The last `n` rows of the ledger, oldest first.
    pub fn drops(&self, n: usize) -> Result<Vec<DropRow>, StoreError> {
        ledger_rows::newest_drops(&self.connection, n).map_err(failed("read the record of drops"))
    }

    /// The last `n` records of commands, oldest first.
    pub fn audit(&self, n: usize) -> Result<Vec<AuditRow>, StoreError> {
        rows::audit(&self.connection, n).map_err(failed("read the record of commands"))
    }

    /// Who consumes from the store, and where each stands.
    fn consumer(&self, name: &str) -> Result<Consumer, StoreError> {
        let mut consumers = self.state()?.consumers;
        let found = consumers.iter().position(|consumer| consumer.name.as_str() == name);
        found.map(|at| consumers.swap_remove(at)).ok_or_else(|| StoreError::NoConsumer {
            name: name.to_owned(),
            known: consumers.iter().map(|consumer| consumer.name.to_string()).collect(),
        })
    }

    /// A file that nobody used when it was opened may be in use by now.
    fn look_who_else(&mut self) -> Result<(), StoreError> {
        if self.beside != Beside::Shared && open::beside(&self.path) == Beside::Shared {
            *self = Self::open(&self.path)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<State, StoreError> {
        let read = || {
            // One moment for everything, given up at the end.
            let moment = self.connection.unchecked_transaction()?;
            let mut state = file::read_state(&moment, 0)?;
            // Positions are jumped over by a gateway that starts, not by one who looks.
            state.ledger = ledger_rows::load(&moment, &state.consumers)?;
            state.disk.bytes = schema::Pages::of(&moment)?.live();
            Ok(state)
        };
        read().map_err(|error| match error {
            LoadError::Sqlite(error) => failed("look into the store")(error),
            LoadError::Damaged(what) => StoreError::Damaged { what },
        })
    }
}

fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite { doing, source: Arc::new(source) }
}
