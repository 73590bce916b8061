//! What is to be written: the newest change of every row that the file has not yet.
//!
//! Pure. A later change replaces an earlier one, and what was made and is removed before it was
//! written is gone without a trace. Memory is bounded by [`WAITING_BYTES_MAX`]: beyond it messages
//! (queued and retained) stay in the broker's memory alone, which is counted, and whoever waits for
//! them is told that they are not safe. The file never has anything else in their place, and the
//! broker puts them once more when there is room ([`Waiting::take_left_out`]). Sessions and their
//! progress are always taken: the broker bounds them itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::left_out::LeftOut;
use super::status::KeepCounters;
use super::{Change, Key, Table};
use crate::model::Mono;
use crate::store::error::StoreError;
use crate::store::shared::Stop;
use crate::store::status::{Health, Quarantined};
use crate::store::window::Window;

/// Most memory for changes that wait, those that are being written included.
pub const WAITING_BYTES_MAX: usize = 32 << 20;
/// So much does not wait for the commit window to end.
const EAGER_BYTES: usize = 1 << 20;
/// What was left out is put once more when no more than this waits, and no more of it at once:
/// most of the room is for what is new.
const AGAIN_BYTES: usize = WAITING_BYTES_MAX / 4;
/// What a change costs in memory besides its bytes.
const CHANGE_OVERHEAD: usize = 128;

pub type Waiter = oneshot::Sender<Result<(), StoreError>>;

#[derive(Debug)]
struct Pending {
    value: Option<Bytes>,
    /// The file has no such row, for certain.
    new: bool,
}

/// Changes that go into one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    pub changes: BTreeMap<Key, Option<Bytes>>,
    /// When the first of it was put.
    pub since: Option<Mono>,
    bytes: usize,
}

pub struct Waiting {
    changes: BTreeMap<Key, Pending>,
    bytes: usize,
    /// Of the batch that is being written.
    writing_bytes: usize,
    is_writing: bool,
    /// When the oldest change was put.
    since: Option<Mono>,
    /// For what is in `changes`; and for what is being written.
    waiters: Vec<Waiter>,
    writing_waiters: Vec<Waiter>,
    /// Highest number of each numbered table that the file may have.
    reached: Reached,
    /// Something was left out that nobody was told of yet.
    has_left_out: bool,
    /// Not in the file, and not put once more.
    left_out: LeftOut,
    pub window: Window,
    pub health: Health,
    pub stop: Option<Stop>,
    /// Until when the writer sleeps; far in the past while it does not.
    pub wake_at: Mono,
    /// The file was begun anew, and the broker was not told yet.
    pub renewed: bool,
    pub counters: KeepCounters,
    pub file_bytes: u64,
    pub quarantined: Vec<Quarantined>,
    pub last_error: Option<String>,
}

/// Numbers only go up, so that what is beyond the highest that was ever written is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    pub progress: Option<u64>,
    pub message: Option<u64>,
}

impl Reached {
    /// Whether the file can't have this row.
    fn is_beyond(self, key: &Key) -> bool {
        match key {
            Key::Progress(number) => Some(*number) > self.progress,
            Key::Message(number) => Some(*number) > self.message,
            Key::Session(_) | Key::Retained(_) => false,
        }
    }

    fn note(&mut self, key: &Key) {
        match key {
            Key::Progress(number) => self.progress = self.progress.max(Some(*number)),
            Key::Message(number) => self.message = self.message.max(Some(*number)),
            Key::Session(_) | Key::Retained(_) => {}
        }
    }
}

/// What a change counts for while it waits.
pub fn cost(key: &Key, value: Option<&Bytes>) -> usize {
    let name = match key {
        Key::Session(name) | Key::Retained(name) => name.len(),
        Key::Progress(_) | Key::Message(_) => 0,
    };
    CHANGE_OVERHEAD + name + value.map_or(0, Bytes::len)
}

impl Waiting {
    pub fn new(window: Window, health: Health) -> Self {
        Self {
            changes: BTreeMap::new(),
            bytes: 0,
            writing_bytes: 0,
            is_writing: false,
            since: None,
            waiters: Vec::new(),
            writing_waiters: Vec::new(),
            reached: Reached::default(),
            has_left_out: false,
            left_out: LeftOut::default(),
            window,
            health,
            stop: None,
            wake_at: Mono(i64::MIN),
            renewed: false,
            counters: KeepCounters::default(),
            file_bytes: 0,
            quarantined: Vec::new(),
            last_error: None,
        }
    }

    /// The file that is there has numbers up to these.
    pub fn start_from(&mut self, reached: Reached) {
        self.reached = reached;
    }

    pub fn put(&mut self, change: Change, now: Mono) {
        let Change { key, mut value } = change;
        self.counters.changes_put += 1;
        let old = self.changes.remove(&key);
        if let Some(old) = &old {
            self.bytes = self.bytes.saturating_sub(cost(&key, old.value.as_ref()));
            self.counters.changes_spared += 1;
        }
        let new = old.map_or_else(|| self.reached.is_beyond(&key), |old| old.new);
        if value.is_some() && !self.has_room(&key, value.as_ref()) {
            self.counters.left_out += 1;
            self.has_left_out = true;
            // What is larger than all of the room would never have any.
            if cost(&key, value.as_ref()) <= WAITING_BYTES_MAX {
                self.left_out.add(&key);
            }
            value = None;
        }
        if value.is_none() && new {
            // The file never knew of it.
            self.counters.changes_spared += 1;
        } else {
            self.bytes += cost(&key, value.as_ref());
            self.changes.insert(key, Pending { value, new });
            self.since.get_or_insert(now);
        }
        if self.changes.is_empty() {
            self.since = None;
        }
    }

    fn has_room(&self, key: &Key, value: Option<&Bytes>) -> bool {
        let bounded = matches!(key.table(), Table::Message | Table::Retained);
        !bounded || self.bytes() + cost(key, value) <= WAITING_BYTES_MAX
    }

    /// What was left out, if there is room now, and how many bytes of it may be put once more.
    pub fn take_left_out(&mut self) -> Option<(LeftOut, usize)> {
        let has_room = self.bytes() <= AGAIN_BYTES && !self.left_out.is_empty();
        has_room.then(|| (std::mem::take(&mut self.left_out), AGAIN_BYTES))
    }

    /// What had no room after all, or is to be put for another reason.
    pub fn leave_out(&mut self, left_out: &LeftOut) {
        self.left_out.merge(left_out);
    }

    pub fn is_incomplete(&self) -> bool {
        !self.left_out.is_empty()
    }

    /// Has the waiter told when all that was put so far is in the file.
    pub fn wait(&mut self, waiter: Waiter) {
        let has_left_out = std::mem::take(&mut self.has_left_out);
        let answer = match &self.health {
            Health::Closed => Err(StoreError::Closed),
            Health::RamOnly(why) => Err(StoreError::NotKept { why: why.clone() }),
            _ if has_left_out => Err(StoreError::NotKept {
                why: "too much is waiting to be written already".to_owned(),
            }),
            _ if !self.changes.is_empty() => return self.waiters.push(waiter),
            _ if self.is_writing => return self.writing_waiters.push(waiter),
            _ => Ok(()),
        };
        let _ = waiter.send(answer);
    }

    /// When the next transaction has to begin, if there is anything to write.
    pub fn due(&self) -> Option<Mono> {
        if !self.waiters.is_empty() || self.bytes >= EAGER_BYTES {
            return Some(Mono(i64::MIN));
        }
        self.since.map(|since| since + self.window.wait())
    }

    /// Takes everything; [`Waiting::written`] or [`Waiting::failed`] must follow.
    pub fn take(&mut self) -> Batch {
        let changes: BTreeMap<Key, Option<Bytes>> = std::mem::take(&mut self.changes)
            .into_iter()
            .map(|(key, pending)| (key, pending.value))
            .collect();
        for (key, _) in changes.iter().filter(|(_, value)| value.is_some()) {
            self.reached.note(key);
        }
        self.writing_waiters = std::mem::take(&mut self.waiters);
        self.writing_bytes = std::mem::take(&mut self.bytes);
        self.is_writing = true;
        Batch { changes, since: self.since.take(), bytes: self.writing_bytes }
    }

    /// The batch is in the file.
    pub fn written(&mut self) {
        self.is_writing = false;
        self.writing_bytes = 0;
        for waiter in self.writing_waiters.drain(..) {
            let _ = waiter.send(Ok(()));
        }
    }

    /// The batch is not in the file, or nobody knows: it is written once more. Who waits for it
    /// waits on.
    pub fn failed(&mut self, batch: Batch) {
        self.is_writing = false;
        self.writing_bytes = 0;
        self.since = batch.since.or(self.since);
        self.bytes += batch.bytes;
        for (key, value) in batch.changes {
            let bytes = cost(&key, value.as_ref());
            match self.changes.entry(key) {
                Entry::Vacant(place) => drop(place.insert(Pending { value, new: false })),
                // A newer one is there.
                Entry::Occupied(_) => self.bytes = self.bytes.saturating_sub(bytes),
            }
        }
        self.waiters.append(&mut self.writing_waiters);
    }

    /// Tells all who wait that it is not safe.
    pub fn refuse(&mut self, error: &StoreError) {
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// What is to be done to a table of the file to have it as it is now.
    pub fn of(&self, table: Table) -> Vec<(Key, Option<Bytes>)> {
        let of_table = self.changes.iter().filter(|(key, _)| key.table() == table);
        of_table.map(|(key, pending)| (key.clone(), pending.value.clone())).collect()
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes + self.writing_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn waiting() -> Waiting {
        Waiting::new(Window::new(Duration::from_secs(1)), Health::Ok)
    }

    fn put(waiting: &mut Waiting, number: u64, bytes: usize) {
        let value = Bytes::from(vec![7; bytes]);
        waiting.put(Change::put(Key::Message(number), value), Mono(0));
    }

    fn told(waiting: &mut Waiting) -> oneshot::Receiver<Result<(), StoreError>> {
        let (waiter, told) = oneshot::channel();
        waiting.wait(waiter);
        told
    }

    #[test]
    fn what_was_never_written_goes_without_a_trace_and_what_may_have_been_is_removed() {
        let mut waiting = waiting();
        waiting.start_from(Reached { message: Some(4), progress: None });
        put(&mut waiting, 5, 100);
        let mut first = told(&mut waiting);
        assert!(first.try_recv().is_err(), "not yet");
        waiting.put(Change::remove(Key::Message(5)), Mono(1));
        assert_eq!((waiting.len(), waiting.bytes()), (0, 0));
        assert!(waiting.take().changes.is_empty());
        waiting.written();
        assert!(first.try_recv().unwrap().is_ok(), "there is nothing left to be safe");
        // In the file, or on the way to it.
        waiting.put(Change::remove(Key::Message(4)), Mono(1));
        put(&mut waiting, 6, 10);
        assert_eq!(waiting.take().changes.len(), 2);
        waiting.put(Change::remove(Key::Message(6)), Mono(2));
        assert_eq!(waiting.len(), 1, "the file is getting it at this moment");
        // Names may come again.
        for value in [Some(Bytes::new()), None] {
            waiting.put(Change { key: Key::Retained("a".into()), value }, Mono(2));
        }
        assert_eq!(waiting.of(Table::Retained), [(Key::Retained("a".into()), None)]);
    }

    #[test]
    fn a_failed_batch_comes_back_under_what_is_newer() {
        let mut waiting = waiting();
        put(&mut waiting, 1, 10);
        put(&mut waiting, 2, 20);
        let mut first = told(&mut waiting);
        let batch = waiting.take();
        let mut riding = told(&mut waiting);
        put(&mut waiting, 2, 5);
        let mut second = told(&mut waiting);
        assert_eq!(waiting.bytes(), 3 * CHANGE_OVERHEAD + 35);
        waiting.failed(batch);
        assert_eq!((waiting.len(), waiting.bytes()), (2, 2 * CHANGE_OVERHEAD + 15));
        assert!([&mut first, &mut riding, &mut second].iter_mut().all(|t| t.try_recv().is_err()));
        waiting.put(Change::remove(Key::Message(1)), Mono(0));
        assert_eq!(waiting.len(), 2, "it may be there for all that is known");
        waiting.take();
        waiting.written();
        for mut told in [first, riding, second] {
            assert!(told.try_recv().unwrap().is_ok());
        }
        assert_eq!(waiting.bytes(), 0);
        assert!(told(&mut waiting).try_recv().unwrap().is_ok(), "nothing is open");
    }

    #[test]
    fn beyond_the_bound_messages_are_left_out_told_and_never_stale() {
        let mut waiting = waiting();
        waiting.start_from(Reached { message: Some(1), progress: None });
        put(&mut waiting, 2, WAITING_BYTES_MAX - 1_000);
        let mut fits = told(&mut waiting);
        put(&mut waiting, 3, 2_000);
        put(&mut waiting, 1, 2_000);
        let mut refused = told(&mut waiting);
        let refused = refused.try_recv().unwrap().unwrap_err().to_string();
        assert!(refused.contains("too much"), "{refused}");
        let progress = Change::put(Key::Progress(1), Bytes::from(vec![0; 5_000]));
        waiting.put(progress, Mono(0));
        let mut after = told(&mut waiting);
        let written: Vec<_> =
            waiting.take().changes.into_iter().map(|(k, v)| (k, v.is_some())).collect();
        let expected =
            [(Key::Progress(1), true), (Key::Message(1), false), (Key::Message(2), true)];
        assert_eq!(written, expected);
        assert_eq!(waiting.take_left_out(), None, "there is no room yet");
        waiting.written();
        assert!(fits.try_recv().unwrap().is_ok() && after.try_recv().unwrap().is_ok());
        assert_eq!(waiting.counters.left_out, 2);
        let (left_out, room) = waiting.take_left_out().expect("there is room");
        assert!([1, 3].iter().all(|number| left_out.has_message(*number)));
        assert!(!left_out.has_message(4) && room < WAITING_BYTES_MAX);
        assert_eq!(waiting.take_left_out(), None, "it is the broker's turn");
        waiting.leave_out(&left_out);
        assert!(waiting.is_incomplete() && waiting.take_left_out().is_some());
    }
}
