//! How connections and sessions end, and what becomes of the will (MQTT 5.0, 3.1.2.5, 3.14, 4.1).

use std::time::Duration;

use bytes::Bytes;

use super::Router;
use super::share::left_to_others;
use crate::broker::encode;
use crate::broker::outbox::End;
use crate::broker::session::Close;
use crate::broker::trie::SessionKey;
use crate::model::Mono;
use crate::store::Key;

impl Router {
    /// Ends the connection of a session, and the session if it doesn't outlive it.
    pub(super) fn close(&mut self, key: SessionKey, close: Close, now: Mono) {
        let Some(session) = self.session(key) else { return };
        let Some(mut link) = session.link.take() else { return };
        session.gauge.show_connected(false, now);
        session.moved();
        let mut will_due = false;
        match close {
            Close::Left { with_will } => {
                if !with_will {
                    // [MQTT-3.14.4-3]
                    session.will = None;
                    session.changed();
                }
                link.outbox.end(End::Finish);
            }
            Close::Fault(reason) => {
                tracing::debug!(client = %session.client_id, reason = reason.0, "connection closed");
                // Before its CONNACK a client would not understand it.
                if link.terms.version.is_v5() && !link.is_waiting() {
                    link.answer(&encode::disconnect(reason, link.terms.room()));
                }
                link.outbox.end(End::Finish);
            }
            Close::Lost | Close::Cut => link.outbox.end(End::Abort),
        }
        session.away_since = now;
        self.touch(key);
        self.release_waiters(key, now);
        let Some(session) = self.session(key) else { return };
        let after = |seconds: u32| now + Duration::from_secs(u64::from(seconds));
        session.ends_at = (session.lifetime != u32::MAX).then(|| after(session.lifetime));
        if let Some(will) = &session.will {
            // The session's end is the latest moment for a delayed will [MQTT-3.1.3-9].
            let delay = will.delay.min(session.lifetime);
            session.will_at = Some(after(delay));
            will_due = delay == 0;
        }
        let over = session.lifetime == 0;
        self.by_conn.remove(&link.conn);
        self.set_connected();
        if will_due {
            self.publish_will(key, now);
        }
        if over {
            self.end_session(key);
        }
    }

    /// Publishes the will of a client that is gone, if there still is one.
    pub(super) fn publish_will(&mut self, key: SessionKey, now: Mono) {
        let Some(session) = self.session(key) else { return };
        session.will_at = None;
        if let Some(will) = session.will.take() {
            session.changed();
            self.touch(key);
            self.route_will(key, will, now);
        }
    }

    /// Forgets a session whose client is not connected.
    pub(super) fn end_session(&mut self, key: SessionKey) {
        let place = usize::try_from(key.0).unwrap_or(usize::MAX);
        let Some(session) = self.sessions.get_mut(place).and_then(Option::take) else { return };
        self.free.push(key);
        for filter in session.subscriptions.keys() {
            self.subscriptions.remove(filter, key);
        }
        if let Some(kept) = &session.kept {
            let client = Bytes::copy_from_slice(session.client_id.as_bytes());
            self.round.change(Key::Session(client), None);
            self.round.change(Key::Progress(kept.number), None);
        }
        session.outgoing.rows().for_each(|row| self.round.release_row(row));
        self.queued_bytes = self.queued_bytes.saturating_sub(session.counted_bytes);
        let passed_on = left_to_others(&session, |_| true);
        let lost = session.outgoing.queue_len() + session.outgoing.inflight_len() - passed_on.len();
        self.passed_on.extend(passed_on);
        self.counters.dropped.session_ended.add(u64::try_from(lost).unwrap_or(0));
        self.by_client.remove(&session.client_id);
        self.counters.leave(&session.client_id);
    }
}
