//! Setting a file aside that can't be used, so that work goes on at once with a new one.
//!
//! Nothing is deleted: the database and its WAL are renamed into `quarantine/`, where they can be
//! looked at and salvaged. Only the newest few are kept, or a card that breaks slowly would fill up.

use std::io;
use std::path::{Path, PathBuf};

use super::status::Quarantined;

/// Most sets of files kept.
const KEPT_MAX: usize = 8;

/// The files that make up a database.
fn parts(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Moves `path` and what belongs to it into `quarantine/`, under the first free number.
pub fn set_aside(path: &Path, why: &str) -> io::Result<Quarantined> {
    let dir = path.parent().unwrap_or(Path::new(".")).join("quarantine");
    std::fs::create_dir_all(&dir)?;
    let mut numbers = numbers(&dir)?;
    let number = numbers.last().map_or(1, |last| last + 1);
    let target = dir.join(format!("{number:06}.db"));
    for (from, to) in parts(path).iter().zip(parts(&target)) {
        match std::fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    super::schema::sync_directory(path)?;
    numbers.push(number);
    for old in numbers.iter().rev().skip(KEPT_MAX) {
        for part in parts(&dir.join(format!("{old:06}.db"))) {
            let _ = std::fs::remove_file(part); // Only tidying up.
        }
    }
    let file = target.display().to_string();
    tracing::error!(%file, why, "the store file could not be used and was set aside");
    Ok(Quarantined { file, why: why.to_owned() })
}

/// What lies in quarantine already, oldest first.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.split_once('.')).map(|(digits, _)| digits);
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
        assert_eq!(numbers(&dir.path().join("quarantine")).unwrap(), (5..=12).collect::<Vec<_>>());
        assert!(set_aside(&path, "nothing there").is_ok());
    }
}
