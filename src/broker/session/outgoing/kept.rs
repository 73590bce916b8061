//! Messages to one client as the broker's file has them, and back.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Outgoing, Queued, Release, Replay};
use crate::broker::message::Message;
use crate::broker::record::{ProgressRecord, Receiver, ReplayRecord, Since};
use crate::broker::session::sequence::Sequence;
use crate::config::BrokerLimits;
use crate::model::Qos;

impl Outgoing {
    /// How far the session got; where the client is, and what it sent, others know.
    pub fn progress(&self) -> ProgressRecord {
        ProgressRecord {
            since: Since::Connected { window: 0 },
            next: self.sequence.next(),
            first_open: self.sequence.first_open(),
            gaps: self.sequence.gaps().collect(),
            unsent: self.queue.front().map_or(self.sequence.next(), |queued| queued.number),
            released: self.released.iter().map(|release| release.number).collect(),
            receipts: Vec::new(),
            replays: self.owed_retained().collect(),
        }
    }

    /// What is still to be sent of the retained messages at QoS 1 and 2: the rest goes with the
    /// connection.
    fn owed_retained(&self) -> impl Iterator<Item = ReplayRecord> {
        let owed = self.replays.iter().filter(|replay| replay.qos > Qos::AtMostOnce);
        owed.map(|replay| ReplayRecord {
            filter: replay.filter.clone(),
            qos: replay.qos,
            id: replay.id,
            after: replay.after.clone(),
        })
    }

    /// What has a row in the file that is wanted, as that says it; `session` is the session's number
    /// there.
    pub fn kept(
        &self,
        session: u64,
        wanted: impl Fn(u64) -> bool,
    ) -> Vec<(u64, Arc<Message>, Receiver)> {
        let lists = [&self.again, &self.inflight, &self.queue];
        let rows =
            lists.into_iter().flatten().filter(|queued| queued.row > 0 && wanted(queued.row));
        let kept = rows.map(|queued| {
            let receiver = Receiver {
                session,
                number: queued.number,
                qos: queued.qos,
                retain: queued.retain,
                ids: queued.ids.clone(),
            };
            (queued.row, Arc::clone(&queued.message), receiver)
        });
        kept.collect()
    }

    /// Takes over what the file has: how far the session got, and every message that is open, by
    /// their numbers. Whatever may have been sent goes again.
    pub fn restore(
        &mut self,
        progress: &ProgressRecord,
        mut messages: Vec<Queued>,
        limits: &BrokerLimits,
    ) {
        let replays = progress.replays.iter().cloned();
        self.replays = replays
            .map(|ReplayRecord { filter, qos, id, after }| Replay {
                filter,
                qos,
                id,
                after,
                round: 0,
            })
            .collect();
        messages.sort_by_key(|queued| queued.number);
        let beyond = messages.last().map_or(0, |queued| queued.number + 1);
        let next = progress.next.max(beyond);
        let released = progress.released.iter().copied().filter(|number| *number < next);
        self.released = released.map(|number| Release { number, is_durable: true }).collect();
        let open = messages.iter().map(|queued| queued.number);
        let open = open.chain(self.released.iter().map(|release| release.number));
        self.sequence = Sequence::restore(next, open);
        // What the connection that was cut may have sent beyond what was written down.
        let mut unknown = match progress.since {
            Since::Connected { window } => usize::from(window),
            Since::Away(_) => 0,
        };
        let mut queue = VecDeque::from(messages);
        while let Some(first) = queue.front() {
            if first.number >= progress.unsent {
                if unknown == 0 {
                    break;
                }
                unknown -= 1;
            }
            self.again.extend(queue.pop_front());
        }
        self.queue = queue;
        self.count_bytes();
        while self.queue.len() > limits.queue_messages || self.queue_bytes > limits.queue_bytes {
            if !self.drop_oldest() {
                break;
            }
        }
    }
}
