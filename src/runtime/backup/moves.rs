//! The moves that put what was unpacked in its place, and what a power cut leaves of them.
//!
//! Invariants: nothing is moved before all that is moved, and the list of the moves, are on the disk.
//! Where there is a list, whoever comes next carries out the rest of it, or takes back what was done of
//! it if the rest can't be; where there is none, nothing was moved, and what was unpacked is removed.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::{BackupError, PART, directory_of, io_at};
use crate::config::file;
use crate::runtime::in_full;
use crate::store;

/// Where an archive is unpacked: beside the configuration, for whoever comes after a power cut.
pub const STAGING: &str = "restoring";
const LIST: &str = "moves.json";

/// From where to where.
#[derive(Debug, Serialize, Deserialize)]
pub struct Move {
    pub from: PathBuf,
    pub to: PathBuf,
}

impl Move {
    /// Whoever ends it may stand somewhere else.
    pub fn new(from: &Path, to: &Path) -> Result<Self, BackupError> {
        Ok(Self { from: absolute(from)?, to: absolute(to)? })
    }
}

pub fn absolute(path: &Path) -> Result<PathBuf, BackupError> {
    std::path::absolute(path).map_err(io_at("find", path))
}

/// All of a restore, in the order in which it is done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Moves {
    /// What is replaced, to where nothing was before.
    pub aside: Vec<Move>,
    /// What was unpacked.
    pub in_place: Vec<Move>,
    /// No gateway may run with it meanwhile.
    pub state: Option<PathBuf>,
}

/// What became of a restore that was interrupted.
#[derive(Debug)]
pub enum Left {
    /// It had moved nothing, and what it had unpacked is gone.
    Removed,
    /// The rest of it was carried out.
    Ended,
    /// The rest of it can't be done; everything is as it was before.
    TakenBack(BackupError),
}

/// Ends the restore of the configuration file `config` that was interrupted, if there is one.
///
/// # Errors
/// It is going on, or it can neither be ended nor taken back now.
pub fn resume(config: &Path) -> Result<Option<Left>, BackupError> {
    let Some(staging) = Staging::left(directory_of(config))? else { return Ok(None) };
    let Some(moves) = staging.list()? else { return Ok(Some(Left::Removed)) };
    if let Some(state) = moves.state.as_deref().filter(|state| store::in_use(state)) {
        return Err(BackupError::Running { state: state.to_owned() });
    }
    let failed = staging.finish(&moves)?;
    Ok(Some(failed.map_or(Left::Ended, Left::TakenBack)))
}

/// The directory in which an archive is unpacked, by one at a time. It is removed at the end unless
/// there is a list in it.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    /// Locked as long as this is open.
    directory: File,
}

impl Staging {
    pub fn new(home: &Path) -> Result<Self, BackupError> {
        if Self::left(home)?.is_some_and(|left| left.path.join(LIST).exists()) {
            return Err(BackupError::Interrupted);
        }
        let path = home.join(STAGING);
        DirBuilder::new().mode(0o700).create(&path).map_err(io_at("make", &path))?;
        Self::locked(path)
    }

    /// What somebody left who was interrupted.
    fn left(home: &Path) -> Result<Option<Self>, BackupError> {
        let path = home.join(STAGING);
        if !is_there(&path) {
            return Ok(None);
        }
        Self::locked(path).map(Some)
    }

    fn locked(path: PathBuf) -> Result<Self, BackupError> {
        let directory = File::open(&path).map_err(io_at("open", &path))?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, directory }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(BackupError::Restoring),
            Err(error) => Err(io_at("lock", &path)(error.into())),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts everything in its place. If a step fails, those before it are taken back.
    pub fn carry_out(self, moves: &Moves) -> Result<(), BackupError> {
        self.write(moves).inspect_err(|_| {
            let _ = fs::remove_file(self.path.join(LIST)); // What failed is not done later.
        })?;
        self.finish(moves)?.map_or(Ok(()), Err)
    }

    /// From here on, all of it is to be done.
    pub fn write(&self, moves: &Moves) -> Result<(), BackupError> {
        let (path, home) = (&self.path, directory_of(&self.path));
        give(path, home).map_err(io_at("give away", path))?;
        rustix::fs::syncfs(&self.directory).map_err(|e| io_at("sync", path)(e.into()))?;
        let text = serde_json::to_vec(moves).map_err(|e| io_at("list", path)(e.into()))?;
        file::create(&path.join(LIST), &text, 0o600)?;
        Ok(())
    }

    fn list(&self) -> Result<Option<Moves>, BackupError> {
        let path = self.path.join(LIST);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(io_at("read", &path))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| io_at("read", &path)(e.into()))
    }

    /// Carries out what is not done yet, or else takes back what is; then says why.
    fn finish(&self, moves: &Moves) -> Result<Option<BackupError>, BackupError> {
        let failed = moves.carry_out().err();
        if let Some(why) = &failed
            && moves.take_back().is_err()
        {
            let why = in_full(why);
            return Err(BackupError::HalfDone { why });
        }
        let list = self.path.join(LIST);
        fs::remove_file(&list).map_err(io_at("remove", &list))?;
        sync(&self.path)?;
        Ok(failed)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if matches!(self.path.join(LIST).try_exists(), Ok(false)) {
            let _ = fs::remove_dir_all(&self.path); // By the next one, if not now.
        }
    }
}

impl Moves {
    fn carry_out(&self) -> Result<(), BackupError> {
        // What is in the place of what was replaced may be its successor already.
        for Move { from, to } in self.aside.iter().filter(|step| !is_there(&step.to)) {
            put(from, to)?;
        }
        let is_missing = |step: &&Move| is_there(&step.from) || !is_there(&step.to);
        for Move { from, to } in self.in_place.iter().filter(is_missing) {
            put(from, to)?;
        }
        self.sync()
    }

    fn take_back(&self) -> Result<(), BackupError> {
        let is_done = |step: &&Move| !is_there(&step.from) && is_there(&step.to);
        for Move { from, to } in self.in_place.iter().rev().filter(is_done) {
            put(to, from)?;
        }
        for Move { from, to } in self.aside.iter().rev().filter(|step| is_there(&step.to)) {
            put(to, from)?;
        }
        self.sync()
    }

    fn sync(&self) -> Result<(), BackupError> {
        let steps = self.aside.iter().chain(&self.in_place);
        let places: BTreeSet<_> =
            steps.flat_map(|step| [directory_of(&step.from), directory_of(&step.to)]).collect();
        places.into_iter().filter(|place| place.exists()).try_for_each(sync)
    }
}

/// A link to nowhere is there.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn sync(directory: &Path) -> Result<(), BackupError> {
    File::open(directory).and_then(|d| d.sync_all()).map_err(io_at("sync", directory))
}

/// Moves a file or a directory in one step; over the border of a file system a file is copied.
pub fn put(from: &Path, to: &Path) -> Result<(), BackupError> {
    let directory = directory_of(to);
    if let Some(above) = directory.ancestors().find(|above| above.exists())
        && let Some(first) = directory.strip_prefix(above).ok().and_then(|new| new.iter().next())
    {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(io_at("make", directory))?;
        let _ = give(&above.join(first), above); // All of the way; root alone may.
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices && from.is_file() => {
            copy(from, to).map_err(io_at("write", to))?;
            fs::remove_file(from).map_err(io_at("remove", from))
        }
        other => other.map_err(io_at("write", to)),
    }
}

/// What has the name is whole.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut part = to.to_owned().into_os_string();
    part.push(format!(".{PART}"));
    let (part, directory) = (PathBuf::from(part), directory_of(to));
    let copied = fs::copy(from, &part).and_then(|_| File::open(&part)?.sync_all());
    let _ = give(&part, directory);
    copied.and_then(|()| fs::rename(&part, to)).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })?;
    File::open(directory)?.sync_all()
}

/// What root restores for a service belongs to whom its directory belongs.
fn give(path: &Path, like: &Path) -> io::Result<()> {
    let whose = fs::metadata(like)?;
    let ours = fs::symlink_metadata(path)?;
    if (ours.uid(), ours.gid()) != (whose.uid(), whose.gid()) {
        lchown(path, Some(whose.uid()), Some(whose.gid()))?;
    }
    if ours.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), like)?;
        }
    }
    Ok(())
}
