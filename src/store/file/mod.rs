//! The store's place on disk: lock, directory, file; making a new one, opening it again. What a start
//! does with what it finds is in `open.rs`.

mod error;
mod open;
mod resume;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

pub use error::FileError;
pub use resume::{Had, mark_clean, read_state};

use super::ballast::Ballast;
use super::checkpoint;
use super::error::StoreError;
use super::per_class::PerClass;
use super::quarantine;
use super::rows;
use super::schema::{self, Shrinks};
use super::space::{self, Space};
use super::status::Quarantined;
use super::wal;
use super::work::RESERVE;
use super::writer::Room;
use crate::model::Class;

/// The file, locked for us as long as this lives.
pub struct StoreFile {
    pub path: PathBuf,
    /// How much of the file system it may take, in bytes.
    pub quota: u64,
    pub ballast: Ballast,
    /// How the file that is there gives pages back.
    pub shrinks: Shrinks,
    /// Of the file that is there; `None` while none was ever opened.
    pub epoch: Option<u64>,
    inode: Option<u64>,
    /// Locked; the lock goes with the descriptor. `None` until there was a way to.
    lock: Option<File>,
    /// The file system that it acts as if it lay on, in a rehearsal.
    pretends: Option<Space>,
}

/// Where the database of a state directory lies.
pub fn database(dir: &Path) -> PathBuf {
    dir.join("store").join("queue.db")
}

/// Whether this goes by itself when the disk is well again, so that no person is needed.
fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

impl StoreFile {
    /// Makes the directory and locks it. Only here a person may be needed. If there is no room for
    /// that, or nothing can be written, it is left for later.
    pub fn lock(dir: &Path, max_bytes: Option<u64>) -> Result<Self, StoreError> {
        let place = dir.join("store");
        let mut file = Self {
            path: database(dir),
            quota: space::quota(&place, max_bytes),
            ballast: Ballast::of(&place),
            shrinks: Shrinks::default(),
            epoch: None,
            inode: None,
            lock: None,
            pretends: None,
        };
        match file.take_lock() {
            Err(StoreError::Directory { source, .. }) if may_pass(&source) => Ok(file),
            other => other.map(|()| file),
        }
    }

    /// Locks the store, if that was not done yet.
    pub fn take_lock(&mut self) -> Result<(), StoreError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let place = self.place().to_owned();
        let unusable = |source: io::Error| StoreError::Directory {
            dir: place.clone(),
            source: Arc::new(source),
        };
        std::fs::create_dir_all(&place).map_err(unusable)?;
        let name = place.join("lock");
        // On a read-only disk an old lock file will do.
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .or_else(|error| File::open(&name).map_err(|_| error))
            .map_err(unusable)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.lock = Some(lock);
                Ok(())
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked { dir: place }),
            Err(error) => Err(unusable(error.into())),
        }
    }

    fn place(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = schema::connect(&schema::QUEUE, &self.path, self.quota)?;
        if self.pretends.is_some() {
            connection.execute_batch("PRAGMA synchronous=OFF;")?;
        }
        Ok(connection)
    }

    /// From now on it is as if the file lay on a file system with this room, and were for nobody:
    /// the disk is waited for no more.
    pub fn pretend(&mut self, space: Space, max_bytes: Option<u64>) {
        self.pretends = Some(space);
        self.quota = max_bytes.unwrap_or_else(|| space.fair_share());
    }

    pub fn set_aside(&mut self, why: &str) -> Result<Quarantined, FileError> {
        self.epoch = None;
        Ok(quarantine::set_aside(&self.path, why)?)
    }

    /// Makes a new file; positions go on at `heads`, and are reserved from there.
    pub fn make(
        &mut self,
        heads: &PerClass<u64>,
    ) -> Result<(Connection, u64, PerClass<u64>), FileError> {
        let epoch = fastrand::u64(1..);
        let reserved = PerClass::from_fn(|class| heads.get(class) + RESERVE);
        let shrinks = self.wanted_shrinks();
        schema::create(&schema::QUEUE, &self.path, shrinks, |connection| {
            rows::put_meta(connection, rows::EPOCH, epoch)?;
            rows::put_meta(connection, rows::CLEAN, 0)?;
            for class in Class::ALL {
                rows::put_meta(connection, &rows::next_key(class), *heads.get(class))?;
                rows::put_meta(connection, &rows::reserved_key(class), *reserved.get(class))?;
            }
            Ok(())
        })?;
        let connection = self.connect()?;
        wal::make_room(&self.path);
        self.shrinks = shrinks;
        self.epoch = Some(epoch);
        self.inode = inode(&self.path);
        Ok((connection, epoch, reserved))
    }

    /// A file that may take more of the file system than its share has to be able to give that back.
    pub fn wanted_shrinks(&self) -> Shrinks {
        let space = self.pretends.map_or_else(|| Space::of(self.place()), Ok);
        let above = space.is_ok_and(|space| self.quota > space.fair_share());
        if above { Shrinks::InSteps } else { Shrinks::Whole }
    }

    /// Opens the file again after a failure, brings its WAL into it, and gives what it has.
    pub fn reopen(&mut self) -> Result<(Connection, PerClass<Had>), FileError> {
        wal::rewrite(&self.path)?;
        let connection = self.connect()?;
        if Some(rows::needed_meta(&connection, rows::EPOCH)?) != self.epoch {
            return Err(FileError::Replaced);
        }
        checkpoint::run(&connection, "TRUNCATE")?;
        wal::make_room(&self.path);
        self.shrinks = Shrinks::of(&connection)?;
        // If the start could not write, the mark of the last orderly end is still there.
        if rows::needed_meta(&connection, rows::CLEAN)? != 0 {
            rows::put_meta(&connection, rows::CLEAN, 0)?;
        }
        let mut had = PerClass::default();
        for class in Class::ALL {
            *had.get_mut(class) = resume::reached(&connection, class)?;
        }
        Ok((connection, had))
    }

    /// Looks at the file system.
    pub fn room(&self) -> io::Result<Room> {
        let file = self.path.metadata().map_or(0, |file| file.len());
        if let Some(space) = self.pretends {
            let space = Space { free: space.free.saturating_sub(file), ..space };
            return Ok(Room { space, file, shrinks: self.shrinks, ballast_missing: 0 });
        }
        let space = Space::of(&self.path)?;
        let ballast_missing = self.ballast.missing(space);
        Ok(Room { space, file, shrinks: self.shrinks, ballast_missing })
    }

    /// An error of the file in words for whoever looks after the machine.
    pub fn explain(&self, error: &str) -> String {
        match space::hindrance(self.place()) {
            Some(hindrance) => format!("{hindrance} ({error})"),
            None => error.to_owned(),
        }
    }

    pub fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Whether the file in its place is still the one that was opened.
    pub fn is_same(&self) -> bool {
        inode(&self.path) == self.inode
    }
}

fn inode(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.ino())
}
