//! Commands: the only thing that flows from the north to the field.

use std::fmt;
use std::time::Duration;

use super::{Mono, Name, TopicName, Value};

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A client of the LAN broker, by its client id.
    Lan(String),
    /// A cloud broker, by the uplink's name.
    Uplink(Name),
    /// A person at the gateway's page, by their name.
    Person(String),
    /// The gateway itself, because nobody commanded the tag for too long.
    Safe,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lan(client) => write!(f, "lan:{client}"),
            Self::Uplink(name) => write!(f, "uplink:{name}"),
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Safe => f.write_str("safe-value"),
        }
    }
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
    /// Who waits for the answer in this process: it gets the same text.
    pub answer: Option<Answer>,
}

/// Takes the answer to a request, once.
pub type Answer = Box<dyn FnOnce(&[u8]) + Send>;

/// A checked command on its way to a bus.
pub struct Command {
    pub device: Name,
    /// What to write. Several belong together: either all of them pass the checks or none is
    /// written.
    pub sets: Vec<Set>,
    /// Not written any more after this moment.
    pub expires: Mono,
    /// Called exactly once, with what became of each of the sets, in their order.
    pub reply: Box<dyn FnOnce(Vec<Outcome>) + Send>,
}

/// One tag and what it is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    pub tag: Name,
    pub value: Value,
}

impl Command {
    /// Answers that nothing was written, for this reason.
    pub fn refuse(self, refusal: &Refusal) {
        let outcomes = vec![Outcome::Refused(refusal.clone()); self.sets.len()];
        (self.reply)(outcomes);
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({}", self.device)?;
        for Set { tag, value } in &self.sets {
            write!(f, " {tag}={value}")?;
        }
        f.write_str(")")
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Written, and this is what the device then said it holds.
    Done { read_back: Value },
    /// The device acknowledged the write; what it holds was not looked at, as configured.
    Acknowledged,
    /// Sent to everybody on the line, which nobody answers.
    Broadcast,
    /// Not written, or not as asked.
    Refused(Refusal),
}

impl Outcome {
    /// Stable word for replies and records: `done`, `acknowledged`, `sent`, or why not.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Acknowledged => "acknowledged",
            Self::Broadcast => "sent",
            Self::Refused(refusal) => refusal.code(),
        }
    }

    /// Whether the device was asked, be it in vain.
    pub fn reached_device(&self) -> bool {
        self.may_have_written() || matches!(self, Self::Refused(Refusal::Exception(_)))
    }

    /// Whether the device may hold another value than before.
    pub fn may_have_written(&self) -> bool {
        match self {
            Self::Done { .. } | Self::Acknowledged | Self::Broadcast => true,
            Self::Refused(refusal) => matches!(
                refusal,
                Refusal::NoAnswer
                    | Refusal::LinkBroke
                    | Refusal::ReadBack(_)
                    | Refusal::NotReadBack
            ),
        }
    }
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
    #[error("{value} is no step of this tag, which goes from {min} in steps of {step}")]
    OffStep { value: f64, min: f64, step: f64 },
    #[error("{value} is none of the values that may be written: {allowed}")]
    NotAllowed { value: String, allowed: String },
    #[error("too soon after the last command; the next is taken in {} ms", next.as_millis())]
    TooSoon { next: Duration },
    #[error("too many commands are waiting for this bus")]
    Busy,
    #[error("the device did not answer")]
    NoAnswer,
    #[error("the bus is down")]
    LinkDown,
    #[error("the bus broke down while the command was carried out")]
    LinkBroke,
    #[error("the device refused with exception {0}")]
    Exception(u8),
    #[error("the device acknowledged the write, but then held {0}")]
    ReadBack(Value),
    #[error("the device acknowledged the write, but could not be read back")]
    NotReadBack,
    #[error("not written, because another tag of the same command was refused")]
    NotWritten,
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
            Self::OffStep { .. } => "off-step",
            Self::NotAllowed { .. } => "not-allowed",
            Self::TooSoon { .. } => "too-soon",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::LinkDown | Self::LinkBroke => "link-down",
            Self::Exception(_) => "exception",
            Self::ReadBack(_) => "read-back",
            Self::NotReadBack => "not-read-back",
            Self::NotWritten => "not-written",
            Self::Stopping => "stopping",
        }
    }
}
