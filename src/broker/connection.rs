//! One connection: bytes off the socket to packets for the router, bytes of the outbox onto it.
//!
//! Generic over the stream: TCP, TLS, WebSocket and Unix sockets are the same here. Reading
//! and writing go on side by side: a client that doesn't read still gets its packets taken, until
//! the router cuts it. An idle connection holds no buffer.
//!
//! Nobody is taken from faster than its turn comes: of one connection only [`BATCHES_MAX`] batches
//! wait for the router, and a client above its packets per second is not read for a while.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};

use super::access::{Claim, Guard};
use super::encode::{self, Room};
use super::held::Held;
use super::listener::{Door, Duplex, Turn};
use super::outbox::{End, Outbox};
use super::packet::{Incoming, Reason, Version};
use super::peer::Peer;
use super::rate::{Pace, Rate};
use super::router::Event;
use super::session::ConnId;
use super::status::Counters;
use super::wire::{Decoder, WireError};
use crate::config::BrokerLimits;

/// Bytes of packets that may wait for the router, from all connections together.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes taken off the socket at once.
const READ_BYTES: usize = 16 * 1024;
/// Batches of one connection that may wait for the router: others get their turn between them.
const BATCHES_MAX: usize = 2;
/// Pieces handed to the socket at once.
const WRITE_PIECES: usize = 64;
/// How long a closing connection may take to write its rest, and then to be closed by its peer:
/// closing with unread bytes resets the connection, and a reset can overtake our last words.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections share.
#[derive(Clone)]
pub struct Shared {
    pub events: mpsc::Sender<Event>,
    /// Bytes of packets that may wait for the router.
    pub budget: Arc<Semaphore>,
    pub counters: Arc<Counters>,
    pub guard: Arc<Guard>,
    /// As they are now; `packet_bytes` holds for a connection as it was when that began.
    pub limits: watch::Receiver<Arc<BrokerLimits>>,
}

/// Who is there and by which door, as far as that is known before the CONNECT.
pub struct Visitor {
    pub conn: ConnId,
    pub peer: Peer,
    pub door: Arc<Door>,
    /// The name in its certificate, where it showed one.
    pub certificate: Option<String>,
    /// When its CONNECT has to be there.
    pub deadline: Instant,
    /// Its place until the CONNECT is there.
    pub turn: Turn,
}

impl Visitor {
    /// What a step before the CONNECT comes to; `None` when it takes too long or the place is
    /// needed for others.
    pub async fn within<T>(&mut self, step: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.turn.lost() => None,
            result = timeout_at(self.deadline, step) => result.ok(),
        }
    }
}

/// Why [`Connection::poll`] returned.
enum Woke {
    /// Something was read, or what was read before may be taken now.
    Read,
    /// The outbox fell below its mark and the router asked to be told.
    Room,
    /// The router ends the connection, and there is something left to write.
    Finishing,
    /// All is written, or the router wants no more of it.
    Ended,
    /// The peer closed or the socket failed.
    Lost,
}

struct Connection<S> {
    stream: S,
    conn: ConnId,
    outbox: Arc<Outbox>,
    shared: Shared,
    decoder: Decoder,
    /// Read and not yet decoded.
    buffer: BytesMut,
    /// Permits for batches that wait for the router.
    batches: Arc<Semaphore>,
    rate: Rate,
    /// Set while the client is above its packets per second and not read.
    paused: Option<Pin<Box<Sleep>>>,
    /// Taken from the outbox and not yet written.
    chunks: VecDeque<Bytes>,
    /// Written, but perhaps held back by a layer below, as TLS and WebSocket do.
    flushing: bool,
    room: bool,
    finishing: bool,
}

/// Serves one connection to its end.
pub async fn run<S>(stream: S, visitor: Visitor, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    serve(stream, Arc::default(), visitor, shared).await;
}

/// As [`run`], of one that the router writes small packets to as well.
pub async fn run_plain(stream: TcpStream, visitor: Visitor, shared: Shared) {
    let (stream, writing) = Duplex::new(stream);
    let outbox = Arc::<Outbox>::default();
    outbox.attach(writing);
    serve(stream, Arc::clone(&outbox), visitor, shared).await;
}

async fn serve<S>(stream: S, outbox: Arc<Outbox>, visitor: Visitor, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let events = shared.events.clone();
    let (conn, peer) = (visitor.conn, visitor.peer);
    let packet_bytes = shared.limits.borrow().packet_bytes;
    let mut connection = Connection {
        stream,
        conn,
        outbox,
        decoder: Decoder::new(packet_bytes),
        shared,
        buffer: BytesMut::new(),
        batches: Arc::new(Semaphore::new(BATCHES_MAX)),
        rate: Rate::default(),
        paused: None,
        chunks: VecDeque::new(),
        flushing: false,
        room: false,
        finishing: false,
    };
    // Whatever goes wrong in here ends this connection, and the router hears of it.
    if AssertUnwindSafe(connection.serve(visitor)).catch_unwind().await.is_err() {
        tracing::error!(%peer, "a connection's task panicked");
    }
    connection.outbox.detach();
    let _ = events.send(Event::Gone { conn }).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn serve(&mut self, mut visitor: Visitor) {
        let first = self.first_packet(&mut visitor).await;
        let Visitor { peer, door, certificate, deadline, turn, .. } = visitor;
        drop(turn);
        let connect = match first {
            Some(Ok(Incoming::Connect(connect))) => connect,
            Some(Err(error)) => return self.refuse(error).await,
            _ => return tracing::debug!(%peer, "no CONNECT"),
        };
        let outbox = Arc::clone(&self.outbox);
        let claim = Claim {
            place: &door.place,
            certificate: certificate.as_deref(),
            username: connect.username.as_deref(),
        };
        let password = connect.password.clone();
        let login = timeout_at(deadline, self.shared.guard.login(claim, password, peer));
        let login = login.await.unwrap_or(Err(Reason::SERVER_BUSY));
        let event = Event::Connect { conn: self.conn, connect, login, outbox, peer };
        if self.shared.events.send(event).await.is_err() || !self.forward().await {
            return;
        }
        loop {
            let finishing = self.finishing;
            let poll = poll_fn(|cx| self.poll(cx));
            let woke = match finishing {
                false => poll.await,
                true => timeout(LINGER, poll).await.unwrap_or(Woke::Lost),
            };
            match woke {
                Woke::Read => {
                    if !self.forward().await {
                        return;
                    }
                }
                Woke::Room => {
                    self.room = false;
                    if self.shared.events.send(Event::Room { conn: self.conn }).await.is_err() {
                        return;
                    }
                }
                Woke::Finishing => self.finishing = true,
                Woke::Ended => return self.say_good_bye().await,
                Woke::Lost => return,
            }
        }
    }

    /// The first packet; `None` when it isn't complete in time, or before the peer closes or has to
    /// go.
    async fn first_packet(&mut self, visitor: &mut Visitor) -> Option<Result<Incoming, WireError>> {
        loop {
            match self.decoder.next(&mut self.buffer) {
                Ok(Some(packet)) => return Some(Ok(packet)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            if !visitor.turn.hold().may_hold(self.buffer.len()) {
                return None;
            }
            if !visitor.within(poll_fn(|cx| self.poll_read(cx))).await? {
                return None;
            }
        }
    }

    /// Answers a first packet that is no good CONNECT, where the standard has an answer.
    async fn refuse(&mut self, error: WireError) {
        self.shared.counters.malformed.one();
        let answer = match (error, self.decoder.version()) {
            (WireError::UnsupportedVersion(version), _) => {
                encode::connack_refused(version, Reason::UNSUPPORTED_VERSION, Room::NONE)
            }
            (WireError::Broken(reason), Some(Version::V5)) => {
                encode::connack_refused(Version::V5, reason, Room::NONE)
            }
            _ => return,
        };
        // Closing writes what a layer below holds back.
        let written = timeout(LINGER, self.stream.write_all(&answer)).await;
        if matches!(written, Ok(Ok(()))) {
            self.say_good_bye().await;
        }
    }

    /// Decodes what was read and hands it to the router; `false` ends the connection.
    async fn forward(&mut self) -> bool {
        let before = self.buffer.len();
        let mut packets = Vec::new();
        let mut broken = None;
        let pace = Pace::of_packets(self.shared.limits.borrow().packets_per_second);
        let now = Instant::now();
        let most = self.rate.allowance(now, pace);
        loop {
            if packets.len() >= most && !self.buffer.is_empty() {
                self.pause(now, pace);
                break;
            }
            match self.decoder.next(&mut self.buffer) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(WireError::Broken(reason)) => {
                    broken = Some(reason);
                    break;
                }
                Err(WireError::UnsupportedVersion(_) | WireError::NotMqtt) => {
                    broken = Some(Reason::PROTOCOL_ERROR);
                    break;
                }
            }
        }
        self.rate.took(packets.len(), now, pace);
        let taken = before - self.buffer.len();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        let conn = self.conn;
        if !packets.is_empty() {
            let turn = Arc::clone(&self.batches).acquire_owned().await.ok();
            let weight = u32::try_from(taken.min(EVENT_BYTES_MAX)).unwrap_or(u32::MAX);
            let budget = Arc::clone(&self.shared.budget);
            let bytes = budget.acquire_many_owned(weight).await.ok();
            let held = Some(Held { _turn: turn, _bytes: bytes });
            if self.shared.events.send(Event::Packets { conn, packets, held }).await.is_err() {
                return false;
            }
        }
        if let Some(reason) = broken {
            // The rest can't be read; what the router still has to say is written.
            self.buffer = BytesMut::new();
            self.finishing = true;
            return self.shared.events.send(Event::Broken { conn, reason }).await.is_ok();
        }
        true
    }

    /// Reads nothing more until the client's rate allows it.
    fn pause(&mut self, now: Instant, pace: Pace) {
        let until = sleep_until(self.rate.resume_at(now, pace));
        match &mut self.paused {
            Some(paused) => paused.set(until),
            none => *none = Some(Box::pin(until)),
        }
        self.outbox.held_back();
        self.shared.counters.held_back.one();
    }

    /// Writes and reads as far as the socket goes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Woke> {
        let end = loop {
            let end = self.outbox.take(&mut self.chunks, cx.waker());
            match end {
                End::Abort => return Poll::Ready(Woke::Ended),
                End::Finish if self.chunks.is_empty() => return Poll::Ready(Woke::Ended),
                End::Finish if !self.finishing => return Poll::Ready(Woke::Finishing),
                End::Finish | End::Open => {}
            }
            if self.chunks.is_empty() {
                break end;
            }
            match self.poll_write(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Woke::Lost),
                Poll::Pending => break end,
            }
        };
        if self.flushing && self.chunks.is_empty() {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(_)) => return Poll::Ready(Woke::Lost),
                Poll::Pending => {}
            }
        }
        if self.room {
            return Poll::Ready(Woke::Room);
        }
        if self.finishing || end != End::Open {
            return Poll::Pending;
        }
        if let Some(paused) = &mut self.paused {
            ready!(paused.as_mut().poll(cx));
            self.paused = None;
            return Poll::Ready(Woke::Read);
        }
        match self.poll_read(cx) {
            Poll::Ready(true) => Poll::Ready(Woke::Read),
            Poll::Ready(false) => Poll::Ready(Woke::Lost),
            Poll::Pending => Poll::Pending,
        }
    }

    /// `false` when the socket failed.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut pieces = [IoSlice::new(&[]); WRITE_PIECES];
        let mut count = 0;
        for (piece, chunk) in pieces.iter_mut().zip(&self.chunks) {
            *piece = IoSlice::new(chunk);
            count += 1;
        }
        let pieces = pieces.get(..count).unwrap_or_default();
        let written = match Pin::new(&mut self.stream).poll_write_vectored(cx, pieces) {
            Poll::Ready(Ok(count)) if count > 0 => count,
            Poll::Ready(_) => return Poll::Ready(false),
            Poll::Pending => return Poll::Pending,
        };
        self.flushing = true;
        let mut left = written;
        while let Some(front) = self.chunks.front_mut() {
            if front.len() > left {
                front.advance(left);
                break;
            }
            left -= front.len();
            self.chunks.pop_front();
        }
        self.shared.counters.bytes_out.add(u64::try_from(written).unwrap_or(0));
        let limit = self.shared.limits.borrow().outgoing_bytes;
        self.room |= self.outbox.wrote(written, limit);
        Poll::Ready(true)
    }

    /// `false` when the peer closed or the socket failed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut scratch = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut scratch);
        match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                let bytes = read.filled();
                self.shared.counters.bytes_in.add(u64::try_from(bytes.len()).unwrap_or(0));
                self.buffer.extend_from_slice(bytes);
                Poll::Ready(true)
            }
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Closes so that the peer can read our last packet.
    async fn say_good_bye(&mut self) {
        let good_bye = async {
            if self.stream.shutdown().await.is_ok() {
                while poll_fn(|cx| self.poll_read(cx)).await {
                    self.buffer.clear();
                }
            }
        };
        let _ = timeout(LINGER, good_bye).await;
    }
}
