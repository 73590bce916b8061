//! The start: opens what is there, sets it aside if it is no good, makes a new one if need be.

use rusqlite::Connection;

use super::resume::{begin, bring_in, read_state};
use super::{FileError, StoreFile, inode};
use crate::model::{Class, Clock};
use crate::store::checkpoint;
use crate::store::per_class::PerClass;
use crate::store::quarantine;
use crate::store::rows::{self, LoadError};
use crate::store::salvage::{Database, Salvages, log_beside};
use crate::store::schema::{self, Pages, Shrinks, is_damage};
use crate::store::state::State;
use crate::store::status::Health;
use crate::store::wal;

/// What the start found of the log.
enum Log {
    /// SQLite will take all of it.
    Whole,
    /// Something is behind what SQLite will take; a copy was made of what is worth salvaging.
    Torn { copy: Option<u64> },
}

impl StoreFile {
    /// Opens what is there, sets it aside if it is no good, makes a new one if need be. When the
    /// disk does not allow any of it, the state begins in memory only.
    pub fn open(&mut self, clock: &dyn Clock, ram_bytes: usize) -> (State, Option<Connection>) {
        let mut opened = self.load(clock, ram_bytes);
        // A full disk: what was set aside for it may make the difference.
        if !matches!(opened, Ok((_, Some(_)))) && self.is_full() && self.ballast.give_up() {
            opened = self.load(clock, ram_bytes);
        }
        let opened = match opened {
            Err(error) if error.is_damage() => self.renew(&error, clock, ram_bytes),
            other => other,
        };
        opened.unwrap_or_else(|error| {
            let mut state = State::new(fastrand::u64(1..), u64::MAX / 2, ram_bytes);
            state.observe_clock(clock);
            self.begin_in_memory(&mut state, &error);
            self.epoch = None;
            (state, None)
        })
    }

    fn is_full(&self) -> bool {
        self.room().is_ok_and(|room| room.space.is_full())
    }

    /// New readings stay in memory; the writer opens the file again when it can.
    fn begin_in_memory(&self, state: &mut State, error: &FileError) {
        let why = self.explain(&error.to_string());
        tracing::error!(%why, "the store can't write: what is read is kept in memory only");
        state.disk.last_error = Some(why.clone());
        state.health = Health::RamOnly(why);
    }

    fn load(
        &mut self,
        clock: &dyn Clock,
        ram_bytes: usize,
    ) -> Result<(State, Option<Connection>), FileError> {
        if !self.path.try_exists()? {
            if wal::path(&self.path).exists() {
                // The WAL of a file that is gone must not get into the next one.
                return Err(LoadError::Damaged("a file that is gone (its log is there)").into());
            }
            let (connection, epoch, reserved) = self.make(&PerClass::default())?;
            let mut state = State::new(epoch, 0, ram_bytes);
            for class in Class::ALL {
                state.lanes.get_mut(class).reserved = *reserved.get(class);
            }
            self.load_quarantine(&connection, &mut state)?;
            state.observe_clock(clock);
            state.health = Health::Ok;
            state.disk.clean_start = true;
            return Ok((state, Some(connection)));
        }
        if self.path.metadata()?.len() == 0 {
            return Err(LoadError::Damaged("the whole file (it is empty)").into());
        }
        let log = self.look_at_log()?;
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            Err(error) if is_damage(&error) => return Err(error.into()),
            Err(error) => return self.load_still(clock, ram_bytes, error.into()),
        };
        let mut state = self.take_state(&connection, clock, ram_bytes)?;
        if let Log::Torn { copy } = log {
            if let Some(number) = copy {
                let floors = PerClass::from_fn(|class| state.lanes.get(class).next_in_file);
                match quarantine::note_log(&self.path, number, floors) {
                    Ok(aside) => state.disk.quarantined.push(aside),
                    Err(error) => tracing::warn!(%error, "the end of the log is not salvaged"),
                }
            }
            // Or what is behind its last commit could be taken for damage the next time.
            if let Err(error) = checkpoint::run(&connection, "TRUNCATE") {
                tracing::debug!(%error, "the log could not be emptied");
            }
        }
        match bring_in(&connection).and_then(|()| begin(&mut connection, &mut state)) {
            Ok(()) => {
                wal::make_room(&self.path);
                state.health = Health::Ok;
                Ok((state, Some(connection)))
            }
            Err(error) if is_damage(&error) => Err(error.into()),
            // A full disk, mostly: what is in the file is delivered from it all the same.
            Err(error) => {
                self.begin_in_memory(&mut state, &error.into());
                Ok((state, None))
            }
        }
    }

    /// Looks at the log before SQLite does, which silently forgets what is behind a damaged frame.
    fn look_at_log(&self) -> Result<Log, FileError> {
        let Some(log) = log_beside(&self.path)?.filter(|log| log.tail) else {
            return Ok(Log::Whole);
        };
        // A torn end was never told to anyone as safe: SQLite drops it, as it should. Only where a
        // whole transaction follows behind the break was something damaged that had been synced.
        if !log.broken || !log.damaged {
            return Ok(Log::Torn { copy: None });
        }
        match log.database(&self.path)? {
            Database::Mixed => Err(LoadError::Damaged("a page in the log").into()),
            Database::Complete => {
                quarantine::put_log_away(&self.path)?;
                Ok(Log::Whole)
            }
            Database::Behind => {
                // Without room for a copy it is better to start than to salvage.
                let copy = quarantine::copy_log(&self.path)
                    .inspect_err(|error| tracing::error!(%error, "the end of the log is lost"));
                Ok(Log::Torn { copy: copy.ok() })
            }
        }
    }

    /// What was set aside, and who is owed what of it.
    fn load_quarantine(&self, connection: &Connection, state: &mut State) -> Result<(), LoadError> {
        state.disk.quarantined = quarantine::list(&self.path);
        state.salvages = Salvages::resume(rows::salvages(connection)?);
        let asides = &state.disk.quarantined;
        state.salvages.retain(|file| asides.iter().any(|a| a.number == file && !a.done));
        Ok(())
    }

    /// Nothing can be written, not even what opening needs: what is in the file is delivered from
    /// it as it lies.
    fn load_still(
        &mut self,
        clock: &dyn Clock,
        ram_bytes: usize,
        why: FileError,
    ) -> Result<(State, Option<Connection>), FileError> {
        let read = schema::connect_still(&self.path).map_err(FileError::from);
        match read.and_then(|connection| self.take_state(&connection, clock, ram_bytes)) {
            Ok(mut state) => {
                self.begin_in_memory(&mut state, &why);
                Ok((state, None))
            }
            // Whatever it was: here it does not speak against the file.
            Err(_) => Err(why),
        }
    }

    fn take_state(
        &mut self,
        connection: &Connection,
        clock: &dyn Clock,
        ram_bytes: usize,
    ) -> Result<State, FileError> {
        let mut state = read_state(connection, ram_bytes)?;
        self.load_quarantine(connection, &mut state)?;
        state.observe_clock(clock);
        state.disk.bytes = Pages::of(connection)?.live();
        self.shrinks = Shrinks::of(connection)?;
        self.epoch = Some(state.epoch);
        self.inode = inode(&self.path);
        Ok(state)
    }

    /// At the start: nothing is in memory yet, so a new file is all there is to it.
    fn renew(
        &mut self,
        why: &FileError,
        clock: &dyn Clock,
        ram_bytes: usize,
    ) -> Result<(State, Option<Connection>), FileError> {
        self.set_aside(&why.to_string())?;
        let (mut state, connection) = self.load(clock, ram_bytes)?;
        state.disk.last_error = Some(why.to_string());
        state.disk.clean_start = false;
        Ok((state, connection))
    }
}
