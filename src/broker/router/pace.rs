//! Keeps publishers at the pace of a subscriber that is connected, reads, and is behind.
//!
//! Without this a publisher of QoS 1 or 2 is acknowledged as fast as it sends while the oldest messages
//! fall out of the subscriber's queue. So from half a queue on, acknowledgements wait until the
//! queue has shrunk; publishers stop at the end of their own windows. A subscriber that makes no
//! progress holds up nobody for longer than [`PATIENCE`]: from then on its queue drops the oldest
//! as that of an absent client does.

use std::time::Duration;

use super::{Later, Router};
use crate::broker::packet::Reason;
use crate::broker::session::Session;
use crate::broker::trie::SessionKey;
use crate::config::BrokerLimits;
use crate::model::{Mono, Qos};

/// A subscriber that acknowledged nothing for this long makes no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// Acknowledgements that may wait for one subscriber.
const WAITERS_MAX: usize = 10_000;

/// Whether the session's queue is at least half full.
fn is_behind(session: &Session, limits: &BrokerLimits) -> bool {
    let outgoing = &session.outgoing;
    outgoing.queue_len() >= limits.queue_messages.div_ceil(2)
        || outgoing.queue_bytes() >= limits.queue_bytes.div_ceil(2)
}

/// Whether publishers to this session should wait for it.
pub(super) fn is_worth_waiting(session: &Session, limits: &BrokerLimits, now: Mono) -> bool {
    session.link.is_some()
        && is_behind(session, limits)
        && now - session.acked_at < PATIENCE
        && session.waiters.len() < WAITERS_MAX
}

impl Router {
    /// Makes the acknowledgement of a message wait for a subscriber.
    pub(super) fn wait_for(
        &mut self,
        subscriber: SessionKey,
        publisher: SessionKey,
        (id, qos): (u16, Qos),
    ) {
        let is_kept = self.is_kept;
        let round = if is_kept { self.round.number() } else { 0 };
        let ticket = self.session(publisher).and_then(|s| s.acknowledge_later(id, qos, is_kept));
        let Some(ticket) = ticket else { return };
        let waiter = (round, Later::Acknowledge(publisher, ticket, Reason::SUCCESS));
        if let Some(session) = self.session(subscriber) {
            session.waiters.push(waiter);
        }
    }

    /// Acknowledges what waited for this subscriber, if it has caught up or stopped.
    pub(super) fn release_waiters(&mut self, key: SessionKey, now: Mono) {
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(Some(session)) = self.sessions.get_mut(place) else { return };
        let holds = session.link.is_some()
            && is_behind(session, &self.limits)
            && now - session.acked_at < PATIENCE;
        if session.waiters.is_empty() || holds {
            return;
        }
        for (round, waiter) in std::mem::take(&mut session.waiters) {
            self.when_safe(round, waiter, now);
        }
    }
}
