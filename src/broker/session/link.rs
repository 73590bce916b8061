//! The part of a session that lives as long as one connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::ConnId;
use crate::broker::encode;
use crate::broker::outbox::{Outbox, Progress};
use crate::broker::packet::{Inbound, Reason, Version};
use crate::model::{Mono, Qos, TopicName};

/// Topic aliases a client may use; announced to 5.0 clients.
pub const ALIAS_MAX: u16 = 32;

/// QoS 1 messages a client may have unacknowledged; announced to 5.0 clients. For 3.1.1 clients
/// the packet ids are the limit.
pub const RECEIVE_MAXIMUM: u16 = 1024;

/// What the CONNECT agreed on.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub version: Version,
    /// Seconds; 0 for none.
    pub keep_alive: u16,
    /// QoS 1 messages to the client in flight at the same time.
    pub window: u16,
    /// Largest packet the client takes.
    pub packet_max: usize,
    pub problem_info: bool,
}

pub struct Link {
    pub conn: ConnId,
    pub outbox: Arc<Outbox>,
    pub terms: Terms,
    /// Whether the outbox got something since the connection was last woken.
    pub dirty: bool,
    /// The client must be heard of before this.
    deadline: Option<Mono>,
    /// How far the outbox was when it last moved, and when that was.
    progress: (Progress, Mono),
    aliases: Vec<Option<TopicName>>,
    /// PUBLISH packets whose acknowledgement waits, for the store or for the one before them:
    /// they are acknowledged in the order they came in [MQTT-4.6.0-2].
    acks: VecDeque<(u16, Option<Reason>)>,
    /// Number of the first in `acks`.
    acks_from: u64,
}

/// Stands for an acknowledgement that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckTicket {
    pub conn: ConnId,
    number: u64,
}

impl Link {
    pub fn new(conn: ConnId, outbox: Arc<Outbox>, terms: Terms, now: Mono) -> Self {
        let progress = (outbox.progress(), now);
        let mut link = Self {
            conn,
            outbox,
            terms,
            dirty: false,
            deadline: None,
            progress,
            aliases: Vec::new(),
            acks: VecDeque::new(),
            acks_from: 0,
        };
        link.heard(now);
        link
    }

    /// The client gave a sign of life.
    pub fn heard(&mut self, now: Mono) {
        if self.terms.keep_alive > 0 {
            let allowed = Duration::from_millis(u64::from(self.terms.keep_alive) * 1500);
            self.deadline = Some(now + allowed);
        }
    }

    /// Whether the keep-alive of the client has run out [MQTT-3.1.2-22].
    pub fn is_silent(&self, now: Mono) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// For how long something has waited in the outbox without any of it being written.
    pub fn stuck_for(&mut self, now: Mono) -> Duration {
        let at = self.outbox.progress();
        if at.queued == 0 || at.written != self.progress.0.written {
            self.progress = (at, now);
        }
        now - self.progress.1
    }

    /// Checks a PUBLISH and finds its topic.
    pub fn accept(&mut self, publish: Inbound) -> Result<(TopicName, Inbound), Reason> {
        if publish.qos > Qos::AtLeastOnce {
            return Err(Reason::QOS_NOT_SUPPORTED);
        }
        let unacknowledged = self.acks.len();
        let most = match self.terms.version {
            Version::V3 => usize::from(u16::MAX),
            Version::V5 => usize::from(RECEIVE_MAXIMUM),
        };
        if publish.qos == Qos::AtLeastOnce && unacknowledged >= most {
            return Err(Reason::RECEIVE_MAXIMUM_EXCEEDED);
        }
        let topic = match (publish.alias, &publish.topic) {
            (None, Some(topic)) => topic.clone(),
            (None, None) => return Err(Reason::PROTOCOL_ERROR),
            (Some(0), _) => return Err(Reason::TOPIC_ALIAS_INVALID),
            (Some(alias), _) if alias > ALIAS_MAX => return Err(Reason::TOPIC_ALIAS_INVALID),
            (Some(alias), topic) => {
                if self.aliases.is_empty() {
                    self.aliases.resize(usize::from(ALIAS_MAX) + 1, None);
                }
                let place = self.aliases.get_mut(usize::from(alias));
                let place = place.ok_or(Reason::TOPIC_ALIAS_INVALID)?;
                if topic.is_some() {
                    place.clone_from(topic);
                }
                place.clone().ok_or(Reason::PROTOCOL_ERROR)?
            }
        };
        Ok((topic, publish))
    }

    /// Writes a PUBACK, or keeps it until those before it can be written.
    pub fn acknowledge(&mut self, id: u16, reason: Reason, why: Option<&str>) {
        if self.acks.is_empty() {
            self.write_ack(id, reason, why);
        } else {
            self.acks.push_back((id, Some(reason)));
        }
    }

    /// Takes a number for an acknowledgement that has to wait.
    pub fn acknowledge_later(&mut self, id: u16) -> AckTicket {
        let number = self.acks_from + u64::try_from(self.acks.len()).unwrap_or(0);
        self.acks.push_back((id, None));
        AckTicket { conn: self.conn, number }
    }

    /// The fate of a message is known: writes every acknowledgement whose turn it is.
    pub fn settle(&mut self, ticket: AckTicket, reason: Reason) {
        let place =
            usize::try_from(ticket.number.wrapping_sub(self.acks_from)).unwrap_or(usize::MAX);
        if let Some(ack) = self.acks.get_mut(place) {
            ack.1 = Some(reason);
        }
        while let Some(&(id, Some(reason))) = self.acks.front() {
            self.acks.pop_front();
            self.acks_from += 1;
            self.write_ack(id, reason, None);
        }
    }

    fn write_ack(&mut self, id: u16, reason: Reason, why: Option<&str>) {
        let Terms { version, packet_max, problem_info, .. } = self.terms;
        if version == Version::V3 || reason == Reason::SUCCESS {
            let [high, low] = id.to_be_bytes();
            return self.answer(&[0x40, 2, high, low]);
        }
        let why = why.filter(|_| problem_info);
        self.answer(&encode::puback(id, reason, why, packet_max));
    }

    pub fn pong(&mut self) {
        self.answer(&encode::PINGRESP);
    }

    /// Writes a packet that isn't a PUBLISH. One above the client's maximum packet size is left
    /// out [MQTT-3.1.2-24].
    pub fn answer(&mut self, packet: &[u8]) {
        if packet.len() <= self.terms.packet_max {
            self.outbox.answer(packet);
            self.dirty = true;
        }
    }
}
