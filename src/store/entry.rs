//! The words of the store's interface.

use std::ops::Range;

use crate::model::{Message, Name, Reading, Seq, TagId};

pub use crate::config::Policy;

/// One stretch of time with one relation between monotonic and wall time; see `boot.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct BootNo(pub u32);

/// Someone who gets everything that is appended and settles it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    pub name: Name,
    pub policy: Policy,
}

/// Where a consumer stands in one class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The next position to be given out (as far as consumers may know).
    pub head: Seq,
    /// What waits, oldest first.
    pub unsettled: Vec<Range<Seq>>,
}

/// What became of readings or messages, as far as one consumer is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Delivered,
    /// Delivered with the times that held in this version of [`super::Times`].
    DeliveredAsOf(u64),
    /// The consumer does not want it.
    Excluded,
    /// The consumer can't ever deliver it; the word says why and is counted, e.g. `too-large`.
    Dead(&'static str),
}

/// A run of readings, or one message, as it was appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Position of the first item; the others follow without gaps.
    pub seq: Seq,
    pub boot: BootNo,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Readings(Vec<Reading>),
    Message(Message),
}

impl Entry {
    /// The positions it covers.
    pub fn range(&self) -> Range<Seq> {
        self.seq..self.seq.plus(self.body.count())
    }

    /// The tags of its readings, as often as there are readings.
    pub fn tags(&self) -> impl Iterator<Item = TagId> {
        let readings = match &self.body {
            Body::Readings(readings) => readings.as_slice(),
            Body::Message(_) => &[],
        };
        readings.iter().map(Reading::tag)
    }
}

impl Body {
    pub fn count(&self) -> u64 {
        match self {
            Self::Readings(readings) => readings.len() as u64,
            Self::Message(_) => 1,
        }
    }
}
