//! The WAL as a file, besides what SQLite does with it: room is made beforehand, and after an error
//! its bytes are written once more.
//!
//! Knows nothing of what is in it. Zeros behind the last frame are no frame, so room may be made at
//! any time; SQLite has no locks on this file that closing it could take along.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the WAL takes until a checkpoint is due, and some of the transaction that makes it so.
const ROOM_BYTES: u64 = 1_280 << 10;
const BLOCK_BYTES: usize = 64 << 10;

pub fn path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Writes zeros behind what there is. A commit then overwrites, and the file system need not keep
/// a length and blocks safe along with it: one write less for every sync, and one less to lose.
pub fn make_room(database: &Path) {
    if let Err(error) = grow(&path(database)) {
        tracing::debug!(%error, "no room could be made for the store's log beforehand");
    }
}

fn grow(wal: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(wal)?;
    let zeros = [0; BLOCK_BYTES];
    let mut at = file.metadata()?.len();
    if at >= ROOM_BYTES {
        return Ok(());
    }
    while at < ROOM_BYTES {
        file.write_all_at(&zeros, at)?;
        at += BLOCK_BYTES as u64;
    }
    file.sync_all()
}

/// Writes what it holds once more, and syncs it. After a failed sync Linux takes what was not
/// written for written: a later sync says that all is well, and a checkpoint would bring pages into
/// the file that the WAL may not have after a power cut.
pub fn rewrite(database: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(path(database)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    loop {
        let n = file.read_at(&mut block, at)?;
        let Some(read) = block.get(..n).filter(|read| !read.is_empty()) else { break };
        file.write_all_at(read, at)?;
        at += n as u64;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_behind_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        make_room(&database);
        assert!(!path(&database).exists(), "only SQLite makes a WAL");
        rewrite(&database).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let file = std::fs::File::create(path(&database)).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        make_room(&database);
        rewrite(&database).unwrap();
        let after = std::fs::read(path(&database)).unwrap();
        assert!(after.len() as u64 >= ROOM_BYTES);
        assert_eq!(after[..bytes.len()], bytes);
        assert!(after[bytes.len()..].iter().all(|byte| *byte == 0));
    }
}
