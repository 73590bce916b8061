//! What a sensor bus counts, by name.

use serde::Serialize;

use crate::codec::sensor::Skip;

/// Counters since the runner was made, over all connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SensorCounters {
    pub bytes: u64,
    /// Frames that were whole, sound and of a known form.
    pub frames: u64,
    /// Frames whose checksum was wrong.
    pub damaged: u64,
    /// Frames of no known form.
    pub unmatched: u64,
    /// Bytes between frames that belong to none.
    pub noise_bytes: u64,
    /// Pieces of frames: broken off, or without their beginning.
    pub incomplete: u64,
    pub too_long: u64,
    /// Frames that contradict their own form.
    pub malformed: u64,
    /// Answers that came after their time, or that nobody had asked for.
    pub late: u64,
    /// Sound frames that did not become readings, by `publish: changes` or `publish: stable`.
    pub held_back: u64,
}

impl SensorCounters {
    pub(super) fn skipped(&mut self, bytes: usize, why: Skip) {
        match why {
            Skip::Noise => self.noise_bytes += u64::try_from(bytes).unwrap_or(0),
            Skip::NotFromStart | Skip::Incomplete => self.incomplete += 1,
            Skip::TooLong => self.too_long += 1,
            Skip::Checksum { .. } => self.damaged += 1,
            Skip::Malformed => self.malformed += 1,
        }
    }
}
