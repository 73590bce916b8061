//! Which good frames become readings: every one, those that differ, those at rest. Pure.

use crate::codec::sensor::Sample;
use crate::model::sensor::Emit;
use crate::model::{Doubt, Quality};

/// Remembers what came last.
#[derive(Debug)]
pub(super) struct Gate {
    emit: Emit,
    last: Option<Vec<u8>>,
}

impl Gate {
    pub(super) fn new(emit: Emit) -> Self {
        Self { emit, last: None }
    }

    /// Whether this frame becomes readings. With [`Emit::Stable`] a frame in motion never does, and
    /// the same weight after a motion does again.
    pub(super) fn passes(&mut self, body: &[u8], samples: &[Sample]) -> bool {
        let moving = |sample: &Sample| sample.quality == Quality::Uncertain(Doubt::Unstable);
        if self.emit == Emit::Every {
            return true;
        }
        if self.emit == Emit::Stable && samples.iter().any(moving) {
            self.last = None;
            return false;
        }
        if self.last.as_deref() == Some(body) {
            return false;
        }
        self.last = Some(body.to_vec());
        true
    }

    /// After an outage the first frame is news.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}
