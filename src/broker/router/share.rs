//! Messages for shared subscriptions: each goes to one member of each group (MQTT 5.0, 4.8.2).

use std::collections::HashMap;
use std::sync::Arc;

use super::Router;
use crate::broker::message::Message;
use crate::broker::session::{Sent, Session};
use crate::broker::shares::{GroupKey, Readiness};
use crate::broker::trie::Match;
use crate::config::BrokerLimits;
use crate::model::{Mono, Qos, TopicFilter};

impl Router {
    /// Sends a message to one member of every group that wants it; says how many there are.
    /// The encoded forms are those of the message being routed.
    pub(super) fn route_shared(&mut self, message: &Arc<Message>, now: Mono) -> usize {
        let mut groups = std::mem::take(&mut self.groups);
        self.subscriptions.groups(message.topic.as_str(), &mut groups);
        let receivers = groups.len();
        for group in groups.drain(..) {
            self.send_to_one(group.subscriber, message, now);
        }
        self.groups = groups;
        receivers
    }

    /// Sends what was left to others, see [`left_to_others`], to members of the groups.
    pub(super) fn pass_on(&mut self, now: Mono) {
        for (filter, message) in std::mem::take(&mut self.passed_on) {
            let group = self.subscriptions.group(&filter).filter(|_| !message.is_expired(now));
            self.frames.start();
            if !group.is_some_and(|group| self.send_to_one(group, &message, now)) {
                self.counters.dropped.session_ended.one();
            }
            self.round.finish_message(&message, now);
        }
    }

    /// Says whether there was a member that could take it.
    fn send_to_one(&mut self, group: GroupKey, message: &Arc<Message>, now: Mono) -> bool {
        let (sessions, limits) = (&self.sessions, &self.limits);
        let member = self.subscriptions.choose(group, |member| {
            let place = usize::try_from(member.subscriber.0).ok()?;
            let session = sessions.get(place)?.as_deref()?;
            readiness(session, member.grant.qos.min(message.qos), limits)
        });
        let Some(Match { subscriber, grant }) = member else { return false };
        let ids: &[u32] = if grant.id > 0 { &[grant.id] } else { &[] };
        if self.send(subscriber, message, grant, ids, now) == Sent::Written {
            self.counters.messages_out.one();
        }
        true
    }
}

/// What waits for a session because of shared subscriptions of its that end, with the groups that it
/// goes to.
///
/// A message that an own subscription wanted as well is there once more, and that copy ends with
/// it. One that a subscription wants which goes on stays with the session.
pub(super) fn left_to_others(
    session: &Session,
    ends: impl Fn(&TopicFilter) -> bool,
) -> Vec<(TopicFilter, Arc<Message>)> {
    let mut left = Vec::new();
    let (ending, staying): (Vec<&TopicFilter>, Vec<&TopicFilter>) =
        session.subscriptions.keys().partition(|filter| ends(filter));
    let (shared, own): (Vec<&TopicFilter>, Vec<&TopicFilter>) =
        ending.into_iter().partition(|filter| filter.is_shared());
    if shared.is_empty() {
        return left;
    }
    let mut copies: HashMap<*const Message, usize> = HashMap::new();
    for message in session.outgoing.unfinished() {
        let topic = message.topic.as_str();
        if staying.iter().any(|filter| filter.wants(topic)) {
            continue;
        }
        let is_own = own.iter().any(|filter| filter.matches(topic));
        let copy = copies.entry(Arc::as_ptr(message)).or_default();
        let nth = match (is_own, *copy) {
            (true, 0) => None,
            (true, copy) => Some(copy - 1),
            (false, copy) => Some(copy),
        };
        *copy += 1;
        let group = nth.and_then(|nth| shared.iter().filter(|f| f.wants(topic)).nth(nth));
        if let Some(group) = group {
            left.push(((*group).clone(), Arc::clone(message)));
        }
    }
    left
}

/// How well a member could take a message of this quality; `None` if it would be lost there.
fn readiness(session: &Session, qos: Qos, limits: &BrokerLimits) -> Option<Readiness> {
    let link = session.link.as_ref().filter(|link| !link.is_waiting());
    let Some(link) = link else {
        let readiness = if session.link.is_some() { Readiness::Behind } else { Readiness::Away };
        return (qos != Qos::AtMostOnce).then_some(readiness);
    };
    let can_take = match qos {
        Qos::AtMostOnce => link.outbox.progress().queued < limits.outgoing_bytes,
        _ => session.outgoing.is_open(link),
    };
    Some(if can_take { Readiness::Ready } else { Readiness::Behind })
}
