//! Serial frames ↔ values, by the description of a [`Sensor`](crate::model::sensor::Sensor).
//!
//! [`Splitter`] cuts a stream into frames and says what it skipped and why; [`Decoder`] makes the
//! fields of a frame. Invariants: nothing here panics, whatever the bytes are; memory is bounded by
//! the longest frame; what did not pass its checksum, its pattern or its number format never
//! becomes a value.
//!
//! Knows no port and no clock: whoever reads the bytes says when the line was silent.

mod checksum;
mod decode;
mod number;
mod pieces;
mod sml;
mod splitter;
#[cfg(test)]
mod tests;

pub use decode::{Content, Decoder, PatternError, Sample, SampleUnit};
pub use number::Exact;
pub use splitter::{Cut, Frame, Skip, Splitter};
