//! Messages for shared subscriptions: each goes to one member of each group (MQTT 5.0, 4.8.2).

use std::sync::Arc;

use super::Router;
use crate::broker::message::Message;
use crate::broker::session::{Sent, Session};
use crate::broker::shares::{GroupKey, Readiness};
use crate::broker::trie::Match;
use crate::config::BrokerLimits;
use crate::model::{Mono, Qos};

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

    fn send_to_one(&mut self, group: GroupKey, message: &Arc<Message>, now: Mono) {
        let (sessions, limits) = (&self.sessions, &self.limits);
        let member = self.subscriptions.choose(group, |member| {
            let place = usize::try_from(member.subscriber.0).ok()?;
            let session = sessions.get(place)?.as_deref()?;
            readiness(session, member.grant.qos.min(message.qos), limits)
        });
        let Some(Match { subscriber, grant }) = member else { return };
        let ids: &[u32] = if grant.id > 0 { &[grant.id] } else { &[] };
        if self.send(subscriber, message, grant, ids, now) == Sent::Written {
            self.counters.messages_out.one();
        }
    }
}

/// How well a member could take a message of this quality; `None` if it would be lost there.
fn readiness(session: &Session, qos: Qos, limits: &BrokerLimits) -> Option<Readiness> {
    let Some(link) = &session.link else {
        return (qos != Qos::AtMostOnce).then_some(Readiness::Away);
    };
    let can_take = match qos {
        Qos::AtMostOnce => link.outbox.progress().queued < limits.outgoing_bytes,
        _ => session.outgoing.is_open(link),
    };
    Some(if can_take { Readiness::Ready } else { Readiness::Behind })
}
