//! The last message of each topic that was published with the retain flag.
//!
//! Sorted by topic, so that a subscriber's share is served in steps: whoever serves remembers the
//! last topic and goes on after it, and a subscription to everything never stalls the router nor
//! fills a queue. Bounded in messages and bytes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::message::Message;
use super::status::beyond;
use crate::model::{Mono, TopicFilter, TopicName};

pub struct Retained {
    messages: BTreeMap<TopicName, One>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    /// Messages with an expiry; none means that a sweep has nothing to do.
    expiring: usize,
}

/// A retained message.
pub struct One {
    pub message: Arc<Message>,
    /// When it was published, or read from the broker's file.
    pub at: Mono,
    /// Whether the broker's file has it.
    is_kept: bool,
}

/// What a step through the retained messages came to.
pub enum Step {
    Found(Arc<Message>),
    /// Looked at as many topics as one step may; go on after this one.
    Paused(TopicName),
    End,
}

impl Retained {
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { messages: BTreeMap::new(), bytes: 0, messages_max, bytes_max, expiring: 0 }
    }

    /// What is above new bounds stays; nothing is added until there is room again.
    pub fn set_limits(&mut self, messages_max: usize, bytes_max: usize) {
        (self.messages_max, self.bytes_max) = (messages_max, bytes_max);
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps, replaces or (empty payload [MQTT-3.3.1-6]) removes; `false` if there is no room.
    /// `is_kept` says that the broker's file has it too.
    pub fn set(&mut self, message: &Arc<Message>, is_kept: bool, now: Mono) -> bool {
        let old = self.messages.get(&message.topic).map_or(0, |one| one.message.bytes());
        if message.payload.is_empty() {
            self.remove(&message.topic);
            return true;
        }
        let full = old == 0 && self.messages.len() >= self.messages_max;
        if full || self.bytes - old + message.bytes() > self.bytes_max {
            return false;
        }
        self.remove(&message.topic);
        self.bytes += message.bytes();
        self.expiring += usize::from(message.expires.is_some());
        let one = One { message: Arc::clone(message), at: now, is_kept };
        self.messages.insert(message.topic.clone(), one);
        true
    }

    /// Whether the broker's file has a message of this topic.
    pub fn is_kept(&self, topic: &TopicName) -> bool {
        self.messages.get(topic).is_some_and(|one| one.is_kept)
    }

    /// All that the broker's file has.
    pub fn kept(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.values().filter(|one| one.is_kept).map(|one| &one.message)
    }

    /// Says whether the broker's file had it.
    fn remove(&mut self, topic: &TopicName) -> bool {
        let Some(One { message, is_kept, .. }) = self.messages.remove(topic) else { return false };
        self.bytes -= message.bytes();
        self.expiring -= usize::from(message.expires.is_some());
        is_kept
    }

    /// Drops what has expired; gives the topics of which the broker's file has a message.
    pub fn sweep(&mut self, now: Mono) -> Vec<TopicName> {
        if self.expiring == 0 {
            return Vec::new();
        }
        let all = self.messages.values().map(|one| &one.message);
        let mut expired: Vec<TopicName> =
            all.filter(|m| m.is_expired(now)).map(|m| m.topic.clone()).collect();
        expired.retain(|topic| self.remove(topic));
        expired
    }

    /// The next message for `filter` after the topic `after`, looking at no more than `looks`.
    pub fn next(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        looks: usize,
        now: Mono,
    ) -> Step {
        let text = filter.as_str();
        let Some(wildcard) = text.find(['+', '#']) else {
            return match self.messages.get(text) {
                Some(One { message, .. }) if after.is_none() && !message.is_expired(now) => {
                    Step::Found(Arc::clone(message))
                }
                _ => Step::End,
            };
        };
        // All that can match starts with this; `a/#` matches `a` as well.
        let literal = text.get(..wildcard).unwrap_or_default();
        let prefix = if text.ends_with("/#") && wildcard + 1 == text.len() {
            literal.trim_end_matches('/')
        } else {
            literal
        };
        let start = match after {
            Some(topic) => Bound::Excluded(topic.as_str()),
            None => Bound::Included(prefix),
        };
        let mut last = None;
        for (topic, One { message, .. }) in
            self.messages.range::<str, _>((start, Bound::Unbounded)).take(looks)
        {
            if !topic.as_str().starts_with(prefix) {
                return Step::End;
            }
            if filter.matches(topic.as_str()) && !message.is_expired(now) {
                return Step::Found(Arc::clone(message));
            }
            last = Some(topic);
        }
        last.map_or(Step::End, |topic| Step::Paused(topic.clone()))
    }

    /// All that is kept, in the order of topics, after the topic `after`.
    pub fn after(&self, after: Option<&str>) -> impl Iterator<Item = &One> {
        self.messages.range::<str, _>((beyond(after), Bound::Unbounded)).map(|(_, one)| one)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::model::Qos;

    fn message(topic: &str, payload: &str) -> Arc<Message> {
        Arc::new(Message {
            topic: TopicName::new(topic).unwrap(),
            payload: payload.to_owned().into(),
            qos: Qos::AtMostOnce,
            retain: true,
            expires: None,
            properties: Bytes::new(),
        })
    }

    /// All that a subscription gets, taken in steps of `looks`.
    fn all(retained: &Retained, filter: &TopicFilter, looks: usize) -> Vec<String> {
        let mut got = Vec::new();
        let mut after = None;
        loop {
            match retained.next(filter, after.as_ref(), looks, Mono(0)) {
                Step::Found(message) => {
                    got.push(message.topic.to_string());
                    after = Some(message.topic.clone());
                }
                Step::Paused(topic) => after = Some(topic),
                Step::End => return got,
            }
        }
    }

    proptest! {
        #[test]
        fn serves_what_matches_whatever_the_steps(
            topics in prop::collection::btree_set("[$ab/Ö]{1,6}", 0..30),
            filter in "[ab/]{0,3}(a/\\+|\\+/b|\\+|#|a/#|a)",
            looks in 1..5_usize,
        ) {
            let Ok(filter) = TopicFilter::new(&filter) else { return Ok(()) };
            let mut retained = Retained::new(100, 1_000_000);
            for topic in &topics {
                retained.set(&message(topic, "x"), false, Mono(0));
            }
            let expected: Vec<String> =
                topics.iter().filter(|t| filter.matches(t)).cloned().collect();
            prop_assert_eq!(all(&retained, &filter, looks), expected);
        }
    }

    #[test]
    fn replacing_and_removing_keeps_the_accounts() {
        let mut retained = Retained::new(2, 1_000_000);
        assert!(retained.set(&message("a", "1"), false, Mono(0)));
        let one = retained.bytes();
        assert!(retained.set(&message("a", "22"), false, Mono(0)));
        assert_eq!((retained.len(), retained.bytes()), (1, one + 1));
        assert!(retained.set(&message("b", "1"), false, Mono(0)));
        assert!(!retained.set(&message("c", "1"), false, Mono(0)), "full");
        assert!(retained.set(&message("b", "2"), false, Mono(0)), "what is there may change");
        retained.set(&message("a", ""), false, Mono(0));
        retained.set(&message("b", ""), false, Mono(0));
        retained.set(&message("b", ""), false, Mono(0));
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
    }

    #[test]
    fn a_sweep_drops_what_has_expired() {
        let mut retained = Retained::new(10, 1_000_000);
        for (topic, end) in [("a", Some(Mono(5))), ("b", Some(Mono(50))), ("c", None)] {
            let mut message = Arc::into_inner(message(topic, "x")).unwrap();
            message.expires = end;
            retained.set(&Arc::new(message), topic == "a", Mono(0));
        }
        assert_eq!(retained.sweep(Mono(10)), [TopicName::new("a").unwrap()], "the file has it");
        assert_eq!(retained.len(), 2);
        assert_eq!(retained.sweep(Mono(100)), []);
        assert_eq!((retained.len(), retained.expiring), (1, 0));
    }
}
