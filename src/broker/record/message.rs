//! A message that waits for sessions, and one that is retained.

use std::time::Duration;

use bytes::Bytes;

use super::fields::{Reader, Writer};
use super::{left, qos};
use crate::broker::message::Message;
use crate::model::{Mono, Qos, TopicName, Wall};

const VERSION: u8 = 1;

/// A message with the sessions it waits for.
#[derive(Debug, PartialEq, Eq)]
pub struct MessageRecord {
    pub message: KeptMessage,
    pub receivers: Vec<Receiver>,
}

/// How one session is to get a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The session's number in the file.
    pub session: u64,
    /// The message's number among those of the session.
    pub number: u64,
    pub qos: Qos,
    pub retain: bool,
    /// Subscription identifiers.
    pub ids: Box<[u32]>,
}

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: Qos,
    pub retain: bool,
    /// See [`Message::properties`].
    pub properties: Bytes,
    /// When it was taken in, and for how long from then on it is valid.
    pub valid: Option<(Wall, Duration)>,
}

impl KeptMessage {
    /// `now` is the same moment on both clocks.
    pub fn of(message: &Message, now: (Mono, Wall)) -> Self {
        Self {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: message.qos,
            retain: message.retain,
            properties: message.properties.clone(),
            // Counting anew from now comes to the same moment.
            valid: message.expires.map(|end| (now.1, end - now.0)),
        }
    }

    pub fn into_message(self, now: (Mono, Wall)) -> Message {
        Message {
            topic: self.topic,
            payload: self.payload,
            qos: self.qos,
            retain: self.retain,
            expires: self.valid.map(|(since, whole)| now.0 + left(since, whole, now.1)),
            properties: self.properties,
        }
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new(VERSION);
        self.write(&mut writer);
        writer.finish()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let message = Self::read(&mut reader)?;
        reader.end(message)
    }

    fn write(&self, to: &mut Writer) {
        to.text(self.topic.as_str())
            .byte(self.qos.level())
            .flag(self.retain)
            .option(self.valid, |to, (since, whole)| {
                to.signed(since.0).long(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX));
            })
            .bytes(&self.properties)
            .bytes(&self.payload);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            topic: TopicName::new(from.text()?).ok()?,
            qos: qos(from.byte()?)?,
            retain: from.flag()?,
            valid: from
                .option(|from| Some((Wall(from.signed()?), Duration::from_millis(from.long()?))))?,
            properties: Bytes::copy_from_slice(from.bytes()?),
            payload: Bytes::copy_from_slice(from.bytes()?),
        })
    }
}

impl MessageRecord {
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new(VERSION);
        writer.list(self.receivers.iter(), |to, receiver| {
            to.long(receiver.session)
                .long(receiver.number)
                .byte(receiver.qos.level())
                .flag(receiver.retain)
                .list(receiver.ids.iter(), |to, id| {
                    to.word(*id);
                });
        });
        self.message.write(&mut writer);
        writer.finish()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let receivers = reader.list(|from| {
            Some(Receiver {
                session: from.long()?,
                number: from.long()?,
                qos: qos(from.byte()?)?,
                retain: from.flag()?,
                ids: from.list(Reader::word)?.into(),
            })
        })?;
        let message = KeptMessage::read(&mut reader)?;
        reader.end(Self { message, receivers })
    }
}
