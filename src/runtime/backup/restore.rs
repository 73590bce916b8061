//! A gateway out of an archive.
//!
//! Invariants: nothing is changed before the whole archive was opened and its configuration checked;
//! what is replaced is kept aside and never removed; what is half done is ended, or taken back
//! (`moves.rs`).
//! A restored queue has an epoch of its own (`store/copy.rs`).

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::archive::Reading;
use super::moves::{Move, Moves, Staging, absolute};
use super::seal::{Opening, SealError};
use super::{BROKER, BackupError, CONFIG, MANIFEST, Manifest, QUEUE, STATE, directory_of, io_at};
use crate::codec::registers::utc;
use crate::config::file;
use crate::model::Wall;
use crate::store;

/// What was replaced, beside the configuration.
pub const ASIDE: &str = "before-restore-";
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// What was restored, or would be.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Files that are written.
    pub written: Vec<PathBuf>,
    /// Files and directories that were there and are kept aside.
    pub replaced: Vec<PathBuf>,
    /// Where those are: beside the configuration, and in the state directory.
    pub aside: Vec<PathBuf>,
    pub state: Option<PathBuf>,
}

/// What [`restore`] would do, for the configuration file `config`. Opens and checks all of it.
pub fn show(
    archive: &Path,
    passphrase: &[u8],
    config: &Path,
    now: Wall,
) -> Result<Restored, BackupError> {
    stage(archive, passphrase, config, now).map(|(_, _, restored)| restored)
}

/// Puts everything in its place.
pub fn restore(
    archive: &Path,
    passphrase: &[u8],
    config: &Path,
    now: Wall,
) -> Result<Restored, BackupError> {
    let (staging, moves, restored) = stage(archive, passphrase, config, now)?;
    let queue = staging.path().join(QUEUE);
    if queue.exists() {
        store::adopt(&queue).map_err(BackupError::Queue)?;
        for log in ["store/queue.db-wal", "store/queue.db-shm"] {
            let _ = fs::remove_file(staging.path().join(log)); // Empty: all of it is in the file.
        }
    }
    staging.carry_out(&moves)?;
    Ok(restored)
}

pub(super) fn stage(
    archive: &Path,
    passphrase: &[u8],
    config: &Path,
    now: Wall,
) -> Result<(Staging, Moves, Restored), BackupError> {
    let home = directory_of(config);
    let staging = Staging::new(home)?;
    let (manifest, names) = unpack(archive, passphrase, staging.path())?;
    let text = staging.path().join(CONFIG).join(&manifest.config);
    let loaded = file::load(&text).map_err(BackupError::Foreign)?;
    // As the configuration means it, once it is in its place.
    let state = loaded.plan.store.path.map(|path| {
        path.strip_prefix(staging.path().join(CONFIG))
            .map(|inside| home.join(inside))
            .unwrap_or(path)
    });
    if let Some(state) = state.as_deref().filter(|state| store::in_use(state)) {
        return Err(BackupError::Running { state: state.to_owned() });
    }
    let at = utc(now.0).unwrap_or_default();
    let name = format!("{ASIDE}{}", at.replace([':', '.'], "-"));
    let mut moves =
        Moves { state: state.as_deref().map(absolute).transpose()?, ..Moves::default() };
    let (mut replaced, mut written) = (Vec::new(), Vec::new());
    for name in &names {
        let Some(target) = target(name, &manifest, config, state.as_deref()) else { continue };
        moves.in_place.push(Move::new(&staging.path().join(name), &target)?);
        written.push(target);
    }
    // The store as a whole: its log and the broker's file belong together.
    let mut old: Vec<PathBuf> = written.iter().filter(|path| path.exists()).cloned().collect();
    if (manifest.queue.is_some() || manifest.broker.is_some())
        && let Some(store) =
            state.as_ref().map(|state| directory_of(&store::database(state)).to_owned())
    {
        old.retain(|path| !path.starts_with(&store));
        old.extend(Some(store).filter(|store| store.exists()));
    }
    let mut aside = Vec::new();
    for path in old {
        // On the file system where it is.
        let of_state = state.as_deref().filter(|state| path.starts_with(state));
        let base = of_state.unwrap_or(home);
        let inside = path.strip_prefix(base).unwrap_or(&path);
        moves.aside.push(Move::new(&path, &base.join(&name).join(inside))?);
        aside.push(base.join(&name));
        replaced.push(path);
    }
    aside.sort();
    aside.dedup();
    if let Some(there) = aside.iter().find(|aside| aside.exists()) {
        return Err(BackupError::There(there.clone()));
    }
    Ok((staging, moves, Restored { manifest, written, replaced, aside, state }))
}

/// All files of the archive below a directory.
fn unpack(
    archive: &Path,
    passphrase: &[u8],
    to: &Path,
) -> Result<(Manifest, Vec<PathBuf>), BackupError> {
    let file = File::open(archive).map_err(io_at("open", archive))?;
    let mut reading = Reading::new(Opening::new(passphrase, file)?);
    let mut manifest = None;
    let mut names = Vec::new();
    while let Some((entry, mut body)) = reading.entry()? {
        if manifest.is_none() {
            let mut text = Vec::new();
            let read = (&mut body).take(MANIFEST_BYTES_MAX).read_to_end(&mut text);
            read.map_err(SealError::of)?;
            let known = entry.name == Path::new(MANIFEST);
            let found: Option<Manifest> = serde_json::from_slice(&text).ok();
            manifest = Some(found.filter(|_| known).ok_or(SealError::Damaged)?);
            continue;
        }
        let path = to.join(&entry.name);
        let directory = directory_of(&path);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(io_at("make", directory))?;
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(entry.mode & 0o777).open(&path);
        let mut file = file.map_err(io_at("make", &path))?;
        let copied =
            io::copy(&mut body, &mut file).map_err(|error| match SealError::of(error) {
                SealError::Io(source) => io_at("write", &path)(source),
                other => other.into(),
            })?;
        if copied != entry.bytes {
            return Err(SealError::Damaged.into());
        }
        file.sync_all().map_err(io_at("write", &path))?;
        names.push(entry.name);
    }
    Ok((manifest.ok_or(SealError::Damaged)?, names))
}

/// Where a file of the archive belongs; `None` where nothing of its kind is kept here.
fn target(
    name: &Path,
    manifest: &Manifest,
    config: &Path,
    state: Option<&Path>,
) -> Option<PathBuf> {
    if let Ok(inside) = name.strip_prefix(CONFIG) {
        return Some(match inside == manifest.config {
            true => config.to_owned(),
            false => directory_of(config).join(inside),
        });
    }
    if name == Path::new(QUEUE) {
        return state.map(store::database);
    }
    if name == Path::new(BROKER) {
        return state.map(store::broker_database);
    }
    Some(state?.join(name.strip_prefix(STATE).ok()?))
}
