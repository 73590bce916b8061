//! PUBLISH: what a client may publish, who gets it, what the store gets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Later, Router, Waiter};
use crate::broker::Publish;
use crate::broker::access::Publication;
use crate::broker::encode::{self, property};
use crate::broker::message::Message;
use crate::broker::packet::{Inbound, Reason, Will};
use crate::broker::session::{Close, Sent};
use crate::broker::status::Counters;
use crate::broker::trie::{Grant, Match, SessionKey};
use crate::model::{FromCloud, Message as Stored, Mono, Origin, Qos, SetRequest, TopicName};

/// What became of a client's message.
pub(super) enum Fate {
    Known(Reason, Option<&'static str>),
    /// The store is at it.
    Committing(super::Commit),
}

impl Router {
    pub(super) fn is_topic_within_limits(&self, topic: &str) -> bool {
        self.limits.takes_topic(topic)
    }

    /// Whether only the gateway publishes here.
    pub(super) fn is_reserved(&self, topic: &TopicName) -> bool {
        self.rules.is_reserved(topic)
    }

    /// Whether a publish here is a command to a tag, or to several of a device.
    pub(super) fn is_command(&self, topic: &TopicName) -> bool {
        self.rules.is_command(topic)
    }

    pub(super) fn client_publish(
        &mut self,
        key: SessionKey,
        topic: TopicName,
        publish: Inbound,
        now: Mono,
    ) {
        self.counters.messages_in.one();
        if !self.is_topic_within_limits(topic.as_str()) {
            return self.close(key, Close::Fault(Reason::TOPIC_NAME_INVALID), now);
        }
        let (id, qos) = (publish.id, publish.qos);
        self.behind = None;
        self.is_kept = false;
        let is_command = self.is_command(&topic);
        let publication =
            Publication { topic: topic.as_str(), qos, retain: publish.retain, is_command };
        let allowed = self.session(key).is_some_and(|s| s.rights.may_publish(&publication));
        let fate = if self.is_reserved(&topic) {
            self.counters.dropped.reserved.one();
            Fate::Known(Reason::NOT_AUTHORIZED, Some("only the gateway publishes to this topic"))
        } else if !allowed {
            self.counters.dropped.denied.one();
            Fate::Known(Reason::NOT_AUTHORIZED, Some("this user may not publish to this topic"))
        } else if is_command {
            self.command(key, topic, publish, now)
        } else {
            let message = Message {
                topic,
                payload: publish.payload,
                qos,
                retain: publish.retain,
                expires: expires(publish.expiry, now),
                properties: publish.properties,
            };
            match self.forward(&message, now) {
                Some(commit) if qos == Qos::ExactlyOnce => {
                    return self.defer(key, id, message, commit);
                }
                commit => self.accept(Some(key), message, commit, now),
            }
        };
        let is_answered = qos != Qos::AtMostOnce;
        match (fate, self.behind) {
            (Fate::Known(Reason::SUCCESS, _), Some(subscriber)) if is_answered => {
                self.wait_for(subscriber, key, (id, qos));
            }
            // One for want of room among the retained as well: others may have the message.
            (Fate::Known(reason, _), _) if is_answered && self.is_kept => {
                // The id of one that is refused is free again: no restart may remember it.
                let is_kept = !reason.is_refusal();
                if let Some(ticket) = self.acknowledge_later(key, (id, qos), is_kept) {
                    self.round.wait(Later::Acknowledge(key, ticket, reason));
                }
            }
            (Fate::Known(reason, why), _) if is_answered => {
                if let Some(session) = self.session(key) {
                    session.acknowledge(id, qos, reason, why);
                }
                self.touch(key);
            }
            (Fate::Known(..), _) => {}
            (Fate::Committing(commit), _) => {
                let is_kept = self.is_kept;
                let round = if is_kept { self.round.number() } else { 0 };
                let ticket = is_answered.then(|| self.acknowledge_later(key, (id, qos), is_kept));
                let waiter = ticket
                    .flatten()
                    .map_or(Waiter::Nobody, |ticket| Waiter::Publisher(key, ticket, round));
                self.commits.push((waiter, commit));
            }
        }
    }

    /// Hands a command to whoever takes care of them, at once or not at all.
    fn command(&mut self, key: SessionKey, topic: TopicName, publish: Inbound, now: Mono) -> Fate {
        let client = self.session(key).map(|session| session.client_id.to_string());
        let request = SetRequest {
            origin: Origin::Lan(client.unwrap_or_default()),
            topic,
            payload: publish.payload.to_vec(),
            retain: publish.retain,
            expires: expires(publish.expiry, now),
            at: now,
            reply_to: publish.reply_to.map(|reply_to| (reply_to.0, reply_to.1.to_vec())),
            answer: None,
        };
        if self.inbox.try_send(request).is_err() {
            self.counters.dropped.commands_full.one();
            return Fate::Known(Reason::QUOTA_EXCEEDED, Some("too many commands are waiting"));
        }
        self.counters.commands.one();
        Fate::Known(Reason::SUCCESS, None)
    }

    /// A message that may pass: to the retained ones, to whoever subscribed. `commit` is that of
    /// the store, if an uplink wants it.
    pub(super) fn accept(
        &mut self,
        from: Option<SessionKey>,
        message: Message,
        commit: Option<super::Commit>,
        now: Mono,
    ) -> Fate {
        let message = Arc::new(message);
        self.is_kept = false;
        let mut refused = None;
        if message.retain {
            let kept = (!message.payload.is_empty()).then_some(&*message);
            let is_change = kept.is_some() || self.retained.is_kept(&message.topic);
            if self.retained.set(&message, self.round.is_on(), now) {
                if is_change {
                    self.round.change_retained(&message.topic, kept, now);
                    self.is_kept = self.round.is_on();
                }
            } else {
                self.counters.dropped.retained_full.one();
                // 3.1.1 has no word for it: there the message is one that is not retained.
                let link = from.and_then(|key| self.session(key)).and_then(|s| s.link.as_ref());
                let is_told = link.is_some_and(|link| link.terms.version.is_v5());
                refused = is_told.then_some(Reason::QUOTA_EXCEEDED);
            }
        }
        let matched = self.route(from, &message, now);
        match (commit, refused) {
            (Some(commit), _) => Fate::Committing(commit),
            (None, Some(reason)) => {
                Fate::Known(reason, Some("no room for another retained message"))
            }
            (None, None) if matched == 0 => Fate::Known(Reason::NO_MATCHING_SUBSCRIBERS, None),
            (None, None) => Fate::Known(Reason::SUCCESS, None),
        }
    }

    /// Hands a message to the store if an uplink wants it.
    fn forward(&self, message: &Message, now: Mono) -> Option<super::Commit> {
        let append = self.append.as_ref()?;
        let topic = message.topic.as_str();
        if !self.rules.forward.iter().any(|filter| filter.matches(topic)) {
            return None;
        }
        self.counters.forwarded.one();
        Some(append(Stored {
            topic: message.topic.clone(),
            payload: Arc::from(&*message.payload),
            qos: message.qos,
            retain: message.retain,
            at: now,
        }))
    }

    pub(super) fn route_will(&mut self, key: SessionKey, will: Will, now: Mono) {
        // The rules may have changed since the CONNECT.
        if self.is_reserved(&will.topic) || self.is_command(&will.topic) {
            return self.counters.dropped.commands_refused.one();
        }
        let publication = Publication {
            topic: will.topic.as_str(),
            qos: will.qos,
            retain: will.retain,
            is_command: false,
        };
        if !self.session(key).is_some_and(|s| s.rights.may_publish(&publication)) {
            return self.counters.dropped.denied.one();
        }
        let message = Message {
            topic: will.topic,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            expires: expires(will.expiry, now),
            properties: will.properties,
        };
        let commit = self.forward(&message, now);
        if let Fate::Committing(commit) = self.accept(Some(key), message, commit, now) {
            self.commits.push((Waiter::Nobody, commit));
        }
    }

    /// Takes a message from a cloud: like one of a client, but for no uplink.
    pub fn publish_from_cloud(&mut self, message: FromCloud, now: Mono) {
        let FromCloud { topic, payload, qos, retain } = message;
        let payload = payload.into();
        let properties = Bytes::new();
        let message = Message { topic, payload, qos, retain, expires: None, properties };
        self.accept(None, message, None, now);
    }

    pub(super) fn local_publish(&mut self, publish: Publish, now: Mono) {
        let mut passed = Vec::new();
        if let Some(data) = &publish.correlation {
            encode::binary_property(&mut passed, property::CORRELATION_DATA, data);
        }
        if let Some((name, value)) = publish.user_property {
            encode::user_property(&mut passed, name, value);
        }
        let message = Arc::new(Message {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires: publish.expiry.map(|after| now + after),
            properties: passed.into(),
        });
        if message.retain {
            // Never written: the gateway publishes it anew after a restart. What a client may have
            // retained there before goes.
            if self.retained.is_kept(&message.topic) {
                self.round.change_retained(&message.topic, None, now);
            }
            if !self.retained.set(&message, false, now) {
                self.counters.dropped.retained_full.one();
            }
        }
        self.route(None, &message, now);
    }

    /// Sends a message to every session that subscribed to it, once each; says how many there are.
    fn route(&mut self, from: Option<SessionKey>, message: &Arc<Message>, now: Mono) -> usize {
        let by = from.and_then(|key| self.session(key)).map(|session| session.client_id.clone());
        self.ears.hear(message, by.as_ref());
        self.traffic.note(message, by, now);
        let mut matches = std::mem::take(&mut self.matches);
        self.subscriptions.matches(message.topic.as_str(), &mut matches);
        // A session with overlapping filters gets one copy, at the highest QoS and with every
        // subscription identifier [MQTT-3.3.4-2, -3].
        matches.sort_by_key(|m| m.subscriber);
        self.frames.start();
        let mut receivers = 0;
        let mut written = 0;
        let mut ids = Vec::new();
        for group in matches.chunk_by(|a, b| a.subscriber == b.subscriber) {
            let Some(first) = group.first() else { continue };
            let Some(grant) = merge(group, from, &mut ids) else { continue };
            receivers += 1;
            match self.send(first.subscriber, message, grant, &ids, now) {
                Sent::Written => written += 1,
                Sent::Queued | Sent::Dropped(_) | Sent::Away => {}
            }
        }
        receivers += self.route_shared(message, now);
        self.is_kept |= self.round.finish_message(message, now);
        self.counters.messages_out.add(written);
        matches.clear();
        self.matches = matches;
        receivers
    }

    pub(super) fn send(
        &mut self,
        key: SessionKey,
        message: &Arc<Message>,
        grant: Grant,
        ids: &[u32],
        now: Mono,
    ) -> Sent {
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(Some(session)) = self.sessions.get_mut(place) else { return Sent::Away };
        let qos = grant.qos.min(message.qos);
        let retain = message.retain && grant.retain_as_published;
        let is_v3 = session.link.as_ref().is_some_and(|link| !link.terms.version.is_v5());
        let ids = if is_v3 { &[] } else { ids };
        let Counters { dropped, .. } = &*self.counters;
        let sent = session.deliver(
            (message, &mut self.frames),
            (qos, retain, ids),
            &mut self.round,
            &self.limits,
            dropped,
            now,
        );
        match sent {
            Sent::Written => session.gauge.sent.one(),
            Sent::Dropped(count) => session.gauge.dropped.add(count),
            Sent::Queued | Sent::Away => {}
        }
        // The first in flight after a rest: the client is owed the time to acknowledge it.
        if sent == Sent::Written && qos != Qos::AtMostOnce && session.outgoing.inflight_len() == 1 {
            session.acked_at = now;
        }
        if sent == Sent::Queued && super::pace::is_worth_waiting(session, &self.limits, now) {
            self.behind = Some(key);
        }
        if !std::mem::replace(&mut session.touched, true) {
            self.dirty.push(key);
        }
        sent
    }
}

/// One grant for all the filters of a session that match; `None` if it wants none of its own
/// messages [MQTT-3.8.3-3]. Fills `ids` with the subscription identifiers.
fn merge(group: &[Match], from: Option<SessionKey>, ids: &mut Vec<u32>) -> Option<Grant> {
    ids.clear();
    let mut merged: Option<Grant> = None;
    for Match { subscriber, grant } in group {
        if grant.no_local && from == Some(*subscriber) {
            continue;
        }
        if grant.id > 0 && !ids.contains(&grant.id) {
            ids.push(grant.id);
        }
        let so_far = merged.get_or_insert(*grant);
        so_far.qos = so_far.qos.max(grant.qos);
        so_far.retain_as_published |= grant.retain_as_published;
    }
    merged
}

fn expires(seconds: Option<u32>, now: Mono) -> Option<Mono> {
    seconds.map(|s| now + Duration::from_secs(u64::from(s)))
}
