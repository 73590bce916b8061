//! The door through which the field side hands on what it read.

use super::Batch;

/// Takes readings northwards. Never blocks on anything that is slow.
pub trait Sink: Send + Sync {
    /// Keeps and publishes a batch.
    fn readings(&self, batch: Batch);
    /// Remembers something learned about a device (a gap, a limit) across restarts. `key` is
    /// `bus/device/what`, `None` forgets it.
    fn learned(&self, key: &str, fact: Option<&str>);
}
