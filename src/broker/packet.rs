//! The packets a client can send, in the words of this broker.
//!
//! One set of types for all protocol versions; what a version lacks has the value that the newer
//! one would take as its default. Knows no codec, no bytes on the wire and no socket.

use std::fmt;

use bytes::Bytes;

use crate::model::{Qos, TopicFilter, TopicName};

/// The protocol a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1, which calls itself MQIsdp: no word of a session that was kept, and no connection
    /// without a client id. Everything else is as in 3.1.1.
    V31,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

impl Version {
    pub fn is_v5(self) -> bool {
        self == Self::V5
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}

/// A reason code of MQTT 5.0 (2.4). For older clients the nearest behaviour is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub u8);

impl Reason {
    pub const SUCCESS: Self = Self(0x00);
    pub const NO_MATCHING_SUBSCRIBERS: Self = Self(0x10);
    pub const NO_SUBSCRIPTION_EXISTED: Self = Self(0x11);
    pub const MALFORMED_PACKET: Self = Self(0x81);
    pub const PROTOCOL_ERROR: Self = Self(0x82);
    pub const IMPLEMENTATION_SPECIFIC: Self = Self(0x83);
    pub const UNSUPPORTED_VERSION: Self = Self(0x84);
    pub const CLIENT_ID_INVALID: Self = Self(0x85);
    pub const BAD_USER_NAME_OR_PASSWORD: Self = Self(0x86);
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    pub const SERVER_UNAVAILABLE: Self = Self(0x88);
    pub const SERVER_BUSY: Self = Self(0x89);
    pub const SHUTTING_DOWN: Self = Self(0x8B);
    pub const BAD_AUTHENTICATION_METHOD: Self = Self(0x8C);
    pub const KEEP_ALIVE_TIMEOUT: Self = Self(0x8D);
    pub const TAKEN_OVER: Self = Self(0x8E);
    pub const TOPIC_FILTER_INVALID: Self = Self(0x8F);
    pub const TOPIC_NAME_INVALID: Self = Self(0x90);
    pub const PACKET_ID_NOT_FOUND: Self = Self(0x92);
    pub const RECEIVE_MAXIMUM_EXCEEDED: Self = Self(0x93);
    pub const TOPIC_ALIAS_INVALID: Self = Self(0x94);
    pub const PACKET_TOO_LARGE: Self = Self(0x95);
    pub const QUOTA_EXCEEDED: Self = Self(0x97);
    pub const ADMINISTRATIVE_ACTION: Self = Self(0x98);
    pub const CONNECTION_RATE_EXCEEDED: Self = Self(0x9F);

    /// Codes from 0x80 say that something was refused.
    pub fn is_refusal(self) -> bool {
        self.0 >= 0x80
    }

    /// What the code leaves open, in words for whoever looks at a client's log. Short enough for a
    /// packet whose length is one byte.
    pub fn why(self) -> Option<&'static str> {
        Some(match self {
            Self::MALFORMED_PACKET => "a packet that does not fit its format",
            Self::PROTOCOL_ERROR => "a packet that is not allowed here, or not with these values",
            Self::IMPLEMENTATION_SPECIFIC => "it could not be stored",
            Self::CLIENT_ID_INVALID => "a client id that is too long, or another user's",
            Self::BAD_USER_NAME_OR_PASSWORD => "a wrong user name or password",
            Self::NOT_AUTHORIZED => "not allowed to this user, or on this listener",
            Self::SERVER_UNAVAILABLE => "the session could not be stored",
            Self::SERVER_BUSY => "logins are waiting, try again",
            Self::SHUTTING_DOWN => "the gateway stops",
            Self::BAD_AUTHENTICATION_METHOD => "only user name and password, or a certificate",
            Self::KEEP_ALIVE_TIMEOUT => "nothing was heard for one and a half keep-alives",
            Self::TAKEN_OVER => "another connection has come with this client id",
            Self::TOPIC_FILTER_INVALID => "a filter that is not valid, too long or too deep",
            Self::TOPIC_NAME_INVALID => "a topic with wildcards, too long or too deep",
            Self::RECEIVE_MAXIMUM_EXCEEDED => "more messages on their way than were allowed",
            Self::TOPIC_ALIAS_INVALID => "an alias of 0, or above the maximum",
            Self::PACKET_TOO_LARGE => "a packet above the maximum packet size",
            Self::QUOTA_EXCEEDED => "as many as a client may have",
            Self::ADMINISTRATIVE_ACTION => "by an operator, or no longer allowed",
            _ => return None,
        })
    }
}

/// A packet from a client.
#[derive(Debug)]
pub enum Incoming {
    Connect(Box<Connect>),
    Publish(Inbound),
    PubAck {
        id: u16,
    },
    /// The client has a QoS 2 message, or `refused` it.
    PubRec {
        id: u16,
        refused: bool,
    },
    PubRel {
        id: u16,
    },
    PubComp {
        id: u16,
    },
    Subscribe(Box<Subscribe>),
    Unsubscribe(Box<Unsubscribe>),
    Ping,
    Disconnect {
        with_will: bool,
        session_expiry: Option<u32>,
    },
    /// Enhanced authentication: well formed, but never right here.
    Unexpected,
}

#[derive(Debug, Clone)]
pub struct Connect {
    pub version: Version,
    /// Empty: the broker shall choose one.
    pub client_id: String,
    /// For 3.1.1 the clean session flag.
    pub clean_start: bool,
    /// Seconds; 0 switches it off.
    pub keep_alive: u16,
    /// Seconds the session outlives the connection; `u32::MAX` for ever.
    pub session_expiry: u32,
    pub receive_maximum: u16,
    /// Largest packet the client takes, in bytes.
    pub packet_max: u32,
    /// Whether reason strings are welcome.
    pub problem_info: bool,
    /// Topic aliases the client takes.
    pub alias_max: u16,
    pub enhanced_auth: bool,
    pub username: Option<String>,
    pub password: Option<Password>,
    pub will: Option<Will>,
}

/// Never printed.
#[derive(Clone)]
pub struct Password(pub Bytes);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What the broker publishes when the client goes without a DISCONNECT.
#[derive(Debug, Clone)]
pub struct Will {
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: Qos,
    pub retain: bool,
    /// Seconds between the end of the connection and the publication.
    pub delay: u32,
    /// Seconds the published will stays valid.
    pub expiry: Option<u32>,
    /// As those of a message.
    pub properties: Bytes,
}

impl Will {
    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len() + self.properties.len()
    }
}

/// A PUBLISH from a client. Topic and payload are copies, so that a message that is kept never
/// holds on to a whole read buffer.
#[derive(Debug)]
pub struct Inbound {
    /// `None` when an alias stands for it.
    pub topic: Option<TopicName>,
    pub alias: Option<u16>,
    /// 0 for QoS 0.
    pub id: u16,
    pub qos: Qos,
    pub retain: bool,
    pub payload: Bytes,
    /// Seconds the message stays valid.
    pub expiry: Option<u32>,
    /// As those of a message.
    pub properties: Bytes,
    /// Response topic and correlation data once more, for a command. No message keeps them.
    pub reply_to: Option<Box<(TopicName, Bytes)>>,
}

#[derive(Debug)]
pub struct Subscribe {
    pub id: u16,
    /// 0: none.
    pub subscription_id: u32,
    pub wishes: Vec<Wish>,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug)]
pub struct Wish {
    /// `None`: not a filter by the rules of MQTT 5.0, 4.7.
    pub filter: Option<TopicFilter>,
    pub qos: Qos,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

/// Which retained messages a SUBSCRIBE asks for (MQTT 5.0, 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainHandling {
    Send,
    SendIfNew,
    DontSend,
}

#[derive(Debug)]
pub struct Unsubscribe {
    pub id: u16,
    pub filters: Vec<Option<TopicFilter>>,
}
