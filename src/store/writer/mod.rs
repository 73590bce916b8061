//! The one thread with the one connection that writes.
//!
//! It sleeps until something is due, takes a snapshot of it (`work.rs`), encodes it without the
//! lock, commits it, and only then reports it as safe. After any failed commit the connection is
//! taken for dead, since SQLite and the kernel may now disagree about what is on the disk: it is
//! closed and opened again, the WAL is brought into the file, the newest chunk tells whether the
//! commit had succeeded after all, and if not it is made again. Until then everything stays in
//! memory.

mod full;
mod proof;
mod recover;
mod room;
mod trim;
mod upkeep;
mod vacuum;
mod wear;

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::model::{Class, Mono};
use crate::store::checkpoint;
use crate::store::error::StoreError;
use crate::store::file::{self, StoreFile};
use crate::store::per_class::PerClass;
use crate::store::proof::Proof;
use crate::store::salvage::Request;
use crate::store::schema::Pages;
use crate::store::shared::Shared;
#[cfg(test)]
use crate::store::shared::Stop;
use crate::store::state::State;
use crate::store::status::{Health, Quarantined};
use crate::store::transaction::{Done, Written, commit};
use crate::store::wear::Wal;
use crate::store::work::{Urgency, Work};

pub use room::Room;
pub use trim::Victim;

/// Longest sleep: the clocks, ages and requests are looked at that often.
const TICK: Duration = Duration::from_secs(1);
/// A disk that takes longer than this for a commit is slow, and said to be.
const SLOW: Duration = Duration::from_millis(50);
/// A flush does not go on for ever.
const FLUSH_FAILURES_MAX: u32 = 3;

pub struct Writer {
    shared: Arc<Shared>,
    /// `None` when the store is in memory only, as configured.
    file: Option<StoreFile>,
    connection: Option<Connection>,
    /// Chunks that are dropped already and go with the next transaction.
    pub victims: Vec<Victim>,
    /// What was being written when the connection died.
    in_doubt: Option<Work>,
    /// A file that was set aside, and whether it had been in use, while none could be made yet.
    aside: Option<(Quarantined, bool)>,
    /// What the file says, so that it is not written again.
    written: PerClass<Written>,
    /// Failures since the last success.
    strikes: u32,
    retry_at: Mono,
    checkpoint_at: Mono,
    /// From so many pages in the WAL on the next checkpoint waits for the readers.
    alone_from: u64,
    delete_at: Mono,
    /// Something is settled and was not deleted yet.
    deleting_owed: bool,
    look_at: Mono,
    /// The failures were for want of room.
    full: bool,
    room: Option<Room>,
    room_at: Mono,
    pages: Pages,
    vacuuming: bool,
    vacuum_at: Mono,
    /// The WAL as it was when it was last looked at.
    wal: Wal,
    proof: Proof,
    prove_at: Mono,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        file: Option<StoreFile>,
        connection: Option<Connection>,
    ) -> Self {
        let now = shared.clock.mono();
        let wal = connection.as_ref().and_then(|c| checkpoint::reached(c).ok()).unwrap_or_default();
        Self {
            wal,
            shared,
            file,
            connection,
            victims: Vec::new(),
            in_doubt: None,
            aside: None,
            written: PerClass::default(),
            strikes: 0,
            retry_at: now + recover::RETRY,
            checkpoint_at: now + upkeep::CHECKPOINT,
            alone_from: upkeep::CHECKPOINT_ALONE_PAGES,
            delete_at: now,
            deleting_owed: false,
            look_at: now,
            full: false,
            room: None,
            room_at: now,
            pages: Pages::default(),
            vacuuming: false,
            vacuum_at: now,
            proof: Proof::default(),
            prove_at: now,
        }
    }

    /// Until the store is closed or all its handles are gone.
    pub fn run(mut self) {
        let _ = self.shared.writer.set(std::thread::current());
        loop {
            self.shared.pulse.turn();
            self.revive();
            let shared = Arc::clone(&self.shared);
            let now = shared.clock.mono();
            let mut state = shared.lock();
            state.control.wake_at = Mono(i64::MIN);
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
            if self.is_room_due(now) {
                drop(state);
                self.keep_room();
                continue;
            }
            if self.connection.is_some()
                && let Some(mut work) = state.take_work(now, Urgency::Due)
            {
                shared.release(state);
                self.put_off_deleting(&mut work);
                self.write(work);
                self.checkpoint_if_due();
                continue;
            }
            if now >= self.look_at {
                drop(state);
                self.look();
                continue;
            }
            if self.connection.is_some()
                && let Some(request) = state.control.requeue.take()
            {
                self.bring_back(state, request);
                continue;
            }
            if self.is_vacuum_due(now) {
                drop(state);
                self.vacuum();
                continue;
            }
            if now >= self.prove_at {
                drop(state);
                self.prove_and_shrink();
                continue;
            }
            let due = state.due(now).filter(|_| self.connection.is_some());
            let retry = self.file.as_ref().filter(|_| self.connection.is_none());
            let until = due.or(retry.map(|_| self.retry_at)).unwrap_or(now + TICK).min(now + TICK);
            state.control.wake_at = until;
            for tell in state.control.idle.drain(..) {
                let _ = tell.send(until);
            }
            // Mostly nothing: who appends or settles has freed it.
            state.gone.clear();
            drop(state);
            // Not at all if it was woken since it slept last.
            std::thread::park_timeout((until - now).max(Duration::from_millis(1)));
        }
    }

    /// Writes what was salvaged, with all else that is unwritten: what the file has of a class has
    /// no gaps.
    fn bring_back(&mut self, mut state: MutexGuard<'_, State>, request: Request) {
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox();
        let arrivals = inbox.take(Vec::new());
        shared.put(&mut state, arrivals);
        let mut work = state.everything();
        if work.more {
            state.control.requeue = Some(request);
            drop((inbox, state));
            self.write(work);
        } else {
            state.bring_back(&request, &mut work);
            inbox.follow(&state);
            drop((inbox, state));
            let written = self.write(work);
            let _ = request.reply.send(written);
        }
        self.checkpoint_if_due();
    }

    /// Writes everything there is and tells those who asked for it.
    fn flush(&mut self, flushes: Vec<oneshot::Sender<bool>>) {
        let shared = Arc::clone(&self.shared);
        let (mut failures, mut done) = (0, false);
        while self.connection.is_some() && failures < FLUSH_FAILURES_MAX {
            let now = shared.clock.mono();
            let work = shared.lock().take_work(now, Urgency::All);
            let Some(work) = work else {
                done = true;
                break;
            };
            let more = work.more;
            let written = self.write(work);
            self.checkpoint_if_due();
            done = written && !more;
            // What is left to delete has time, unless it was given up already.
            if done && self.victims.is_empty() {
                break;
            }
            failures += u32::from(!written);
            self.revive();
        }
        self.prove();
        for flush in flushes {
            let _ = flush.send(done);
        }
    }

    /// Commits the work; says whether that went well.
    fn write(&mut self, work: Work) -> bool {
        if !self.has_room_for_log() {
            return false;
        }
        let Some(connection) = &self.connection else { return false };
        let began = self.shared.clock.mono();
        match commit(connection, &work, &self.victims, &self.written) {
            Ok(done) => {
                let oldest = work.pieces.iter().map(|piece| piece.since).min();
                let ended = self.shared.clock.mono();
                self.shared.lock().window.committed(began, oldest, ended);
                self.timed(ended - began);
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

    fn timed(&self, took: Duration) {
        let counters = &mut self.shared.lock().counters;
        counters.commits_slow += u64::from(took > SLOW);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        counters.commit_max_ms = counters.commit_max_ms.max(ms);
    }

    fn succeeded(&mut self, work: &Work, done: &Done) {
        self.strikes = 0;
        self.full = false;
        self.committed(work, done);
        let mut state = self.shared.lock();
        if state.health != Health::Ok {
            tracing::warn!("the store is on disk again");
            state.health = Health::Ok;
        }
        drop(state);
        self.shared.announce();
        self.trim_to_quota();
    }

    /// Takes into account what a transaction did.
    fn committed(&mut self, work: &Work, done: &Done) {
        self.victims.clear();
        for class in Class::ALL {
            let written = self.written.get_mut(class);
            written.next = *work.next.get(class);
            written.next_noted = done.next_noted.get(class).unwrap_or(written.next_noted);
            written.reserved = *work.reserved.get(class);
            if !done.more_to_delete {
                // What was settled before it was written went in after the deleting.
                let inserted = work.pieces.iter().filter(|piece| piece.class == class);
                let first = inserted.map(|piece| piece.range.start).min().unwrap_or(u64::MAX);
                written.deleted_below = first.min(*work.delete_below.get(class));
            }
        }
        if let Some(pages) = self.connection.as_ref().and_then(|c| Pages::of(c).ok()) {
            self.pages = pages;
        }
        self.look_at_room();
        self.meter_commit();
        let mut state = self.shared.lock();
        state.committed(work);
        state.counters.body_bytes += done.body_bytes;
        state.counters.chunks_deleted += done.deleted;
        state.disk.last_commit = Some(self.shared.clock.wall());
        state.disk.bytes = self.pages.live();
        if done.more_to_delete {
            self.deleting_owed = true;
            self.delete_at = self.shared.clock.mono();
            state.dirty_now(self.delete_at);
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
            state.control.idle.clear();
            // A flush that failed leaves memory ahead of the file: that is no orderly end.
            let due = state.due(self.shared.clock.mono());
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
        self.meter_time();
        let wear = self.shared.lock().wear.rows();
        let marked = file::mark_clean(&connection, &heads, &wear)
            .and_then(|()| checkpoint::run(&connection, "PASSIVE"));
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
}
