//! SUBSCRIBE, UNSUBSCRIBE, and the retained messages a subscription gets.

use std::sync::Arc;

use super::{Later, Router};
use crate::broker::encode;
use crate::broker::message::Frames;
use crate::broker::packet::{Reason, RetainHandling, Subscribe, Unsubscribe, Wish};
use crate::broker::retained::Step;
use crate::broker::session::{Replay, Sent};
use crate::broker::trie::{Grant, SessionKey};
use crate::model::{Mono, Qos};

/// Retained topics looked at for one client before others get their turn.
const REPLAY_LOOKS: usize = 2000;
/// Retained messages written for one client before others get their turn.
const REPLAY_MESSAGES: usize = 500;

impl Router {
    pub(super) fn subscribe(&mut self, key: SessionKey, subscribe: &Subscribe, now: Mono) {
        let mut reasons = Vec::with_capacity(subscribe.wishes.len());
        for wish in &subscribe.wishes {
            let reason = match self.subscribe_one(key, wish, subscribe.subscription_id) {
                Ok(qos) => Reason(qos.level()),
                Err(reason) => reason,
            };
            reasons.push(reason);
        }
        let Some(session) = self.session(key) else { return };
        session.gauge.subscriptions.set(session.subscriptions.len());
        session.changed();
        session.moved();
        if let Some(link) = &session.link {
            let (version, room) = (link.terms.version, link.terms.room());
            let suback = encode::suback(version, subscribe.id, &reasons, room);
            self.answer_when_kept(key, suback);
        }
        self.pump(key, now);
    }

    fn subscribe_one(&mut self, key: SessionKey, wish: &Wish, id: u32) -> Result<Qos, Reason> {
        let filter = wish.filter.as_ref().ok_or(Reason::TOPIC_FILTER_INVALID)?;
        let is_named = !filter.is_shared() || filter.shared().is_some();
        if !is_named || !self.is_topic_within_limits(filter.as_str()) {
            return Err(Reason::TOPIC_FILTER_INVALID);
        }
        let most = self.limits.subscriptions_per_client;
        let this_round = self.round.number();
        let session = self.session(key).ok_or(Reason::IMPLEMENTATION_SPECIFIC)?;
        let most_qos = session.rights.may_subscribe(filter).ok_or(Reason::NOT_AUTHORIZED)?;
        let is_new = !session.subscriptions.contains_key(filter);
        if is_new && session.subscriptions.len() >= most {
            return Err(Reason::QUOTA_EXCEEDED);
        }
        let qos = wish.qos.min(most_qos);
        let grant = Grant {
            qos,
            no_local: wish.no_local,
            retain_as_published: wish.retain_as_published,
            id,
        };
        session.subscriptions.insert(filter.clone(), grant);
        // Retained messages would reach every member of a group (MQTT 5.0, 4.8.2).
        let wants_retained = !filter.is_shared()
            && match wish.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DontSend => false,
            };
        let round = if session.keeps_messages() { this_round } else { 0 };
        let replays = &mut session.outgoing.replays;
        if wants_retained {
            // A filter subscribed again begins anew with what is to be sent for it.
            replays.retain(|replay| replay.filter != *filter);
            replays.push_back(Replay { filter: filter.clone(), qos, id, after: None, round });
        } else if let Some(replay) = replays.iter_mut().find(|replay| replay.filter == *filter) {
            // Nothing more is asked for, and nothing less is owed [MQTT-3.8.4-4].
            (replay.qos, replay.id) = (qos, id);
        }
        self.subscriptions.insert(filter, key, grant);
        Ok(qos)
    }

    pub(super) fn unsubscribe(&mut self, key: SessionKey, unsubscribe: &Unsubscribe) {
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            let Some(session) = self.session(key) else { return };
            let Some(filter) = filter else {
                reasons.push(Reason::TOPIC_FILTER_INVALID);
                continue;
            };
            if session.subscriptions.remove(filter).is_some() {
                session.outgoing.replays.retain(|replay| replay.filter != *filter);
                self.subscriptions.remove(filter, key);
                reasons.push(Reason::SUCCESS);
            } else {
                reasons.push(Reason::NO_SUBSCRIPTION_EXISTED);
            }
        }
        let Some(session) = self.session(key) else { return };
        session.gauge.subscriptions.set(session.subscriptions.len());
        session.changed();
        session.moved();
        if let Some(link) = &session.link {
            let (version, room) = (link.terms.version, link.terms.room());
            let unsuback = encode::unsuback(version, unsubscribe.id, &reasons, room);
            self.answer_when_kept(key, unsuback);
        }
        self.touch(key);
    }

    /// Answers at once, or when the subscriptions of a session that survives are durable.
    fn answer_when_kept(&mut self, key: SessionKey, packet: Vec<u8>) {
        let Some(session) = self.session(key) else { return };
        let keeps = session.keeps_messages();
        let Some(link) = &mut session.link else { return };
        if keeps {
            let conn = link.conn;
            self.round.wait(Later::Answer(key, conn, packet));
        } else {
            link.answer(&packet);
        }
    }

    /// Sends retained messages a subscription asked for, as many as window and buffer take; when
    /// they are full, the next PUBACK or the connection's call brings the router back here.
    pub(super) fn replay(&mut self, key: SessionKey, now: Mono) {
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(Some(session)) = self.sessions.get_mut(place) else { return };
        let Some(link) = &session.link else { return };
        let outbox = Arc::clone(&link.outbox);
        let is_v5 = link.terms.version.is_v5();
        let mut replays = std::mem::take(&mut session.outgoing.replays);
        let mut frames = Frames::default();
        let mut looks = REPLAY_MESSAGES;
        let mut has_moved = false;
        while let Some(replay) = replays.front_mut() {
            let can_go = replay.round <= self.round.safe()
                && outbox.has_room(self.limits.outgoing_bytes)
                && (replay.qos == Qos::AtMostOnce || session.has_place());
            if !can_go {
                break;
            }
            if looks == 0 {
                // Once, however often it subscribed: its turn is as long as everybody's.
                if !self.replaying.contains(&key) {
                    self.replaying.push(key);
                }
                break;
            }
            looks -= 1;
            has_moved |= replay.qos > Qos::AtMostOnce;
            match self.retained.next(&replay.filter, replay.after.as_ref(), REPLAY_LOOKS, now) {
                Step::End => {
                    replays.pop_front();
                }
                Step::Paused(topic) => {
                    replay.after = Some(topic);
                    looks = 0;
                }
                Step::Found(message) => {
                    frames.start();
                    let qos = replay.qos.min(message.qos);
                    let one = [replay.id];
                    let ids: &[u32] = if replay.id > 0 && is_v5 { &one } else { &[] };
                    let drops = &self.counters.dropped;
                    let sent = session.deliver(
                        (&message, &mut frames),
                        (qos, true, ids),
                        &mut self.round,
                        &self.limits,
                        drops,
                        now,
                    );
                    self.round.finish_message(&message, now);
                    match sent {
                        Sent::Written => {
                            session.gauge.sent.one();
                            self.counters.messages_out.one();
                        }
                        Sent::Dropped(count) => session.gauge.dropped.add(count),
                        Sent::Queued | Sent::Away => {}
                    }
                    replay.after = Some(message.topic.clone());
                }
            }
        }
        session.outgoing.replays = replays;
        if has_moved {
            // With the messages, so that after a crash none is lost nor comes anew.
            session.moved();
        }
    }
}
