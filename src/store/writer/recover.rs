//! What the writer does when the disk fails: opens the file again, compares, goes on; sets a bad
//! file aside. A full disk is a case of its own (`full.rs`).

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::Writer;
use crate::model::Class;
use crate::store::file::Had;
use crate::store::per_class::PerClass;
use crate::store::schema::{chunk_table, is_damage, is_full};
use crate::store::state::State;
use crate::store::status::Health;
use crate::store::wear::Wal;
use crate::store::work::Piece;

/// A dead disk is tried again after this time.
pub(super) const RETRY: Duration = Duration::from_secs(5);

impl Writer {
    /// The connection can't be trusted any more.
    pub fn failed(&mut self, doing: &'static str, error: &rusqlite::Error) {
        self.strikes += 1;
        let mut state = self.shared.lock();
        state.counters.commit_failures += 1;
        state.disk.last_error = Some(format!("could not {doing}: {error}"));
        state.held_no_more();
        drop(state);
        self.connection = None;
        if is_damage(error) {
            self.in_doubt = None;
            return self.set_aside(&error.to_string());
        }
        self.full |= self.is_disk_full(is_full(error));
        let now = self.shared.clock.mono();
        if self.strikes == 1 {
            tracing::warn!(%error, doing, "the store failed: opening it again");
            self.retry_at = now;
        } else {
            self.ram_only(&error.to_string());
            self.retry_at = now + RETRY;
        }
    }

    pub(super) fn ram_only(&self, error: &str) {
        let why = self.file.as_ref().map_or(error.to_owned(), |file| file.explain(error));
        let mut state = self.shared.lock();
        if !matches!(state.health, Health::RamOnly(_)) {
            tracing::error!(%why, "the store can't write: what is read is kept in memory only");
        }
        state.health = Health::RamOnly(why);
    }

    /// Opens the file again if it is time to.
    pub(super) fn revive(&mut self) {
        if self.connection.is_some() || self.file.is_none() {
            return;
        }
        let now = self.shared.clock.mono();
        if now < self.retry_at {
            return;
        }
        self.retry_at = now + RETRY;
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.take_lock() {
            return self.ram_only(&error.to_string());
        }
        if file.epoch.is_none() || !file.is_there() {
            return self.set_aside("the file was not there, or could not be read at the start");
        }
        self.shared.reader.set_still(false);
        self.shared.reader.forget();
        if self.full {
            file.ballast.give_up();
        }
        match file.reopen() {
            Ok((connection, had)) => {
                self.wal = Wal::default();
                self.written = PerClass::default();
                self.reconcile(&connection, &had);
                self.connection = Some(connection);
                // Only a transaction shows that it can be written.
                self.shared.lock().dirty_now(now);
                if self.full {
                    self.delete_for_room();
                }
            }
            Err(error) if error.is_damage() => self.set_aside(&error.to_string()),
            Err(error) => {
                self.shared.reader.set_still(true);
                self.strikes += 1;
                self.full |= self.is_disk_full(error.is_full());
                if self.gives_up_ballast() {
                    self.retry_at = now;
                }
                self.ram_only(&error.to_string());
            }
        }
    }

    /// If the disk is full: gives the room of the ballast back; says whether there was any.
    fn gives_up_ballast(&self) -> bool {
        self.full && self.file.as_ref().is_some_and(|file| file.ballast.give_up())
    }

    /// Compares memory with a file that was opened again.
    pub(super) fn reconcile(&mut self, connection: &Connection, had: &PerClass<Had>) {
        let in_doubt = self.in_doubt.take();
        let held = in_doubt.filter(|work| {
            work.pieces.last().is_some_and(|piece| holds(connection, piece).unwrap_or(false))
        });
        let mut state = self.shared.lock();
        if let Some(work) = held {
            state.committed(&work);
        }
        state.unstore_from(had);
        if let Some(epoch) = self.file.as_ref().and_then(|file| file.epoch)
            && state.epoch != epoch
        {
            // Positions were given out under an epoch of their own meanwhile.
            state.epoch = epoch;
            state.note_new_epoch();
            for class in Class::ALL {
                state.lanes.get_mut(class).reserved = had.get(class).reserved;
            }
        }
    }

    /// Without a file no positions can be reserved: beyond the last reserved one they are given
    /// out under another epoch, or a crash would make them be given out twice.
    pub(super) fn stay_unique(&self, state: &mut State) {
        let Some(file) = &self.file else { return };
        let runs_out = Class::ALL.into_iter().any(|class| state.lanes.get(class).wants_reserve());
        if self.connection.is_none() && runs_out && file.epoch.is_none_or(|e| e == state.epoch) {
            state.epoch = fastrand::u64(1..);
            state.note_new_epoch();
            Class::ALL.iter().for_each(|c| state.lanes.get_mut(*c).reserved = u64::MAX / 2);
            self.shared.announce();
        }
    }

    /// Goes on with a new file; what is in memory is written to it, the rest is counted as lost.
    pub(super) fn set_aside(&mut self, why: &str) {
        let Some(file) = &mut self.file else { return };
        self.connection = None;
        self.in_doubt = None;
        self.victims.clear();
        self.written = PerClass::default();
        self.shared.reader.set_still(false);
        self.shared.reader.forget();
        let heads = {
            let state = self.shared.lock();
            PerClass::from_fn(|class| state.lanes.get(class).head)
        };
        let was_in_use = file.epoch.is_some();
        let aside = match self.aside.take().filter(|_| !file.is_there()) {
            Some(aside) => Ok(aside),
            None => file.set_aside(why).map(|moved| (moved, was_in_use)),
        };
        let made = aside.and_then(|aside| {
            self.aside = Some(aside);
            file.make(&heads)
        });
        match made {
            Ok((connection, epoch, reserved)) => {
                self.wal = Wal::default();
                let mut state = self.shared.lock();
                // Of a file that was never read its own cursors say who is owed what.
                let aside = self.aside.take();
                let owes = aside.as_ref().filter(|(_, in_use)| *in_use).map(|(a, _)| a.number);
                state.start_new_file(epoch, &reserved, owes);
                state.disk.quarantined.extend(aside.map(|(aside, _)| aside));
                self.shared.background.notify_all();
                state.disk.last_error = Some(why.to_owned());
                state.health = Health::Ok;
                drop(state);
                self.connection = Some(connection);
                self.shared.announce();
            }
            Err(error) => {
                self.strikes += 1;
                file.epoch = None;
                self.full |= self.is_disk_full(error.is_full());
                let pause = if self.gives_up_ballast() { Duration::ZERO } else { RETRY };
                self.retry_at = self.shared.clock.mono() + pause;
                self.ram_only(&error.to_string());
            }
        }
    }
}

/// Whether the file has the last chunk of a transaction, and so all of it.
fn holds(connection: &Connection, piece: &Piece) -> rusqlite::Result<bool> {
    let sql = format!("SELECT n FROM {} WHERE seq = ?1", chunk_table(piece.class));
    let n: Option<i64> = connection
        .query_row(&sql, [piece.range.start.cast_signed()], |row| row.get(0))
        .optional()?;
    Ok(n.map(i64::cast_unsigned) == Some(piece.range.end - piece.range.start))
}
