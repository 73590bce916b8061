//! All subscriptions, shared and not, under the filters that clients know them by.

use super::shares::{GroupKey, Readiness, Shares};
use super::trie::{Grant, Match, SessionKey, Trie};
use crate::model::TopicFilter;

#[derive(Default)]
pub struct Subscriptions {
    /// Those of one session alone.
    own: Trie,
    shares: Shares,
}

impl Subscriptions {
    pub fn len(&self) -> usize {
        self.own.len() + self.shares.len()
    }

    /// How many of them are shared.
    pub fn shared_len(&self) -> usize {
        self.shares.len()
    }

    /// Adds a subscription or replaces its options.
    pub fn insert(&mut self, filter: &TopicFilter, session: SessionKey, grant: Grant) {
        match filter.shared() {
            Some(within) => self.shares.join(filter, &within, session, grant),
            None => self.own.insert(filter, session, grant),
        }
    }

    pub fn remove(&mut self, filter: &TopicFilter, session: SessionKey) {
        match filter.shared() {
            Some(within) => self.shares.leave(filter, &within, session),
            None => self.own.remove(filter, session),
        }
    }

    /// Every subscription of a session alone that matches, appended to `found`.
    pub fn matches(&self, topic: &str, found: &mut Vec<Match>) {
        self.own.matches(topic, found);
    }

    /// The groups that want a topic, appended to `found`.
    pub fn groups(&self, topic: &str, found: &mut Vec<Match<GroupKey, ()>>) {
        self.shares.matches(topic, found);
    }

    /// The group of a shared filter, while it has members.
    pub fn group(&self, filter: &TopicFilter) -> Option<GroupKey> {
        self.shares.named(filter)
    }

    /// The member of a group that gets the next message; `None` if none of them can take it.
    pub fn choose(
        &mut self,
        group: GroupKey,
        readiness: impl Fn(&Match) -> Option<Readiness>,
    ) -> Option<Match> {
        self.shares.choose(group, readiness)
    }
}
