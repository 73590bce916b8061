//! Accepts connections, up to the limits, and owns their tasks.
//!
//! TLS and WebSocket are agreed upon in the connection's own task and within the time a client has
//! for its CONNECT: a peer that says nothing holds up nobody. Connections with TLS are served by the
//! gateway's workers, since a handshake is milliseconds of work; all others on the broker's thread.

mod door;
mod half_open;
mod metered;
mod plain;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::access::Guard;
use super::connection::{self, EVENT_BYTES_MAX, Shared, Visitor};
use super::peer::Peer;
use super::rate::{Pace, Rate};
use super::router::Event;
use super::session::ConnId;
use super::status::Counters;
use crate::config::BrokerLimits;
use crate::websocket;

pub use door::{Door, Settings, Socket};
use door::{Listening, Stream};
pub use half_open::{HalfOpen, Turn};
use metered::Metered;
pub use plain::{Duplex, Plain};

/// Batches of packets that may wait for the router.
const EVENTS_MAX: usize = 1024;
/// Connections get this long to take their last words.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after a failed accept: out of file descriptors is the usual reason.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often the files of a certificate are looked at.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// What every new connection gets; shared by all listeners.
#[derive(Clone)]
pub struct Gate {
    /// Connections that are open.
    open: Arc<AtomicUsize>,
    half_open: Arc<HalfOpen>,
    next_conn: Arc<AtomicU64>,
    /// Where encrypted connections are served.
    workers: Handle,
    shared: Shared,
}

/// A place at the broker; given back when it is dropped.
struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// To be called on one of the gateway's workers.
    pub fn new(
        limits: watch::Receiver<Arc<BrokerLimits>>,
        guard: Guard,
        counters: Arc<Counters>,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let half_open = HalfOpen::new(Arc::clone(&counters));
        let shared = Shared {
            events,
            budget: Arc::new(Semaphore::new(EVENT_BYTES_MAX)),
            counters,
            guard: Arc::new(guard),
            limits,
        };
        let gate = Self {
            open: Arc::default(),
            half_open,
            next_conn: Arc::default(),
            workers: Handle::current(),
            shared,
        };
        (gate, receiver)
    }

    /// A seat at the broker, if there is one and this listener may take it. A connection that has
    /// yet to say who it is gives up its own where there is none left; it is gone in a moment.
    fn admit(&self, door: &Arc<Door>, here: usize) -> Option<Seat> {
        if here >= door.settings().plan.connections && !self.half_open.make_room(Some(door)) {
            return None;
        }
        let seat = Seat(Arc::clone(&self.open));
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        if open >= self.shared.limits.borrow().connections && !self.half_open.make_room(None) {
            return None;
        }
        Some(seat)
    }
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Accepts until `stop` or until the door is closed, then waits for the connections to end.
pub async fn accept(
    door: Arc<Door>,
    socket: Socket,
    gate: Gate,
    stop: CancellationToken,
) -> Arc<Door> {
    let socket = match socket.listen() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, listener = %door.place, "connections can't be accepted");
            return door;
        }
    };
    let mut connections = JoinSet::new();
    // Said once when the limit is reached, and again only after there was room.
    let mut full = false;
    let mut rate = Rate::default();
    let mut renew = interval(RENEW_EVERY);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let pace = Pace::of_connections(gate.shared.limits.borrow().accepts_per_second);
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            () = door.closed.cancelled() => break,
            Some(_) = connections.join_next() => {
                door.connections.set(connections.len());
                continue;
            }
            _ = renew.tick() => {
                refresh(&door).await;
                continue;
            }
            accepted = next(&socket, &rate, pace) => accepted,
        };
        rate.took(1, Instant::now(), pace);
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, listener = %door.place, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Some(seat) = gate.admit(&door, connections.len()) else {
            gate.shared.counters.connections_refused.one();
            door.refused.one();
            if !std::mem::replace(&mut full, true) {
                let listener = &door.place;
                tracing::warn!(%peer, %listener, "connection refused: as many as allowed are open");
            }
            continue;
        };
        full = false;
        let settings = door.settings();
        let is_encrypted = settings.tls.is_some();
        let serving = serve(stream, peer, (&door, settings), gate.clone());
        let serving = async move {
            serving.await;
            drop(seat);
        };
        match is_encrypted {
            true => connections.spawn_on(serving, &gate.workers),
            false => connections.spawn(serving),
        };
        door.connections.set(connections.len());
    }
    drop(socket);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Those that don't end in time are aborted with the set.
    let _ = tokio::time::timeout(GRACE, ended).await;
    door
}

/// The next connection, when it may be taken.
async fn next(socket: &Listening, rate: &Rate, pace: Pace) -> io::Result<(Stream, Peer)> {
    let now = Instant::now();
    if rate.allowance(now, pace) == 0 {
        sleep_until(rate.resume_at(now, pace)).await;
    }
    socket.accept().await
}

/// Serves a connection to its end, MQTT over what the listener wants. Boxed by kind: most
/// connections are plain and idle, and are not to have the size of a TLS handshake.
fn serve(
    stream: Stream,
    peer: Peer,
    (door, settings): (&Arc<Door>, Arc<Settings>),
    gate: Gate,
) -> Serving {
    let conn = ConnId(gate.next_conn.fetch_add(1, Ordering::Relaxed));
    let limits = Arc::clone(&gate.shared.limits.borrow());
    let visitor = Visitor {
        conn,
        peer,
        door: Arc::clone(door),
        certificate: None,
        deadline: Instant::now() + limits.connect_timeout,
        turn: gate.half_open.enter(conn, door, limits.half_open),
    };
    let is_websocket = settings.plan.is_websocket;
    match (stream, &settings.tls) {
        (Stream::Unix(stream), _) => Box::pin(connection::run(stream, visitor, gate.shared)),
        (Stream::Tcp(stream), None) if !is_websocket => {
            Box::pin(connection::run_plain(stream, visitor, gate.shared))
        }
        (Stream::Tcp(stream), None) => Box::pin(over_websocket(stream, visitor, gate)),
        (Stream::Tcp(stream), Some(_)) => Box::pin(over_tls(stream, settings, visitor, gate)),
    }
}

async fn over_tls(stream: TcpStream, settings: Arc<Settings>, mut visitor: Visitor, gate: Gate) {
    let Some(tls) = &settings.tls else { return };
    // The runtime of this task is to hear of its bytes.
    let Ok(stream) = stream.into_std().and_then(TcpStream::from_std) else { return };
    let handshake = Box::pin(TlsAcceptor::from(tls.config()).accept(stream));
    let Some(stream) = agreed(handshake, "TLS", &mut visitor).await else { return };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    visitor.certificate = shown.and_then(|certificate| settings.name_in(certificate));
    match settings.plan.is_websocket {
        false => connection::run(stream, visitor, gate.shared).await,
        true => over_websocket(stream, visitor, gate).await,
    }
}

async fn over_websocket<S>(stream: S, mut visitor: Visitor, gate: Gate)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let packet_bytes = gate.shared.limits.borrow().packet_bytes;
    // A frame is held below until it is whole.
    let stream = Metered::new(stream, visitor.turn.hold());
    let handshake = Box::pin(websocket::accept(stream, packet_bytes));
    if let Some(stream) = agreed(handshake, "WebSocket", &mut visitor).await {
        connection::run(stream, visitor, gate.shared).await;
    }
}

/// What the handshake came to; `None`, counted, when it came to nothing in time.
async fn agreed<T>(
    handshake: impl Future<Output = io::Result<T>>,
    what: &'static str,
    visitor: &mut Visitor,
) -> Option<T> {
    let error = match visitor.within(handshake).await {
        Some(Ok(stream)) => return Some(stream),
        Some(Err(error)) => error,
        None => io::ErrorKind::TimedOut.into(),
    };
    let Visitor { peer, door, .. } = visitor;
    door.failed.one();
    tracing::debug!(%peer, %error, listener = %door.place, "no agreement on {what}");
    None
}

/// Reads the files of a certificate that has changed.
async fn refresh(door: &Door) {
    if let Some(tls) = door.settings().tls.clone() {
        // Only a panic could come out of it, and the files are looked at again soon.
        let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
    }
}
