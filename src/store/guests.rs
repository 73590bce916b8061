//! Those who look into the file from another process, and the writer's regard for them.
//!
//! The writer has the file to itself: its index of the log is in memory, where no other process sees
//! it. So one who looks makes an index of its own of the log as it lies, and takes no locks. That is
//! right as long as two things do not happen: that pages which are newer than this index are brought
//! into the file, and that the log is begun again from its start. Against the first, the directory is
//! locked: by many who look, or by one who brings the log into the file, which gives way. The second is
//! seen afterwards, for a log that is begun again has another head; it happens once at most while
//! nothing is brought into the file.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::wal;

/// What begins a log: 32 bytes (SQLite, "Database File Format", section 4.1).
pub type Head = Option<[u8; 32]>;

/// Gone when it is dropped.
pub struct Held {
    _directory: File,
}

fn directory(database: &Path) -> io::Result<File> {
    File::open(database.parent().unwrap_or(database))
}

/// For one who looks. Waits while the log is brought into the file.
pub fn look(database: &Path) -> io::Result<Held> {
    let directory = directory(database)?;
    rustix::fs::flock(&directory, FlockOperation::LockShared)?;
    Ok(Held { _directory: directory })
}

/// For one who brings the log into the file; `None` while somebody looks.
pub fn keep_out(database: &Path) -> io::Result<Option<Held>> {
    let directory = directory(database)?;
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Held { _directory: directory })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How the log begins; `None` if there is nothing in it.
pub fn head(database: &Path) -> io::Result<Head> {
    let mut head = [0; 32];
    let read = File::open(wal::path(database)).and_then(|log| log.read_exact_at(&mut head, 0));
    match read {
        Ok(()) => Ok(Some(head)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
