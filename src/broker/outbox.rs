//! What waits to be written to one connection: filled by the router, emptied by the connection.
//!
//! Bounded by the router, which asks for room before it adds a message. Small packets are gathered
//! in one buffer, large payloads are shared between all the connections that get them. A wake-up
//! per batch, not per packet: the router calls [`Outbox::wake`] when it has done a round.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::task::AtomicWaker;

use super::status::Level;

/// Payloads from this size on are shared instead of copied.
const SHARED_FROM: usize = 2048;

#[derive(Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
    waker: AtomicWaker,
    /// How often the connection was not read because its client sent too fast.
    held_back: Level,
}

#[derive(Default)]
struct Inner {
    chunks: VecDeque<Bytes>,
    /// Small packets after the last chunk.
    tail: BytesMut,
    /// Bytes here and with the connection, not yet written.
    queued: usize,
    /// Bytes written since the start; the router sees by it whether a client still reads.
    written: u64,
    /// The router wants to hear when there is room again.
    starved: bool,
    end: End,
}

/// Whether the connection shall go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    #[default]
    Open,
    /// Close after the rest is written.
    Finish,
    /// Close at once.
    Abort,
}

/// How far a connection got with its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub queued: usize,
    pub written: u64,
}

impl Inner {
    fn put(&mut self, bytes: &[u8]) {
        self.tail.put_slice(bytes);
        self.queued += bytes.len();
    }

    fn put_payload(&mut self, payload: &Bytes) {
        if payload.len() < SHARED_FROM {
            return self.put(payload);
        }
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.chunks.push_back(tail);
        }
        self.chunks.push_back(payload.clone());
        self.queued += payload.len();
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a packet whatever waits already; for acknowledgements and other answers.
    pub fn answer(&self, packet: &[u8]) {
        self.lock().put(packet);
    }

    /// Adds a PUBLISH if fewer than `limit` bytes wait; says whether it did. A refused QoS 1
    /// message must wait elsewhere, so `starve` asks for a call when there is room again.
    pub fn publish(
        &self,
        (head, id_at): (&[u8], usize),
        id: Option<u16>,
        payload: &Bytes,
        limit: usize,
        starve: bool,
    ) -> bool {
        let mut inner = self.lock();
        if inner.queued >= limit {
            inner.starved |= starve;
            return false;
        }
        match id {
            None => inner.put(head),
            Some(id) => {
                let (before, after) = head.split_at_checked(id_at).unwrap_or((head, &[]));
                inner.put(before);
                inner.put(&id.to_be_bytes());
                inner.put(after);
            }
        }
        inner.put_payload(payload);
        true
    }

    /// Whether fewer than `limit` bytes wait; if not, the connection reports when there is room.
    pub fn has_room(&self, limit: usize) -> bool {
        let mut inner = self.lock();
        let room = inner.queued < limit;
        inner.starved |= !room;
        room
    }

    pub fn progress(&self) -> Progress {
        let inner = self.lock();
        Progress { queued: inner.queued, written: inner.written }
    }

    pub fn held_back(&self) {
        self.held_back.set(self.held_back.get() + 1);
    }

    pub fn times_held_back(&self) -> usize {
        self.held_back.get()
    }

    /// Asks the connection to end and wakes it.
    pub fn end(&self, end: End) {
        self.lock().end = end;
        self.waker.wake();
    }

    /// Lets the connection look.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Moves everything that waits to `chunks`; the connection's side.
    pub fn take(&self, chunks: &mut VecDeque<Bytes>, waker: &Waker) -> End {
        self.waker.register(waker);
        let mut inner = self.lock();
        if chunks.is_empty() {
            mem::swap(chunks, &mut inner.chunks);
        } else {
            chunks.append(&mut inner.chunks);
        }
        if !inner.tail.is_empty() {
            chunks.push_back(mem::take(&mut inner.tail).freeze());
        }
        inner.end
    }

    /// Notes that `count` bytes are written; says whether the router wants to hear that there is
    /// room again, which it does once when less than half of `limit` waits.
    pub fn wrote(&self, count: usize, limit: usize) -> bool {
        let mut inner = self.lock();
        inner.queued = inner.queued.saturating_sub(count);
        inner.written += u64::try_from(count).unwrap_or(0);
        inner.queued < limit / 2 && mem::take(&mut inner.starved)
    }

    /// Everything that waits, as one piece, and whether the router wants to hear of the room; for
    /// tests that have no connection.
    #[cfg(test)]
    pub fn drain(&self, limit: usize, waker: &Waker) -> (Vec<u8>, End, bool) {
        let mut chunks = VecDeque::new();
        let end = self.take(&mut chunks, waker);
        let bytes: Vec<u8> = chunks.iter().flatten().copied().collect();
        let room = self.wrote(bytes.len(), limit);
        (bytes, end, room)
    }
}
