//! The one thread with the one connection that writes.
//!
//! It sleeps until something is due, takes a snapshot of it (`work.rs`), encodes it without the
//! lock, commits it, and only then reports it as safe. After any failed commit the connection is
//! taken for dead, since SQLite and the kernel may now disagree about what is on the disk: it is
//! closed and opened again, the WAL is brought into the file, the newest chunk tells whether the
//! commit had succeeded after all, and if not it is made again. Until then everything stays in
//! memory.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::accounting::Reason;
use super::error::StoreError;
use super::file::{self, Had, StoreFile};
use super::per_class::PerClass;
use super::rows;
use super::schema::{is_damage, is_full};
use super::shared::Shared;
#[cfg(test)]
use super::shared::Stop;
use super::state::State;
use super::status::Health;
use super::transaction::{Done, Written, commit};
use super::trim::Victim;
use super::work::{Urgency, Work};
use crate::model::{Class, Mono};

/// A dead disk is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);
/// Longest sleep: the clocks, ages and requests are looked at that often.
const TICK: Duration = Duration::from_secs(1);
/// The file is looked at for old data, and for being there at all, that often.
const LOOK: Duration = Duration::from_secs(10);
/// A flush does not go on for ever.
const FLUSH_FAILURES_MAX: u32 = 3;
/// A full disk costs stored data for room only so many times in a row.
const MAKE_ROOM_MAX: u32 = 3;
/// A checkpoint is due when so many pages wait in the WAL (1 MB) ...
const CHECKPOINT_PAGES: i64 = 1_000;
/// ... or after this time if there are any.
const CHECKPOINT: Duration = Duration::from_secs(60);

pub struct Writer {
    shared: Arc<Shared>,
    /// `None` when the store is in memory only, as configured.
    file: Option<StoreFile>,
    connection: Option<Connection>,
    /// Chunks that are dropped already and go with the next transaction.
    pub victims: Vec<Victim>,
    /// What was being written when the connection died.
    in_doubt: Option<Work>,
    /// What the file says, so that it is not written again.
    written: PerClass<Written>,
    /// Failures since the last success.
    strikes: u32,
    retry_at: Mono,
    checkpoint_at: Mono,
    look_at: Mono,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        file: Option<StoreFile>,
        connection: Option<Connection>,
    ) -> Self {
        let now = shared.clock.mono();
        Self {
            shared,
            file,
            connection,
            victims: Vec::new(),
            in_doubt: None,
            written: PerClass::default(),
            strikes: 0,
            retry_at: now + RETRY,
            checkpoint_at: now + CHECKPOINT,
            look_at: now,
        }
    }

    /// Until the store is closed or all its handles are gone.
    pub fn run(mut self) {
        loop {
            self.revive();
            let shared = Arc::clone(&self.shared);
            let now = shared.clock.mono();
            let mut state = shared.lock();
            state.observe_clock(&*shared.clock);
            state.drop_old(shared.options.max_age, &*shared.clock);
            self.stay_unique(&mut state);
            if let Some(why) = state.control.poisoned.take() {
                drop(state);
                self.set_aside(&why);
                continue;
            }
            let stop = state.control.stop;
            #[cfg(test)]
            if stop == Some(Stop::Crash) {
                return;
            }
            let flushes = std::mem::take(&mut state.control.flushes);
            if stop.is_some() || !flushes.is_empty() {
                drop(state);
                self.flush(flushes);
                if stop.is_some() {
                    return self.finish();
                }
                continue;
            }
            if self.connection.is_some()
                && let Some(work) = state.take_work(now, shared.options.commit, Urgency::Due)
            {
                drop(state);
                self.write(work);
                self.checkpoint_if_due();
                continue;
            }
            if now >= self.look_at {
                drop(state);
                self.look();
                continue;
            }
            let due = state.due(now, shared.options.commit).filter(|_| self.connection.is_some());
            let until = due.unwrap_or(now + TICK).min(now + TICK);
            state.control.wake_at = until;
            let (mut state, _) = shared
                .wake
                .wait_timeout(state, (until - now).max(Duration::from_millis(1)))
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            state.control.wake_at = Mono(i64::MIN);
        }
    }

    /// Writes everything there is and tells those who asked for it.
    fn flush(&mut self, flushes: Vec<oneshot::Sender<()>>) {
        let shared = Arc::clone(&self.shared);
        let mut failures = 0;
        while self.connection.is_some() && failures < FLUSH_FAILURES_MAX {
            let now = shared.clock.mono();
            let work = shared.lock().take_work(now, shared.options.commit, Urgency::All);
            let Some(work) = work else { break };
            let more = work.more;
            let written = self.write(work);
            self.checkpoint_if_due();
            if written && !more {
                break; // What is left to delete has time.
            }
            failures += u32::from(!written);
            self.revive();
        }
        for flush in flushes {
            let _ = flush.send(());
        }
    }

    /// Commits the work; says whether that went well.
    fn write(&mut self, work: Work) -> bool {
        let Some(connection) = &self.connection else { return false };
        match commit(connection, &work, &self.victims, &self.written) {
            Ok(done) => {
                self.succeeded(&work, &done);
                true
            }
            Err(error) => {
                self.in_doubt = Some(work);
                self.failed("write to the store", &error);
                false
            }
        }
    }

    fn succeeded(&mut self, work: &Work, done: &Done) {
        self.strikes = 0;
        self.committed(work, done);
        let mut state = self.shared.lock();
        if state.health != Health::Ok {
            tracing::warn!("the store is on disk again");
            state.health = Health::Ok;
        }
        let over_quota = state.disk.bytes > self.shared.options.max_bytes;
        drop(state);
        self.shared.announce();
        if over_quota {
            self.trim_to_quota();
        }
    }

    /// Takes into account what a transaction did.
    fn committed(&mut self, work: &Work, done: &Done) {
        self.victims.clear();
        for class in Class::ALL {
            let written = self.written.get_mut(class);
            written.next = *work.next.get(class);
            written.reserved = *work.reserved.get(class);
            if !done.more_to_delete {
                written.deleted_below = *work.delete_below.get(class);
            }
        }
        let bytes = self.connection.as_ref().and_then(|c| file::live_bytes(c).ok());
        let mut state = self.shared.lock();
        state.committed(work);
        state.counters.body_bytes += done.body_bytes;
        state.counters.chunks_deleted += done.deleted;
        state.disk.last_commit = Some(self.shared.clock.wall());
        state.disk.bytes = bytes.unwrap_or(state.disk.bytes);
        if done.more_to_delete {
            state.dirty_now(self.shared.clock.mono());
        }
    }

    /// The connection can't be trusted any more.
    pub fn failed(&mut self, doing: &'static str, error: &rusqlite::Error) {
        self.strikes += 1;
        let mut state = self.shared.lock();
        state.counters.commit_failures += 1;
        state.disk.last_error = Some(format!("could not {doing}: {error}"));
        drop(state);
        self.connection = None;
        if is_damage(error) {
            self.in_doubt = None;
            return self.set_aside(&error.to_string());
        }
        let now = self.shared.clock.mono();
        self.retry_at = if self.strikes == 1 { now } else { now + RETRY };
        if self.strikes == 1 && !is_full(error) {
            tracing::warn!(%error, doing, "the store failed: opening it again");
        } else {
            self.ram_only(&error.to_string());
        }
        if is_full(error) && self.strikes <= MAKE_ROOM_MAX {
            self.make_disk_room();
        }
    }

    fn ram_only(&self, why: &str) {
        let mut state = self.shared.lock();
        if !matches!(state.health, Health::RamOnly(_)) {
            tracing::error!(why, "the store can't write: what is read is kept in memory only");
        }
        state.health = Health::RamOnly(why.to_owned());
    }

    /// Opens the file again if it is time to.
    fn revive(&mut self) {
        if self.connection.is_some() || self.file.is_none() {
            return;
        }
        let now = self.shared.clock.mono();
        if now < self.retry_at {
            return;
        }
        self.retry_at = now + RETRY;
        let Some(file) = &mut self.file else { return };
        if file.epoch.is_none() || !file.is_there() {
            return self.set_aside("the file was not there, or could not be read at the start");
        }
        self.shared.reader.forget();
        match file.reopen(self.shared.options.max_bytes) {
            Ok((connection, had)) => {
                self.written = PerClass::default();
                self.reconcile(&connection, &had);
                self.connection = Some(connection);
            }
            Err(error) if error.is_damage() => self.set_aside(&error.to_string()),
            Err(error) => {
                self.strikes += 1;
                self.ram_only(&error.to_string());
            }
        }
    }

    /// Compares memory with a file that was opened again.
    fn reconcile(&mut self, connection: &Connection, had: &PerClass<Had>) {
        let in_doubt = self.in_doubt.take();
        let held = in_doubt.filter(|work| {
            work.pieces.last().is_some_and(|piece| file::holds(connection, piece).unwrap_or(false))
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
            for class in Class::ALL {
                state.lanes.get_mut(class).reserved = had.get(class).reserved;
            }
        }
    }

    /// Without a file no positions can be reserved: beyond the last reserved one they are given
    /// out under another epoch, or a crash would make them be given out twice.
    fn stay_unique(&self, state: &mut State) {
        let Some(file) = &self.file else { return };
        let runs_out = Class::ALL.into_iter().any(|class| state.lanes.get(class).wants_reserve());
        if self.connection.is_none() && runs_out && file.epoch.is_none_or(|e| e == state.epoch) {
            state.epoch = fastrand::u64(1..);
            Class::ALL.iter().for_each(|c| state.lanes.get_mut(*c).reserved = u64::MAX / 2);
            self.shared.announce();
        }
    }

    /// Goes on with a new file; what is in memory is written to it, the rest is counted as lost.
    fn set_aside(&mut self, why: &str) {
        let Some(file) = &mut self.file else { return };
        self.connection = None;
        self.in_doubt = None;
        self.victims.clear();
        self.written = PerClass::default();
        self.shared.reader.forget();
        let heads = {
            let state = self.shared.lock();
            PerClass::from_fn(|class| state.lanes.get(class).head)
        };
        let moved = file.set_aside(why);
        let made =
            moved.and_then(|moved| Ok((moved, file.make(&heads, self.shared.options.max_bytes)?)));
        match made {
            Ok((moved, (connection, epoch, reserved))) => {
                let mut state = self.shared.lock();
                state.disk.quarantined.push(moved);
                state.start_new_file(epoch, &reserved);
                state.disk.last_error = Some(why.to_owned());
                state.health = Health::Ok;
                drop(state);
                self.connection = Some(connection);
                self.shared.announce();
            }
            Err(error) => {
                self.strikes += 1;
                self.retry_at = self.shared.clock.mono() + RETRY;
                if let Some(file) = &mut self.file {
                    file.epoch = None;
                }
                self.ram_only(&error.to_string());
            }
        }
    }

    /// Looks after the file: is it there, is anything in it too old, how old is the oldest.
    fn look(&mut self) {
        self.look_at = self.shared.clock.mono() + LOOK;
        let Some(connection) = &self.connection else { return };
        if self.file.as_ref().is_some_and(|file| !file.is_same()) {
            return self.set_aside("the file was deleted or replaced while it was in use");
        }
        let oldest = Class::ALL.map(|class| (class, rows::first_chunk(connection, class)));
        for (class, first) in oldest {
            match first {
                Ok(first) => {
                    let oldest = first.map(|(_, read)| read);
                    *self.shared.lock().disk.oldest.get_mut(class) = oldest;
                }
                Err(error) => return self.failed("look for old data", &error),
            }
        }
        self.trim_old();
        self.checkpoint_if_due();
    }

    /// Brings the WAL into the file when it is long or old enough.
    fn checkpoint_if_due(&mut self) {
        let Some(connection) = &self.connection else { return };
        let now = self.shared.clock.mono();
        let result = file::wal_pages(connection).and_then(|pages| {
            if pages < CHECKPOINT_PAGES && (pages == 0 || now < self.checkpoint_at) {
                return Ok(false);
            }
            file::checkpoint(connection, "PASSIVE").map(|_| true)
        });
        match result {
            Ok(true) => {
                self.checkpoint_at = now + CHECKPOINT;
                self.shared.lock().counters.checkpoints += 1;
            }
            Ok(false) => {}
            Err(error) => self.failed("bring the WAL into the store", &error),
        }
    }

    /// Everything is written: says so in the file, so that no position need be jumped over.
    fn finish(mut self) {
        self.shared.reader.forget();
        let heads = {
            let mut state = self.shared.lock();
            state.health = Health::Closed;
            state.hurry = false; // Deleting has time until the next start.
            for class in Class::ALL {
                for waiter in state.lanes.get_mut(class).waiters.drain(..) {
                    let _ = waiter.tell.send(Err(StoreError::Closed));
                }
            }
            state.control.flushes.clear();
            // A flush that failed leaves memory ahead of the file: that is no orderly end.
            let due = state.due(self.shared.clock.mono(), self.shared.options.commit);
            let unwritten = state.unwritten();
            if unwritten > 0 && self.file.is_some() {
                let why = state.disk.last_error.as_deref();
                tracing::error!(unwritten, why, "readings that could not be written are lost");
            }
            let whole =
                due.is_none() && self.file.as_ref().is_some_and(|f| f.epoch == Some(state.epoch));
            whole.then(|| PerClass::from_fn(|class| state.lanes.get(class).head))
        };
        self.shared.announce();
        let (Some(connection), Some(heads)) = (self.connection.take(), heads) else { return };
        let marked = file::mark_clean(&connection, &heads)
            .and_then(|()| file::checkpoint(&connection, "PASSIVE"));
        if let Err(error) = marked {
            tracing::warn!(%error, "the orderly end could not be noted in the store");
        }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Deletes what was dropped to make room, in a transaction that inserts nothing: on a full disk
    /// nothing else gets through.
    fn make_disk_room(&mut self) {
        self.retry_at = self.shared.clock.mono();
        self.revive();
        if self.connection.is_none() {
            return;
        }
        self.trim_by(super::trim::FULL_DISK_STEP_BYTES, Reason::Disk);
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.mono();
        let work = shared.lock().take_work(now, shared.options.commit, Urgency::RowsOnly);
        let (Some(work), Some(connection)) = (work, &self.connection) else { return };
        match commit(connection, &work, &self.victims, &self.written) {
            Ok(done) => self.committed(&work, &done),
            Err(error) => tracing::debug!(%error, "no room even to delete"),
        }
        // Not at once: were room still missing, ever more would be given up for nothing.
        self.connection = None;
        self.in_doubt = None;
        self.retry_at = now + RETRY;
    }
}
