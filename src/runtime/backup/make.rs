//! Making an archive, also beside a gateway that runs.
//!
//! Small files are read one by one: each is whole, since all of them are replaced by a rename. The
//! queue is one moment of its file, copied into the state directory first and removed at the end; so is
//! what the broker keeps. The two moments differ, which is no matter: no row of one names one of the
//! other.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::archive::{Writing, is_inside};
use super::seal::Sealing;
use super::{
    BROKER, BackupError, CONFIG, EXTENSION, MANIFEST, Manifest, PART, PASSPHRASE_MIN, QUEUE, STATE,
    broker_copy, directory_of, io_at,
};
use crate::config::file::{self, SecretPlaces};
use crate::model::Wall;
use crate::store::{self, Copied, Keep, KeepCopied};

/// A file of the state directory that is larger is not the gateway's.
const FILE_BYTES_MAX: u64 = 64 << 20;
const FILES_MAX: usize = 10_000;
/// In the state directory; the store is the queue's matter, the rest is not worth keeping.
const LEFT_OUT: [&str; 4] = ["store", "control.sock", "imported.json", super::moves::STAGING];

pub struct Wanted<'a> {
    /// The configuration of the gateway.
    pub config: &'a Path,
    /// The file to be made.
    pub archive: &'a Path,
    pub passphrase: &'a [u8],
    /// With what waits.
    pub queue: bool,
    /// What a gateway that runs has copied to [`broker_copy`].
    pub broker: Option<KeepCopied>,
    pub now: Wall,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    pub manifest: Manifest,
    pub files: Vec<PathBuf>,
    /// What the configuration names and could not be read.
    pub missing: Vec<PathBuf>,
    pub bytes: u64,
}

/// Removes a file at the end, whatever comes between.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether an archive can have this name and this passphrase.
pub fn look_at(archive: &Path, passphrase: &[u8]) -> Result<(), BackupError> {
    if String::from_utf8_lossy(passphrase).chars().count() < PASSPHRASE_MIN {
        return Err(BackupError::Short);
    }
    match archive.exists() {
        true => Err(BackupError::There(archive.to_owned())),
        false => Ok(()),
    }
}

/// Makes the archive; a file that is there stays. What a running gateway has in memory alone is not
/// in its queue: it is asked to write that before, and to copy what the broker keeps.
pub fn make(wanted: &Wanted<'_>) -> Result<Made, BackupError> {
    look_at(wanted.archive, wanted.passphrase)?;
    let (loaded, named) = file::load_with_files(wanted.config).map_err(BackupError::Config)?;
    let state = loaded.plan.store.path.as_deref();
    let (queue, broker) = match state.filter(|_| wanted.queue) {
        Some(state) => (copied(state)?, kept(state, wanted.broker)?),
        None => (None, None),
    };
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_wall_ms: wanted.now.0,
        gateway: loaded.plan.gateway.name.to_string(),
        config: wanted.config.file_name().map(PathBuf::from).unwrap_or_default(),
        queue: queue.as_ref().map(|(_, copied)| *copied),
        broker: broker.as_ref().map(|(_, copied)| *copied),
    };
    let (config_files, missing) = of_config(wanted.config, &named);
    let mut all: Vec<(PathBuf, PathBuf)> =
        vec![(Path::new(CONFIG).join(&manifest.config), wanted.config.to_owned())];
    all.extend(config_files);
    let of_state = state.map(|state| of_state(state, &all)).transpose()?.unwrap_or_default();
    all.extend(of_state);
    all.extend(queue.as_ref().map(|(copy, _)| (PathBuf::from(QUEUE), copy.0.clone())));
    all.extend(broker.as_ref().map(|(copy, _)| (PathBuf::from(BROKER), copy.0.clone())));
    let part = Temporary(with_extension(wanted.archive, PART));
    let mut options = File::options();
    let to = options.write(true).create(true).truncate(true).mode(0o600).open(&part.0);
    let to = to.map_err(io_at("make", &part.0))?;
    let mut archive = Writing::new(Sealing::new(wanted.passphrase, to)?);
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let written = archive.file(Path::new(MANIFEST), 0o600, bytes, text.as_slice());
    written.map_err(io_at("write", &part.0))?;
    for (name, path) in &all {
        let file = File::open(path).map_err(io_at("read", path))?;
        let about = file.metadata().map_err(io_at("read", path))?;
        let mode = about.permissions().mode() & 0o777;
        let written = archive.file(name, mode, about.len(), file);
        written.map_err(io_at("put into the backup", path))?;
    }
    let finished = archive.finish().and_then(Sealing::finish).and_then(|file| {
        file.sync_all()?;
        file::put_in_place(&part.0, wanted.archive)?;
        File::open(directory_of(wanted.archive))?.sync_all()?;
        file.metadata()
    });
    let bytes = finished.map_err(io_at("write", wanted.archive))?.len();
    let files = all.into_iter().map(|(name, _)| name).collect();
    Ok(Made { manifest, files, missing, bytes })
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// What the configuration names, and what of it is not there.
fn of_config(config: &Path, named: &[PathBuf]) -> (Vec<(PathBuf, PathBuf)>, Vec<PathBuf>) {
    let places = SecretPlaces::new(directory_of(config).to_owned());
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for name in named {
        let path = places.path(name);
        // A credential of the service manager, or a file that is elsewhere on every machine.
        let name = places.credential(name).unwrap_or(name);
        match File::open(&path) {
            Ok(_) if is_inside(name) => files.push((Path::new(CONFIG).join(name), path)),
            Ok(_) | Err(_) => missing.push(path),
        }
    }
    (files, missing)
}

/// What lies in the state directory, but for the store and for what is in the archive already.
fn of_state(
    state: &Path,
    taken: &[(PathBuf, PathBuf)],
) -> Result<Vec<(PathBuf, PathBuf)>, BackupError> {
    let taken: Vec<_> = taken.iter().filter_map(|(_, path)| fs::canonicalize(path).ok()).collect();
    let mut found = Vec::new();
    // Before the first start there is none.
    let mut waiting: Vec<PathBuf> =
        Some(state.to_owned()).filter(|state| state.exists()).into_iter().collect();
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(&directory).map_err(io_at("read", &directory))?;
        for entry in entries {
            let entry = entry.map_err(io_at("read", &directory))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let at_top = directory == state;
            if at_top && (LEFT_OUT.contains(&&*name) || name.starts_with(super::restore::ASIDE)) {
                continue;
            }
            let about = entry.metadata().map_err(io_at("read", &path))?;
            if about.is_dir() {
                waiting.push(path);
            } else if about.is_file()
                && about.len() <= FILE_BYTES_MAX
                && !is_left_over(&path)
                && !fs::canonicalize(&path).is_ok_and(|path| taken.contains(&path))
            {
                let inside = path.strip_prefix(state).unwrap_or(&path).to_owned();
                found.push((Path::new(STATE).join(inside), path));
            }
        }
        if found.len() > FILES_MAX {
            let source = io::Error::other("it has too many files to be a gateway's alone");
            return Err(io_at("back up", state)(source));
        }
    }
    found.sort();
    Ok(found)
}

/// Other archives, and what was being written.
fn is_left_over(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == EXTENSION || kind == PART || kind == "new")
}

/// The queue as it is now, where there is one.
fn copied(state: &Path) -> Result<Option<(Temporary, Copied)>, BackupError> {
    let database = store::database(state);
    let Ok(about) = fs::metadata(&database) else { return Ok(None) };
    let free =
        rustix::fs::statvfs(state).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    let free = free.map_err(|error| io_at("look at", state)(error.into()))?;
    if free < about.len() {
        let (path, mb) = (state.to_owned(), 1_000_000);
        return Err(BackupError::Room { path, needed: about.len() / mb, free: free / mb });
    }
    let copy = Temporary(state.join(format!("queue.{PART}")));
    let _ = fs::remove_file(&copy.0); // Of an attempt that was killed.
    let copied = store::copy(&database, &copy.0).map_err(BackupError::Queue)?;
    Ok(Some((copy, copied)))
}

/// What the broker keeps, copied by the gateway that runs, or else from its file.
fn kept(
    state: &Path,
    by_gateway: Option<KeepCopied>,
) -> Result<Option<(Temporary, KeepCopied)>, BackupError> {
    let copy = Temporary(broker_copy(state));
    let copied = match by_gateway {
        Some(copied) => Some(copied),
        // One that keeps nothing.
        None if store::in_use(state) => None,
        None => Keep::copy_at_rest(state, &copy.0).map_err(BackupError::Broker)?,
    };
    Ok(copied.map(|copied| (copy, copied)))
}
