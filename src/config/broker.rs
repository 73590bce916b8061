//! The LAN broker in the plan: where it listens, who may use it, and its bounds.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::access::{Grant, Identity, UserPlan};
use super::defaults::LIMITS;

#[derive(Debug, Clone, PartialEq)]
pub struct BrokerPlan {
    pub listeners: Vec<ListenerPlan>,
    pub users: Vec<UserPlan>,
    pub limits: BrokerLimits,
}

/// One place where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerPlan {
    pub place: Place,
    /// MQTT comes in the binary frames of WebSocket connections.
    pub is_websocket: bool,
    /// `None` for plain connections.
    pub tls: Option<ServerTlsPlan>,
    /// What clients may do that name no user; `None` turns them away.
    pub anonymous: Option<Vec<Grant>>,
    /// Clients at a time; the broker's own limit counts as well.
    pub connections: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    Address(SocketAddr),
    /// A Unix socket.
    Path(PathBuf),
}

/// The files of a TLS listener, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsPlan {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authority of the clients' certificates; with it only those who show one may connect.
    pub client_ca: Option<PathBuf>,
    /// Where a client's certificate has the name of its user.
    pub identity: Identity,
}

/// Every bound of the LAN broker; the defaults are in `configs/reference.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerLimits {
    pub connections: usize,
    /// Connections that have not sent their CONNECT yet; above it the oldest of them makes room.
    pub half_open: usize,
    /// Connections taken by one listener in a second.
    pub accepts_per_second: u32,
    /// Packets taken from one client in a second; above it reading from it waits.
    pub packets_per_second: u32,
    pub packet_bytes: u32,
    /// QoS 1 and 2 messages sent to one client and not yet acknowledged.
    pub inflight: u16,
    pub queue_messages: usize,
    pub queue_bytes: usize,
    pub queue_drops: QueueDrops,
    /// The queues of all clients together; the longest ones lose their oldest messages.
    pub all_queues_bytes: usize,
    pub retained_messages: usize,
    pub retained_bytes: usize,
    pub subscriptions_per_client: usize,
    pub topic_bytes: usize,
    pub topic_levels: usize,
    /// From the connection to its CONNECT, the handshakes of TLS and WebSocket included.
    pub connect_timeout: Duration,
    /// Longest keep-alive of a 5.0 client, in seconds; `u16::MAX` for no bound.
    pub keep_alive_max: u16,
    /// What may wait to be sent to one connection.
    pub outgoing_bytes: usize,
}

impl BrokerLimits {
    /// Whether a topic or a filter is neither too long nor too deep.
    pub fn takes_topic(&self, topic: &str) -> bool {
        topic.len() <= self.topic_bytes && topic.split('/').count() <= self.topic_levels
    }
}

/// Which message goes when one more does not fit into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueDrops {
    Oldest,
    /// The one that comes.
    Newest,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        LIMITS
    }
}

impl ListenerPlan {
    /// Plain MQTT over TCP, for everybody.
    pub fn tcp(address: SocketAddr, connections: usize) -> Self {
        Self {
            place: Place::Address(address),
            is_websocket: false,
            tls: None,
            anonymous: Some(vec![Grant::Everything]),
            connections,
        }
    }

    /// The key it is written with.
    pub fn kind(&self) -> &'static str {
        match (&self.place, self.is_websocket, &self.tls) {
            (Place::Path(_), ..) => "unix",
            (Place::Address(_), false, None) => "tcp",
            (Place::Address(_), false, Some(_)) => "tls",
            (Place::Address(_), true, None) => "ws",
            (Place::Address(_), true, Some(_)) => "wss",
        }
    }

    /// Whether only clients with a certificate of the plant come in.
    pub fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Address(address) => Some(address),
            Place::Path(_) => None,
        }
    }
}

impl fmt::Display for ListenerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}
