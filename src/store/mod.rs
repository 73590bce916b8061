//! The store: SQLite store-and-forward.

mod accounting;
mod boot;
mod cursor;
mod entry;
mod error;
mod lane;
mod per_class;
mod registry;
mod state;
mod status;
mod wire;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::config::StorePlan;
use crate::model::{Batch, Class, Clock, Message, Mono, Seq, TagId, TagMeta, Wall};

pub use entry::{Body, BootNo, ConsumerSpec, Entry, Policy, Position, Settled};
pub use error::StoreError;
pub use status::{AccountStatus, ConsumerStatus, Counters, Health, Quarantined, StoreStatus};

use lane::Found;
use state::State;

/// Where and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The state directory; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// The commit window: at most this much is lost by a crash or a power cut.
    pub commit: Duration,
    pub max_bytes: u64,
    pub max_age: Duration,
    /// Bound of the tail in memory.
    pub ram_bytes: usize,
}

impl From<&StorePlan> for Options {
    fn from(plan: &StorePlan) -> Self {
        Self {
            dir: plan.path.clone(),
            commit: plan.commit,
            max_bytes: plan.max_bytes,
            max_age: plan.max_age,
            ram_bytes: plan.ram_bytes,
        }
    }
}

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
    options: Options,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
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
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let mut state = State::new(fastrand::u64(1..), u64::MAX, options.ram_bytes);
        state.observe_clock(&*clock);
        let shared =
            Shared { state: Mutex::new(state), changed: watch::Sender::new(0), clock, options };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Part of every message id; a new one is drawn with every new file.
    pub fn epoch(&self) -> u64 {
        self.shared.lock().epoch
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
        self.shared.announce();
    }

    /// Takes readings; never waits for the disk.
    pub fn append(&self, batch: Batch) -> Range<Seq> {
        let now = self.shared.clock.mono();
        let mut state = self.shared.lock();
        state.observe_clock(&*self.shared.clock);
        let range = state.append(batch.class, batch.readings, now);
        drop(state);
        self.shared.announce();
        range
    }

    /// Takes a message; [`Commit::wait`] tells when it is safe.
    pub fn append_message(&self, class: Class, message: Message) -> Commit {
        let (tell, told) = oneshot::channel();
        let now = self.shared.clock.mono();
        let mut state = self.shared.lock();
        state.observe_clock(&*self.shared.clock);
        let seq = state.append_message(class, message, now, tell);
        drop(state);
        self.shared.announce();
        Commit { seq, told }
    }

    /// Changes whenever there may be something new to read.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Wall time of something that was read at `at` during `boot`.
    pub fn wall(&self, boot: BootNo, at: Mono) -> Wall {
        self.shared.lock().boots.wall(boot, at)
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

    /// Remembers something learned across restarts; `None` forgets it.
    pub fn set_fact(&self, key: &str, value: Option<&str>) {
        self.shared.lock().facts.set(key, value);
    }

    pub fn facts(&self) -> Vec<(String, String)> {
        self.shared.lock().facts.all()
    }

    /// Resolves when everything appended so far that must be written is durable, or could not be
    /// written (see [`Store::status`]).
    pub async fn flush(&self) {}

    /// Flushes, marks the shutdown as orderly and ends the store's threads. Blocks.
    pub fn close(self) {}
}

impl Consumer {
    pub fn position(&self, class: Class) -> Position {
        self.shared.lock().position(self.id, class)
    }

    /// Copies out what is in `range`, in order, about `bytes_max` bytes of memory at most (but at
    /// least one item if there is any). What no longer exists is absent, and settled by the store.
    pub async fn read(
        &self,
        class: Class,
        range: Range<Seq>,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut at = range.start.0;
        loop {
            let found = {
                let state = self.shared.lock();
                let lane = state.lanes.get(class);
                let end = range.end.0.min(lane.visible());
                if at >= end {
                    return Ok(Vec::new());
                }
                lane.read(at..end, bytes_max)
            };
            match found {
                Found::Entries { entries, .. } => return Ok(entries),
                Found::NotHere(missing) => at = missing.end,
            }
        }
    }

    /// Settles what was delivered or is not wanted: at once in memory, in the file with the next
    /// transaction.
    pub fn settle(&self, class: Class, ranges: &[Range<Seq>], how: Settled) {
        self.shared.lock().settle(self.id, class, ranges, how);
    }
}
