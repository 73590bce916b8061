//! Setting a file aside that can't be used, so that work goes on at once with a new one.
//!
//! Nothing is deleted: the database and its WAL are renamed into `quarantine/`, where they are
//! salvaged (`salvage/`) and can be looked at. A note beside each says why, and what became of it.
//! Only the newest few are kept, or a card that breaks slowly would fill up.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::per_class::PerClass;
use super::salvage::log_of;
use super::schema;
use super::status::Quarantined;
use crate::model::Class;

/// Most sets of files kept.
const KEPT_MAX: usize = 8;

/// The files that make up a database.
pub fn parts(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// What is known of a file set aside; lies beside it as `.json`. Files without one were set aside
/// by a version that did not salvage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    why: String,
    done: bool,
    salvaged: u64,
    lost: u64,
    /// Only the log was set aside; what is below is in the file in use (alarm, normal, bulk).
    floors: Option<[u64; 3]>,
}

/// Moves `path` and what belongs to it into `quarantine/`, under the first free number.
pub fn set_aside(path: &Path, why: &str) -> io::Result<Quarantined> {
    let number = next(path)?;
    let target = target(path, number);
    // First the note: a file without one is not salvaged.
    let aside = Quarantined::new(number, &target, why);
    note(&aside)?;
    for (from, to) in parts(path).iter().zip(parts(&target)) {
        match std::fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    schema::sync_directory(path)?;
    keep_newest(path)?;
    let file = &aside.file;
    tracing::error!(%file, why, "a file of the store could not be used and was set aside");
    Ok(aside)
}

/// Copies the log of `path`, of which SQLite will forget a part; gives the number.
pub fn copy_log(path: &Path) -> io::Result<u64> {
    let number = next(path)?;
    let copy = log_of(&target(path, number));
    std::fs::copy(log_of(path), &copy)?;
    std::fs::File::open(&copy)?.sync_all()?;
    Ok(number)
}

/// Takes in a copy of a file from elsewhere, to be salvaged.
pub fn take_in(path: &Path, from: &Path) -> io::Result<Quarantined> {
    let number = next(path)?;
    let target = target(path, number);
    for (from, to) in [(from.to_owned(), target.clone()), (log_of(from), log_of(&target))] {
        match std::fs::copy(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let aside = Quarantined::new(number, &target, &format!("a copy of {}", from.display()));
    note(&aside)?;
    keep_newest(path)?;
    Ok(aside)
}

/// Puts a damaged log away that is not needed, since the database has everything.
pub fn put_log_away(path: &Path) -> io::Result<()> {
    let number = copy_log(path)?;
    // It may still be on its way to the disk.
    std::fs::File::open(path)?.sync_all()?;
    std::fs::remove_file(log_of(path))?;
    tracing::warn!(number, "the store's log was damaged; nothing of it is missing");
    keep_newest(path)
}

/// Notes what a copied log is for: what it has from `floors` on.
pub fn note_log(path: &Path, number: u64, floors: PerClass<u64>) -> io::Result<Quarantined> {
    let why = "a part of the log was damaged";
    let mut aside = Quarantined::new(number, &target(path, number), why);
    aside.floors = Some(floors);
    note(&aside)?;
    keep_newest(path)?;
    tracing::warn!(file = %aside.file, why, "the end of the store's log is salvaged");
    Ok(aside)
}

/// Writes what is known of a file set aside beside it.
pub fn note(aside: &Quarantined) -> io::Result<()> {
    let floors = aside.floors.as_ref().map(|floors| Class::ALL.map(|class| *floors.get(class)));
    let note = Note {
        why: aside.why.clone(),
        done: aside.done,
        salvaged: aside.salvaged,
        lost: aside.lost,
        floors,
    };
    let path = Path::new(&aside.file).with_extension("json");
    let new = path.with_extension("json-new");
    let mut file = std::fs::File::create(&new)?;
    io::Write::write_all(&mut file, &serde_json::to_vec(&note)?)?;
    file.sync_all()?;
    std::fs::rename(new, &path)?;
    schema::sync_directory(&path)
}

/// What lies in quarantine with a note, oldest first.
pub fn list(path: &Path) -> Vec<Quarantined> {
    let read = |number: &u64| {
        let target = target(path, *number);
        let note = std::fs::read(target.with_extension("json")).ok()?;
        let note: Note = serde_json::from_slice(&note).ok()?;
        let mut aside = Quarantined::new(*number, &target, &note.why);
        (aside.done, aside.salvaged, aside.lost) = (note.done, note.salvaged, note.lost);
        aside.floors = note.floors.map(|floors| {
            let of =
                |class| Class::ALL.iter().position(|c| *c == class).and_then(|i| floors.get(i));
            PerClass::from_fn(|class| of(class).copied().unwrap_or(0))
        });
        Some(aside)
    };
    numbers(path).unwrap_or_default().iter().filter_map(read).collect()
}

fn dir_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new(".")).join("quarantine")
}

fn target(path: &Path, number: u64) -> PathBuf {
    dir_of(path).join(format!("{}{number:06}.db", prefix(path)))
}

/// Tells what was set aside of the other files from what was of the queue.
fn prefix(path: &Path) -> String {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        None | Some("queue") => String::new(),
        Some(other) => format!("{other}-"),
    }
}

/// The first free number; the directory is made if need be.
fn next(path: &Path) -> io::Result<u64> {
    std::fs::create_dir_all(dir_of(path))?;
    Ok(numbers(path)?.last().map_or(1, |last| last + 1))
}

fn keep_newest(path: &Path) -> io::Result<()> {
    for old in numbers(path)?.iter().rev().skip(KEPT_MAX) {
        let old = target(path, *old);
        for part in parts(&old).into_iter().chain([old.with_extension("json")]) {
            let _ = std::fs::remove_file(part); // Only tidying up.
        }
    }
    Ok(())
}

/// What lies in quarantine of this file already, oldest first.
fn numbers(path: &Path) -> io::Result<Vec<u64>> {
    let prefix = prefix(path);
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir_of(path))? {
        let name = entry?.file_name();
        let ours = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        let digits = ours.and_then(|name| name.split_once('.')).map(|(digits, _)| digits);
        numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_moved_not_deleted_and_only_the_newest_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        for round in 0..12_u64 {
            for part in parts(&path) {
                io::Write::write_all(
                    &mut std::fs::File::create(part).unwrap(),
                    &round.to_le_bytes(),
                )
                .unwrap();
            }
            let moved = set_aside(&path, "test").unwrap();
            assert!(!path.exists());
            assert_eq!(std::fs::read(&moved.file).unwrap(), round.to_le_bytes());
            assert_eq!(std::fs::read(format!("{}-wal", moved.file)).unwrap(), round.to_le_bytes());
        }
        assert_eq!(numbers(&path).unwrap(), (5..=12).collect::<Vec<_>>());
        assert!(set_aside(&path, "nothing there").is_ok());
        // Another file has its own numbers, and neither takes the other's for its own.
        let other = dir.path().join("broker.db");
        let moved = set_aside(&other, "test").unwrap();
        assert!(moved.file.ends_with("quarantine/broker-000001.db"), "{}", moved.file);
        assert_eq!((list(&other).len(), list(&path).len()), (1, 8));
    }
}
