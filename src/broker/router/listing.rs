//! Lists for people who look, a page at a time, and what they may do: end a connection, remove
//! retained messages.
//!
//! A page costs a bounded time, so that no list ever stalls the messages: it has at most a number of
//! rows, and looks at no more than a number of things; it may be empty and not the last one.

use super::Router;
use crate::broker::Publish;
use crate::broker::lists::{
    After, Kicked, Page, Removed, RetainedRow, SubscriptionRow, TopicRow, millis,
};
use crate::broker::packet::Reason;
use crate::broker::retained::One;
use crate::broker::session::Close;
use crate::broker::trie::SessionKey;
use crate::model::{Mono, Qos, TopicFilter};

/// Rows of a page.
const ROWS_MAX: usize = 500;
/// Topics of a page, for each of which the subscribers are counted.
const TOPICS_MAX: usize = 100;
/// Sessions or retained messages looked at for a page.
const LOOKS_MAX: usize = 2_000;

impl Router {
    /// Ends the connection of a client and, if asked, its session.
    pub fn kick(&mut self, client: &str, with_session: bool, now: Mono) -> Kicked {
        let Some(&key) = self.by_client.get(client) else { return Kicked::Unknown };
        let was_connected = self.session(key).is_some_and(|session| session.link.is_some());
        if !was_connected && !with_session {
            return Kicked::Away;
        }
        tracing::info!(client, with_session, "client disconnected by an operator");
        self.close(key, Close::Fault(Reason::ADMINISTRATIVE_ACTION), now);
        // A session that does not outlive its connection has ended by now.
        if with_session && let Some(&key) = self.by_client.get(client) {
            self.publish_will(key, now);
            self.end_session(key);
        }
        let session_kept = self.by_client.contains_key(client);
        Kicked::Done { was_connected, session_kept }
    }

    /// Subscriptions in the order of clients and filters; of those that can match something that
    /// `filter` matches.
    pub fn subscriptions(
        &self,
        filter: Option<&TopicFilter>,
        after: Option<&After>,
    ) -> Page<SubscriptionRow, After> {
        let from = after.map_or("", |after| after.client.as_str());
        let clients = self.counters.ids_from(from, LOOKS_MAX);
        let mut rows = Vec::new();
        for client in &clients {
            let Some(session) = self.by_client.get(client).and_then(|key| self.looked_up(*key))
            else {
                continue;
            };
            let begun = after.filter(|after| *after.client == **client);
            let mut found: Vec<_> = session
                .subscriptions
                .iter()
                .filter(|(own, _)| {
                    filter.is_none_or(|filter| match own.shared() {
                        Some(within) => within.overlaps(filter),
                        None => own.overlaps(filter),
                    })
                })
                .filter(|(own, _)| begun.is_none_or(|after| own.as_str() > after.filter.as_str()))
                .collect();
            found.sort_by_key(|(own, _)| own.as_str());
            for (own, grant) in found {
                if rows.len() >= ROWS_MAX {
                    let next = rows.last().map(After::of);
                    return Page { rows, next };
                }
                rows.push(SubscriptionRow {
                    filter: own.to_string(),
                    client: client.to_string(),
                    connected: session.link.is_some(),
                    qos: grant.qos.level(),
                    no_local: grant.no_local,
                    retain_as_published: grant.retain_as_published,
                    id: Some(grant.id).filter(|id| *id > 0),
                });
            }
        }
        // The last client looked at is through, whatever it had.
        let last = clients.last().filter(|_| clients.len() >= LOOKS_MAX);
        let next =
            last.map(|client| After { client: client.to_string(), filter: char::MAX.to_string() });
        Page { rows, next }
    }

    /// Topics lately published to, in their order.
    pub fn topics(
        &self,
        filter: Option<&TopicFilter>,
        after: Option<&str>,
        now: Mono,
    ) -> Page<TopicRow> {
        let mut found: Vec<_> = self
            .traffic
            .topics()
            .filter(|(topic, _)| after.is_none_or(|after| topic.as_str() > after))
            .filter(|(topic, _)| filter.is_none_or(|filter| filter.matches(topic.as_str())))
            .collect();
        found.sort_by_key(|(topic, _)| topic.as_str());
        let more = found.len() > TOPICS_MAX;
        found.truncate(TOPICS_MAX);
        let (mut matches, mut groups) = (Vec::new(), Vec::new());
        let row = |(topic, seen): (&crate::model::TopicName, &crate::broker::traffic::Seen)| {
            matches.clear();
            self.subscriptions.matches(topic.as_str(), &mut matches);
            matches.sort_unstable_by_key(|m| m.subscriber);
            matches.dedup_by_key(|m| m.subscriber);
            groups.clear();
            self.subscriptions.groups(topic.as_str(), &mut groups);
            TopicRow {
                topic: topic.to_string(),
                messages: seen.messages,
                age_ms: millis(now, seen.at),
                bytes: seen.bytes,
                qos: seen.qos.level(),
                retain: seen.retain,
                by: seen.by.as_deref().map(str::to_owned),
                subscribers: matches.len() + groups.len(),
            }
        };
        let rows: Vec<TopicRow> = found.into_iter().map(row).collect();
        let next = rows.last().filter(|_| more).map(|row| row.topic.clone());
        Page { rows, next }
    }

    /// Retained messages in the order of their topics.
    pub fn retained(
        &self,
        filter: Option<&TopicFilter>,
        after: Option<&str>,
        now: Mono,
    ) -> Page<RetainedRow> {
        self.page_of_retained(filter, after, now, |one| {
            let message = &one.message;
            let left = message.expires.map(|end| millis(end, now));
            RetainedRow::of(message, millis(now, one.at), left, self.is_reserved(&message.topic))
        })
    }

    /// Removes the retained messages that match, as an empty retained message does; those of the
    /// gateway's own topics stay.
    pub fn remove_retained(
        &mut self,
        filter: &TopicFilter,
        after: Option<&str>,
        now: Mono,
    ) -> Page<Removed> {
        let page = self.page_of_retained(Some(filter), after, now, |one| {
            let topic = &one.message.topic;
            (topic.clone(), !self.is_reserved(topic))
        });
        let removed = page.rows.into_iter().map(|(topic, removed)| {
            let row = Removed { topic: topic.to_string(), removed };
            if removed {
                let empty = Publish {
                    topic,
                    payload: bytes::Bytes::new(),
                    qos: Qos::AtLeastOnce,
                    retain: true,
                    correlation: None,
                    user_property: None,
                    expiry: None,
                };
                self.publish(empty, now);
            }
            row
        });
        Page { rows: removed.collect(), next: page.next }
    }

    fn page_of_retained<T>(
        &self,
        filter: Option<&TopicFilter>,
        after: Option<&str>,
        now: Mono,
        row: impl Fn(&One) -> T,
    ) -> Page<T> {
        let mut rows = Vec::new();
        let mut last = None;
        for one in self.retained.after(after).take(LOOKS_MAX) {
            if rows.len() >= ROWS_MAX {
                break;
            }
            let topic = one.message.topic.as_str();
            last = Some(topic);
            let wanted = filter.is_none_or(|filter| filter.matches(topic));
            if wanted && !one.message.is_expired(now) {
                rows.push(row(one));
            }
        }
        let more = last.is_some_and(|last| self.retained.after(Some(last)).next().is_some());
        Page { rows, next: last.filter(|_| more).map(str::to_owned) }
    }

    fn looked_up(&self, key: SessionKey) -> Option<&crate::broker::session::Session> {
        self.sessions.get(usize::try_from(key.0).ok()?)?.as_deref()
    }
}
