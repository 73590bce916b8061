//! CONNECT: refusals, takeover, resumption, CONNACK (MQTT 5.0, 3.1.4).

use std::collections::HashMap;
use std::sync::Arc;

use super::{Later, Router};
use crate::broker::access::Login;
use crate::broker::encode::{self, Offer, Room};
use crate::broker::outbox::{End, Outbox};
use crate::broker::packet::{Connect, Reason, Version};
use crate::broker::peer::Peer;
use crate::broker::session::{
    ALIAS_MAX, Close, ConnId, Kept, Link, Outgoing, RECEIVE_MAXIMUM, Receipts, Session, Terms,
};
use crate::broker::status::Gauge;
use crate::broker::trie::SessionKey;
use crate::model::Mono;

/// Sessions of clients that are away are kept for as many as may be connected.
const AWAY_PER_CONNECTION: usize = 1;

impl Router {
    pub(super) fn connect(
        &mut self,
        conn: ConnId,
        connect: Connect,
        login: Result<Login, Reason>,
        (outbox, peer): (Arc<Outbox>, Peer),
        now: Mono,
    ) {
        let packet_max = usize::try_from(connect.packet_max).unwrap_or(usize::MAX);
        let room = Room { problem_info: connect.problem_info, packet_max };
        let assigned = connect.client_id.is_empty();
        let client_id: Arc<str> =
            if assigned { self.assign_id().into() } else { connect.client_id.as_str().into() };
        let (login, rights) = match self.admit(&connect, login, &client_id) {
            Ok(admitted) => admitted,
            Err(reason) => {
                tracing::info!(%peer, reason = reason.0, "connection refused");
                let refusal = encode::connack_refused(connect.version, reason, room);
                if refusal.len() <= packet_max {
                    outbox.answer(&refusal);
                }
                return outbox.end(End::Finish);
            }
        };
        let keep_alive = self.keep_alive(&connect);
        let offer = Offer {
            receive_maximum: RECEIVE_MAXIMUM,
            packet_max: self.limits.packet_bytes,
            alias_max: ALIAS_MAX,
            keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
            assigned: assigned.then_some(&client_id),
        };
        // Nobody owns what an anonymous client left; a user starts anew.
        let is_own = self.owner(&client_id).is_none_or(|owner| owner == login.user);
        let before = self.by_client.get(&client_id).copied();
        let survived = before.and_then(|key| self.session(key)).is_some_and(|s| s.keeps_messages());
        self.hear_before_takeover(&client_id, now);
        let resumed = self.take_over(&client_id, connect.clean_start || !is_own, now);
        // 3.1 has no place to say that a session is kept.
        let session_present = resumed.is_some() && connect.version != Version::V31;
        let connack = encode::connack_accepted(connect.version, session_present, &offer);
        if connack.len() > packet_max {
            return outbox.end(End::Abort);
        }
        let terms = Terms {
            version: connect.version,
            keep_alive,
            window: connect.receive_maximum.min(self.limits.inflight),
            window_bytes: self.limits.outgoing_bytes,
            packet_max,
            problem_info: connect.problem_info,
            alias_max: connect.alias_max,
        };
        let lifetime = match connect.version {
            // 3.1.1 knows only "with the connection" and "for ever".
            Version::V5 => connect.session_expiry,
            Version::V31 | Version::V311 if connect.clean_start => 0,
            Version::V31 | Version::V311 => u32::MAX,
        };
        // A session that survives is promised by its CONNACK, and so is the end of one that did. One
        // that is in the file for its will alone is promised to nobody.
        let must_wait = self.round.is_on() && (lifetime > 0 || survived);
        let is_kept = self.round.is_on() && (lifetime > 0 || connect.will.is_some());
        let mut link = Link::new(conn, outbox, terms, now);
        if must_wait {
            link.wait(connack);
        } else {
            link.answer(&connack);
        }
        let gauge = Arc::new(Gauge::new(connect.version, peer, login.user.clone()));
        self.counters.enter(&client_id, &gauge);
        let key = match resumed {
            Some(key) => key,
            None => self.place(
                Session {
                    client_id: Arc::clone(&client_id),
                    login: login.clone(),
                    rights: rights.clone(),
                    subscriptions: HashMap::new(),
                    outgoing: Outgoing::default(),
                    receipts: Receipts::default(),
                    link: None,
                    will: None,
                    lifetime,
                    will_at: None,
                    ends_at: None,
                    away_since: now,
                    touched: false,
                    acked_at: now,
                    acks: 0,
                    behind_since: None,
                    waiters: Vec::new(),
                    counted_bytes: 0,
                    kept: None,
                    gauge: Arc::clone(&gauge),
                },
                now,
            ),
        };
        self.by_client.insert(client_id, key);
        self.by_conn.insert(conn, key);
        self.set_connected();
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(Some(session)) = self.sessions.get_mut(place) else { return };
        if is_kept && session.kept.is_none() {
            session.kept = Some(Kept::new(self.round.next_session()));
        }
        session.changed();
        session.moved();
        gauge.subscriptions.set(session.subscriptions.len());
        gauge.dropped.add(session.gauge.dropped.get());
        session.gauge = gauge;
        (session.login, session.rights) = (login, rights);
        session.lifetime = lifetime;
        session.acked_at = now;
        session.behind_since = None;
        session.will = connect.will;
        // Resumed in time: a delayed will is not sent [MQTT-3.1.3-9].
        session.will_at = None;
        session.ends_at = None;
        session.outgoing.reconnected();
        if !must_wait {
            session.outgoing.release_again(&mut link);
        }
        session.link = Some(link);
        session.gauge.show_connected(true, now);
        self.confine(key);
        self.touch(key);
        if must_wait {
            self.round.wait(Later::Welcome(key, conn));
        } else {
            self.pump(key, now);
        }
    }

    /// What the CONNACK promises is durable: writes it, then goes on with what waited for it.
    pub(super) fn welcome(&mut self, key: SessionKey, conn: ConnId, now: Mono) {
        let Some(session) = self.session(key) else { return };
        let Some(link) = session.link.as_mut().filter(|link| link.conn == conn) else { return };
        let Some(waiting) = link.take_waiting() else { return };
        link.heard(now);
        link.answer(&waiting.connack);
        session.outgoing.release_again(link);
        session.acked_at = now;
        self.pump(key, now);
        self.take_early(conn, *waiting, now);
    }

    /// The keep-alive of a connection. Only 5.0 clients can be told another than theirs.
    fn keep_alive(&self, connect: &Connect) -> u16 {
        let most = self.limits.keep_alive_max;
        let is_bounded = connect.version.is_v5() && most < u16::MAX;
        if is_bounded && (connect.keep_alive == 0 || connect.keep_alive > most) {
            return most;
        }
        connect.keep_alive
    }

    /// An id that no session has: who was told one can guess the next [MQTT-3.2.2-16].
    fn assign_id(&mut self) -> String {
        loop {
            self.assigned += 1;
            let id = format!("auto-{:016x}-{}", self.seed, self.assigned);
            if !self.by_client.contains_key(id.as_str()) {
                return id;
            }
        }
    }

    /// What the other connection of the same client sent before its CONNACK could be written was sent
    /// all the same.
    fn hear_before_takeover(&mut self, client_id: &str, now: Mono) {
        let Some(&key) = self.by_client.get(client_id) else { return };
        let Some(link) = self.session(key).and_then(|session| session.link.as_mut()) else {
            return;
        };
        let conn = link.conn;
        if let Some(waiting) = link.take_waiting() {
            // Without answers: it would not understand them before its CONNACK.
            std::mem::take(&mut link.outbox).end(End::Finish);
            self.take_early(conn, *waiting, now);
        }
    }

    /// Ends another connection of the same client [MQTT-3.1.4-3] and gives the session that is
    /// to be resumed, if there is one.
    fn take_over(&mut self, client_id: &str, clean_start: bool, now: Mono) -> Option<SessionKey> {
        let key = *self.by_client.get(client_id)?;
        let session = self.session(key)?;
        let resume = !clean_start && session.lifetime > 0;
        if session.link.is_some() {
            tracing::debug!(client = client_id, "taken over by a new connection");
            self.close(key, Close::Fault(Reason::TAKEN_OVER), now);
        }
        if resume {
            return Some(key);
        }
        // The close may have ended it already; if not, a new start ends it now, and its will is
        // due with it.
        if let Some(&key) = self.by_client.get(client_id) {
            self.publish_will(key, now);
            self.end_session(key);
        }
        None
    }

    pub(super) fn place(&mut self, session: Session, now: Mono) -> SessionKey {
        let most = self.limits.connections * (1 + AWAY_PER_CONNECTION);
        if self.by_client.len() >= most {
            self.evict(now);
        }
        if let Some(key) = self.free.pop() {
            let place = usize::try_from(key.0).unwrap_or(usize::MAX);
            if let Some(slot) = self.sessions.get_mut(place) {
                *slot = Some(Box::new(session));
                return key;
            }
        }
        let key = SessionKey(u32::try_from(self.sessions.len()).unwrap_or(u32::MAX));
        self.sessions.push(Some(Box::new(session)));
        key
    }

    /// Makes room by ending the session whose client is away for longest.
    fn evict(&mut self, now: Mono) {
        let away = self.sessions.iter().flatten().filter(|s| s.link.is_none());
        let Some(oldest) = away.min_by_key(|s| s.away_since) else { return };
        let client = Arc::clone(&oldest.client_id);
        tracing::warn!(%client, "too many sessions, the one away for longest is ended");
        if let Some(&key) = self.by_client.get(&client) {
            self.publish_will(key, now);
            self.end_session(key);
        }
    }
}
