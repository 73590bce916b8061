//! Commands: the only thing that flows from the north to the field.

use std::fmt;

use super::{Mono, Name, TopicName, Value};

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A client of the LAN broker, by its client id.
    Lan(String),
    /// A cloud broker, by the uplink's name.
    Uplink(Name),
    /// A person at the gateway itself.
    Local,
}

/// A publish to a tag's `.../set` topic, as it came from the wire and before anything is checked.
pub struct SetRequest {
    pub origin: Origin,
    /// The full topic, ending in `/set`.
    pub topic: TopicName,
    pub payload: Vec<u8>,
    /// Retained commands are refused: they would be replayed at every subscription.
    pub retain: bool,
    /// When the message stops being valid, if the sender said so (MQTT 5 message expiry).
    pub expires: Option<Mono>,
    /// When the gateway received it.
    pub at: Mono,
    /// Where an MQTT 5 sender wants the answer, with its correlation data.
    pub reply_to: Option<(TopicName, Vec<u8>)>,
}

/// A checked command on its way to a bus.
pub struct Command {
    pub device: Name,
    pub tag: Name,
    pub value: Value,
    /// Not written any more after this moment.
    pub expires: Mono,
    /// Called exactly once, with what became of it.
    pub reply: Box<dyn FnOnce(Outcome) + Send>,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({}.{} = {})", self.device, self.tag, self.value)
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Written, and this is what the device then said it holds.
    Done { read_back: Value },
    /// Not written, or not as asked.
    Refused(Refusal),
}

/// Why a command was not carried out. Its text is what the sender reads.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("a retained command is never carried out")]
    Retained,
    #[error("the command had expired")]
    Expired,
    #[error("no writable tag has this topic")]
    UnknownTag,
    #[error("the payload is not a value for this tag: {0}")]
    BadPayload(String),
    #[error("{value} is outside the limits {min} to {max}")]
    OutOfLimits { value: f64, min: f64, max: f64 },
    #[error("too many commands are waiting for this bus")]
    Busy,
    #[error("the device did not answer")]
    NoAnswer,
    #[error("the bus is down")]
    LinkDown,
    #[error("the device refused with exception {0}")]
    Exception(u8),
    #[error("the device acknowledged the write, but then held {0}")]
    ReadBack(Value),
    #[error("the device acknowledged the write, but could not be read back")]
    NotReadBack,
    #[error("the gateway is shutting down")]
    Stopping,
}

impl Refusal {
    /// Stable word for counters and replies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Retained => "retained",
            Self::Expired => "expired",
            Self::UnknownTag => "unknown-tag",
            Self::BadPayload(_) => "bad-payload",
            Self::OutOfLimits { .. } => "out-of-limits",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::LinkDown => "link-down",
            Self::Exception(_) => "exception",
            Self::ReadBack(_) => "read-back",
            Self::NotReadBack => "not-read-back",
            Self::Stopping => "stopping",
        }
    }
}
