//! The store: SQLite store-and-forward, the only memory that survives.
//!
//! Producers append, and never wait; consumers read what they have not settled, settle it, and it
//! goes. Every reading and message has a position of its own in its class's sequence. For every
//! consumer and class, at every moment, `appended = delivered + excluded + dropped + waiting`.
//!
//! # How it works
//! Everything appended lies in memory first, the *tail*, and consumers who keep up are served from
//! there. When the commit window of the oldest item ends, one thread writes what required consumers
//! have not settled by then, as chunks (`chunk.rs`), together with cursors and sums, in one
//! transaction (`transaction.rs`). What was settled in time is never written. Consumers who lag
//! read from the file through a second thread (`reader.rs`). No lock is held across I/O.
//!
//! # What is trusted after a crash or a power cut
//! - *A transaction that returned is there*: `synchronous=FULL` on a WAL, no automatic checkpoint
//!   (it swallows errors), and after any error a new connection that looks what the file has before
//!   it goes on. Only then is a [`Commit`] told and a flush done.
//! - *Lost is at most the commit window*: what was appended less than [`Options::commit`] (plus one
//!   transaction) ago and not settled. Nobody was told that it was safe.
//! - *A settlement may be forgotten*, the last [`work::QUIET_WRITE`] of them at most: then what it
//!   was for is delivered again, if it was in the file. Never the reverse: a cursor is written no sooner than what it passes over is
//!   settled or dropped.
//! - *No position is given out twice within an epoch*: a mark beyond all that were given out is in
//!   the file before they are visible; after a crash work goes on at the mark. The jump is noted in
//!   the ledger as `skipped`: what it covers was either never there, delivered, or within the
//!   window. Every new file has a new epoch; so has a time without disk that outlasts the mark.
//! - *A damaged chunk is skipped*, found by its CRC and counted as `corrupt`. Damage to the file
//!   around it sets the whole file aside (`quarantine.rs`), and work goes on in a new one at once;
//!   what is whole in the old one is brought back in the background (`salvage/`).
//!
//! # Who is told
//! Every loss is a row of the ledger (`ledger.rs`), for one consumer, exact to the position, in the
//! transaction that also holds the cursor which says so. Rows are handed out as notices
//! (`notices.rs`) until the consumer says that it was told, together with jumps of positions, new
//! epochs, and times that turned out to be wrong (`boot.rs`).
//!
//! # What it does not do
//! It knows no MQTT and no bus; it does not filter: a consumer that does not want something settles
//! it as excluded. A best-effort consumer never causes a write and never holds the file: it lives on
//! the tail and on what lies there for others.

mod accounting;
mod audit;
mod ballast;
mod boot;
mod checkpoint;
mod chunk;
mod copy;
mod cursor;
mod drop_words;
mod entry;
mod error;
mod file;
mod guests;
mod inbox;
mod inspect;
mod keep;
mod lane;
mod ledger;
mod ledger_rows;
mod migrate;
mod notices;
mod packed;
mod per_class;
mod proof;
mod quarantine;
mod reader;
mod recent;
mod registry;
mod rehearsal;
mod row;
mod rows;
mod salvage;
mod schema;
mod shared;
mod space;
mod state;
mod status;
mod transaction;
mod values;
mod wal;
mod wear;
mod window;
mod wire;
mod work;
mod writer;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::config::StorePlan;
use crate::model::{Batch, Class, Clock, Message, Mono, Seq, TagId, TagMeta, Wall};

pub use accounting::Reason;
pub use audit::{AuditRecord, AuditRow};
pub use boot::Times;
#[doc(hidden)]
pub use chunk::pack_readings;
pub use copy::{Copied, adopt, copy, in_use};
pub use drop_words::drop_words;
pub use entry::{Body, BootNo, ConsumerSpec, Entry, Policy, Position, Settled};
pub use error::StoreError;
pub use file::database;
pub use inspect::{Damage, Findings, Inspector, Pages, RowPage};
pub use keep::{
    Change, Keep, KeepCommit, KeepCopied, KeepCounters, KeepStatus, Key, LeftOut, Table,
    WAITING_BYTES_MAX, broker_database,
};
pub use ledger::{DropRow, NOTICES_MAX};
pub use notices::{Notice, NoticeKind};
pub use per_class::FIRST_TO_GO;
pub use recent::TailPage;
pub use rehearsal::room;
pub use row::{Filter, Row};
pub use salvage::salvage_into;
pub use space::{Space, quota};
pub use status::{
    AccountStatus, Check, ConsumerStatus, Counters, Health, Quarantined, StoreStatus,
};
pub use wear::WearStatus;
#[doc(hidden)]
pub use work::CHUNK_MAX;

use file::StoreFile;
use lane::{Found, Fresh};
use reader::{Page, Reader};
use row::Meanings;
use shared::{Shared, Stop};
use state::State;
use writer::Writer;

#[cfg(test)]
mod delete_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
mod inbox_tests;
#[cfg(test)]
mod mode_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod proof_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wear_tests;

/// Where and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The state directory; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// The commit window: at most this much is lost by a crash or a power cut.
    pub commit: Duration,
    /// What all required consumers settle within the window need not be written.
    pub write_behind: bool,
    /// Bytes that may be written to the card or disk before it wears out.
    pub endurance_bytes: u64,
    /// The byte quota; `None`: a quarter of the file system, at most 4 GB.
    pub max_bytes: Option<u64>,
    pub max_age: Duration,
    /// Bound of the tail in memory.
    pub ram_bytes: usize,
}

#[cfg(test)]
impl Options {
    /// For tests of others: a small store that needs no disk.
    pub fn in_memory() -> Self {
        Self {
            dir: None,
            commit: Duration::from_secs(1),
            write_behind: true,
            endurance_bytes: 4_000_000_000_000,
            max_bytes: Some(1 << 20),
            max_age: Duration::from_secs(3600),
            ram_bytes: 1 << 20,
        }
    }
}

impl From<&StorePlan> for Options {
    fn from(plan: &StorePlan) -> Self {
        Self {
            dir: plan.path.clone(),
            commit: plan.commit,
            write_behind: plan.write_behind,
            endurance_bytes: plan.endurance_bytes,
            max_bytes: plan.max_bytes,
            max_age: plan.max_age,
            ram_bytes: plan.ram_bytes,
        }
    }
}

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    threads: Arc<Threads>,
}

/// Ends the threads, at the latest when the last handle goes.
struct Threads {
    shared: Arc<Shared>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    fn stop(&self, how: Stop) {
        self.shared.lock().control.stop.get_or_insert(how);
        self.shared.wake();
        self.shared.background.notify_all();
        let handles =
            std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in handles {
            let name = handle.thread().name().unwrap_or_default().to_owned();
            if handle.join().is_err() {
                tracing::error!(thread = name, "a thread of the store had come to a bad end");
            }
        }
        self.shared.reader.close();
        #[cfg(test)]
        self.shared.check_accounts();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop(Stop::Orderly);
    }
}

/// One consumer's view of the store. Clones are the same consumer.
#[derive(Clone)]
pub struct Consumer {
    shared: Arc<Shared>,
    id: u32,
}

/// Tells when an appended message is safe.
#[derive(Debug)]
pub struct Commit {
    seq: Seq,
    told: oneshot::Receiver<Result<(), StoreError>>,
}

impl Commit {
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Resolves when the message is in the file, or settled by everyone who counts on the file,
    /// or at once if the store is meant to be in memory only.
    pub async fn wait(self) -> Result<(), StoreError> {
        self.told.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Store {
    /// Opens the store of a state directory, or makes it. A file that can't be used is set aside; an
    /// error is only what a person must put right.
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_as_if(options, clock, None)
    }

    /// As [`Store::open`]; with `space`, as if it lay on a file system with this room.
    fn open_as_if(
        options: Options,
        clock: Arc<dyn Clock>,
        space: Option<Space>,
    ) -> Result<Self, StoreError> {
        let (file, state, connection, reader) = match &options.dir {
            None => {
                let mut state = State::new(fastrand::u64(1..), u64::MAX / 2, options.ram_bytes);
                state.observe_clock(&*clock);
                (None, state, None, Reader::none())
            }
            Some(dir) => {
                let mut file = StoreFile::lock(dir, options.max_bytes)?;
                if let Some(space) = space {
                    file.pretend(space, options.max_bytes);
                }
                let (mut state, connection) = file.open(&*clock, options.ram_bytes);
                state.disk.quota = file.quota;
                state.disk.allowed = file.quota;
                let reader = Reader::start(file.path.clone(), connection.is_none())?;
                (Some(file), state, connection, reader)
            }
        };
        let shared = Arc::new(Shared::new(state, clock, options, reader));
        let database = file.as_ref().map(|file| file.path.clone());
        let writer = Writer::new(Arc::clone(&shared), file, connection);
        let handle = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Thread(Arc::new(error)))?;
        let mut handles = vec![handle];
        if let Some(database) = database {
            handles.push(salvage::start(Arc::clone(&shared), database)?);
        }
        let threads = Threads { shared: Arc::clone(&shared), handles: Mutex::new(handles) };
        Ok(Self { shared, threads: Arc::new(threads) })
    }

    /// Part of every message id; a new one is drawn with every new file.
    pub fn epoch(&self) -> u64 {
        self.shared.lock().epoch
    }

    /// Steps of the writer; it makes one at least every second.
    pub fn turns(&self) -> u64 {
        self.shared.pulse.turns()
    }

    /// Gives tags their numbers; equal metas always have the same one.
    pub fn register_tags(&self, metas: &[TagMeta]) -> Vec<TagId> {
        let mut state = self.shared.lock();
        metas.iter().map(|meta| state.tags.register(meta)).collect()
    }

    pub fn tag(&self, id: TagId) -> Option<Arc<TagMeta>> {
        self.shared.lock().tags.get(id)
    }

    /// Sets who consumes. Those that stay keep their cursors, new ones start at the head, the
    /// others are forgotten.
    pub fn set_consumers(&self, specs: &[ConsumerSpec]) {
        self.shared.lock().set_consumers(specs);
        self.shared.background.notify_all();
        self.shared.announce();
    }

    /// Takes readings; never waits for the disk.
    pub fn append(&self, batch: Batch) -> Range<Seq> {
        let range = self.shared.append(batch.class, Fresh::of_readings(batch.readings), None);
        Seq(range.start)..Seq(range.end)
    }

    /// Takes a message; [`Commit::wait`] tells when it is safe.
    pub fn append_message(&self, class: Class, message: Message) -> Commit {
        let (tell, told) = oneshot::channel();
        let message = Fresh::from(Body::Message(message));
        let range = self.shared.append(class, vec![message], Some(tell));
        Commit { seq: Seq(range.start), told }
    }

    /// Changes whenever there may be something new to read.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Wall time of something that was read at `at` during `boot`.
    pub fn wall(&self, boot: BootNo, at: Mono) -> Wall {
        self.shared.lock().boots.wall(boot, at)
    }

    /// What the boot rows mean now, all at one moment.
    pub fn times(&self) -> Arc<Times> {
        Arc::clone(&self.shared.lock().times)
    }

    /// The boot row that holds now, for readings that did not come out of the store.
    pub fn boot(&self) -> BootNo {
        self.shared.lock().boot
    }

    pub fn consumer(&self, name: &str) -> Option<Consumer> {
        let id = self.shared.lock().find(name)?;
        Some(Consumer { shared: Arc::clone(&self.shared), id })
    }

    pub fn status(&self) -> StoreStatus {
        status::of(&self.shared.lock(), &self.shared.options, &*self.shared.clock)
    }

    /// What was appended since a number of [`TailPage::next`], as far as memory goes back; 0 is the
    /// beginning.
    pub fn tail(&self, since: u64) -> TailPage {
        let (run, found, meanings) = {
            let state = self.shared.lock();
            let found = state.recent.since(since);
            let used = found.entries.iter().flat_map(|(_, entry)| entry.tags());
            let tags = used.filter_map(|id| Some((id, state.tags.get(id)?))).collect();
            let (epoch, boots) = (state.epoch, state.boots.clone());
            (state.recent.run, found, Meanings { epoch, boots, tags })
        };
        let entries = found.entries.iter();
        let rows = entries.flat_map(|(class, entry)| meanings.rows(*class, entry)).collect();
        TailPage { run, missed: found.missed, next: found.next, more: found.more, rows }
    }

    /// The last `n` losses, oldest first.
    pub async fn drops(&self, n: usize) -> Result<Vec<DropRow>, StoreError> {
        let doing = "read the record of drops";
        let old = self.shared.reader.drops(n).await;
        let old = old.map_err(|source| StoreError::Sqlite { doing, source: Arc::new(source) })?;
        // The newest are not in the file yet, or not as they are now.
        let newest = self.status().drops;
        let all: BTreeMap<i64, DropRow> =
            old.into_iter().chain(newest).map(|row| (row.id, row)).collect();
        Ok(all.into_values().collect())
    }

    /// Remembers something learned across restarts; `None` forgets it.
    pub fn set_fact(&self, key: &str, value: Option<&str>) {
        self.shared.lock().facts.set(key, value);
    }

    pub fn facts(&self) -> Vec<(String, String)> {
        self.shared.lock().facts.all()
    }

    /// Keeps what became of a command; never waits for the disk.
    pub fn record(&self, record: AuditRecord) {
        let (wall, now) = (self.shared.clock.wall(), self.shared.clock.mono());
        let mut state = self.shared.lock();
        state.audit.record(record, wall.0, now);
        self.shared.release_in_time(state, now);
    }

    /// The newest records of commands, oldest first; those before them are in the file alone.
    pub fn audit(&self) -> Vec<AuditRow> {
        self.shared.lock().audit.rows().cloned().collect()
    }

    /// Resolves when everything appended so far that must be written is durable, or could not be
    /// written; says which. (The status would not: the disk may be well again before it is read.)
    pub async fn flush(&self) -> bool {
        let (tell, told) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.health == Health::Closed {
                return false;
            }
            state.control.flushes.push(tell);
        }
        self.shared.wake();
        told.await.unwrap_or(false)
    }

    /// Flushes, marks the shutdown as orderly and ends the store's threads. Blocks. The other
    /// handles stay usable, for what is in memory.
    pub fn close(self) {
        self.threads.stop(Stop::Orderly);
    }

    /// Ends the writer as a crash would.
    #[cfg(test)]
    pub(crate) fn crash(self) {
        self.threads.stop(Stop::Crash);
    }
}

impl Consumer {
    pub fn position(&self, class: Class) -> Position {
        self.shared.lock().position(self.id, class)
    }

    /// The head of [`Consumer::position`] alone, which costs no copy.
    pub fn head(&self, class: Class) -> Seq {
        Seq(self.shared.lock().lanes.get(class).visible())
    }

    /// Copies out what is in `range`, in order, about `bytes_max` bytes of memory at most (but at
    /// least one item if there is any). What no longer exists is absent, and settled by the store.
    /// Waits for positions that can't be told yet under the epoch that holds now.
    pub async fn read(
        &self,
        class: Class,
        range: Range<Seq>,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut at = range.start.0;
        let mut changed = self.shared.changed.subscribe();
        loop {
            let found = {
                let state = self.shared.lock();
                let lane = state.lanes.get(class);
                let end = range.end.0.min(lane.visible());
                if at >= range.end.0.min(lane.head) {
                    return Ok(Vec::new());
                }
                let found = (at < end).then(|| lane.read(at..end, bytes_max));
                if state.health == Health::Closed && !matches!(found, Some(Found::Entries(_))) {
                    return Err(StoreError::Closed);
                }
                found
            };
            let missing = match found {
                Some(Found::Entries(entries)) => return Ok(entries),
                Some(Found::NotHere(missing)) => missing,
                None => {
                    // The sender lives in what we hold.
                    let _ = changed.changed().await;
                    continue;
                }
            };
            let page = match self.shared.reader.read(class, missing.clone(), bytes_max).await {
                None => Page { scanned: missing.end, ..Page::default() },
                Some(Ok(page)) => page,
                Some(Err(failure)) => {
                    if failure.damage {
                        let why = failure.error.to_string();
                        self.shared.lock().control.poisoned.get_or_insert(why);
                        self.shared.wake();
                    }
                    return Err(failure.error);
                }
            };
            at = page.scanned;
            self.shared.lock().found(class, missing.start..page.scanned, &page);
            if !page.entries.is_empty() {
                return Ok(page.entries);
            }
        }
    }

    /// Settles what was delivered or is not wanted: at once in memory, in the file with the next
    /// transaction.
    pub fn settle(&self, class: Class, ranges: &[Range<Seq>], how: Settled) {
        let mut state = self.shared.lock();
        state.settle(self.id, class, ranges, how);
        self.shared.release(state);
    }
}
