//! Figures of the broker, counted where things happen and read at any time from outside.
//!
//! The router and the connections only ever add to atomics; nobody waits for a reader.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::listener::Door;
use super::meter::Meter;
use super::packet::Version;
use super::peer::Peer;
use crate::model::Mono;

/// A count that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn one(&self) {
        self.add(1);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Default)]
pub struct Level(AtomicUsize);

impl Level {
    pub fn set(&self, value: usize) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub struct Counters {
    pub connections: Level,
    pub connections_max: Level,
    pub connections_refused: Counter,
    pub messages_in: Counter,
    pub messages_out: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub sessions: Level,
    pub sessions_not_allowed: Counter,
    pub subscriptions: Level,
    pub shared_subscriptions: Level,
    pub retained_messages: Level,
    pub retained_bytes: Level,
    pub malformed: Counter,
    pub logins_refused: Counter,
    pub logins_throttled: Counter,
    pub passwords_verified: Counter,
    pub slow_cut: Counter,
    pub half_open: Level,
    pub half_open_cut: Counter,
    pub held_back: Counter,
    pub commands: Counter,
    pub forwarded: Counter,
    pub dropped: Drops,
    clients: Mutex<BTreeMap<Arc<str>, Arc<Gauge>>>,
}

/// Messages that did not reach somebody who wanted them, by reason; also what a publish was
/// refused for.
#[derive(Default)]
pub struct Drops {
    /// QoS 0, to a connection whose outgoing buffer was full.
    pub slow: Counter,
    /// QoS 1, of a session's full queue.
    pub queue_full: Counter,
    /// Waited past their expiry.
    pub expired: Counter,
    /// Larger than the client's maximum packet size.
    pub too_large: Counter,
    /// In-process, while the router was busy.
    pub local_full: Counter,
    /// Published to a tag topic or under `$SYS` by a client.
    pub reserved: Counter,
    /// Published by, or waiting for, a client that may not.
    pub denied: Counter,
    /// Commands, while too many were waiting.
    pub commands_full: Counter,
    /// Commands as a last will, or as an in-process message: nothing that can be carried out.
    pub commands_refused: Counter,
    /// Not retained, because the retained store was full.
    pub retained_full: Counter,
    /// Waiting in a session that ended.
    pub session_ended: Counter,
    /// Not taken by the store; the publisher was told or will send again.
    pub store: Counter,
}

/// What one client's session looks like right now.
pub struct Gauge {
    pub version: Version,
    pub peer: Peer,
    pub user: Option<Arc<str>>,
    pub connected: AtomicUsize,
    /// Since when it is connected, or away; in milliseconds of the monotonic clock.
    since: AtomicI64,
    /// PUBLISH packets from it, and to it.
    pub received: Counter,
    pub sent: Counter,
    meter: Meter,
    pub queued: Level,
    pub queued_bytes: Level,
    pub inflight: Level,
    pub subscriptions: Level,
    pub held_back: Level,
    pub dropped: Counter,
}

impl Gauge {
    pub fn new(version: Version, peer: Peer, user: Option<Arc<str>>) -> Self {
        Self {
            version,
            peer,
            user,
            connected: AtomicUsize::new(1),
            since: AtomicI64::new(0),
            received: Counter::default(),
            sent: Counter::default(),
            meter: Meter::default(),
            queued: Level::default(),
            queued_bytes: Level::default(),
            inflight: Level::default(),
            subscriptions: Level::default(),
            held_back: Level::default(),
            dropped: Counter::default(),
        }
    }

    /// The client has come, or gone.
    pub fn show_connected(&self, connected: bool, now: Mono) {
        self.connected.store(usize::from(connected), Ordering::Relaxed);
        self.since.store(now.0, Ordering::Relaxed);
    }

    /// Brings the rates up to date.
    pub fn measure(&self, now: Mono) {
        self.meter.measure([self.received.get(), self.sent.get()], now);
    }

    fn status(&self, id: &Arc<str>) -> ClientStatus {
        let [received_per_s, sent_per_s] = self.meter.rates();
        ClientStatus {
            id: Arc::clone(id),
            version: self.version.as_str(),
            address: self.peer,
            user: self.user.clone(),
            connected: self.connected.load(Ordering::Relaxed) == 1,
            since: self.since.load(Ordering::Relaxed),
            received: self.received.get(),
            received_per_s,
            sent: self.sent.get(),
            sent_per_s,
            subscriptions: self.subscriptions.get(),
            queue: self.queued.get(),
            queue_bytes: self.queued_bytes.get(),
            inflight: self.inflight.get(),
            held_back: self.held_back.get(),
            dropped: self.dropped.get(),
        }
    }
}

impl Counters {
    fn clients(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Gauge>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, client_id: &Arc<str>, gauge: &Arc<Gauge>) {
        self.clients().insert(Arc::clone(client_id), Arc::clone(gauge));
    }

    pub fn leave(&self, client_id: &str) {
        self.clients().remove(client_id);
    }

    /// Clients in the order of their ids, at most `most`, after the client `after`.
    pub fn clients_after(&self, after: Option<&str>, most: usize) -> Vec<ClientStatus> {
        let clients = self.clients();
        let found = clients.range::<str, _>((beyond(after), Bound::Unbounded));
        found.take(most).map(|(id, gauge)| gauge.status(id)).collect()
    }

    /// Client ids in order, at most `most`, from the client `from` on.
    pub fn ids_from(&self, from: &str, most: usize) -> Vec<Arc<str>> {
        let clients = self.clients();
        let found = clients.range::<str, _>((Bound::Included(from), Bound::Unbounded));
        found.take(most).map(|(id, _)| Arc::clone(id)).collect()
    }

    pub fn status(&self, uptime_s: u64, doors: &[Arc<Door>]) -> BrokerStatus {
        let clients = self.clients().iter().map(|(id, gauge)| gauge.status(id)).collect();
        let dropped = &self.dropped;
        BrokerStatus {
            uptime_s,
            listeners: doors.iter().map(|door| door.status()).collect(),
            connections: self.connections.get(),
            connections_max: self.connections_max.get(),
            connections_refused: self.connections_refused.get(),
            sessions: self.sessions.get(),
            sessions_not_allowed: self.sessions_not_allowed.get(),
            messages_in: self.messages_in.get(),
            messages_out: self.messages_out.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            subscriptions: self.subscriptions.get(),
            shared_subscriptions: self.shared_subscriptions.get(),
            retained: self.retained_messages.get(),
            retained_bytes: self.retained_bytes.get(),
            malformed: self.malformed.get(),
            logins_refused: self.logins_refused.get(),
            logins_throttled: self.logins_throttled.get(),
            passwords_verified: self.passwords_verified.get(),
            slow_cut: self.slow_cut.get(),
            half_open: self.half_open.get(),
            half_open_cut: self.half_open_cut.get(),
            held_back: self.held_back.get(),
            commands: self.commands.get(),
            forwarded: self.forwarded.get(),
            dropped: DropStatus {
                slow: dropped.slow.get(),
                queue_full: dropped.queue_full.get(),
                expired: dropped.expired.get(),
                too_large: dropped.too_large.get(),
                local_full: dropped.local_full.get(),
                reserved: dropped.reserved.get(),
                denied: dropped.denied.get(),
                commands_full: dropped.commands_full.get(),
                commands_refused: dropped.commands_refused.get(),
                retained_full: dropped.retained_full.get(),
                session_ended: dropped.session_ended.get(),
                store: dropped.store.get(),
            },
            clients,
        }
    }
}

/// Where a list goes on that was given up to `after`.
pub fn beyond(after: Option<&str>) -> Bound<&str> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

/// The broker at one moment, for the status page, `fieldhold status` and metrics.
#[derive(Debug, Clone, Serialize)]
pub struct BrokerStatus {
    pub uptime_s: u64,
    pub listeners: Vec<ListenerStatus>,
    pub connections: usize,
    /// Most at one time since the start.
    pub connections_max: usize,
    /// Turned away at the limit.
    pub connections_refused: u64,
    /// With and without a connection.
    pub sessions: usize,
    /// Ended because nobody may resume them any more: the user is gone, or no listener lets clients
    /// in without a name.
    pub sessions_not_allowed: u64,
    /// PUBLISH packets.
    pub messages_in: u64,
    pub messages_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub subscriptions: usize,
    /// Of those, how many are shared.
    pub shared_subscriptions: usize,
    pub retained: usize,
    pub retained_bytes: usize,
    /// Connections closed for a packet against the standard.
    pub malformed: u64,
    /// Wrong passwords, users that do not exist, and clients without a name where that is not
    /// allowed.
    pub logins_refused: u64,
    /// Turned away unseen because their address had been wrong too often.
    pub logins_throttled: u64,
    /// Passwords that were verified against their hash, which is work; others were known.
    pub passwords_verified: u64,
    /// Connections cut because the client did not read.
    pub slow_cut: u64,
    /// Connections that have not sent their CONNECT yet.
    pub half_open: usize,
    /// Of those, how many had to make room for others.
    pub half_open_cut: u64,
    /// How often a client was not read for a moment because it sent more packets than allowed.
    pub held_back: u64,
    /// `.../set` messages handed on.
    pub commands: u64,
    /// LAN messages handed to the store for the uplinks.
    pub forwarded: u64,
    pub dropped: DropStatus,
    pub clients: Vec<ClientStatus>,
}

/// See [`Drops`].
#[derive(Debug, Clone, Serialize)]
pub struct DropStatus {
    pub slow: u64,
    pub queue_full: u64,
    pub expired: u64,
    pub too_large: u64,
    pub local_full: u64,
    pub reserved: u64,
    pub denied: u64,
    pub commands_full: u64,
    pub commands_refused: u64,
    pub retained_full: u64,
    pub session_ended: u64,
    pub store: u64,
}

/// One place where clients connect.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerStatus {
    /// `tcp`, `tls`, `ws`, `wss` or `unix`.
    pub kind: &'static str,
    /// Address and port, or the path of the socket.
    pub at: String,
    /// Whether clients come in that name no user.
    pub anonymous: bool,
    pub connections: usize,
    /// Turned away because as many as allowed were connected.
    pub refused: u64,
    /// TLS or WebSocket was not agreed upon, or not in time.
    pub handshakes_failed: u64,
    /// When the certificate ends to be valid, in milliseconds since 1970.
    pub certificate_ends_ms: Option<i64>,
    /// Why the certificate's files as they are now are not in use.
    pub certificate_problem: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ClientStatus {
    pub id: Arc<str>,
    pub version: &'static str,
    /// Where the client is, or was last.
    pub address: Peer,
    /// `None` for a client that named no user.
    pub user: Option<Arc<str>>,
    pub connected: bool,
    /// Since when it is connected, or away; in milliseconds of the gateway's monotonic clock.
    pub since: i64,
    /// Messages from the client since it connected, and per second lately.
    pub received: u64,
    pub received_per_s: f64,
    /// Messages to the client.
    pub sent: u64,
    pub sent_per_s: f64,
    pub subscriptions: usize,
    pub queue: usize,
    pub queue_bytes: usize,
    pub inflight: usize,
    /// As for the broker, on this connection.
    pub held_back: usize,
    /// Messages this client should have had, for any reason.
    pub dropped: u64,
}
