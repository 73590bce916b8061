//! A tag: one named value of one device.

use super::{Class, Name, TopicName};

/// Number of a tag in the store's append-only tag table. A changed mapping gets a new number, so
/// that stored readings keep the meaning they were read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TagId(pub u32);

/// What must be known about a tag to publish its readings, long after its configuration is gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagMeta {
    pub topic: TopicName,
    pub device: Name,
    pub name: Name,
    /// Engineering unit as text, empty if none.
    pub unit: String,
    /// How the value was made, as text: type, order, scale; two meanings never share a number.
    pub coding: String,
    pub class: Class,
}
