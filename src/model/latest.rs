//! The door through which the newest reading of a tag is asked for.

use super::{Reading, TagId};

/// What is known of tags now. Never blocks on anything that is slow.
pub trait Latest: Send + Sync {
    /// The newest reading, good or bad; `None` if there was none since the start.
    fn latest(&self, tag: TagId) -> Option<Reading>;
}
