//! How much of a bus's time its polling takes, by device and poll interval.

use std::time::Duration;

use super::plan::{BusPlan, Link};
use crate::model::Name;

/// From here on a bus has too little time left for writes, retries and slow answers.
pub(super) const WARN_ABOVE: f64 = 0.9;

/// The tags of one device that are read at one interval.
#[derive(Debug, Clone)]
pub(super) struct PollClass {
    pub device: Name,
    pub every: Duration,
    pub tags: usize,
    /// Of the bus's time; 1 is all of it.
    pub share: f64,
}

pub(super) struct Load {
    pub serial: bool,
    pub classes: Vec<PollClass>,
}

impl Load {
    pub(super) fn total(&self) -> f64 {
        self.classes.iter().map(|class| class.share).sum()
    }
}

pub(super) fn of(bus: &BusPlan) -> Load {
    Load { serial: matches!(bus.link, Link::ModbusRtu(_)), classes: Vec::new() }
}
