//! Answers to commands on their way out.
//!
//! They have no row in the store: the outcome of a command is appended there like any reading.
//! What is here survives a broken connection, not the process.

use bytes::Bytes;

use super::pack::PUBLISH_OVERHEAD;
use crate::model::TopicName;

/// Replies that may wait for the engine, and as many again that wait for the broker.
pub const REPLIES_MAX: usize = 64;

#[derive(Debug, Clone)]
pub struct Reply {
    /// With the uplink's prefix.
    pub topic: TopicName,
    pub payload: Bytes,
}

impl Reply {
    /// `None` if the broker would not take it: too large, or no topic with this prefix.
    pub fn new(
        prefix: &str,
        topic: TopicName,
        payload: Vec<u8>,
        packet_bytes: usize,
    ) -> Option<Self> {
        let topic = match prefix {
            "" => topic,
            prefix => TopicName::new(&format!("{prefix}{topic}")).ok()?,
        };
        let reply = Self { topic, payload: payload.into() };
        (reply.bytes() + PUBLISH_OVERHEAD <= packet_bytes).then_some(reply)
    }

    pub fn bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len()
    }
}
