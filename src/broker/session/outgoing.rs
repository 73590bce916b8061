//! Messages to one client: the window of those in flight and the queue behind it.
//!
//! Order: what was in flight when the connection broke goes first, with DUP and its old packet
//! ids [MQTT-4.4.0-1], then the queue, then retained messages a subscription asked for. Bounded
//! in messages and bytes; the oldest goes first, or the newest, and is counted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Link;
use crate::broker::encode::{self, Form};
use crate::broker::message::{Frames, Message};
use crate::broker::status::Drops;
use crate::config::{BrokerLimits, QueueDrops};
use crate::model::{Mono, Qos, TopicFilter, TopicName};

/// A QoS 1 message that waits for its turn or its acknowledgement.
#[derive(Debug, Clone)]
pub struct Queued {
    pub message: Arc<Message>,
    pub retain: bool,
    pub ids: Box<[u32]>,
}

#[derive(Debug)]
struct Inflight {
    id: u16,
    queued: Queued,
}

/// Retained messages that a subscription asked for and that are still to be sent.
#[derive(Debug)]
pub struct Replay {
    pub filter: TopicFilter,
    pub qos: Qos,
    pub id: u32,
    /// The last topic that was sent.
    pub after: Option<TopicName>,
}

/// What became of one message to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Written,
    Queued,
    /// Dropped, or another one for it; counted.
    Dropped,
    /// Not for a client that is away: QoS 0.
    Away,
}

/// Why a pump stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pump {
    /// Nothing waits but what is in flight.
    Idle,
    /// The window or the outgoing buffer is full.
    Full,
}

#[derive(Default)]
pub struct Outgoing {
    /// Sent on this connection and not acknowledged, in order of sending.
    inflight: VecDeque<Inflight>,
    /// In flight on an earlier connection, to be sent again.
    again: VecDeque<Inflight>,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    /// The last packet id used.
    last_id: u16,
    pub replays: VecDeque<Replay>,
}

impl Outgoing {
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    pub fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    pub fn inflight_len(&self) -> usize {
        self.inflight.len() + self.again.len()
    }

    /// A new connection: what was in flight has to be sent again.
    pub fn reconnected(&mut self) {
        self.inflight.append(&mut self.again);
        std::mem::swap(&mut self.inflight, &mut self.again);
        self.replays.clear();
    }

    /// Takes a PUBACK; says whether it was for something in flight.
    pub fn acknowledged(&mut self, id: u16) -> bool {
        match self.inflight.iter().position(|i| i.id == id) {
            Some(0) => self.inflight.pop_front().is_some(),
            Some(at) => self.inflight.remove(at).is_some(),
            // Acknowledged from an earlier connection, before it was sent again.
            None => {
                let at = self.again.iter().position(|i| i.id == id);
                at.is_some_and(|at| self.again.remove(at).is_some())
            }
        }
    }

    /// Whether a QoS 1 message may go out now, in turn.
    pub fn is_open(&self, link: &Link) -> bool {
        self.again.is_empty() && self.queue.is_empty() && self.has_window(link)
    }

    fn has_window(&self, link: &Link) -> bool {
        // Ids are given in sequence, so the one that comes next is free unless the oldest in
        // flight, or to be sent again, still holds it after a whole round.
        let next = next_id(self.last_id);
        let held = |list: &VecDeque<Inflight>| list.front().is_some_and(|oldest| oldest.id == next);
        self.inflight.len() < usize::from(link.terms.window)
            && !held(&self.inflight)
            && !held(&self.again)
    }

    /// Sends a message that is being routed, or queues it. `frames` holds its encoded forms.
    #[expect(
        clippy::too_many_arguments,
        reason = "the hot path: one call per receiver, nothing boxed"
    )]
    pub fn deliver(
        &mut self,
        link: Option<&mut Link>,
        frames: &mut Frames,
        message: &Arc<Message>,
        (qos, retain, ids): (Qos, bool, &[u32]),
        limits: &BrokerLimits,
        drops: &Drops,
        now: Mono,
    ) -> Sent {
        let Some(link) = link else {
            if qos == Qos::AtMostOnce {
                return Sent::Away;
            }
            return self.enqueue(
                Queued { message: Arc::clone(message), retain, ids: ids.into() },
                limits,
                drops,
            );
        };
        if qos != Qos::AtMostOnce && !self.is_open(link) {
            return self.enqueue(
                Queued { message: Arc::clone(message), retain, ids: ids.into() },
                limits,
                drops,
            );
        }
        let id = (qos != Qos::AtMostOnce).then(|| next_id(self.last_id));
        let version = link.terms.version;
        let own;
        let (head, id_at) = if ids.is_empty() {
            frames.head(message, version, qos, retain, now)
        } else {
            let form =
                Form { version, qos, retain, dup: false, ids, expiry: message.expiry_left(now) };
            let mut bytes = Vec::new();
            let id_at = encode::publish_head(&mut bytes, message, form);
            own = bytes;
            (own.as_slice(), id_at)
        };
        if head.len() + 2 + message.payload.len() > link.terms.packet_max {
            drops.too_large.one();
            return Sent::Dropped;
        }
        if !link.outbox.publish(
            (head, id_at),
            id,
            &message.payload,
            limits.outgoing_bytes,
            id.is_some(),
        ) {
            let Some(_) = id else {
                drops.slow.one();
                return Sent::Dropped;
            };
            return self.enqueue(
                Queued { message: Arc::clone(message), retain, ids: ids.into() },
                limits,
                drops,
            );
        }
        link.dirty = true;
        if let Some(id) = id {
            self.last_id = id;
            let queued = Queued { message: Arc::clone(message), retain, ids: ids.into() };
            self.inflight.push_back(Inflight { id, queued });
        }
        Sent::Written
    }

    fn enqueue(&mut self, queued: Queued, limits: &BrokerLimits, drops: &Drops) -> Sent {
        let mut sent = Sent::Queued;
        self.queue_bytes += queued.message.bytes();
        self.queue.push_back(queued);
        while self.queue.len() > limits.queue_messages || self.queue_bytes > limits.queue_bytes {
            let gone = match limits.queue_drops {
                QueueDrops::Oldest => self.queue.pop_front(),
                QueueDrops::Newest => self.queue.pop_back(),
            };
            let Some(gone) = gone else { break };
            self.queue_bytes -= gone.message.bytes();
            drops.queue_full.one();
            sent = Sent::Dropped;
        }
        sent
    }

    /// Sends what waits as far as window and buffer allow; counts what it wrote in `written` and
    /// what it had to drop in `dropped`.
    pub fn pump(
        &mut self,
        link: &mut Link,
        limits: &BrokerLimits,
        drops: &Drops,
        now: Mono,
        (written, dropped): (&mut u64, &mut u64),
    ) -> Pump {
        let mut head = Vec::new();
        loop {
            let window = self.inflight.len() < usize::from(link.terms.window);
            let (id, dup, queued) = match (self.again.pop_front(), self.queue.front()) {
                (Some(again), _) if window => (again.id, true, again.queued),
                (Some(again), _) => {
                    self.again.push_front(again);
                    return Pump::Full;
                }
                (None, Some(next)) if next.message.is_expired(now) => {
                    self.pop_queue();
                    drops.expired.one();
                    *dropped += 1;
                    continue;
                }
                (None, Some(_)) if !self.has_window(link) => return Pump::Full,
                (None, Some(_)) => match self.pop_queue() {
                    Some(queued) => (next_id(self.last_id), false, queued),
                    None => return Pump::Idle,
                },
                (None, None) => return Pump::Idle,
            };
            let message = &queued.message;
            let form = Form {
                version: link.terms.version,
                qos: Qos::AtLeastOnce,
                retain: queued.retain,
                dup,
                ids: &queued.ids,
                expiry: message.expiry_left(now),
            };
            let id_at = encode::publish_head(&mut head, message, form);
            if head.len() + 2 + message.payload.len() > link.terms.packet_max {
                drops.too_large.one();
                *dropped += 1;
                continue;
            }
            let limit = limits.outgoing_bytes;
            if !link.outbox.publish((&head, id_at), Some(id), &message.payload, limit, true) {
                if dup {
                    self.again.push_front(Inflight { id, queued });
                } else {
                    self.queue_bytes += message.bytes();
                    self.queue.push_front(queued);
                }
                return Pump::Full;
            }
            link.dirty = true;
            *written += 1;
            if !dup {
                self.last_id = id;
            }
            self.inflight.push_back(Inflight { id, queued });
        }
    }

    /// Drops what waits on topics that `unwanted` names; says how many messages that was.
    pub fn forget(&mut self, unwanted: impl Fn(&str) -> bool) -> u64 {
        let before = self.queue.len() + self.again.len();
        let stays = |queued: &Queued| !unwanted(queued.message.topic.as_str());
        self.queue.retain(stays);
        self.again.retain(|again| stays(&again.queued));
        self.queue_bytes = self.queue.iter().map(|queued| queued.message.bytes()).sum();
        u64::try_from(before - self.queue.len() - self.again.len()).unwrap_or(0)
    }

    fn pop_queue(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.queue_bytes -= queued.message.bytes();
        Some(queued)
    }
}

fn next_id(id: u16) -> u16 {
    id.checked_add(1).unwrap_or(1)
}
