//! How a connection fails. `cause.rs` puts it into words.

use std::io;

use super::packet::Reason;
use super::proxy::ProxyRefusal;
use crate::websocket::Refused;

/// The steps to a connection, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Resolve,
    Connect,
    /// The proxy's answer.
    Proxy,
    Tls,
    WebSocket,
    /// CONNECT and CONNACK.
    Mqtt,
}

#[derive(Debug)]
pub enum Failure {
    /// The name was not resolved.
    Resolve(io::Error),
    /// No address took a connection; the error of the last.
    Connect(io::Error),
    /// A step took too long.
    Timeout(Step),
    /// The other side has to show a certificate for a name that none can have.
    ServerName(String),
    Tls(io::Error),
    /// The way to the proxy, at `host:port`, failed like this.
    AtProxy(String, Box<Failure>),
    /// The proxy does not connect further.
    Proxy(ProxyRefusal),
    WebSocket(Refused),
    /// CONNACK said no.
    Refused(Reason),
    /// The broker said goodbye (MQTT 5).
    Dismissed(Reason),
    /// The broker closed the connection.
    Closed,
    Io(io::Error),
    /// A ping was not answered, and nothing else came either.
    Silent,
    /// A packet of ours is nothing that MQTT can say.
    Unwritable(String),
    /// The broker sent what the protocol does not allow.
    Protocol(String),
}

impl Failure {
    pub fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(what.into())
    }
}
