//! The thread that writes the broker's file.
//!
//! It sleeps until a change is due or somebody waits, takes all there is, and makes it durable in
//! one transaction, so that the file is always the broker's memory as it was at one moment. After a
//! failure the file is opened again and the same is written once more, which does no harm if it was
//! there after all. When that fails too, everyone who waits is told, and the disk is tried from time
//! to time.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::Shared;
use super::file::KeepFile;
use super::left_out::LeftOut;
use super::waiting::{Batch, Waiting};
use crate::model::Mono;
use crate::store::checkpoint;
use crate::store::error::StoreError;
use crate::store::file::FileError;
use crate::store::shared::Stop;
use crate::store::status::Health;
use crate::store::wear::{Wal, checkpoint_bytes};

/// Longest sleep: the clock is looked at that often.
const TICK: Duration = Duration::from_secs(1);
/// A dead disk is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);
/// The log is brought into the file when it has so many pages (1 MB) ...
const CHECKPOINT_PAGES: u64 = 250;
/// ... and at the end.
const CHECKPOINT_AT_END: u64 = 1;
/// The end does not go on for ever.
const LAST_FAILURES_MAX: u32 = 3;

pub struct Writer {
    pub shared: Arc<Shared>,
    /// Failures since the last success.
    strikes: u32,
    retry_at: Mono,
    /// The log as it was when it was last looked at.
    wal: Wal,
}

impl Writer {
    pub fn new(shared: Arc<Shared>) -> Self {
        let is_failing = shared.lock().health != Health::Ok;
        let retry_at = shared.clock.mono() + if is_failing { RETRY } else { Duration::ZERO };
        let wal = shared
            .file()
            .connection()
            .and_then(|c| checkpoint::reached(c).ok())
            .unwrap_or_default();
        Self { shared, strikes: u32::from(is_failing), retry_at, wal }
    }

    /// Until the broker's file is closed or all its handles are gone.
    pub fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let mut waiting = shared.lock();
            if let Some(stop) = waiting.stop {
                drop(waiting);
                return match stop {
                    Stop::Orderly => self.finish(),
                    #[cfg(test)]
                    Stop::Crash => {}
                };
            }
            let now = shared.clock.mono();
            let due = self.due(&waiting);
            if due.is_some_and(|due| due <= now) {
                drop(waiting);
                self.write();
                continue;
            }
            let until = due.unwrap_or(now + TICK).min(now + TICK);
            waiting.wake_at = until;
            let (mut waiting, _) = shared
                .wake
                .wait_timeout(waiting, (until - now).max(Duration::from_millis(1)))
                .unwrap_or_else(PoisonError::into_inner);
            waiting.wake_at = Mono(i64::MIN);
        }
    }

    /// A disk that fails is not asked before its time, and then even if there is nothing to write.
    fn due(&self, waiting: &Waiting) -> Option<Mono> {
        if self.strikes > 0 { Some(self.retry_at) } else { waiting.due() }
    }

    /// Writes all there is.
    fn write(&mut self) {
        let shared = Arc::clone(&self.shared);
        // The file comes first, so that whoever reads it sees no change in between.
        let mut file = shared.file();
        let began = shared.clock.mono();
        let batch = shared.lock().take();
        let prepared =
            if batch.changes.is_empty() && self.strikes == 0 { Ok(false) } else { file.prepare() };
        let written = prepared.and_then(|is_renewed| {
            if is_renewed {
                self.renewed(&file);
            }
            file.write(&batch)
        });
        match written {
            Ok(()) => {
                self.succeeded(&file, &batch, began);
                self.checkpoint(&mut file, CHECKPOINT_PAGES);
            }
            Err(error) => self.failed(&mut file, batch, &error),
        }
    }

    fn renewed(&mut self, file: &KeepFile) {
        self.wal = Wal::default();
        let mut waiting = self.shared.lock();
        waiting.renewed = true;
        waiting.leave_out(&LeftOut::everything());
        waiting.quarantined = file.quarantined();
    }

    fn succeeded(&mut self, file: &KeepFile, batch: &Batch, began: Mono) {
        self.strikes = 0;
        let after = file.connection().and_then(|c| checkpoint::reached(c).ok()).unwrap_or_default();
        let bytes = self.wal.commit_bytes(after);
        self.wal = after;
        let file_bytes = file.bytes();
        let now = self.shared.clock.mono();
        let mut waiting = self.shared.lock();
        waiting.written();
        if !batch.changes.is_empty() {
            waiting.window.committed(began, batch.since, now);
            waiting.counters.commits += 1;
            waiting.counters.changes_written += batch.changes.len() as u64;
            let ms = u64::try_from((now - began).as_millis()).unwrap_or(u64::MAX);
            waiting.counters.commit_max_ms = waiting.counters.commit_max_ms.max(ms);
        }
        waiting.counters.bytes_written += bytes;
        waiting.file_bytes = file_bytes;
        if waiting.health != Health::Ok {
            tracing::warn!("what the broker keeps is on disk again");
            waiting.health = Health::Ok;
        }
        drop(waiting);
        self.shared.store.lock().wear.wrote(bytes);
    }

    fn failed(&mut self, file: &mut KeepFile, batch: Batch, error: &FileError) {
        self.strikes += 1;
        file.give_up(error);
        self.wal = Wal::default();
        let now = self.shared.clock.mono();
        let mut waiting = self.shared.lock();
        waiting.failed(batch);
        self.note_failure(&mut waiting, error);
        if self.strikes == 1 {
            tracing::warn!(%error, "the broker's file failed: opening it again");
            self.retry_at = now;
            return;
        }
        self.retry_at = now + RETRY;
        drop(waiting);
        let why = file.explain(&error.to_string());
        let mut waiting = self.shared.lock();
        if !matches!(waiting.health, Health::RamOnly(_)) {
            tracing::error!(%why, "the broker can't write: what it keeps is in memory only");
        }
        waiting.health = Health::RamOnly(why.clone());
        waiting.refuse(&StoreError::NotKept { why });
    }

    fn note_failure(&self, waiting: &mut Waiting, error: &FileError) {
        waiting.counters.commit_failures += 1;
        waiting.last_error = Some(error.to_string());
    }

    /// Brings the log into the file if it has so many pages.
    fn checkpoint(&mut self, file: &mut KeepFile, least: u64) {
        let Some(connection) = file.connection().filter(|_| self.wal.left() >= least) else {
            return;
        };
        let before = self.wal;
        match checkpoint::run(connection, "PASSIVE") {
            Ok(after) => {
                self.wal = after;
                let pages = checkpoint::pages(&file.path, before.done..after.done);
                let bytes = pages.map_or(0, |pages| checkpoint_bytes(pages.into_iter()));
                let mut waiting = self.shared.lock();
                waiting.counters.checkpoints += 1;
                waiting.counters.bytes_written += bytes;
                drop(waiting);
                self.shared.store.lock().wear.wrote(bytes);
            }
            Err(error) => {
                let error = FileError::from(error);
                tracing::warn!(%error, "the log can't be brought into the broker's file");
                file.give_up(&error);
                self.wal = Wal::default();
                self.note_failure(&mut self.shared.lock(), &error);
            }
        }
    }

    /// Writes what is left and ends.
    fn finish(mut self) {
        for _ in 0..LAST_FAILURES_MAX {
            let is_done = self.shared.lock().len() == 0;
            if is_done {
                break;
            }
            self.write();
        }
        let shared = Arc::clone(&self.shared);
        self.checkpoint(&mut shared.file(), CHECKPOINT_AT_END);
        let mut waiting = shared.lock();
        if waiting.len() > 0 {
            let (changes, why) = (waiting.len(), waiting.last_error.as_deref());
            tracing::error!(changes, why, "what the broker could not write is lost");
        }
        waiting.health = Health::Closed;
        waiting.refuse(&StoreError::Closed);
    }
}

/// Takes a lock, also of a thread that came to a bad end.
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
