//! The part of a session that lives as long as one connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::ConnId;
use super::aliases::Aliases;
use crate::broker::encode::{self, Ack, Room};
use crate::broker::held::Held;
use crate::broker::outbox::{Outbox, Progress};
use crate::broker::packet::{Inbound, Incoming, Reason, Version};
use crate::model::{Mono, TopicName};

/// Topic aliases a client may use, as announced to 5.0 clients, and that the broker uses at most.
pub const ALIAS_MAX: u16 = 32;

/// QoS 1 and 2 messages a client may have on their way; announced to 5.0 clients. For 3.1.1
/// clients the packet ids are the limit.
pub const RECEIVE_MAXIMUM: u16 = 1024;

/// Answers that may wait on one connection: one for each packet id, and another window of them. Only
/// a client that asks again before it was answered comes to more.
const ANSWERS_MAX: usize = 65_535 + 1024;

/// What the CONNECT agreed on.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub version: Version,
    /// Seconds; 0 for none.
    pub keep_alive: u16,
    /// QoS 1 and 2 messages to the client in flight at the same time.
    pub window: u16,
    /// With so many bytes of them in flight no more are sent.
    pub window_bytes: usize,
    /// Largest packet the client takes.
    pub packet_max: usize,
    pub problem_info: bool,
    /// Topic aliases the client takes.
    pub alias_max: u16,
}

impl Terms {
    /// What the client takes besides a reason code.
    pub fn room(&self) -> Room {
        Room { problem_info: self.problem_info, packet_max: self.packet_max }
    }
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
    /// Those that the client has set.
    aliases: Vec<Option<TopicName>>,
    pub own_aliases: Aliases,
    /// Acknowledgements that wait, for the store or for the one before them: they leave in the
    /// order of the packets they answer [MQTT-4.6.0-2, -3].
    acks: VecDeque<Pending>,
    /// Number of the first in `acks`.
    acks_from: u64,
    /// Until its CONNACK may be written.
    waiting: Option<Box<Waiting>>,
    /// QoS 1 and 2 messages of this connection whose exchange is not over (MQTT 5.0, 4.9).
    on_their_way: u16,
}

/// A connection whose CONNACK is not written yet.
#[derive(Default)]
pub struct Waiting {
    pub connack: Vec<u8>,
    /// What the client sent already, with its share of what may wait for the router.
    pub early: Vec<(Vec<Incoming>, Option<Held>)>,
    /// What was against the standard after that.
    pub fault: Option<Reason>,
}

struct Pending {
    ack: Ack,
    id: u16,
    /// `None` as long as it isn't known.
    reason: Option<Reason>,
}

/// Stands for an acknowledgement that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckTicket {
    pub conn: ConnId,
    number: u64,
    /// The packet id of a PUBLISH of QoS 2, which is remembered beyond the connection.
    pub receipt: Option<u16>,
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
            own_aliases: Aliases::new(terms.alias_max.min(ALIAS_MAX)),
            acks: VecDeque::new(),
            acks_from: 0,
            on_their_way: 0,
            waiting: None,
        };
        link.heard(now);
        link
    }

    /// Keeps the CONNACK back, and with it all that comes after it.
    pub fn wait(&mut self, connack: Vec<u8>) {
        self.waiting = Some(Box::new(Waiting { connack, ..Waiting::default() }));
    }

    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    pub fn waiting(&mut self) -> Option<&mut Waiting> {
        self.waiting.as_deref_mut()
    }

    pub fn take_waiting(&mut self) -> Option<Box<Waiting>> {
        self.waiting.take()
    }

    /// The client gave a sign of life.
    pub fn heard(&mut self, now: Mono) {
        if self.terms.keep_alive > 0 {
            let allowed = Duration::from_millis(u64::from(self.terms.keep_alive) * 1500);
            self.deadline = Some(now + allowed);
        }
    }

    /// Whether the keep-alive of the client has run out [MQTT-3.1.2-22]. As long as it waits for its
    /// CONNACK the silence is ours.
    pub fn is_silent(&self, now: Mono) -> bool {
        !self.is_waiting() && self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// For how long something has waited in the outbox without any of it being written.
    pub fn stuck_for(&mut self, now: Mono) -> Duration {
        let at = self.outbox.progress();
        if at.queued == 0 || at.written != self.progress.0.written {
            self.progress = (at, now);
        }
        now - self.progress.1
    }

    /// Counts one more message of QoS 1 or 2 on its way to the broker.
    pub fn count_in(&mut self) -> Result<(), Reason> {
        let most = match self.terms.version {
            Version::V5 => RECEIVE_MAXIMUM,
            Version::V31 | Version::V311 => u16::MAX,
        };
        if self.on_their_way >= most {
            return Err(Reason::RECEIVE_MAXIMUM_EXCEEDED);
        }
        self.on_their_way += 1;
        Ok(())
    }

    /// Whether the client asks on and on while nothing can be answered.
    pub fn owes_too_much(&self) -> bool {
        self.acks.len() >= ANSWERS_MAX
    }

    /// The topic of a PUBLISH, by its alias where it has none.
    pub fn topic_of(&mut self, publish: &Inbound) -> Result<TopicName, Reason> {
        Ok(match (publish.alias, &publish.topic) {
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
        })
    }

    /// Writes an acknowledgement, or keeps it until those before it can be written.
    pub fn acknowledge(&mut self, ack: Ack, id: u16, reason: Reason, why: Option<&str>) {
        if self.acks.is_empty() {
            self.write_ack(ack, id, reason, why);
        } else {
            self.acks.push_back(Pending { ack, id, reason: Some(reason) });
        }
    }

    /// Takes a number for an acknowledgement that has to wait.
    pub fn acknowledge_later(&mut self, ack: Ack, id: u16) -> AckTicket {
        let number = self.acks_from + u64::try_from(self.acks.len()).unwrap_or(0);
        self.acks.push_back(Pending { ack, id, reason: None });
        AckTicket { conn: self.conn, number, receipt: (ack == Ack::Receive).then_some(id) }
    }

    /// The fate of a message is known: writes every acknowledgement whose turn it is.
    pub fn settle(&mut self, ticket: AckTicket, reason: Reason) {
        let place =
            usize::try_from(ticket.number.wrapping_sub(self.acks_from)).unwrap_or(usize::MAX);
        if let Some(ack) = self.acks.get_mut(place) {
            ack.reason = Some(reason);
        }
        while let Some(&Pending { ack, id, reason: Some(reason) }) = self.acks.front() {
            self.acks.pop_front();
            self.acks_from += 1;
            self.write_ack(ack, id, reason, None);
        }
    }

    fn write_ack(&mut self, ack: Ack, id: u16, reason: Reason, why: Option<&str>) {
        // What the client has the answer to is not on its way any more.
        if ack != Ack::Receive || reason.is_refusal() {
            self.on_their_way = self.on_their_way.saturating_sub(1);
        }
        if !self.terms.version.is_v5() || reason == Reason::SUCCESS {
            return self.answer(&ack.success(id));
        }
        self.answer(&encode::ack(ack, id, reason, why, self.terms.room()));
    }

    /// Tells the client that a QoS 2 message is its own now.
    pub fn release(&mut self, id: u16, reason: Reason) {
        if !self.terms.version.is_v5() || reason == Reason::SUCCESS {
            return self.answer(&Ack::Release.success(id));
        }
        self.answer(&encode::ack(Ack::Release, id, reason, None, self.terms.room()));
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
