//! What waits to be written to one connection: filled by the router, emptied by the connection.
//!
//! Bounded by the router, which asks for room before it adds a message. Small packets are gathered
//! in one buffer, large payloads are shared between all the connections that get them. One step per
//! batch, not per packet: the router calls [`Outbox::send`] when it has done a round. Small packets
//! for a plain socket are written there and then: a task that is woken for them costs more than the
//! writing. Everything else, and what the socket does not take, is the connection's work.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::task::AtomicWaker;

use super::listener::Plain;
use super::status::Level;

/// Payloads from this size on are shared instead of copied.
const SHARED_FROM: usize = 2048;
/// A buffer that is no larger is kept for the next packets.
const KEPT_BYTES: usize = 512;

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
    /// Where packets may be written without the connection, as long as that is there.
    socket: Option<Plain>,
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

    /// Writes small packets if nothing is to go before them and nobody waits for anything else;
    /// gives the bytes that were written.
    fn write_at_once(&mut self) -> usize {
        let Some(socket) = &self.socket else { return 0 };
        let is_first = self.chunks.is_empty() && self.queued == self.tail.len();
        if !is_first || self.starved || self.end != End::Open {
            return 0;
        }
        // What is wrong with the socket the connection will find.
        let Ok(count) = socket.try_write(&self.tail) else { return 0 };
        if count < self.tail.len() {
            self.tail.advance(count);
        } else if self.tail.capacity() <= KEPT_BYTES {
            self.tail.clear();
        } else {
            self.tail = BytesMut::new();
        }
        self.wrote(count);
        count
    }

    fn wrote(&mut self, count: usize) {
        self.queued = self.queued.saturating_sub(count);
        self.written += u64::try_from(count).unwrap_or(0);
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

    /// A round is done: what waits leaves, or the connection is woken for it. Gives the bytes that
    /// were written here, and those that wait.
    pub fn send(&self) -> (usize, usize) {
        let mut inner = self.lock();
        let written = inner.write_at_once();
        let queued = inner.queued;
        let is_all = written > 0 && queued == 0;
        drop(inner);
        if !is_all {
            self.waker.wake();
        }
        (written, queued)
    }

    /// From now on small packets may be written here.
    pub fn attach(&self, socket: Plain) {
        self.lock().socket = Some(socket);
    }

    /// The connection is over, and with it the socket.
    pub fn detach(&self) {
        self.lock().socket = None;
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
        inner.wrote(count);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::broker::listener::Duplex;

    /// Counts how often the connection would be woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Bench {
        outbox: Outbox,
        /// To be kept, or the socket is closed.
        _connection: Duplex,
        peer: TcpStream,
        woken: Arc<Woken>,
    }

    impl Bench {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            stream.writable().await.unwrap();
            let (connection, writing) = Duplex::new(stream);
            let bench = Self {
                outbox: Outbox::default(),
                _connection: connection,
                peer,
                woken: Arc::default(),
            };
            bench.outbox.attach(writing);
            bench.take();
            bench
        }

        /// As the connection does when it is polled.
        fn take(&self) -> VecDeque<Bytes> {
            let mut chunks = VecDeque::new();
            self.outbox.take(&mut chunks, &Waker::from(Arc::clone(&self.woken)));
            chunks
        }

        fn woken(&self) -> usize {
            self.woken.0.load(Ordering::Relaxed)
        }

        async fn read(&mut self, bytes: usize) -> Vec<u8> {
            let mut read = vec![0; bytes];
            self.peer.read_exact(&mut read).await.unwrap();
            read
        }
    }

    #[tokio::test]
    async fn small_packets_leave_at_once_and_wake_nobody() {
        let mut bench = Bench::new().await;
        for packet in [&b"one"[..], b"two"] {
            bench.outbox.answer(packet);
            assert_eq!(bench.outbox.send(), (3, 0));
            assert_eq!(bench.read(3).await, packet);
        }
        assert_eq!((bench.woken(), bench.outbox.progress().written), (0, 6));
        assert!(bench.take().is_empty());
    }

    #[tokio::test]
    async fn what_has_something_before_it_is_the_connections() {
        let bench = Bench::new().await;
        // Taken and not yet written.
        bench.outbox.answer(b"one");
        assert_eq!(bench.take().len(), 1);
        bench.outbox.answer(b"two");
        assert_eq!((bench.outbox.send(), bench.woken()), ((0, 6), 1));
        bench.outbox.wrote(3, usize::MAX);
        // A large payload.
        let payload = Bytes::from(vec![7; SHARED_FROM]);
        assert!(bench.outbox.publish((b"head", 4), None, &payload, usize::MAX, false));
        bench.take();
        bench.outbox.answer(b"behind");
        assert_eq!((bench.outbox.send().0, bench.woken()), (0, 2));
        // The last words of a connection that ends.
        let bench = Bench::new().await;
        bench.outbox.answer(b"bye");
        bench.outbox.end(End::Finish);
        bench.take();
        bench.outbox.answer(b"more");
        assert_eq!((bench.outbox.send().0, bench.woken()), (0, 2));
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_stays_in_order() {
        let mut bench = Bench::new().await;
        let (mut put, mut written) = (0_u32, 0);
        while bench.woken() == 0 {
            for _ in 0..1_000 {
                bench.outbox.answer(&put.to_be_bytes());
                put += 1;
            }
            written += bench.outbox.send().0;
        }
        let rest: Vec<u8> = bench.take().iter().flatten().copied().collect();
        let mut all = bench.read(written).await;
        all.extend(rest);
        let expected: Vec<u8> = (0..put).flat_map(u32::to_be_bytes).collect();
        assert!(all == expected, "{} of {} bytes in order", all.len(), expected.len());
    }

    #[tokio::test]
    async fn a_connection_that_is_over_has_its_socket_closed() {
        let bench = Bench::new().await;
        let Bench { outbox, _connection: connection, mut peer, .. } = bench;
        drop(connection);
        outbox.detach();
        outbox.answer(b"too late");
        assert_eq!(outbox.send(), (0, 8));
        assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
