//! Looking into a store's file from outside: beside the gateway that writes it, or at a copy.
//!
//! Nothing in the file is changed, and beside a copy nothing is left behind. A look is one call, in
//! which the writer's log is not brought into the file and may grow; between two calls it is. What a
//! running gateway has in memory alone is not seen from here.

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
use super::{Options, file, guests, schema, space};
use crate::model::{Class, Clock};

pub use pages::{Damage, Pages, RowPage};

/// How often a look is tried whose moment did not hold; once is what can come of a writer that regards
/// those who look (see [`guests`]), the rest is for a file that is replaced meanwhile.
const TRIES: u32 = 5;

/// A store's file that is looked into.
pub struct Inspector {
    path: PathBuf,
}

impl Inspector {
    /// Opens a store's file (see [`super::database`]), which may be in use by another process, for
    /// reading alone. A copy needs its `-wal` beside it if there was one; no right to write is needed.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing { file: path.to_owned() });
        }
        let file = Self { path: path.to_owned() };
        file.look("open the store's file", |_| Ok(()))?;
        Ok(file)
    }

    /// Reads in one moment of the file, again if that did not hold. Blocks while the gateway that has
    /// the file brings its log in, which it leaves be meanwhile.
    fn look<T>(
        &self,
        doing: &'static str,
        mut read: impl FnMut(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let unusable =
            |source| StoreError::Look { file: self.path.clone(), source: Arc::new(source) };
        let _held = guests::look(&self.path).map_err(unusable)?;
        let mut tries = TRIES;
        loop {
            let before = guests::head(&self.path).map_err(unusable)?;
            let found = open::connect(&self.path, before.is_some())
                .map_err(failed(doing))
                .and_then(|connection| read(&connection));
            tries -= 1;
            if guests::head(&self.path).map_err(unusable)? == before || tries == 0 {
                return found;
            }
        }
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
        let doing = "copy the store's file";
        self.look(doing, |connection| {
            let _ = std::fs::remove_file(path); // Of a moment that did not hold.
            let path = path.to_str().ok_or(rusqlite::Error::InvalidPath(path.to_owned()));
            let copied = path.and_then(|path| connection.execute("VACUUM INTO ?1", [path]));
            copied.map(drop).map_err(failed(doing))
        })
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
        let doing = "read the record of drops";
        self.look(doing, |connection| {
            ledger_rows::newest_drops(connection, n).map_err(failed(doing))
        })
    }

    /// The last `n` records of commands, oldest first.
    pub fn audit(&self, n: usize) -> Result<Vec<AuditRow>, StoreError> {
        let doing = "read the record of commands";
        self.look(doing, |connection| rows::audit(connection, n).map_err(failed(doing)))
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

    fn state(&self) -> Result<State, StoreError> {
        let doing = "look into the store";
        self.look(doing, |connection| {
            read_state(connection).map_err(|error| match error {
                LoadError::Sqlite(error) => failed(doing)(error),
                LoadError::Damaged(what) => StoreError::Damaged { what },
            })
        })
    }
}

fn read_state(connection: &Connection) -> Result<State, LoadError> {
    let mut state = file::read_state(connection, 0)?;
    // Positions are jumped over by a gateway that starts, not by one who looks.
    state.ledger = ledger_rows::load(connection, &state.consumers)?;
    state.disk.bytes = schema::Pages::of(connection)?.live();
    Ok(state)
}

fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite { doing, source: Arc::new(source) }
}
