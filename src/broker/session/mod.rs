//! One client's session: a state machine without I/O. Packets and the time go in, steps for the
//! router and bytes for the [`Outbox`] come out.
//!
//! Owns: packet ids, the windows and the QoS 2 exchanges both ways, topic aliases, the keep-alive
//! deadline, the will, and the order of acknowledgements. Knows no socket, no clock, no store, no
//! other session.
//!
//! A session outlives its [`Link`], the part that lives as long as one connection.

mod aliases;
mod kept;
mod link;
mod outgoing;
mod receipts;
mod sequence;

use std::collections::HashMap;
use std::sync::Arc;

use super::access::{Login, Rights};
use super::encode::Ack;
use super::message::{Frames, Message};
use super::packet::{Inbound, Incoming, Reason, Subscribe, Unsubscribe, Will};
use super::record::Receiver;
use super::router::{Later, Round};
use super::status::{Drops, Gauge};
use super::trie::Grant;
use crate::config::BrokerLimits;
use crate::model::{Mono, Qos, TopicFilter, TopicName};

pub use kept::Kept;
pub use link::{ALIAS_MAX, AckTicket, Link, RECEIVE_MAXIMUM, Terms, Waiting};
pub use outgoing::{How, Outgoing, Pump, Queued, Replay, Sent};
pub use receipts::Receipts;

use outgoing::{Acked, Received};
use receipts::{Released, Seen};

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
    /// QoS 2 messages from the client that it has not released.
    pub receipts: Receipts,
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
    /// Messages it acknowledged.
    pub acks: u64,
    /// When it fell behind, with its `acks` then; `None` once it has caught up.
    pub behind_since: Option<(Mono, u64)>,
    /// Acknowledgements that wait until this client has caught up, and then for this round.
    pub waiters: Vec<(u64, Later)>,
    /// Whether the router looks at this session at the end of its round.
    pub touched: bool,
    /// What the router has counted of the queue's bytes.
    pub counted_bytes: usize,
    /// `None` if nothing of it survives a restart.
    pub kept: Option<Kept>,
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
    /// The client has the message of this number: release it when that is durable.
    Release(u64),
    /// The client released a message: answer when that is durable.
    Complete(AckTicket, Reason),
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
        let keeps = self.keeps_messages();
        let Some(link) = &mut self.link else { return Step::Done };
        link.heard(now);
        if link.owes_too_much() {
            return Step::Close(Close::Fault(Reason::RECEIVE_MAXIMUM_EXCEEDED));
        }
        match packet {
            Incoming::Publish(publish) => match self.receive_publish(publish) {
                Ok(step) => step,
                Err(reason) => Step::Close(Close::Fault(reason)),
            },
            // An id that is not in flight is ignored, as MQTT 5.0, 4.13.2 allows.
            Incoming::PubAck { id } => match self.outgoing.acknowledged(id, Qos::AtLeastOnce) {
                Acked::Yes => self.acked(now),
                Acked::Unknown => Step::Done,
                Acked::OtherQos => Step::Close(Close::Fault(Reason::PROTOCOL_ERROR)),
            },
            Incoming::PubRec { id, refused: true } => {
                match self.outgoing.acknowledged(id, Qos::ExactlyOnce) {
                    Acked::Yes => self.acked(now),
                    Acked::Unknown => Step::Done,
                    Acked::OtherQos => Step::Close(Close::Fault(Reason::PROTOCOL_ERROR)),
                }
            }
            Incoming::PubRec { id, refused: false } => {
                self.acked_at = now;
                match self.outgoing.received(id) {
                    Received::Now(number) if keeps => {
                        return Step::Release(number);
                    }
                    Received::Now(number) => self.release(number),
                    Received::Later => {}
                    Received::Again => link.release(id, Reason::SUCCESS),
                    Received::Unknown => link.release(id, Reason::PACKET_ID_NOT_FOUND),
                    Received::OtherQos => {
                        return Step::Close(Close::Fault(Reason::PROTOCOL_ERROR));
                    }
                }
                Step::Done
            }
            Incoming::PubRel { id } => {
                // One that is not known may be on its way out of the broker's file.
                let (reason, was_kept) = match self.receipts.release(id) {
                    Released::Done { was_kept } => (Reason::SUCCESS, was_kept),
                    Released::Unknown => (Reason::PACKET_ID_NOT_FOUND, true),
                    Released::TooEarly => {
                        return Step::Close(Close::Fault(Reason::PROTOCOL_ERROR));
                    }
                };
                if was_kept && keeps {
                    let ticket = link.acknowledge_later(Ack::Complete, id);
                    self.moved();
                    return Step::Complete(ticket, reason);
                }
                link.acknowledge(Ack::Complete, id, reason, None);
                Step::Done
            }
            Incoming::PubComp { id } => match self.outgoing.completed(id) {
                Acked::Yes => self.acked(now),
                Acked::Unknown => Step::Done,
                Acked::OtherQos => Step::Close(Close::Fault(Reason::PROTOCOL_ERROR)),
            },
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
                    Some(seconds) => {
                        self.lifetime = seconds;
                        self.changed();
                    }
                    None => {}
                }
                Step::Close(Close::Left { with_will })
            }
            Incoming::Connect(_) | Incoming::Unexpected => {
                Step::Close(Close::Fault(Reason::PROTOCOL_ERROR))
            }
        }
    }

    /// The client took something off the window.
    fn acked(&mut self, now: Mono) -> Step {
        self.acked_at = now;
        self.acks += 1;
        Step::Pump
    }

    fn receive_publish(&mut self, publish: Inbound) -> Result<Step, Reason> {
        let Some(link) = &mut self.link else { return Ok(Step::Done) };
        let topic = link.topic_of(&publish)?;
        let id = publish.id;
        let seen = match publish.qos {
            Qos::AtMostOnce => return Ok(Step::Publish(topic, publish)),
            Qos::AtLeastOnce => Seen::New,
            Qos::ExactlyOnce => self.receipts.look(id, link.conn),
        };
        if matches!(seen, Seen::New | Seen::Again { first_here: true, .. }) {
            link.count_in()?;
        }
        match seen {
            Seen::New => return Ok(Step::Publish(topic, publish)),
            Seen::Again { owed: false, .. } => {
                link.acknowledge(Ack::Receive, id, Reason::SUCCESS, None);
            }
            Seen::Again { owed: true, first_here: true } => {
                let place = link.acknowledge_later(Ack::Receive, id);
                self.receipts.owe_here(id, place);
            }
            Seen::Again { owed: true, first_here: false } => {}
        }
        Ok(Step::Done)
    }

    /// Answers a PUBLISH of QoS 1 or 2 whose fate is known at once.
    pub fn acknowledge(&mut self, id: u16, qos: Qos, reason: Reason, why: Option<&str>) {
        let Some(link) = &mut self.link else { return };
        if qos == Qos::ExactlyOnce {
            if !reason.is_refusal() {
                self.receipts.insert(id, link.conn);
            }
            link.acknowledge(Ack::Receive, id, reason, why);
        } else {
            link.acknowledge(Ack::Acknowledge, id, reason, why);
        }
    }

    /// Takes a number for the acknowledgement of a PUBLISH of QoS 1 or 2 that has to wait.
    /// `is_kept` says that the message is in the broker's file.
    pub fn acknowledge_later(&mut self, id: u16, qos: Qos, is_kept: bool) -> Option<AckTicket> {
        let keeps_id = is_kept && self.keeps_messages();
        let link = self.link.as_mut()?;
        if qos != Qos::ExactlyOnce {
            return Some(link.acknowledge_later(Ack::Acknowledge, id));
        }
        let ticket = link.acknowledge_later(Ack::Receive, id);
        self.receipts.insert_owed(id, ticket);
        if keeps_id {
            self.keep_receipt(id);
        }
        Some(ticket)
    }

    /// A QoS 2 message from the client is in the broker's file, and so has to be its id.
    pub fn keep_receipt(&mut self, id: u16) {
        if self.keeps_messages() {
            self.receipts.keep(id);
            self.moved();
        }
    }

    /// Whether a retained message of QoS 1 or 2 would leave as soon as it may.
    pub fn has_place(&self) -> bool {
        self.link.as_ref().is_some_and(|link| self.outgoing.has_place(link))
    }

    /// Sends a message to the client or queues it; `round` hears of it if the session's messages
    /// survive.
    pub fn deliver(
        &mut self,
        (message, frames): (&Arc<Message>, &mut Frames),
        (qos, retain, ids): (Qos, bool, &[u32]),
        round: &mut Round,
        limits: &BrokerLimits,
        drops: &Drops,
        now: Mono,
    ) -> Sent {
        let number = self.outgoing.next_number();
        let keeps = qos != Qos::AtMostOnce && self.keeps_messages();
        let row = if keeps { round.row() } else { 0 };
        let how = How { qos, retain, ids, row, round: round.number() };
        let link = self.link.as_mut().filter(|link| !link.is_waiting());
        let sent = self.outgoing.deliver(link, frames, message, how, limits, drops, now);
        if keeps && self.outgoing.next_number() != number {
            let session = self.kept.as_ref().map_or(0, |kept| kept.number);
            let ids = ids.into();
            round.note_receiver(Receiver { session, number, qos, retain, ids });
        }
        sent
    }

    /// The fate of a message is known: acknowledges it, if the connection that waits is there.
    /// `false` if that can't be told it: 3.1.1 has no negative acknowledgement.
    pub fn settle(&mut self, ticket: AckTicket, reason: Reason) -> bool {
        let place = match ticket.receipt {
            None => Some(ticket),
            Some(id) => {
                if reason.is_refusal() {
                    self.moved();
                }
                self.receipts.settle(id, ticket, reason.is_refusal())
            }
        };
        let link = self.link.as_mut();
        let Some((link, place)) = link.zip(place).filter(|(l, place)| l.conn == place.conn) else {
            return true;
        };
        if reason.is_refusal() && !link.terms.version.is_v5() {
            return false;
        }
        link.settle(place, reason);
        true
    }

    /// A PUBREL is durable: writes its PUBCOMP, if the connection that waits is there.
    pub fn complete(&mut self, ticket: AckTicket, reason: Reason) {
        if let Some(link) = self.link.as_mut().filter(|link| link.conn == ticket.conn) {
            link.settle(ticket, reason);
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
