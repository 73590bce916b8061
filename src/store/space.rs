//! Room on the file system: what there is, and how much of it is the store's by default.

use std::io;
use std::path::Path;

use rustix::fs::{Access, StatVfs, StatVfsMountFlags};
use rustix::io::Errno;

/// The share of a file system that is the store's if nobody says otherwise ...
const SHARE: u64 = 4;
/// ... and the most that is.
const QUOTA_AUTO_MAX: u64 = 4_000_000_000;
/// With less free than this, a disk is full: any failure is taken for want of room.
const FULL_BELOW: u64 = 256 << 10;

/// A file system as `statvfs` sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What a process without privileges may still take.
    pub free: u64,
}

impl Space {
    /// Of the file system that `dir`, or what there is of the way to it, lies on.
    pub fn of(dir: &Path) -> io::Result<Self> {
        look(dir).map(|found| Self::seen(&found))
    }

    fn seen(found: &StatVfs) -> Self {
        Self {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        }
    }

    pub fn is_full(&self) -> bool {
        self.free < FULL_BELOW
    }

    /// What the store may take without asking: a quarter, at most 4 GB.
    pub fn fair_share(&self) -> u64 {
        (self.total / SHARE).min(QUOTA_AUTO_MAX)
    }
}

/// Looks at the nearest place that is there.
fn look(dir: &Path) -> io::Result<StatVfs> {
    let mut looked = Err(Errno::NOENT);
    for place in dir.ancestors() {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        looked = rustix::fs::statvfs(place);
        if looked.as_ref().err() != Some(&Errno::NOENT) {
            break;
        }
    }
    Ok(looked?)
}

/// What keeps anyone from writing in a directory, in plain words.
pub fn hindrance(place: &Path) -> Option<&'static str> {
    let found = look(place).ok()?;
    // A file system that turned read-only by itself does not say so.
    let opened = std::fs::OpenOptions::new().write(true).open(place.join("lock"));
    let refused = opened.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem);
    if refused || found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some("the file system is read-only");
    }
    if Space::seen(&found).is_full() {
        return Some("the disk is full");
    }
    let denied = rustix::fs::access(place, Access::WRITE_OK);
    denied.is_err().then_some("the store's directory can't be written")
}

/// The byte quota of a store in `dir`: the configured one, or its fair share of the file system.
pub fn quota(dir: &Path, configured: Option<u64>) -> u64 {
    let fair = || Space::of(dir).map_or(QUOTA_AUTO_MAX, |space| space.fair_share());
    configured.unwrap_or_else(fair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_is_a_quarter_of_the_file_system_and_at_most_4_gb() {
        let of = |total| Space { total, free: 0 }.fair_share();
        assert_eq!(of(8_000_000_000), 2_000_000_000);
        assert_eq!(of(64_000_000_000), 4_000_000_000);
        assert_eq!(of(0), 0);
    }

    #[test]
    fn a_number_that_is_configured_stays_one_and_a_directory_need_not_be_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(quota(dir.path(), Some(17)), 17);
        let space = Space::of(dir.path()).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        let absent = dir.path().join("not/there/yet");
        assert_eq!(quota(&absent, None), space.fair_share());
        assert!(Space::of(Path::new("relative and absent")).is_ok());
    }
}
