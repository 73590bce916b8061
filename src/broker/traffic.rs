//! What is published where: of each topic lately published to, how much, when last, and by whom.
//!
//! For people who look, not for the routing. Bounded in topics and bytes by two generations: when
//! the new one is full it becomes the old one, and what was in the old one and has not come since is
//! forgotten.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::message::Message;
use crate::model::{Mono, Qos, TopicName};

/// Topics of one generation, and the bytes of their names.
const TOPICS_MAX: usize = 5_000;
const TOPIC_BYTES_MAX: usize = 1 << 20;

#[derive(Default)]
pub struct Traffic {
    new: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    topics: HashMap<TopicName, Seen>,
    bytes: usize,
}

/// What came to one topic.
#[derive(Debug, Clone)]
pub struct Seen {
    pub messages: u64,
    /// Of the newest message.
    pub at: Mono,
    pub bytes: usize,
    pub qos: Qos,
    pub retain: bool,
    /// The client that published it; `None` for the gateway.
    pub by: Option<Arc<str>>,
}

impl Traffic {
    pub fn note(&mut self, message: &Message, by: Option<Arc<str>>, now: Mono) {
        let seen = Seen {
            messages: 1,
            at: now,
            bytes: message.payload.len(),
            qos: message.qos,
            retain: message.retain,
            by,
        };
        if let Some(before) = self.new.topics.get_mut(message.topic.as_str()) {
            *before = Seen { messages: before.messages + 1, ..seen };
            return;
        }
        let before = self.old.topics.remove(message.topic.as_str()).map_or(0, |old| old.messages);
        let bytes = message.topic.as_str().len();
        if self.new.topics.len() >= TOPICS_MAX || self.new.bytes + bytes > TOPIC_BYTES_MAX {
            self.old = mem::take(&mut self.new);
        }
        self.new.bytes += bytes;
        self.new.topics.insert(message.topic.clone(), Seen { messages: before + 1, ..seen });
    }

    /// All topics that are known, in no order.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicName, &Seen)> {
        self.new.topics.iter().chain(&self.old.topics)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn note(traffic: &mut Traffic, topic: &str, at: i64) {
        let message = Message {
            topic: TopicName::new(topic).unwrap(),
            payload: "12".into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            expires: None,
            properties: Bytes::new(),
        };
        traffic.note(&message, Some("c".into()), Mono(at));
    }

    #[test]
    fn what_comes_again_is_counted_and_only_what_does_not_is_forgotten() {
        let mut traffic = Traffic::default();
        for round in 0..20_000 {
            note(&mut traffic, "steady", round);
            note(&mut traffic, &format!("once/{round}"), round);
        }
        assert!(traffic.topics().count() <= 2 * TOPICS_MAX);
        let steady: Vec<_> =
            traffic.topics().filter(|(topic, _)| topic.as_str() == "steady").collect();
        let [(_, seen)] = steady[..] else { panic!("{steady:?}") };
        assert_eq!((seen.messages, seen.at, seen.bytes), (20_000, Mono(19_999), 2));
        assert_eq!((seen.qos, seen.by.as_deref()), (Qos::AtLeastOnce, Some("c")));
        assert!(traffic.topics().any(|(topic, _)| topic.as_str() == "once/19999"));
        assert!(!traffic.topics().any(|(topic, _)| topic.as_str() == "once/0"));
    }

    #[test]
    fn long_topics_are_bounded_by_their_bytes() {
        let mut traffic = Traffic::default();
        for n in 0..200 {
            note(&mut traffic, &format!("{n}{}", "x".repeat(60_000)), n);
        }
        let bytes: usize = traffic.topics().map(|(topic, _)| topic.as_str().len()).sum();
        assert!(bytes <= 2 * TOPIC_BYTES_MAX, "{bytes}");
    }
}
