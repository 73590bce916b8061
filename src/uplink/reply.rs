//! Answers to commands on their way out.
//!
//! They have no row in the store: the outcome of a command is appended there like any reading.
//! What is here survives a broken connection, not the process; and not two of them with the answer
//! out, since a broker of MQTT 3.1.1 has no other way to say no to it.

use bytes::Bytes;

use super::client::Correlated;
use super::pack::{PROPERTIES_LENGTH, PUBLISH_OVERHEAD};
use crate::model::TopicName;

/// Replies that may wait for the engine, and as many again that wait for the broker.
pub const REPLIES_MAX: usize = 64;
/// A reply that was out when so many connections ended is what ends them.
const ENDS_MAX: u8 = 2;

#[derive(Debug, Clone)]
pub struct Reply {
    /// With the uplink's prefix.
    pub topic: TopicName,
    pub payload: Bytes,
    /// For who named the topic himself (MQTT 5).
    pub correlated: Option<Correlated>,
    /// Connections that ended with it out.
    ends: u8,
}

impl Reply {
    /// `None` if there is no topic with this prefix.
    pub fn new(prefix: &str, topic: TopicName, payload: Vec<u8>) -> Option<Self> {
        let topic = match prefix {
            "" => topic,
            prefix => TopicName::new(&format!("{prefix}{topic}")).ok()?,
        };
        Some(Self { topic, payload: payload.into(), correlated: None, ends: 0 })
    }

    /// For who asked with this.
    pub fn to(self, correlated: Correlated) -> Self {
        Self { correlated: Some(correlated), ..self }
    }

    /// What it has beyond [`PUBLISH_OVERHEAD`].
    pub fn bytes(&self) -> usize {
        let correlated = self.correlated.as_ref();
        let properties = correlated.map_or(0, |correlated| PROPERTIES_LENGTH + correlated.bytes());
        self.topic.as_str().len() + self.payload.len() + properties
    }

    pub fn fits(&self, packet_bytes: usize) -> bool {
        self.bytes() + PUBLISH_OVERHEAD <= packet_bytes
    }

    /// A connection ended with this reply out. `None` if it is not to be sent any more.
    pub fn again(self) -> Option<Self> {
        let ends = self.ends + 1;
        (ends < ENDS_MAX).then_some(Self { ends, ..self })
    }
}
