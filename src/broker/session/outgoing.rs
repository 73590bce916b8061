//! Messages to one client: the window of those in flight and the queue behind it.
//!
//! Order: what was in flight when the connection broke goes first, with DUP and its old packet
//! ids [MQTT-4.4.0-1], then the queue, then retained messages a subscription asked for. Bounded
//! in messages and bytes; the oldest goes first, or the newest, and is counted.
//!
//! Every message of QoS 1 and 2 has a number in the session's sequence, and its packet id follows
//! from that: nothing has to be remembered to give the same message the same id again.
//!
//! A message that has a row in the broker's file is freed there when it is settled. At QoS 2 it is
//! sent only when that row is durable: else its number could be another message's after a crash,
//! which the client would take for a duplicate.

mod kept;

use std::collections::VecDeque;
use std::sync::Arc;

use super::sequence::{Sequence, packet_id};
use super::{Link, Terms};
use crate::broker::encode::{self, Alias, Form};
use crate::broker::message::{Frames, Message};
use crate::broker::packet::Reason;
use crate::broker::status::Drops;
use crate::config::{BrokerLimits, QueueDrops};
use crate::model::{Mono, Qos, TopicFilter, TopicName};

/// A message of QoS 1 or 2 that waits for its turn or its acknowledgement.
#[derive(Debug, Clone)]
pub struct Queued {
    /// Its place among the session's messages.
    pub number: u64,
    pub message: Arc<Message>,
    pub qos: Qos,
    pub retain: bool,
    pub ids: Box<[u32]>,
    /// Its row in the broker's file, 0 for none.
    pub row: u64,
    /// Not to be sent before this round is durable.
    pub round: u64,
}

impl Queued {
    /// What it counts for: the message as if nobody shared it, and what is this client's own.
    fn bytes(&self) -> usize {
        self.message.bytes() + size_of_val(&*self.ids)
    }
}

/// How one client is to get a message.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    pub qos: Qos,
    pub retain: bool,
    /// Subscription identifiers.
    pub ids: &'a [u32],
    /// See [`Queued::row`].
    pub row: u64,
    /// The round that makes the row durable.
    pub round: u64,
}

impl How<'_> {
    /// The round that has to be durable first, if one has.
    fn holds(self) -> Option<u64> {
        (self.qos == Qos::ExactlyOnce && self.row > 0).then_some(self.round)
    }
}

/// Retained messages that a subscription asked for and that are still to be sent.
#[derive(Debug)]
pub struct Replay {
    pub filter: TopicFilter,
    pub qos: Qos,
    pub id: u32,
    /// The last topic that was sent.
    pub after: Option<TopicName>,
    /// The round after which the subscription is durable and its SUBACK leaves, which is to come
    /// first.
    pub round: u64,
}

/// What became of one message to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Written,
    Queued,
    /// Dropped, or others for it; counted.
    Dropped(u64),
    /// Not for a client that is away: QoS 0.
    Away,
}

/// Why a pump stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pump {
    /// Nothing waits but what is in flight.
    Idle,
    /// The window or the outgoing buffer is full, or what comes next is not durable yet.
    Full,
}

/// What an acknowledgement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    Yes,
    Unknown,
    /// Not the packet that a message of this QoS is answered with.
    OtherQos,
}

/// What a PUBREC is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Is to be released; the message of this number.
    Now(u64),
    /// Will be released when the last PUBREC is durable.
    Later,
    /// Had been released before.
    Again,
    Unknown,
    OtherQos,
}

#[derive(Default)]
pub struct Outgoing {
    /// Sent on this connection and not acknowledged, in order of sending.
    inflight: VecDeque<Queued>,
    /// In flight on an earlier connection, to be sent again.
    again: VecDeque<Queued>,
    /// Numbers of QoS 2 messages that the client has and has not completed, in the order of its
    /// PUBRECs, which is that of our PUBRELs [MQTT-4.6.0-4].
    released: VecDeque<Release>,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    inflight_bytes: usize,
    again_bytes: usize,
    sequence: Sequence,
    /// Rows of the broker's file that this session waits for no more.
    freed: Vec<u64>,
    /// Whether anything was settled or released since [`Outgoing::take_moved`].
    has_moved: bool,
    /// The last round that something in the queue waits for.
    held_since: u64,
    pub replays: VecDeque<Replay>,
}

#[derive(Debug, Clone, Copy)]
struct Release {
    number: u64,
    /// Whether the client may be told.
    is_durable: bool,
}

impl Outgoing {
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    pub fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// Bytes of what was sent and is not acknowledged.
    pub fn sent_bytes(&self) -> usize {
        self.inflight_bytes + self.again_bytes
    }

    pub fn inflight_len(&self) -> usize {
        self.inflight.len() + self.again.len() + self.released.len()
    }

    /// A new connection: what was in flight has to be sent again.
    pub fn reconnected(&mut self) {
        self.inflight.append(&mut self.again);
        std::mem::swap(&mut self.inflight, &mut self.again);
        self.again_bytes += std::mem::take(&mut self.inflight_bytes);
        self.replays.retain(|replay| replay.qos > Qos::AtMostOnce);
    }

    /// The first thing on a new connection: what was released and not completed.
    pub fn release_again(&self, link: &mut Link) {
        for release in self.released.iter().filter(|release| release.is_durable) {
            link.release(packet_id(release.number), Reason::SUCCESS);
        }
    }

    /// Takes a PUBACK, or a PUBREC that refuses.
    pub fn acknowledged(&mut self, id: u16, qos: Qos) -> Acked {
        if qos == Qos::AtLeastOnce && self.released.iter().any(|r| packet_id(r.number) == id) {
            return Acked::OtherQos;
        }
        match self.take_inflight(id, qos) {
            Ok(Some(queued)) => {
                self.settle(&queued);
                Acked::Yes
            }
            Ok(None) => Acked::Unknown,
            Err(OtherQos) => Acked::OtherQos,
        }
    }

    /// Takes a PUBREC: the client has the message, from now on only its id is remembered.
    pub fn received(&mut self, id: u16) -> Received {
        if let Some(release) = self.released.iter().find(|r| packet_id(r.number) == id) {
            return if release.is_durable { Received::Again } else { Received::Later };
        }
        match self.take_inflight(id, Qos::ExactlyOnce) {
            Ok(Some(Queued { number, row, .. })) => {
                self.released.push_back(Release { number, is_durable: false });
                self.free(row);
                Received::Now(number)
            }
            Ok(None) => Received::Unknown,
            Err(OtherQos) => Received::OtherQos,
        }
    }

    /// The client may be told to release the message of this number; gives its packet id.
    pub fn tell(&mut self, number: u64) -> Option<u16> {
        let release = self.released.iter_mut().find(|release| release.number == number)?;
        release.is_durable = true;
        Some(packet_id(number))
    }

    /// Takes a PUBCOMP for something the client was told to release.
    pub fn completed(&mut self, id: u16) -> Acked {
        let place = self.released.iter().position(|r| r.is_durable && packet_id(r.number) == id);
        if let Some(release) = place.and_then(|at| self.released.remove(at)) {
            self.sequence.settle(release.number);
            self.has_moved = true;
            return Acked::Yes;
        }
        let mut in_flight = self.inflight.iter().chain(&self.again);
        match in_flight.any(|queued| packet_id(queued.number) == id) {
            true => Acked::OtherQos,
            false => Acked::Unknown,
        }
    }

    fn settle(&mut self, queued: &Queued) {
        self.sequence.settle(queued.number);
        self.free(queued.row);
    }

    fn free(&mut self, row: u64) {
        self.has_moved = true;
        if row > 0 {
            self.freed.push(row);
        }
    }

    fn take_inflight(&mut self, id: u16, qos: Qos) -> Result<Option<Queued>, OtherQos> {
        // What is to be sent again may be acknowledged before: late, from an earlier connection.
        let lists = [
            (&mut self.inflight, &mut self.inflight_bytes),
            (&mut self.again, &mut self.again_bytes),
        ];
        for (list, bytes) in lists {
            if let Some(at) = list.iter().position(|queued| packet_id(queued.number) == id) {
                if list.get(at).is_some_and(|queued| queued.qos != qos) {
                    return Err(OtherQos);
                }
                let taken = if at == 0 { list.pop_front() } else { list.remove(at) };
                *bytes -= taken.as_ref().map_or(0, Queued::bytes);
                return Ok(taken);
            }
        }
        Ok(None)
    }

    /// Whether a message of QoS 1 or 2 may go out now, in turn.
    pub fn is_open(&self, link: &Link) -> bool {
        self.again.is_empty()
            && self.queue.is_empty()
            && self.has_window(link)
            && self.sequence.is_id_free(self.sequence.next())
    }

    /// Whether a retained message of QoS 1 or 2 would leave as soon as it may.
    pub fn has_place(&self, link: &Link) -> bool {
        let waiting = self.inflight.len() + self.released.len() + self.queue.len();
        self.again.is_empty()
            && waiting < usize::from(link.terms.window)
            && self.inflight_bytes < link.terms.window_bytes
            && self.sequence.is_id_free(self.sequence.next())
    }

    fn has_window(&self, link: &Link) -> bool {
        self.inflight.len() + self.released.len() < usize::from(link.terms.window)
            && self.inflight_bytes < link.terms.window_bytes
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
        how: How<'_>,
        limits: &BrokerLimits,
        drops: &Drops,
        now: Mono,
    ) -> Sent {
        let How { qos, retain, ids, .. } = how;
        let is_numbered = qos != Qos::AtMostOnce;
        let is_held = how.holds().is_some();
        let link = match link {
            Some(link) if !is_numbered || (!is_held && self.is_open(link)) => link,
            None if !is_numbered => return Sent::Away,
            _ => return self.enqueue(message, how, limits, drops),
        };
        let Terms { version, packet_max, .. } = link.terms;
        let mut own = Vec::new();
        let mut alias = link.own_aliases.of(&message.topic);
        let head = if ids.is_empty() && alias.is_none() {
            let head = frames.head(message, version, qos, retain, now);
            fits(head.0, qos, message, packet_max).then_some(head)
        } else {
            let expiry = message.expiry_left(now);
            let form = Form { version, qos, retain, dup: false, ids, expiry, alias };
            fitting_head(&mut own, message, form, packet_max).map(|(id_at, used)| {
                alias = used;
                (own.as_slice(), id_at)
            })
        };
        let Some(head) = head else {
            drops.too_large.one();
            return Sent::Dropped(1);
        };
        let id = is_numbered.then(|| packet_id(self.sequence.next()));
        if !link.outbox.publish(head, id, &message.payload, limits.outgoing_bytes, is_numbered) {
            if is_numbered {
                return self.enqueue(message, how, limits, drops);
            }
            drops.slow.one();
            return Sent::Dropped(1);
        }
        link.dirty = true;
        if let Some(alias) = alias {
            link.own_aliases.sent(&message.topic, alias);
        }
        if is_numbered {
            let queued = self.number(message, how);
            self.inflight_bytes += queued.bytes();
            self.inflight.push_back(queued);
        }
        Sent::Written
    }

    fn number(&mut self, message: &Arc<Message>, how: How<'_>) -> Queued {
        let How { qos, retain, ids, row, .. } = how;
        let number = self.sequence.take();
        let round = how.holds().unwrap_or(0);
        Queued { number, message: Arc::clone(message), qos, retain, ids: ids.into(), row, round }
    }

    /// The number that the next message gets.
    pub fn next_number(&self) -> u64 {
        self.sequence.next()
    }

    fn enqueue(
        &mut self,
        message: &Arc<Message>,
        how: How<'_>,
        limits: &BrokerLimits,
        drops: &Drops,
    ) -> Sent {
        let mut dropped = 0;
        let queued = self.number(message, how);
        self.held_since = self.held_since.max(queued.round);
        self.queue_bytes += queued.bytes();
        self.queue.push_back(queued);
        while self.queue.len() > limits.queue_messages || self.queue_bytes > limits.queue_bytes {
            let gone = match limits.queue_drops {
                QueueDrops::Oldest => self.queue.pop_front(),
                QueueDrops::Newest => self.queue.pop_back(),
            };
            let Some(gone) = gone else { break };
            self.queue_bytes -= gone.bytes();
            self.settle(&gone);
            drops.queue_full.one();
            dropped += 1;
        }
        if dropped > 0 { Sent::Dropped(dropped) } else { Sent::Queued }
    }

    /// Drops what has waited for longest; `false` if nothing waits.
    pub fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.pop_queue() else { return false };
        self.settle(&oldest);
        true
    }

    /// Drops what was sent first and is not acknowledged, of a client that is away.
    pub fn drop_sent(&mut self) -> bool {
        // What came again already was sent before what is still to come again.
        let (oldest, bytes) = match self.inflight.pop_front() {
            Some(oldest) => (Some(oldest), &mut self.inflight_bytes),
            None => (self.again.pop_front(), &mut self.again_bytes),
        };
        let Some(oldest) = oldest else { return false };
        *bytes -= oldest.bytes();
        self.settle(&oldest);
        true
    }

    /// Sends what waits as far as window and buffer allow; counts what it wrote in `written` and
    /// what it had to drop in `dropped`.
    pub fn pump(
        &mut self,
        link: &mut Link,
        limits: &BrokerLimits,
        drops: &Drops,
        (safe_round, now): (u64, Mono),
        (written, dropped): (&mut u64, &mut u64),
    ) -> Pump {
        let mut head = Vec::new();
        loop {
            let dup = !self.again.is_empty();
            let Some(next) = self.again.front().or(self.queue.front()) else { return Pump::Idle };
            if !dup && next.message.is_expired(now) {
                drops.expired.one();
                *dropped += 1;
                self.drop_first();
                continue;
            }
            // An id that was in flight is the message's own.
            let is_free = dup || self.sequence.is_id_free(next.number);
            if !self.has_window(link) || !is_free || next.round > safe_round {
                return Pump::Full;
            }
            let message = &next.message;
            let form = Form {
                version: link.terms.version,
                qos: next.qos,
                retain: next.retain,
                dup,
                ids: &next.ids,
                expiry: message.expiry_left(now),
                alias: link.own_aliases.of(&message.topic),
            };
            let fitting = fitting_head(&mut head, message, form, link.terms.packet_max);
            let Some((id_at, alias)) = fitting else {
                drops.too_large.one();
                *dropped += 1;
                self.drop_first();
                continue;
            };
            let limit = limits.outgoing_bytes;
            let id = Some(packet_id(next.number));
            if !link.outbox.publish((&head, id_at), id, &message.payload, limit, true) {
                return Pump::Full;
            }
            link.dirty = true;
            if let Some(alias) = alias {
                link.own_aliases.sent(&message.topic, alias);
            }
            *written += 1;
            if let Some(sent) = self.pop_first() {
                self.inflight_bytes += sent.bytes();
                self.inflight.push_back(sent);
            }
        }
    }

    /// What may go to somebody else when this session ends: what was never sent, and of what was
    /// sent, but not acknowledged, that of QoS 1 (MQTT 5.0, 4.8.2).
    pub fn unfinished(&self) -> impl Iterator<Item = &Arc<Message>> {
        let sent = self.again.iter().chain(&self.inflight);
        let sent = sent.filter(|queued| queued.qos == Qos::AtLeastOnce);
        sent.chain(&self.queue).map(|queued| &queued.message)
    }

    /// Drops what waits, or would come again on another connection, on topics that `unwanted`
    /// names; says how many messages that was.
    pub fn forget(&mut self, unwanted: impl Fn(&str) -> bool) -> u64 {
        let mut gone = Vec::new();
        for list in [&mut self.queue, &mut self.again, &mut self.inflight] {
            list.retain(|queued| {
                let stays = !unwanted(queued.message.topic.as_str());
                if !stays {
                    gone.push((queued.number, queued.row));
                }
                stays
            });
        }
        let count = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        for (number, row) in gone {
            self.sequence.settle(number);
            self.free(row);
        }
        self.count_bytes();
        count
    }

    fn count_bytes(&mut self) {
        self.queue_bytes = self.queue.iter().map(Queued::bytes).sum();
        self.inflight_bytes = self.inflight.iter().map(Queued::bytes).sum();
        self.again_bytes = self.again.iter().map(Queued::bytes).sum();
    }

    /// Rows that this session waits for no more.
    pub fn take_freed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.freed)
    }

    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// The last round that something here had to wait for.
    pub fn held_since(&self) -> u64 {
        self.held_since
    }

    /// All rows that this session waits for, because it ends.
    pub fn rows(&self) -> impl Iterator<Item = u64> {
        let lists = [&self.inflight, &self.again, &self.queue];
        let rows = lists.into_iter().flatten().map(|queued| queued.row).filter(|row| *row > 0);
        rows.chain(self.freed.iter().copied())
    }

    /// Takes what is to be sent next.
    fn pop_first(&mut self) -> Option<Queued> {
        let Some(again) = self.again.pop_front() else { return self.pop_queue() };
        self.again_bytes -= again.bytes();
        Some(again)
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.pop_first() {
            self.settle(&first);
        }
    }

    fn pop_queue(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.queue_bytes -= queued.bytes();
        Some(queued)
    }
}

/// The message with this packet id is not of the QoS that the packet is for.
struct OtherQos;

/// Whether a packet with this head is none too large for its client.
fn fits(head: &[u8], qos: Qos, message: &Message, packet_max: usize) -> bool {
    let id_bytes = if qos == Qos::AtMostOnce { 0 } else { 2 };
    head.len() + id_bytes + message.payload.len() <= packet_max
}

/// Encodes a head, without its alias if that alone makes the packet too large; gives the place of
/// the packet id and the alias that is used. `None`: it is too large anyway.
fn fitting_head(
    head: &mut Vec<u8>,
    message: &Message,
    mut form: Form<'_>,
    packet_max: usize,
) -> Option<(usize, Option<Alias>)> {
    loop {
        let id_at = encode::publish_head(head, message, form);
        if fits(head, form.qos, message, packet_max) {
            return Some((id_at, form.alias));
        }
        form.alias.take()?;
    }
}
