//! What the broker's file tells about itself; serialised for the page and `fieldhold status`.

use serde::{Deserialize, Serialize};

use crate::store::status::{Health, Quarantined};

/// Sums since the start of the process.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeepCounters {
    /// Changes that the broker made.
    pub changes_put: u64,
    /// Of these, how many the file was given ...
    pub changes_written: u64,
    /// ... and how many need not be written, since another one came in time.
    pub changes_spared: u64,
    /// Messages left out for want of memory while they waited: until they are put once more, when
    /// there is room, a crash would lose them.
    pub left_out: u64,
    pub commits: u64,
    pub commit_max_ms: u64,
    pub commit_failures: u64,
    pub checkpoints: u64,
    /// In whole blocks, as they reach the card; the store's wear has it too.
    pub bytes_written: u64,
    /// Rows read at the start.
    pub rows_read: u64,
    /// Damaged rows, left out.
    pub rows_damaged: u64,
}

/// What a copy of the broker's file has in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepCopied {
    pub sessions: u64,
    /// Messages that were retained.
    pub retained: u64,
    /// Rows that were damaged and are not in it.
    pub damaged: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct KeepStatus {
    #[serde(flatten)]
    pub health: Health,
    pub file: Option<String>,
    /// Size of what is in the file.
    pub file_bytes: u64,
    /// What is not in the file yet.
    pub waiting: usize,
    pub waiting_bytes: usize,
    pub waiting_bytes_max: usize,
    /// Whether messages that were left out have yet to be put once more.
    pub incomplete: bool,
    pub counters: KeepCounters,
    /// Files that could not be used; `salvaged` and `lost` count rows.
    pub quarantined: Vec<Quarantined>,
    pub last_error: Option<String>,
}
