//! The bound over the bytes of all queues together.
//!
//! Looked at once a round, not for each message. Beyond it the longest queues lose their oldest
//! messages: whoever collects most pays, and a client that keeps up loses nothing. What a client did
//! not acknowledge before it went is a part of its queue.

use super::Router;
use crate::broker::session::Session;
use crate::broker::trie::SessionKey;

/// This share of the bound is freed at once, so that not every message looks for the longest queue.
const FREED_SHARE: usize = 64;

/// Bytes of a session's queue. What is in flight to a client that is there has a bound of its own.
fn queued(session: &Session) -> usize {
    let unacknowledged = if session.link.is_none() { session.outgoing.sent_bytes() } else { 0 };
    session.outgoing.queue_bytes() + unacknowledged
}

impl Router {
    pub(super) fn bound_queues(&mut self) {
        for at in 0..self.dirty.len() {
            let Some(&key) = self.dirty.get(at) else { break };
            self.count_queue(key);
        }
        let most = self.limits.all_queues_bytes;
        if self.queued_bytes <= most {
            return;
        }
        let enough = most - most / FREED_SHARE;
        while self.queued_bytes > enough {
            let queues = self.sessions.iter().enumerate().filter_map(|(place, session)| {
                Some((queued(session.as_ref()?), u32::try_from(place).ok()?))
            });
            let Some((longest, place)) = queues.max().filter(|(bytes, _)| *bytes > 0) else {
                break;
            };
            self.shorten(SessionKey(place), longest / 2, enough);
        }
    }

    /// Drops the oldest of a queue until it has no more than `bytes`, or all together no more than
    /// `enough`.
    fn shorten(&mut self, key: SessionKey, bytes: usize, enough: usize) {
        let others = self.queued_bytes;
        let Some(session) = self.session(key) else { return };
        let others = others.saturating_sub(queued(session));
        let mut dropped = 0;
        while queued(session) > bytes && others + queued(session) > enough {
            let was_sent = session.link.is_none() && session.outgoing.drop_sent();
            if !was_sent && !session.outgoing.drop_oldest() {
                break;
            }
            dropped += 1;
        }
        session.gauge.dropped.add(dropped);
        self.counters.dropped.queue_full.add(dropped);
        self.touch(key);
        self.count_queue(key);
    }

    fn count_queue(&mut self, key: SessionKey) {
        let Some(session) = self.session(key) else { return };
        let bytes = queued(session);
        let counted = std::mem::replace(&mut session.counted_bytes, bytes);
        self.queued_bytes = (self.queued_bytes + bytes).saturating_sub(counted);
    }
}
