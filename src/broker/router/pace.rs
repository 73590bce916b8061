//! Keeps publishers at the pace of a subscriber that is connected, reads, and is behind.
//!
//! Without this a publisher of QoS 1 or 2 is acknowledged as fast as it sends while the oldest messages
//! fall out of the subscriber's queue. So from half a queue on, acknowledgements wait until the
//! queue has shrunk; publishers stop at the end of their own windows. A subscriber that makes no
//! progress holds up nobody for longer than [`PATIENCE`], and one that makes little for no longer than
//! [`TRIAL`]: from then on, and until it has caught up, its queue drops the oldest as that of an absent
//! client does. Else any subscriber could bring all publishers down to its own pace.

use std::time::Duration;

use super::{Later, Router};
use crate::broker::packet::Reason;
use crate::broker::session::Session;
use crate::broker::trie::SessionKey;
use crate::config::BrokerLimits;
use crate::model::{Mono, Qos};

/// A subscriber that acknowledged nothing for this long makes no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a subscriber that has fallen behind is waited for whatever its pace.
const TRIAL: Duration = Duration::from_secs(2);
/// One that needs longer than this for what waits is too slow to be waited for.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// Acknowledgements that may wait for one subscriber.
const WAITERS_MAX: usize = 10_000;

/// Whether the session's queue is at least half full.
fn is_behind(session: &Session, limits: &BrokerLimits) -> bool {
    let outgoing = &session.outgoing;
    outgoing.queue_len() >= limits.queue_messages.div_ceil(2)
        || outgoing.queue_bytes() >= limits.queue_bytes.div_ceil(2)
}

/// Whether the session has caught up after it was behind.
fn has_caught_up(session: &Session, limits: &BrokerLimits) -> bool {
    let outgoing = &session.outgoing;
    outgoing.queue_len() <= limits.queue_messages / 4
        && outgoing.queue_bytes() <= limits.queue_bytes / 4
}

/// Whether, at its pace since it fell behind, the client won't be through soon.
fn is_slow(session: &Session, now: Mono) -> bool {
    let Some((since, acks)) = session.behind_since else { return false };
    let passed = now - since;
    let waiting = u128::try_from(session.outgoing.queue_len()).unwrap_or(u128::MAX);
    let acks = u128::from(session.acks.saturating_sub(acks));
    passed >= TRIAL && waiting * passed.as_millis() > acks * CATCH_UP_MAX.as_millis()
}

/// Whether a session is behind and goes on well enough to be waited for.
fn is_waited_for(session: &Session, limits: &BrokerLimits, now: Mono) -> bool {
    session.link.is_some()
        && is_behind(session, limits)
        && now - session.acked_at < PATIENCE
        && !is_slow(session, now)
}

/// A message was queued: says whether its publisher should wait for this session.
pub(super) fn is_worth_waiting(session: &mut Session, limits: &BrokerLimits, now: Mono) -> bool {
    if is_behind(session, limits) {
        session.behind_since.get_or_insert((now, session.acks));
    }
    is_waited_for(session, limits, now) && session.waiters.len() < WAITERS_MAX
}

impl Router {
    /// Makes the acknowledgement of a message wait for a subscriber.
    pub(super) fn wait_for(
        &mut self,
        subscriber: SessionKey,
        publisher: SessionKey,
        message: (u16, Qos),
    ) {
        let is_kept = self.is_kept;
        let round = if is_kept { self.round.number() } else { 0 };
        let Some(ticket) = self.acknowledge_later(publisher, message, is_kept) else { return };
        let waiter = (round, Later::Acknowledge(publisher, ticket, Reason::SUCCESS));
        if let Some(session) = self.session(subscriber) {
            session.waiters.push(waiter);
        }
    }

    /// Acknowledges what waited for this subscriber, if it has caught up or stopped.
    pub(super) fn release_waiters(&mut self, key: SessionKey, now: Mono) {
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(Some(session)) = self.sessions.get_mut(place) else { return };
        if has_caught_up(session, &self.limits) {
            session.behind_since = None;
        }
        if session.waiters.is_empty() || is_waited_for(session, &self.limits, now) {
            return;
        }
        for (round, waiter) in std::mem::take(&mut session.waiters) {
            self.when_safe(round, waiter, now);
        }
    }
}
