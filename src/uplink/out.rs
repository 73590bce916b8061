//! What a session has on its way to the broker.

use super::announce::Announcement;
use super::client::Message;
use super::notices;
use super::pack::{Item, PUBLISH_OVERHEAD};
use super::remote;
use super::reply::Reply;
use crate::model::{Qos, TopicName};

/// A message that goes out, and what its acknowledgement settles.
pub enum Out {
    Rows(Item),
    Reply(Reply),
    Notice(notices::Told),
    /// Made anew by the next connection.
    Announcement(Announcement),
    /// What is told of the configuration, and where.
    Told(TopicName, remote::Told),
}

impl Out {
    pub fn message(&self) -> Message<'_> {
        let (topic, payload) = match self {
            Self::Rows(item) => (&item.topic, &item.payload),
            Self::Reply(reply) => (&reply.topic, &reply.payload),
            Self::Notice(told) => (&told.topic, &told.payload),
            Self::Announcement(told) => (&told.topic, &told.payload),
            Self::Told(topic, told) => (topic, &told.payload),
        };
        let mut message = Message {
            topic: topic.as_str(),
            payload,
            qos: Qos::AtLeastOnce,
            retain: false,
            content_type: None,
            correlated: None,
        };
        match self {
            Self::Rows(item) => {
                message.retain = item.retain;
                message.content_type = item.content_type.as_deref();
            }
            Self::Reply(reply) => message.correlated = reply.correlated.as_ref(),
            Self::Notice(_) => {}
            Self::Announcement(told) => message.retain = told.retain,
            Self::Told(..) => message.retain = true,
        }
        message
    }

    /// As a whole packet, at most.
    pub fn bytes(&self) -> usize {
        let bytes = match self {
            Self::Rows(item) => item.bytes(),
            Self::Reply(reply) => reply.bytes(),
            Self::Notice(told) => told.bytes(),
            Self::Announcement(told) => told.bytes(),
            Self::Told(topic, told) => topic.as_str().len() + told.payload.len(),
        };
        bytes + PUBLISH_OVERHEAD
    }
}
