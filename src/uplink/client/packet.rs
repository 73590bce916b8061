//! MQTT as the engine sees it: the same for 3.1.1 and 5.0.
//!
//! What only 5.0 can carry is left out on 3.1.1 (`v4.rs`), and what 3.1.1 can't say has the value
//! that means "no limit". Nothing here is printable that holds a secret.

use bytes::Bytes;

use crate::model::{Qos, TopicFilter};

/// The largest packet MQTT can express.
pub const PROTOCOL_BYTES_MAX: usize = 268_435_455;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V4,
    V5,
}

/// Who connects. The session is always clean: the store is the only memory.
#[derive(Clone)]
pub struct Hello {
    pub version: Version,
    pub client_id: String,
    /// Seconds.
    pub keep_alive: u16,
    /// Username and password.
    pub login: Option<(String, String)>,
    pub will: Option<Will>,
}

/// What the broker publishes when the connection ends without a goodbye.
#[derive(Clone)]
pub struct Will {
    pub topic: String,
    pub payload: Bytes,
    pub qos: Qos,
    pub retain: bool,
}

/// What the broker said of itself in CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages above QoS 0 that may be unacknowledged.
    pub receive_maximum: u16,
    pub packet_bytes: usize,
    pub qos: Qos,
    pub retain: bool,
    /// The keep-alive to use instead of ours, in seconds.
    pub keep_alive: Option<u16>,
}

impl Limits {
    pub const NONE: Self = Self {
        receive_maximum: u16::MAX,
        packet_bytes: PROTOCOL_BYTES_MAX,
        qos: Qos::ExactlyOnce,
        retain: true,
        keep_alive: None,
    };
}

/// A message to send.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: Qos,
    pub retain: bool,
    /// Of what the payload is; MQTT 5 only.
    pub content_type: Option<&'a str>,
    /// Of an answer; MQTT 5 only.
    pub correlated: Option<&'a Correlated>,
}

/// What tells the one who asked which question is answered, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlated {
    /// As it came with the question.
    pub data: Bytes,
    /// Name and value for whoever does not want to look into the payload.
    pub property: (&'static str, &'static str),
}

impl Correlated {
    /// What it takes of the packet.
    pub fn bytes(&self) -> usize {
        let (name, value) = self.property;
        3 + self.data.len() + 5 + name.len() + value.len()
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Subscription<'a> {
    pub filter: &'a TopicFilter,
    pub qos: Qos,
    /// What this client publishes does not come back to it; MQTT 5 only.
    pub no_local: bool,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: Bytes,
    pub qos: Qos,
    pub retain: bool,
    /// Seconds for which it is still worth anything; MQTT 5 only.
    pub expiry: Option<u32>,
    /// Where the sender wants an answer, with what to send along; MQTT 5 only.
    pub reply_to: Option<(String, Bytes)>,
}

/// How the broker took something: 0 and 16 are good, 1 to 5 are refusals of CONNECT by 3.1.1, and from
/// 128 on those of 5.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: u8,
    /// The broker's own words; MQTT 5 only.
    pub text: Option<String>,
}

/// The last code that is no failure of a PUBACK: 16 says that nobody has subscribed.
const FAILURES_FROM: u8 = 0x80;

impl Reason {
    pub const GOOD: Self = Self { code: 0, text: None };

    pub fn is_good(&self) -> bool {
        self.code < FAILURES_FROM
    }
}

/// What a client sends, besides messages.
#[derive(Clone, Copy)]
pub enum Outgoing<'a> {
    Hello(&'a Hello),
    Subscribe {
        id: u16,
        to: Subscription<'a>,
    },
    PubAck(u16),
    PubRec(u16),
    PubComp(u16),
    Ping,
    /// Whether the will is to be published all the same; MQTT 5 only.
    Goodbye {
        with_will: bool,
    },
}

/// What a broker sends.
pub enum Incoming {
    Welcome {
        reason: Reason,
        limits: Limits,
    },
    Publish {
        id: u16,
        message: Received,
    },
    PubAck {
        id: u16,
        reason: Reason,
    },
    PubRel(u16),
    /// One answer for each filter: whether it was granted.
    SubAck {
        id: u16,
        granted: Vec<bool>,
    },
    Pong,
    Goodbye(Reason),
}
