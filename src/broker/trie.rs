//! The subscription tree: who wants a topic.
//!
//! Agrees with [`TopicFilter::matches`] for every filter and topic (tested as a property). Knows
//! subscribers only by number. Depth is bounded by the limit on levels that a SUBSCRIBE is checked
//! against.

use std::collections::HashMap;

use crate::model::{Qos, TopicFilter};

/// Number of a session within the router; used again after the session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u32);

/// How a session wants what a filter matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub qos: Qos,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// Subscription identifier, 0 for none.
    pub id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<K = SessionKey, V = Grant> {
    pub subscriber: K,
    pub grant: V,
}

/// The filters of subscribers `K`, with what each filter grants them.
pub struct Trie<K = SessionKey, V = Grant> {
    root: Node<K, V>,
    count: usize,
}

struct Node<K, V> {
    children: HashMap<Box<str>, Node<K, V>>,
    /// The child for `+`.
    any: Option<Box<Node<K, V>>>,
    /// Filters that end at this level, sorted by subscriber.
    here: Vec<Match<K, V>>,
    /// Filters that end with `#` at this level, sorted by subscriber.
    rest: Vec<Match<K, V>>,
}

impl<K, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self { root: Node::default(), count: 0 }
    }
}

impl<K, V> Default for Node<K, V> {
    fn default() -> Self {
        Self { children: HashMap::new(), any: None, here: Vec::new(), rest: Vec::new() }
    }
}

impl<K, V> Node<K, V> {
    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.any.is_none()
            && self.here.is_empty()
            && self.rest.is_empty()
    }
}

impl<K: Copy + Ord, V: Copy> Trie<K, V> {
    /// Subscriptions in the tree.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Adds a subscription or replaces its options.
    pub fn insert(&mut self, filter: &TopicFilter, subscriber: K, grant: V) {
        let mut node = &mut self.root;
        for level in filter.as_str().split('/') {
            match level {
                "#" => {
                    self.count += usize::from(put(&mut node.rest, subscriber, grant));
                    return;
                }
                "+" => node = node.any.get_or_insert_default(),
                name => {
                    if !node.children.contains_key(name) {
                        node.children.insert(name.into(), Node::default());
                    }
                    let Some(child) = node.children.get_mut(name) else { return };
                    node = child;
                }
            }
        }
        self.count += usize::from(put(&mut node.here, subscriber, grant));
    }

    /// Removes a subscription, and the levels that only it needed.
    pub fn remove(&mut self, filter: &TopicFilter, subscriber: K) {
        let levels: Vec<&str> = filter.as_str().split('/').collect();
        self.count -= usize::from(remove(&mut self.root, &levels, subscriber));
    }

    /// Every subscription that matches, appended to `found`: at most once per subscriber and
    /// filter, so one with overlapping filters stands there several times.
    pub fn matches(&self, topic: &str, found: &mut Vec<Match<K, V>>) {
        // [MQTT-4.7.2-1]: a leading wildcard doesn't match topics that start with '$'.
        collect(&self.root, Some(topic), !topic.starts_with('$'), found);
    }
}

/// Whether the subscription is new.
fn put<K: Copy + Ord, V>(list: &mut Vec<Match<K, V>>, subscriber: K, grant: V) -> bool {
    match list.binary_search_by_key(&subscriber, |m| m.subscriber) {
        Ok(at) => {
            if let Some(entry) = list.get_mut(at) {
                entry.grant = grant;
            }
            false
        }
        Err(at) => {
            list.insert(at, Match { subscriber, grant });
            true
        }
    }
}

fn take<K: Copy + Ord, V>(list: &mut Vec<Match<K, V>>, subscriber: K) -> bool {
    let found = list.binary_search_by_key(&subscriber, |m| m.subscriber);
    if let Ok(at) = found {
        list.remove(at);
        if list.is_empty() {
            *list = Vec::new();
        }
    }
    found.is_ok()
}

fn remove<K: Copy + Ord, V>(node: &mut Node<K, V>, levels: &[&str], subscriber: K) -> bool {
    match levels {
        [] => take(&mut node.here, subscriber),
        ["#"] => take(&mut node.rest, subscriber),
        ["+", deeper @ ..] => {
            let Some(child) = &mut node.any else { return false };
            let removed = remove(child, deeper, subscriber);
            if child.is_empty() {
                node.any = None;
            }
            removed
        }
        [name, deeper @ ..] => {
            let Some(child) = node.children.get_mut(*name) else { return false };
            let removed = remove(child, deeper, subscriber);
            if child.is_empty() {
                node.children.remove(*name);
            }
            removed
        }
    }
}

/// `topic` is what is left of it, `None` past its last level.
fn collect<K: Copy, V: Copy>(
    node: &Node<K, V>,
    topic: Option<&str>,
    wildcards: bool,
    found: &mut Vec<Match<K, V>>,
) {
    if wildcards {
        found.extend_from_slice(&node.rest);
    }
    let Some(topic) = topic else {
        return found.extend_from_slice(&node.here);
    };
    let (name, deeper) = match topic.split_once('/') {
        Some((name, deeper)) => (name, Some(deeper)),
        None => (topic, None),
    };
    if let Some(child) = node.children.get(name) {
        collect(child, deeper, true, found);
    }
    if wildcards && let Some(any) = &node.any {
        collect(any, deeper, true, found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRANT: Grant =
        Grant { qos: Qos::AtMostOnce, no_local: false, retain_as_published: false, id: 0 };

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "Ö", "", "$S"])
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("a topic has a character", |t| !t.is_empty())
    }

    fn filter() -> impl Strategy<Value = TopicFilter> {
        let levels = prop::collection::vec(prop_oneof![level(), Just("+")], 0..5);
        (levels, any::<bool>()).prop_filter_map("a filter", |(mut levels, rest)| {
            if rest {
                levels.push("#");
            }
            TopicFilter::new(&levels.join("/")).ok()
        })
    }

    fn sessions(trie: &Trie, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        trie.matches(topic, &mut found);
        let mut sessions: Vec<u32> = found.iter().map(|m| m.subscriber.0).collect();
        sessions.sort_unstable();
        sessions
    }

    proptest! {
        /// The tree and `TopicFilter::matches` agree, before and after removals.
        #[test]
        fn agrees_with_the_filters_themselves(
            filters in prop::collection::vec((filter(), any::<bool>()), 0..40),
            topics in prop::collection::vec(topic(), 1..20),
        ) {
            let mut trie = Trie::default();
            let numbered = || (0..).zip(&filters).map(|(n, (f, stays))| (SessionKey(n), f, *stays));
            for (key, filter, _) in numbered() {
                trie.insert(filter, key, GRANT);
            }
            prop_assert_eq!(trie.len(), filters.len());
            for gone in [false, true] {
                if gone {
                    for (key, filter, _) in numbered().filter(|(_, _, stays)| !stays) {
                        trie.remove(filter, key);
                    }
                }
                for topic in &topics {
                    let expected: Vec<u32> = numbered()
                        .filter(|(_, f, stays)| (!gone || *stays) && f.matches(topic))
                        .map(|(key, ..)| key.0)
                        .collect();
                    prop_assert_eq!(sessions(&trie, topic), expected, "{}", topic);
                }
            }
            for (key, filter, _) in numbered() {
                trie.remove(filter, key);
            }
            prop_assert_eq!(trie.len(), 0);
            prop_assert!(trie.root.is_empty(), "no level is left behind");
        }
    }

    #[test]
    fn subscribing_again_replaces_the_options() {
        let mut trie = Trie::default();
        let filter = TopicFilter::new("a/#").unwrap();
        trie.insert(&filter, SessionKey(1), GRANT);
        trie.insert(&filter, SessionKey(1), Grant { qos: Qos::AtLeastOnce, ..GRANT });
        let mut found = Vec::new();
        trie.matches("a", &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].grant.qos, Qos::AtLeastOnce);
        assert_eq!(trie.len(), 1);
    }
}
