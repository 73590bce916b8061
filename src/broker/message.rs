//! A message on its way through the broker, and its wire forms.

use bytes::Bytes;

use super::encode::{self, Form};
use super::packet::Version;
use crate::model::{Mono, Qos, TopicName};

/// An application message. Shared by everything that keeps it: queues, windows, retained store.
#[derive(Debug)]
pub struct Message {
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: Qos,
    /// Whether the publisher set the retain flag.
    pub retain: bool,
    /// Not delivered any more after this moment.
    pub expires: Option<Mono>,
    /// Of MQTT 5.0: payload format, content type, response topic, correlation data and user
    /// properties, in wire form and as they came: they are only ever passed on
    /// [MQTT-3.3.2-4, -15 to -20].
    pub properties: Bytes,
}

impl Message {
    /// Memory this message takes, for the bounds of queues and of the retained store.
    pub fn bytes(&self) -> usize {
        const OVERHEAD: usize = 128;
        OVERHEAD + self.topic.as_str().len() + self.payload.len() + self.properties.len()
    }

    pub fn is_expired(&self, now: Mono) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Seconds this message stays valid from `now` on, rounded up, as a subscriber is told
    /// [MQTT-3.3.2-6].
    pub fn expiry_left(&self, now: Mono) -> Option<u32> {
        self.expires
            .map(|end| u32::try_from((end - now).as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

/// The encoded heads of one message, each made at most once however many clients get it.
///
/// Reused from message to message, so that routing allocates nothing for it.
#[derive(Default)]
pub struct Frames {
    heads: [Head; 12],
}

#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    id_at: usize,
    made: bool,
}

impl Frames {
    /// Forgets the last message.
    pub fn start(&mut self) {
        for head in &mut self.heads {
            head.made = false;
        }
    }

    /// The head of `message` for a form without subscription identifiers and without DUP, and
    /// where the packet id belongs in it. `message` must be the same since [`Frames::start`].
    pub fn head(
        &mut self,
        message: &Message,
        version: Version,
        qos: Qos,
        retain: bool,
        now: Mono,
    ) -> (&[u8], usize) {
        let place = usize::from(version.is_v5())
            | (usize::from(retain) << 1)
            | (usize::from(qos.level()) << 2);
        let Some(head) = self.heads.get_mut(place) else { return (&[], 0) };
        if !head.made {
            let expiry = message.expiry_left(now);
            let form = Form { version, qos, retain, dup: false, ids: &[], expiry, alias: None };
            head.id_at = encode::publish_head(&mut head.bytes, message, form);
            head.made = true;
        }
        (&head.bytes, head.id_at)
    }
}
