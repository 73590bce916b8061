//! One client's session: a state machine without I/O. Packets and the time go in, steps for the
//! router and bytes for the [`Outbox`] come out.
//!
//! Owns: packet ids, the windows both ways, topic aliases, the keep-alive deadline, the will, and
//! the order of acknowledgements. Knows no socket, no clock, no store, no other session.
//!
//! A session outlives its [`Link`], the part that lives as long as one connection.

mod link;
mod outgoing;

use std::collections::HashMap;
use std::sync::Arc;

use super::access::{Login, Rights};
use super::packet::{Inbound, Incoming, Reason, Subscribe, Unsubscribe, Will};
use super::status::Gauge;
use super::trie::{Grant, SessionKey};
use crate::model::{Mono, TopicFilter, TopicName};

pub use link::{ALIAS_MAX, AckTicket, Link, RECEIVE_MAXIMUM, Terms};
pub use outgoing::{Outgoing, Pump, Replay, Sent};

/// Identifies one connection for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

pub struct Session {
    pub client_id: Arc<str>,
    /// Whose session it is.
    pub login: Login,
    pub rights: Rights,
    pub subscriptions: HashMap<TopicFilter, Grant>,
    pub outgoing: Outgoing,
    /// `None` while the client is away.
    pub link: Option<Link>,
    /// Set by CONNECT, taken by a good DISCONNECT or when it is published.
    pub will: Option<Will>,
    /// Seconds to outlive the connection; `u32::MAX` for ever.
    pub lifetime: u32,
    /// When the will is due, while the client is away.
    pub will_at: Option<Mono>,
    /// When the session ends, while the client is away; `None` then means never.
    pub ends_at: Option<Mono>,
    /// Since when the client is away, to find the session that is longest so.
    pub away_since: Mono,
    /// When the client last acknowledged something, or was first sent something to acknowledge.
    pub acked_at: Mono,
    /// Publishers whose acknowledgement waits until this client has caught up.
    pub waiters: Vec<(SessionKey, AckTicket)>,
    /// Whether the router looks at this session at the end of its round.
    pub touched: bool,
    pub gauge: Arc<Gauge>,
}

/// What the router has to do about a packet.
#[derive(Debug)]
pub enum Step {
    Done,
    /// Route it, then [`Session::acknowledge`] it.
    Publish(TopicName, Inbound),
    Subscribe(Box<Subscribe>),
    Unsubscribe(Box<Unsubscribe>),
    /// The window opened: send on.
    Pump,
    Close(Close),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// By a DISCONNECT of the client.
    Left { with_will: bool },
    /// By the broker, for this reason.
    Fault(Reason),
    /// The socket is gone.
    Lost,
    /// The client doesn't read: closed without another word.
    Cut,
}

impl Session {
    /// Takes a packet from the client.
    pub fn receive(&mut self, packet: Incoming, now: Mono) -> Step {
        let Some(link) = &mut self.link else { return Step::Done };
        link.heard(now);
        match packet {
            Incoming::Publish(publish) => match link.accept(publish) {
                Ok((topic, publish)) => Step::Publish(topic, publish),
                Err(reason) => Step::Close(Close::Fault(reason)),
            },
            Incoming::PubAck { id } => {
                // An id that is not in flight is ignored, as MQTT 5.0, 4.13.2 allows.
                if !self.outgoing.acknowledged(id) {
                    return Step::Done;
                }
                self.acked_at = now;
                Step::Pump
            }
            Incoming::Subscribe(subscribe) => Step::Subscribe(subscribe),
            Incoming::Unsubscribe(unsubscribe) => Step::Unsubscribe(unsubscribe),
            Incoming::Ping => {
                link.pong();
                Step::Done
            }
            Incoming::Disconnect { with_will, session_expiry } => {
                match session_expiry {
                    // A session that was to end with the connection can't be prolonged
                    // (MQTT 5.0, 3.14.2.2.2).
                    Some(seconds) if seconds > 0 && self.lifetime == 0 => {
                        return Step::Close(Close::Fault(Reason::PROTOCOL_ERROR));
                    }
                    Some(seconds) => self.lifetime = seconds,
                    None => {}
                }
                Step::Close(Close::Left { with_will })
            }
            Incoming::Connect(_) | Incoming::Unexpected => {
                Step::Close(Close::Fault(Reason::PROTOCOL_ERROR))
            }
        }
    }

    /// Answers a PUBLISH whose fate is known at once.
    pub fn acknowledge(&mut self, id: u16, reason: Reason, why: Option<&str>) {
        if let Some(link) = &mut self.link {
            link.acknowledge(id, reason, why);
        }
    }

    /// Shows the state of the queue to the outside.
    pub fn show(&self) {
        self.gauge.queued.set(self.outgoing.queue_len());
        self.gauge.queued_bytes.set(self.outgoing.queue_bytes());
        self.gauge.inflight.set(self.outgoing.inflight_len());
        if let Some(link) = &self.link {
            self.gauge.held_back.set(link.outbox.times_held_back());
        }
    }
}
