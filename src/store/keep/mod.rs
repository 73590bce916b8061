//! What the LAN broker knows and a restart must not forget: sessions, how far each has got, the
//! messages that wait for them, and what clients retained. Kept in `broker.db`, beside the store's
//! own file, so that neither can do the other any harm.
//!
//! Memory is the truth while the gateway runs, and it is the broker's; here are only the changes
//! that the file has not yet (`waiting.rs`), the thread that writes them (`writer.rs`), and the file
//! (`file.rs`). Keys and values are bytes of the broker's own making.
//!
//! # What is trusted after a crash or a power cut
//! - *What was told as committed is there*: as in the store, `synchronous=FULL` on a log that is
//!   checkpointed by hand, and after any error a new connection and the same once more.
//! - *The file is the broker's memory as it was at one moment*: a transaction takes all that waits.
//! - *Any single row may be missing*, when it does not fit its CRC; it is counted. A file with more
//!   than that wrong is set aside, and its whole rows go into a new one.

mod file;
mod left_out;
mod status;
mod waiting;
mod writer;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Store;
use super::error::StoreError;
use super::file::FileError;
use super::quarantine;
use super::shared::{self, Stop};
use super::status::Health;
use super::window::Window;
use crate::model::{Clock, Mono};

pub use file::database as broker_database;
pub use left_out::LeftOut;
pub use status::{KeepCopied, KeepCounters, KeepStatus};
pub use waiting::WAITING_BYTES_MAX;

use file::KeepFile;
use waiting::Waiting;
use writer::{Writer, lock};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

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
/// A numbered row that is put for the first time with a higher number than all before it costs
/// nothing when it is removed before it was written. Numbers stay below 2^63.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// By client id.
    Session(Bytes),
    /// By the number of the session, which only ever goes up.
    Progress(u64),
    /// By a number that only ever goes up.
    Message(u64),
    /// By topic.
    Retained(Bytes),
}

impl Key {
    pub fn table(&self) -> Table {
        match self {
            Self::Session(_) => Table::Session,
            Self::Progress(_) => Table::Progress,
            Self::Message(_) => Table::Message,
            Self::Retained(_) => Table::Retained,
        }
    }
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

    /// What it counts for until it is written.
    pub fn cost(&self) -> usize {
        waiting::cost(&self.key, self.value.as_ref())
    }
}

/// The broker's file, or none. Clones are the same one.
#[derive(Clone)]
pub struct Keep {
    thread: Option<Arc<Thread>>,
}

/// What the handles and the writer share. The file is locked before what waits, never after.
struct Shared {
    waiting: Mutex<Waiting>,
    /// Held across I/O.
    file: Mutex<KeepFile>,
    /// Wakes the writer before its time.
    wake: Condvar,
    clock: Arc<dyn Clock>,
    /// Of the store, for the wear of the card.
    store: Arc<shared::Shared>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    fn file(&self) -> MutexGuard<'_, KeepFile> {
        lock(&self.file)
    }

    /// Sees to it that the writer is awake in time for what waits now.
    fn wake_in_time(&self, waiting: &mut Waiting) {
        if waiting.due().is_some_and(|due| due < waiting.wake_at) {
            waiting.wake_at = Mono(i64::MIN);
            self.wake.notify_one();
        }
    }
}

/// Ends the writer, at the latest when the last handle goes.
struct Thread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Thread {
    fn stop(&self, how: Stop) {
        self.shared.lock().stop.get_or_insert(how);
        self.shared.wake.notify_all();
        if lock(&self.handle).take().is_some_and(|handle| handle.join().is_err()) {
            tracing::error!("the thread of the broker's file had come to a bad end");
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop(Stop::Orderly);
    }
}

/// Tells when changes are safe.
#[derive(Debug)]
pub struct KeepCommit {
    told: Option<oneshot::Receiver<Result<(), StoreError>>>,
}

impl KeepCommit {
    /// Resolves when the changes are in the file, or could not be written (then they still are as
    /// soon as the disk allows it); at once if nothing is meant to survive.
    ///
    /// # Errors
    /// What was put is not safe, for the reason that is given.
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
        Self { thread: None }
    }

    /// Whether nothing survives.
    pub fn is_none(&self) -> bool {
        self.thread.is_none()
    }

    /// Opens the broker's file beside the store's; none if the store has none. A file that can't be
    /// used is set aside. Blocks.
    ///
    /// # Errors
    /// Only if no thread can be started.
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let options = &store.shared.options;
        let Some(dir) = &options.dir else { return Ok(Self::none()) };
        let (file, found) = KeepFile::open(dir);
        let health = match found.hindrance {
            None => Health::Ok,
            Some(why) => {
                tracing::error!(%why, "the broker can't write: what it keeps is in memory only");
                Health::RamOnly(why)
            }
        };
        let mut waiting = Waiting::new(Window::new(options.commit), health);
        waiting.start_from(found.reached);
        waiting.file_bytes = file.bytes();
        waiting.quarantined = file.quarantined();
        let shared = Arc::new(Shared {
            waiting: Mutex::new(waiting),
            file: Mutex::new(file),
            wake: Condvar::new(),
            clock: Arc::clone(&store.shared.clock),
            store: Arc::clone(&store.shared),
        });
        let writer = Writer::new(Arc::clone(&shared));
        let handle = std::thread::Builder::new()
            .name("store-broker".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Thread(Arc::new(error)))?;
        let thread = Thread { shared, handle: Mutex::new(Some(handle)) };
        Ok(Self { thread: Some(Arc::new(thread)) })
    }

    fn shared(&self) -> Option<&Arc<Shared>> {
        self.thread.as_ref().map(|thread| &thread.shared)
    }

    /// What there is, a table in the order of its keys: at the start what the last run left, later
    /// what was put. A row that is damaged is left out and counted, so any row may be missing.
    /// Blocks.
    ///
    /// # Errors
    /// Not everything could be read.
    pub fn load(&self, table: Table, each: &mut dyn FnMut(Key, &[u8])) -> Result<(), StoreError> {
        let Some(shared) = self.shared() else { return Ok(()) };
        let mut file = shared.file();
        let mut newer = shared.lock().of(table).into_iter().peekable();
        let mut rows = 0;
        let mut hand_out = |key: Key, value: &[u8]| {
            rows += 1;
            each(key, value);
        };
        let read = file.read(table, &mut |key, value| {
            while let Some((before, new)) = newer.next_if(|(newer, _)| *newer < key) {
                new.into_iter().for_each(|new| hand_out(before.clone(), &new));
            }
            match newer.next_if(|(newer, _)| *newer == key) {
                Some((_, new)) => new.into_iter().for_each(|new| hand_out(key.clone(), &new)),
                None => hand_out(key, value),
            }
        });
        for (key, new) in newer {
            new.into_iter().for_each(|new| hand_out(key.clone(), &new));
        }
        let mut waiting = shared.lock();
        waiting.counters.rows_read += rows;
        match read {
            Ok(damaged) => {
                waiting.counters.rows_damaged += damaged.len() as u64;
                for key in damaged {
                    tracing::error!(?key, "a row of the broker's file is damaged and left out");
                    waiting.put(Change::remove(key), shared.clock.mono());
                }
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                tracing::error!(%why, ?table, "what the broker kept can't all be read");
                waiting.last_error = Some(why.clone());
                file.distrust(&why);
                Err(StoreError::Unread { why })
            }
        }
    }

    /// Takes changes in order; never waits. A later change of a row replaces an earlier one that is
    /// not written yet; what is made and removed between two commits is never written.
    pub fn put(&self, changes: impl IntoIterator<Item = Change>) {
        let Some(shared) = self.shared() else { return };
        let now = shared.clock.mono();
        let mut waiting = shared.lock();
        if waiting.health == Health::Closed {
            return;
        }
        for change in changes {
            waiting.put(change, now);
        }
        shared.wake_in_time(&mut waiting);
    }

    /// Resolves when everything that was put before is durable. Whoever waits is not kept waiting
    /// for the commit window.
    pub fn committed(&self) -> KeepCommit {
        let Some(shared) = self.shared() else { return KeepCommit { told: None } };
        let (waiter, told) = oneshot::channel();
        let mut waiting = shared.lock();
        waiting.wait(waiter);
        shared.wake_in_time(&mut waiting);
        KeepCommit { told: Some(told) }
    }

    /// What is not in the file for want of room, if there is room now: it has to be put once more, up
    /// to so many bytes ([`Change::cost`]), and the rest is handed back.
    pub fn take_left_out(&self) -> Option<(LeftOut, usize)> {
        self.shared()?.lock().take_left_out()
    }

    /// What had no room yet.
    pub fn leave_out(&self, left_out: &LeftOut) {
        if let Some(shared) = self.shared() {
            shared.lock().leave_out(left_out);
        }
    }

    /// Whether the file was begun anew since this was last asked, because the old one was lost while
    /// in use: then every session has to be put once more. Messages are among what was left out.
    pub fn take_renewed(&self) -> bool {
        self.shared().is_some_and(|shared| std::mem::take(&mut shared.lock().renewed))
    }

    pub fn status(&self) -> KeepStatus {
        let Some(shared) = self.shared() else { return KeepStatus::default() };
        let waiting = shared.lock();
        KeepStatus {
            health: waiting.health.clone(),
            file: shared
                .store
                .options
                .dir
                .as_deref()
                .map(|dir| file::database(dir).display().to_string()),
            file_bytes: waiting.file_bytes,
            waiting: waiting.len(),
            waiting_bytes: waiting.bytes(),
            waiting_bytes_max: WAITING_BYTES_MAX,
            incomplete: waiting.is_incomplete(),
            counters: waiting.counters.clone(),
            quarantined: waiting.quarantined.clone(),
            last_error: waiting.last_error.clone(),
        }
    }

    /// One moment of the broker's file as a file of its own; `None` if there is none. What was put and
    /// is not [`committed`](Keep::committed) is not in it. Blocks, and holds up what waits.
    ///
    /// # Errors
    /// One of the two can't be used, or there is no room.
    pub fn copy_to(&self, to: &Path) -> Result<Option<KeepCopied>, StoreError> {
        let Some(shared) = self.shared() else { return Ok(None) };
        shared.file().copy_to(to).map_err(|error| uncopied(&error))
    }

    /// As [`Keep::copy_to`], of a state directory that no gateway uses.
    ///
    /// # Errors
    /// As there.
    pub fn copy_at_rest(dir: &Path, to: &Path) -> Result<Option<KeepCopied>, StoreError> {
        file::copy_at_rest(&file::database(dir), to).map_err(|error| uncopied(&error))
    }

    /// Of the broker's file in a state directory that no gateway uses; nothing if there is none.
    pub fn at_rest(dir: &Path) -> Option<KeepStatus> {
        let path = file::database(dir);
        let file_bytes = path.metadata().ok()?.len();
        Some(KeepStatus {
            health: Health::Closed,
            file: Some(path.display().to_string()),
            file_bytes,
            quarantined: quarantine::list(&path),
            ..KeepStatus::default()
        })
    }

    /// Writes what waits and ends the writer. Blocks. To be done before the store is closed.
    pub fn close(self) {
        if let Some(thread) = &self.thread {
            thread.stop(Stop::Orderly);
        }
    }

    /// Ends the writer as a crash would.
    #[cfg(test)]
    fn crash(self) {
        if let Some(thread) = &self.thread {
            thread.stop(Stop::Crash);
        }
    }
}

fn uncopied(error: &FileError) -> StoreError {
    StoreError::Uncopied { why: error.to_string() }
}
