//! Connections that have not sent their CONNECT yet. They are few at a time: when there are more
//! than allowed, the one that has been at it for longest makes room, so that a storm of them keeps
//! out nobody who has something to say. Knows no socket and no time.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Door;
use crate::broker::session::ConnId;
use crate::broker::status::Counters;

/// Bytes that all of them together may have sent beyond [`FREE_BYTES`] each.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Every one may send this much; the CONNECT of most clients has less than a hundred bytes.
const FREE_BYTES: usize = 4 * 1024;

/// In the order they came; dropping the sender tells the connection to go.
type Waiting = BTreeMap<ConnId, (Arc<Door>, oneshot::Sender<()>)>;

pub struct HalfOpen {
    waiting: Mutex<Waiting>,
    bytes: Arc<Semaphore>,
    counters: Arc<Counters>,
}

/// A place among the half-open connections; given back when it is dropped.
pub struct Turn {
    all: Arc<HalfOpen>,
    conn: ConnId,
    lost: oneshot::Receiver<()>,
    hold: Arc<Hold>,
}

/// What a half-open connection may hold of what it sent, wherever that is.
pub struct Hold {
    all: Arc<HalfOpen>,
    held: Mutex<Held>,
}

enum Held {
    /// For what it sent beyond [`FREE_BYTES`].
    Bytes(Option<OwnedSemaphorePermit>),
    /// It is half-open no more.
    Over,
}

impl HalfOpen {
    pub fn new(counters: Arc<Counters>) -> Arc<Self> {
        let bytes = Arc::new(Semaphore::new(BYTES_MAX));
        Arc::new(Self { waiting: Mutex::default(), bytes, counters })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in; the oldest goes when there are `most` already.
    pub fn enter(self: &Arc<Self>, conn: ConnId, door: &Arc<Door>, most: usize) -> Turn {
        let (stay, lost) = oneshot::channel();
        let mut waiting = self.waiting();
        while waiting.len() >= most.max(1) && waiting.pop_first().is_some() {
            self.counters.half_open_cut.one();
        }
        waiting.insert(conn, (Arc::clone(door), stay));
        self.counters.half_open.set(waiting.len());
        drop(waiting);
        let hold = Hold { all: Arc::clone(self), held: Mutex::new(Held::Bytes(None)) };
        Turn { all: Arc::clone(self), conn, lost, hold: Arc::new(hold) }
    }

    /// Ends the oldest, of this door if one is named; says whether there was one.
    pub fn make_room(&self, door: Option<&Arc<Door>>) -> bool {
        let mut waiting = self.waiting();
        let mut them = waiting.iter();
        let oldest = them.find(|(_, (at, _))| door.is_none_or(|door| Arc::ptr_eq(at, door)));
        let Some(conn) = oldest.map(|(conn, _)| *conn) else { return false };
        waiting.remove(&conn);
        self.counters.half_open.set(waiting.len());
        self.counters.half_open_cut.one();
        true
    }
}

impl Turn {
    /// Resolves when the place is needed for another connection.
    pub async fn lost(&mut self) {
        match (&mut self.lost).await {
            Err(_) => {}
            Ok(()) => pending().await,
        }
    }

    /// For a layer that takes more off the socket than it hands on.
    pub fn hold(&self) -> Arc<Hold> {
        Arc::clone(&self.hold)
    }
}

impl Hold {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection may hold this many bytes that make no whole CONNECT yet.
    pub fn may_hold(&self, bytes: usize) -> bool {
        let mut held = self.lock();
        let Held::Bytes(held) = &mut *held else { return true };
        let already = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.saturating_sub(FREE_BYTES).saturating_sub(already);
        let Ok(count) = u32::try_from(more) else { return false };
        if count == 0 {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.all.bytes).try_acquire_many_owned(count) else {
            self.all.counters.half_open_cut.one();
            return false;
        };
        match held {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        true
    }

    /// Whether there is nothing to look at any more.
    pub fn is_over(&self) -> bool {
        matches!(*self.lock(), Held::Over)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.hold.lock() = Held::Over;
        let mut waiting = self.all.waiting();
        waiting.remove(&self.conn);
        self.all.counters.half_open.set(waiting.len());
    }
}
