//! The door through which messages from a cloud reach the clients of the LAN broker.

use super::{Qos, TopicName};

/// A message from a cloud, under its topic on this network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromCloud {
    pub topic: TopicName,
    pub payload: Vec<u8>,
    pub qos: Qos,
    pub retain: bool,
}

/// Why a message from a cloud is not published here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// There is no LAN broker, or it is not running.
    NoBroker,
    /// The LAN broker has more waiting than it takes.
    Full,
    /// The topic belongs to the gateway: a tag, its commands, or `$SYS`.
    Reserved,
    /// Topic or payload are longer than the LAN broker takes, or it is no topic at all.
    TooLong,
    /// It was published here before, and came back by way of others.
    Looped,
}

impl Turned {
    /// Stable word for counters.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoBroker => "no-broker",
            Self::Full => "full",
            Self::Reserved => "reserved",
            Self::TooLong => "too-long",
            Self::Looped => "looped",
        }
    }
}

/// Publishes on the LAN broker. Never blocks, and never sends a message up to a cloud again.
pub trait Lan: Send + Sync {
    fn publish(&self, message: FromCloud) -> Result<(), Turned>;
}
