//! Readings and messages: what the store keeps and the doors pass on.

use std::sync::Arc;

use super::{Doubt, Fault, Mono, Quality, TagId, TopicName, Value};

/// Position in one class's sequence of the store. Each reading and each message has its own;
/// a position is never used twice within a store epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The position `n` further on.
    pub fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }
}

/// What is dropped first when room runs out: bulk, then normal, alarms last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Class {
    Alarm,
    #[default]
    Normal,
    Bulk,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Alarm, Self::Normal, Self::Bulk];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// One value of one tag at one moment, or the reason why there is none.
///
/// A value is present exactly when the quality is good or uncertain; the constructors see to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    tag: TagId,
    /// When the last byte of the answer came.
    at: Mono,
    value: Option<Value>,
    quality: Quality,
}

impl Reading {
    pub fn good(tag: TagId, at: Mono, value: Value) -> Self {
        Self { tag, at, value: Some(value), quality: Quality::Good }
    }

    pub fn uncertain(tag: TagId, at: Mono, value: Value, doubt: Doubt) -> Self {
        Self { tag, at, value: Some(value), quality: Quality::Uncertain(doubt) }
    }

    pub fn bad(tag: TagId, at: Mono, fault: Fault) -> Self {
        Self { tag, at, value: None, quality: Quality::Bad(fault) }
    }

    /// The same reading under another number of its tag.
    pub fn with_tag(self, tag: TagId) -> Self {
        Self { tag, ..self }
    }

    pub fn tag(&self) -> TagId {
        self.tag
    }

    pub fn at(&self) -> Mono {
        self.at
    }

    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    pub fn quality(&self) -> Quality {
        self.quality
    }
}

/// Readings that came together (one answer of one device) and are kept together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub class: Class,
    pub readings: Vec<Reading>,
}

/// MQTT quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl Qos {
    /// 0, 1 or 2, as the protocol writes it.
    pub fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

/// An MQTT message that is not a reading: what a LAN client published and an uplink wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: TopicName,
    pub payload: Arc<[u8]>,
    pub qos: Qos,
    pub retain: bool,
    /// When the gateway received it.
    pub at: Mono,
}
