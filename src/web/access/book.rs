//! The accounts on the disk: `accounts.json` in the state directory, for its owner alone.
//!
//! A change is written beside the file and renamed, and holds only once it is there; a power cut
//! leaves the list as it was or as it is now. A file that can't be understood is set aside and said:
//! the page then begins with its setup again, and with its code. Reads and writes files: not for an
//! async task.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::accounts::{AccountError, Accounts};
use crate::config::file::{self, SaveError};
use crate::model::{Blame, Retry};

const FILE: &str = "accounts.json";
const ASIDE: &str = "damaged";
/// Far above what all accounts and tokens take.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("can't use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Refused(#[from] AccountError),
}

impl BookError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Io { .. } | Self::Save(_) => Blame::Disk,
            Self::Refused(_) => Blame::Config,
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::Io { .. } | Self::Save(_) => Retry::Later,
            Self::Refused(_) => Retry::Never,
        }
    }
}

#[derive(Debug)]
pub struct Book {
    /// `None` for a demonstration, which keeps nothing.
    path: Option<PathBuf>,
    accounts: Mutex<Accounts>,
}

impl Book {
    /// Accounts that end with the process.
    pub fn in_memory() -> Self {
        Self { path: None, accounts: Mutex::default() }
    }

    pub fn open(state_dir: &Path) -> Result<Self, BookError> {
        let path = state_dir.join(FILE);
        let accounts = match read(&path)? {
            None => Accounts::default(),
            Some(text) => match serde_json::from_str(&text) {
                Ok(accounts) => accounts,
                Err(error) => {
                    set_aside(&path, &error)?;
                    Accounts::default()
                }
            },
        };
        Ok(Self { path: Some(path), accounts: Mutex::new(accounts) })
    }

    pub fn accounts(&self) -> Accounts {
        self.lock().clone()
    }

    pub fn with<T>(&self, look: impl FnOnce(&Accounts) -> T) -> T {
        look(&self.lock())
    }

    /// Makes a change, and keeps it. What fails changes nothing.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Accounts) -> Result<T, AccountError>,
    ) -> Result<T, BookError> {
        let mut held = self.lock();
        let mut changed = held.clone();
        let done = change(&mut changed)?;
        if let Some(path) = &self.path {
            let text = serde_json::to_string_pretty(&changed).unwrap_or_default();
            file::replace(path, &text)?;
        }
        *held = changed;
        Ok(done)
    }

    /// A change is complete by itself, so what a panic left behind is used all the same.
    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody has made an account with this state directory.
pub fn is_claimed(state_dir: &Path) -> bool {
    state_dir.join(FILE).exists()
}

fn read(path: &Path) -> Result<Option<String>, BookError> {
    let io = |source| BookError::Io { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    // What is no text is no list either.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn set_aside(path: &Path, error: &serde_json::Error) -> Result<(), BookError> {
    let aside = path.with_extension(ASIDE);
    let moved = fs::rename(path, &aside);
    moved.map_err(|source| BookError::Io { path: path.to_owned(), source })?;
    tracing::error!(
        file = %path.display(), aside = %aside.display(), %error,
        "the accounts of the web page can't be understood: it begins with its setup again"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::Wall;
    use crate::web::access::role::Role;

    fn add(book: &Book, name: &str) -> Result<(), BookError> {
        book.change(|accounts| accounts.add_user(name, Role::Admin, "$hash".into(), Wall(1)))
    }

    #[test]
    fn what_is_changed_is_there_at_the_next_start_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(dir.path()).unwrap();
        assert!(book.accounts().users().is_empty());
        add(&book, "anna").unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Book::open(dir.path()).unwrap().accounts(), book.accounts());
        assert!(matches!(add(&book, "anna"), Err(BookError::Refused(_))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_change_that_cant_be_kept_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(&dir.path().join("gone")).unwrap();
        let error = add(&book, "anna").unwrap_err();
        assert_eq!((error.blame(), error.retry()), (Blame::Disk, Retry::Later));
        assert!(book.accounts().users().is_empty());
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_the_setup_begins_again() {
        for damage in
            [&b"{ \"users\": [ {"[..], b"", b"\xff\xfe", b"{\"users\":[],\"tokens\":[],\"x\":1}"]
        {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FILE);
            io::Write::write_all(&mut fs::File::create(&path).unwrap(), damage).unwrap();
            let book = Book::open(dir.path()).unwrap();
            assert!(book.accounts().users().is_empty());
            assert_eq!(fs::read(dir.path().join("accounts.damaged")).unwrap(), damage);
            add(&book, "anna").unwrap();
            assert_eq!(Book::open(dir.path()).unwrap().accounts().users().len(), 1);
        }
    }

    #[test]
    fn a_file_that_cant_be_read_is_no_empty_list() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(matches!(Book::open(dir.path()), Err(BookError::Io { .. })));
    }
}
