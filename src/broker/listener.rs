//! Accepts connections, up to the limit, and owns their tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Bounds, Shared};
use super::router::Event;
use super::session::ConnId;
use super::status::Counters;
use crate::config::BrokerLimits;

/// Batches of packets that may wait for the router.
const EVENTS_MAX: usize = 1024;
/// Bytes of packets that may wait for the router, from all connections together.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections get this long to take their last words.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after a failed accept: out of file descriptors is the usual reason.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

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
}

/// Accepts until `stop`, then waits for the connections to end.
pub async fn accept(listener: TcpListener, gate: Gate, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    // Said once when the limit is reached, and again only after there was room.
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&gate.places).try_acquire_owned() else {
            gate.shared.counters.connections_refused.one();
            if !std::mem::replace(&mut full, true) {
                tracing::warn!(%peer, "connection refused: as many as allowed are open");
            }
            continue;
        };
        full = false;
        let conn = ConnId(gate.next_conn.fetch_add(1, Ordering::Relaxed));
        let shared = gate.shared.clone();
        connections.spawn(async move {
            // Batches are written whole; waiting for more would only add latency.
            if stream.set_nodelay(true).is_ok() {
                connection::run(stream, conn, peer, shared).await;
            }
            drop(place);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Those that don't end in time are aborted with the set.
    let _ = tokio::time::timeout(GRACE, ended).await;
}
