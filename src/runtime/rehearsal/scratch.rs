//! A place for the store of a rehearsal, gone when the rehearsal is.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::RehearsalError;
use crate::store::Space;

/// The store of a rehearsal takes no more than about this; what is beyond is computed.
pub const BYTES_MAX: u64 = 256 << 20;
/// What a reading may take, at most for most plants, and what every store takes.
const READING_BYTES: u64 = 24;
const STORE_BYTES: u64 = 32 << 20;

/// Makes it, if there is room for so many readings.
pub fn make(within: &Path, readings: u64) -> Result<TempDir, RehearsalError> {
    let unusable = |source| RehearsalError::Directory { dir: within.to_owned(), source };
    let needed = STORE_BYTES + (readings * READING_BYTES).min(BYTES_MAX);
    let free = Space::of(within).map_err(unusable)?.free;
    if free < needed {
        return Err(RehearsalError::Room { dir: within.to_owned(), free, needed });
    }
    tempfile::Builder::new().prefix("fieldhold-rehearse-").tempdir_in(within).map_err(unusable)
}

/// Where temporary files go unless told otherwise.
pub fn usual() -> PathBuf {
    std::env::temp_dir()
}
