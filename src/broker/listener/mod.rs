//! Accepts connections, up to the limits, and owns their tasks.
//!
//! TLS and WebSocket are agreed upon in the connection's own task and within the time a client has
//! for its CONNECT: a peer that says nothing holds up nobody.

mod door;
mod websocket;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Bounds, Shared};
use super::peer::Peer;
use super::router::Event;
use super::session::ConnId;
use super::status::Counters;
use crate::config::BrokerLimits;

use door::Stream;
pub use door::{Door, Socket};

/// Batches of packets that may wait for the router.
const EVENTS_MAX: usize = 1024;
/// Bytes of packets that may wait for the router, from all connections together.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections get this long to take their last words.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after a failed accept: out of file descriptors is the usual reason.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often the files of a certificate are looked at.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// What every new connection gets; shared by all listeners.
#[derive(Clone)]
pub struct Gate {
    places: Arc<Semaphore>,
    next_conn: Arc<AtomicU64>,
    shared: Shared,
}

impl Gate {
    pub fn new(limits: &BrokerLimits, counters: Arc<Counters>) -> (Self, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        // A packet must fit the budget, whatever the limit on packets says.
        let packet = usize::try_from(limits.packet_bytes).unwrap_or(usize::MAX);
        let budget = EVENT_BYTES_MAX.max(packet).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            events,
            budget: Arc::new(Semaphore::new(budget)),
            counters,
            bounds: Bounds {
                packet_bytes: limits.packet_bytes,
                outgoing_bytes: limits.outgoing_bytes,
                connect_timeout: limits.connect_timeout,
            },
        };
        let places = limits.connections.min(Semaphore::MAX_PERMITS);
        let gate =
            Self { places: Arc::new(Semaphore::new(places)), next_conn: Arc::default(), shared };
        (gate, receiver)
    }

    /// A place at the broker and one at this listener, if there are.
    fn admit(&self, door: &Door) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let here = Arc::clone(&door.places).try_acquire_owned().ok()?;
        Some((here, Arc::clone(&self.places).try_acquire_owned().ok()?))
    }
}

/// Accepts until `stop`, then waits for the connections to end.
pub async fn accept(door: Arc<Door>, socket: Socket, gate: Gate, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    // Said once when the limit is reached, and again only after there was room.
    let mut full = false;
    let mut renew = interval(RENEW_EVERY);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {
                door.connections.set(connections.len());
                continue;
            }
            _ = renew.tick(), if door.tls.is_some() => {
                refresh(&door).await;
                continue;
            }
            accepted = socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, listener = %door.plan, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(places) = gate.admit(&door) else {
            gate.shared.counters.connections_refused.one();
            door.refused.one();
            if !std::mem::replace(&mut full, true) {
                let listener = &door.plan;
                tracing::warn!(%peer, %listener, "connection refused: as many as allowed are open");
            }
            continue;
        };
        full = false;
        let gate = gate.clone();
        let here = Arc::clone(&door);
        connections.spawn(async move {
            serve(stream, peer, &here, gate).await;
            drop(places);
        });
        door.connections.set(connections.len());
    }
    drop(socket);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Those that don't end in time are aborted with the set.
    let _ = tokio::time::timeout(GRACE, ended).await;
}

/// Agrees on TLS and WebSocket as the listener wants, then serves MQTT to the end.
async fn serve(stream: Stream, peer: Peer, door: &Arc<Door>, gate: Gate) {
    let deadline = Instant::now() + gate.shared.bounds.connect_timeout;
    match stream {
        Stream::Unix(stream) => mqtt(stream, peer, door, gate, deadline).await,
        Stream::Tcp(stream) => {
            let Some(tls) = &door.tls else {
                return over(stream, peer, door, gate, deadline).await;
            };
            let handshake = TlsAcceptor::from(tls.config()).accept(stream);
            let Some(stream) = agreed(handshake, "TLS", peer, door, deadline).await else { return };
            over(stream, peer, door, gate, deadline).await;
        }
    }
}

async fn over<S>(stream: S, peer: Peer, door: &Arc<Door>, gate: Gate, deadline: Instant)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !door.plan.is_websocket {
        return mqtt(stream, peer, door, gate, deadline).await;
    }
    let handshake = websocket::accept(stream, gate.shared.bounds.packet_bytes);
    if let Some(stream) = agreed(handshake, "WebSocket", peer, door, deadline).await {
        mqtt(stream, peer, door, gate, deadline).await;
    }
}

async fn mqtt<S>(stream: S, peer: Peer, _door: &Arc<Door>, gate: Gate, deadline: Instant)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let conn = ConnId(gate.next_conn.fetch_add(1, Ordering::Relaxed));
    connection::run(stream, conn, peer, deadline, gate.shared).await;
}

/// What the handshake came to; `None`, counted, when it came to nothing in time.
async fn agreed<T>(
    handshake: impl Future<Output = io::Result<T>>,
    what: &'static str,
    peer: Peer,
    door: &Door,
    deadline: Instant,
) -> Option<T> {
    let error = match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    door.failed.one();
    tracing::debug!(%peer, %error, listener = %door.plan, "no agreement on {what}");
    None
}

/// Reads the files of a certificate that has changed.
async fn refresh(door: &Arc<Door>) {
    let door = Arc::clone(door);
    let read =
        tokio::task::spawn_blocking(move || door.tls.as_ref().map(crate::tls::Server::refresh));
    let _ = read.await;
}
