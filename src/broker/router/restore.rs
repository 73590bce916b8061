//! The start: sessions, their messages and the retained ones as the last run left them.
//!
//! A run may have ended anywhere. Whoever was connected is away since now: its will is due after its
//! delay, its session ends after its lifetime. For those that were away already, time went on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Router;
use crate::broker::access::{Login, Rights};
use crate::broker::record::{ProgressRecord, Saved, SessionRecord, Since, passed};
use crate::broker::session::{Kept, Outgoing, Queued, Receipts, Session};
use crate::broker::status::Gauge;
use crate::broker::trie::SessionKey;
use crate::model::Mono;
use crate::store::Key;

/// The sessions that were restored, by their numbers in the file.
type Restored = HashMap<u64, (SessionKey, Vec<Queued>)>;

impl Router {
    /// Takes over what the last run left. To be called before anything else, with the wall clock
    /// set; rules and users may take from it what is not allowed any more.
    pub fn restore(&mut self, saved: Saved, now: Mono) {
        let (last_session, last_row) = saved.last();
        self.round.start_after(last_session, last_row);
        let Saved { sessions, mut progress, messages, retained, damaged } = saved;
        for key in damaged {
            self.round.change(key, None);
        }
        let mut restored = Restored::new();
        for (client_id, record) in sessions {
            let number = record.number;
            let known = progress.get(&number);
            let key = self.restore_session(&client_id, record, known, now);
            restored.insert(number, (key, Vec::new()));
        }
        for (row, record) in messages {
            let message = Arc::new(record.message.into_message((now, self.round.wall(now))));
            let mut waiting = 0;
            for receiver in record.receivers {
                let number = receiver.number;
                let is_settled =
                    progress.get(&receiver.session).is_some_and(|p| p.is_settled(number));
                if is_settled {
                    continue;
                }
                let Some((_, queued)) = restored.get_mut(&receiver.session) else { continue };
                waiting += 1;
                queued.push(Queued {
                    number,
                    message: Arc::clone(&message),
                    qos: receiver.qos,
                    retain: receiver.retain,
                    ids: receiver.ids,
                    row,
                    round: 0,
                });
            }
            if waiting == 0 {
                self.round.change(Key::Message(row), None);
            }
            self.round.wait_in_row(row, waiting);
        }
        for (number, (key, queued)) in restored {
            let progress = progress.remove(&number).unwrap_or_default();
            let place = usize::try_from(key.0).unwrap_or(usize::MAX);
            let Some(Some(session)) = self.sessions.get_mut(place) else { continue };
            // There may be fewer places for sessions than there were.
            if session.kept.as_ref().is_none_or(|kept| kept.number != number) {
                continue;
            }
            session.outgoing.restore(&progress, queued, &self.limits);
            for id in progress.receipts {
                session.receipts.restore(id);
            }
            // Nobody may resume it any more, or it may have less.
            self.review(key, now);
            self.touch(key);
        }
        for number in progress.into_keys() {
            self.round.change(Key::Progress(number), None);
        }
        for kept in retained {
            let message = Arc::new(kept.into_message((now, self.round.wall(now))));
            if message.is_expired(now) || !self.retained.set(&message, true, now) {
                self.round.change_retained(&message.topic, None, now);
            }
        }
    }

    fn restore_session(
        &mut self,
        client_id: &str,
        record: SessionRecord,
        progress: Option<&ProgressRecord>,
        now: Mono,
    ) -> SessionKey {
        let login = Login::before(record.user.as_deref(), record.place);
        let rights = self.access.rights_away(&login, client_id).unwrap_or_else(Rights::none);
        let (away_for, was_away) = match progress.map(|progress| progress.since) {
            Some(Since::Away(since)) => (passed(since, self.round.wall(now)), true),
            Some(Since::Connected { .. }) | None => (Duration::ZERO, false),
        };
        let away_for = i64::try_from(away_for.as_millis()).unwrap_or(i64::MAX);
        let away_since = Mono(now.0.saturating_sub(away_for));
        let after = |seconds: u32| away_since + Duration::from_secs(u64::from(seconds));
        let lifetime = record.lifetime;
        let gauge = Arc::new(Gauge::new(record.version, record.peer, login.user.clone()));
        gauge.subscriptions.set(record.subscriptions.len());
        let client_id: Arc<str> = client_id.into();
        self.counters.enter(&client_id, &gauge);
        let session = Session {
            client_id: Arc::clone(&client_id),
            login,
            rights,
            subscriptions: record.subscriptions.iter().cloned().collect(),
            outgoing: Outgoing::default(),
            receipts: Receipts::default(),
            link: None,
            will_at: record.will.as_ref().map(|will| after(will.delay.min(lifetime))),
            will: record.will,
            lifetime,
            ends_at: (lifetime != u32::MAX).then(|| after(lifetime)),
            away_since,
            acked_at: now,
            acks: 0,
            behind_since: None,
            waiters: Vec::new(),
            touched: false,
            counted_bytes: 0,
            kept: Some(Kept { number: record.number, is_changed: false, has_moved: !was_away }),
            gauge,
        };
        session.gauge.show_connected(false, away_since);
        let key = self.place(session, now);
        for (filter, grant) in record.subscriptions {
            self.subscriptions.insert(&filter, key, grant);
        }
        self.by_client.insert(client_id, key);
        key
    }
}
