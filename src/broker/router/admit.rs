//! Who may connect, and what becomes of those who are there when that changes.

use std::sync::Arc;

use super::Router;
use super::share::left_to_others;
use crate::broker::access::{Access, Login, Publication, Rights};
use crate::broker::packet::{Connect, Reason, Version, Will};
use crate::broker::session::Close;
use crate::broker::trie::SessionKey;
use crate::model::{Mono, TopicFilter};

/// Longest client id accepted, in bytes. The standard asks for 23 at least.
const CLIENT_ID_BYTES_MAX: usize = 1024;
/// A will up to this size is never one too many.
const SMALL_WILL: usize = 1024;

impl Router {
    /// What a client may do, or why it may not connect.
    pub(super) fn admit(
        &self,
        connect: &Connect,
        login: Result<Login, Reason>,
        client_id: &str,
    ) -> Result<(Login, Rights), Reason> {
        if connect.enhanced_auth {
            return Err(Reason::BAD_AUTHENTICATION_METHOD);
        }
        let login = login?;
        // The picture may have changed since the client was asked.
        let rights = self.access.rights(&login, client_id).ok_or(Reason::NOT_AUTHORIZED)?;
        let keeps_session = !connect.version.is_v5() && !connect.clean_start;
        // [MQTT-3.1.3-8] of 3.1.1: without an id there is no session to keep; 3.1 wants one anyway.
        if connect.client_id.is_empty() && (keeps_session || connect.version == Version::V31) {
            return Err(Reason::CLIENT_ID_INVALID);
        }
        if connect.client_id.len() > CLIENT_ID_BYTES_MAX {
            return Err(Reason::CLIENT_ID_INVALID);
        }
        // The session of a user is nobody else's: neither to read nor to end.
        if self.owner(client_id).flatten().is_some_and(|owner| Some(owner) != login.user) {
            return Err(Reason::CLIENT_ID_INVALID);
        }
        if let Some(will) = &connect.will {
            if !self.is_topic_within_limits(will.topic.as_str()) {
                return Err(Reason::TOPIC_NAME_INVALID);
            }
            let publication = Publication {
                topic: will.topic.as_str(),
                qos: will.qos,
                retain: will.retain,
                is_command: self.is_command(&will.topic),
            };
            // Nor may a will be a command: it would be carried out long after it was meant.
            if self.is_reserved(&will.topic)
                || publication.is_command
                || !rights.may_publish(&publication)
            {
                return Err(Reason::NOT_AUTHORIZED);
            }
            if !self.has_room_for(will) {
                return Err(Reason::QUOTA_EXCEEDED);
            }
        }
        Ok((login, rights))
    }

    /// Whether the wills of all sessions together stay within what their queues may have.
    fn has_room_for(&self, will: &Will) -> bool {
        // Small ones are many, and are not worth the look at all the others.
        if will.bytes() <= SMALL_WILL {
            return true;
        }
        let wills = self.sessions.iter().flatten().filter_map(|session| session.will.as_ref());
        let all: usize = wills.map(Will::bytes).sum();
        all + will.bytes() <= self.limits.all_queues_bytes
    }

    /// The user whose session this is; `Some(None)` for one that belongs to nobody.
    pub(super) fn owner(&self, client_id: &str) -> Option<Option<Arc<str>>> {
        let key = self.by_client.get(client_id)?;
        let place = usize::try_from(key.0).ok()?;
        let session = self.sessions.get(place)?.as_ref()?;
        Some(session.login.user.clone())
    }

    /// Takes new users and rights. Who would not be let in today is disconnected, and so is who
    /// has a subscription that is not allowed any more; all others notice nothing.
    pub fn set_access(&mut self, access: Arc<Access>, now: Mono) {
        self.access = access;
        for place in 0..self.sessions.len() {
            let Ok(place) = u32::try_from(place) else { break };
            self.review(SessionKey(place), now);
        }
    }

    pub(super) fn review(&mut self, key: SessionKey, now: Mono) {
        let access = Arc::clone(&self.access);
        let Some(session) = self.session(key) else { return };
        let (login, client_id) = (session.login.clone(), Arc::clone(&session.client_id));
        let away = access.rights_away(&login, &client_id);
        if session.link.is_some() {
            if let Some(rights) = access.rights(&login, &client_id) {
                session.rights = rights;
                if self.confine(key) {
                    self.close(key, Close::Fault(Reason::NOT_AUTHORIZED), now);
                }
                return;
            }
            tracing::info!(client = %client_id, "disconnected: not allowed any more");
            // Whether its will is published is up to what its user may do now, as it is for a
            // client that is away: who waits for the word that a device is gone shall hear of one
            // whose password is another.
            session.rights = away.clone().unwrap_or_else(Rights::none);
            self.close(key, Close::Fault(Reason::ADMINISTRATIVE_ACTION), now);
        }
        let Some(session) = self.session(key) else { return };
        match away {
            Some(rights) => {
                session.rights = rights;
                self.confine(key);
            }
            None => {
                let waiting = session.outgoing.queue_len() + session.outgoing.inflight_len();
                self.note_not_allowed(&client_id, waiting);
                self.end_session(key);
            }
        }
    }

    /// A session ends because nobody may resume it any more.
    fn note_not_allowed(&self, client_id: &str, waiting: usize) {
        tracing::warn!(client = client_id, waiting, "session ended: nobody may resume it any more");
        self.counters.sessions_not_allowed.one();
    }

    /// Takes away what a session subscribed to and may not have, with all that waits because of
    /// it; says whether there was any.
    pub(super) fn confine(&mut self, key: SessionKey) -> bool {
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(Some(session)) = self.sessions.get_mut(place) else { return false };
        let mut lost: Vec<TopicFilter> = Vec::new();
        for (filter, grant) in &mut session.subscriptions {
            match session.rights.may_subscribe(filter) {
                None => lost.push(filter.clone()),
                Some(most) if grant.qos > most => {
                    grant.qos = most;
                    self.subscriptions.insert(filter, key, *grant);
                }
                Some(_) => {}
            }
        }
        if lost.is_empty() {
            return false;
        }
        session.changed();
        session.moved();
        let mut passed_on = left_to_others(session, |filter| lost.contains(filter));
        for filter in &lost {
            session.subscriptions.remove(filter);
            session.outgoing.replays.retain(|replay| replay.filter != *filter);
            self.subscriptions.remove(filter, key);
        }
        let subscriptions = &session.subscriptions;
        let gone = session
            .outgoing
            .forget(|topic| !subscriptions.keys().any(|filter| filter.wants(topic)));
        session.gauge.subscriptions.set(session.subscriptions.len());
        session.gauge.dropped.add(gone);
        passed_on.retain(|(group, _)| self.subscriptions.group(group).is_some());
        let others = u64::try_from(passed_on.len()).unwrap_or(0);
        self.counters.dropped.denied.add(gone.saturating_sub(others));
        self.passed_on.extend(passed_on);
        true
    }
}
