//! The database file: how it is made, opened, and brought up to date.
//!
//! Every setting here was measured against its alternatives: `psow=0` survives media that trash
//! neighbouring bytes, and makes SQLite write whole sectors of 4 KiB, so that is the size of a page
//! (smaller ones drag unchanged neighbours into the WAL); the map of pages that shrinking in steps
//! takes is written with every new page, so only a file that may need it has one;
//! `synchronous=FULL` is the only level that never lost a commit; the automatic checkpoint swallows
//! a failed sync, so it is off and `writer.rs` runs its own; `secure_delete` would write freed
//! backlogs twice; the WAL stays when the file is closed, so its blocks need not be allocated again.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::migrate;
use crate::model::Class;

/// "FHst".
pub const APPLICATION_ID: i32 = 0x4648_7374;
/// Of a new file; older ones keep the 1 KiB they were made with.
pub const PAGE_BYTES: u64 = 4_096;
/// Room beyond the quota for what the quota does not count: a transaction in flight.
const SPARE_BYTES: u64 = 32 << 20;
/// How long a reader or the inspection may be waited for.
pub const BUSY: Duration = Duration::from_secs(2);

/// A step of the way from an empty file to now: statements, then what can't be said in SQL.
pub struct Step {
    pub sql: &'static str,
    pub code: Option<fn(&Connection) -> rusqlite::Result<()>>,
}

/// A kind of file of ours.
pub struct Format {
    /// Tells its files from any other database.
    pub application_id: i32,
    /// Step by step from an empty file to now; `user_version` counts the steps done. A step, once
    /// released, is never changed.
    pub steps: &'static [Step],
}

/// The file of readings and messages.
pub const QUEUE: Format = Format { application_id: APPLICATION_ID, steps: &MIGRATIONS };

const MIGRATIONS: [Step; 3] = [
    Step {
        sql: "
    CREATE TABLE meta(k TEXT PRIMARY KEY, v INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE chunk_normal(seq INTEGER PRIMARY KEY, n INTEGER NOT NULL, boot INTEGER NOT NULL,
        mono0 INTEGER NOT NULL, mono1 INTEGER NOT NULL, kind INTEGER NOT NULL,
        codec INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE cursor(consumer INTEGER NOT NULL, class INTEGER NOT NULL, settled BLOB NOT NULL,
        delivered INTEGER NOT NULL, excluded INTEGER NOT NULL, dropped TEXT NOT NULL,
        crc INTEGER NOT NULL, PRIMARY KEY(consumer, class)) WITHOUT ROWID;
    CREATE TABLE chunk_alarm(seq INTEGER PRIMARY KEY, n INTEGER NOT NULL, boot INTEGER NOT NULL,
        mono0 INTEGER NOT NULL, mono1 INTEGER NOT NULL, kind INTEGER NOT NULL,
        codec INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE chunk_bulk(seq INTEGER PRIMARY KEY, n INTEGER NOT NULL, boot INTEGER NOT NULL,
        mono0 INTEGER NOT NULL, mono1 INTEGER NOT NULL, kind INTEGER NOT NULL,
        codec INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE boot(no INTEGER PRIMARY KEY, kernel TEXT NOT NULL, offset_ms INTEGER NOT NULL,
        synced INTEGER NOT NULL, crc INTEGER NOT NULL);
    CREATE TABLE tag(id INTEGER PRIMARY KEY, topic TEXT NOT NULL, device TEXT NOT NULL,
        name TEXT NOT NULL, unit TEXT NOT NULL, coding TEXT NOT NULL, class INTEGER NOT NULL,
        crc INTEGER NOT NULL);
    CREATE TABLE consumer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, required INTEGER NOT NULL,
        crc INTEGER NOT NULL);
    CREATE TABLE drop_ledger(id INTEGER PRIMARY KEY, reason TEXT NOT NULL, consumer TEXT NOT NULL,
        class INTEGER NOT NULL, seq_from INTEGER NOT NULL, seq_to INTEGER NOT NULL,
        n INTEGER NOT NULL, wall_from INTEGER, wall_to INTEGER);
    CREATE TABLE fact(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;
",
        code: None,
    },
    Step {
        sql: "
    CREATE TABLE audit(id INTEGER PRIMARY KEY, carried_out INTEGER NOT NULL, row TEXT NOT NULL,
        crc INTEGER NOT NULL);
",
        code: None,
    },
    Step {
        sql: "
    CREATE TABLE wear(hour INTEGER PRIMARY KEY, store INTEGER NOT NULL, process INTEGER NOT NULL,
        ms INTEGER NOT NULL, crc INTEGER NOT NULL);
    UPDATE drop_ledger SET reason = replace(reason, '_', '-') WHERE reason NOT LIKE 'dead:%';
    CREATE TABLE salvage(file INTEGER PRIMARY KEY, claims BLOB NOT NULL, crc INTEGER NOT NULL);
    ALTER TABLE drop_ledger ADD COLUMN shift_ms INTEGER;
    ALTER TABLE drop_ledger ADD COLUMN epoch INTEGER;
    ALTER TABLE drop_ledger ADD COLUMN crc INTEGER;
    ALTER TABLE boot ADD COLUMN first_alarm INTEGER;
    ALTER TABLE boot ADD COLUMN first_normal INTEGER;
    ALTER TABLE boot ADD COLUMN first_bulk INTEGER;
    CREATE TABLE told(consumer TEXT PRIMARY KEY, id INTEGER NOT NULL, crc INTEGER NOT NULL)
        WITHOUT ROWID;
",
        code: Some(migrate::spell_reasons_with_hyphens),
    },
];

pub fn chunk_table(class: Class) -> &'static str {
    match class {
        Class::Alarm => "chunk_alarm",
        Class::Normal => "chunk_normal",
        Class::Bulk => "chunk_bulk",
    }
}

/// A class's number in the file.
pub fn class_code(class: Class) -> u8 {
    match class {
        Class::Alarm => 0,
        Class::Normal => 1,
        Class::Bulk => 2,
    }
}

pub fn class_of(code: i64) -> Option<Class> {
    Class::ALL.into_iter().find(|class| i64::from(class_code(*class)) == code)
}

/// Whether a file can give back some of its pages, and what that takes: a map of who points to
/// each page, which costs a write more for every new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shrinks {
    /// Only as a whole, when it is nearly empty.
    #[default]
    Whole,
    /// In steps, whatever is in it.
    InSteps,
}

impl Shrinks {
    /// As the file was made.
    pub fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        Ok(if mode == 0 { Self::Whole } else { Self::InSteps })
    }

    /// The word for `PRAGMA auto_vacuum`.
    pub fn pragma(self) -> &'static str {
        match self {
            Self::Whole => "NONE",
            Self::InSteps => "INCREMENTAL",
        }
    }
}

/// Makes a new file under another name, fills it, and moves it to its place, so that a file that
/// is there is always whole.
pub fn create(
    format: &Format,
    path: &Path,
    shrinks: Shrinks,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), CreateError> {
    let new = path.with_extension("new");
    for leftover in [new.clone(), path.with_extension("new-journal")] {
        match std::fs::remove_file(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut connection = Connection::open_with_flags(&new, flags)?;
    connection.execute_batch(&format!(
        "PRAGMA page_size={PAGE_BYTES}; PRAGMA auto_vacuum={};
         PRAGMA synchronous=FULL; PRAGMA application_id={};",
        shrinks.pragma(),
        format.application_id
    ))?;
    migrate(format, &mut connection)?;
    fill(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    std::fs::rename(&new, path)?;
    sync_directory(path)?;
    Ok(())
}

pub fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens a file that is there, for writing. This process has it to itself from then on.
pub fn connect(format: &Format, path: &Path, max_bytes: u64) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
    let mut connection =
        Connection::open_with_flags(own(path), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY)?;
    check_ours(format, &connection)?;
    let pages = (max_bytes + SPARE_BYTES) / page_bytes(&connection)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;
         PRAGMA journal_size_limit=-1; PRAGMA secure_delete=OFF; PRAGMA cache_size=-2000;
         PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF; PRAGMA max_page_count={pages};"
    ))?;
    migrate(format, &mut connection)?;
    Ok(connection)
}

/// The size of the file's pages.
pub fn page_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(bytes.cast_unsigned().max(1))
}

/// What the file is made of, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pages {
    pub all: u64,
    /// Of these, what is in no use.
    pub empty: u64,
}

impl Pages {
    pub fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let page_bytes = page_bytes(connection)?;
        let ask = |pragma| {
            let pages = connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
            pages.map(|pages| pages.cast_unsigned().saturating_mul(page_bytes))
        };
        Ok(Self { all: ask("page_count")?, empty: ask("freelist_count")? })
    }

    /// Size of what is in the file.
    pub fn live(&self) -> u64 {
        self.all.saturating_sub(self.empty)
    }
}

/// Opens a file that is there, for reading beside the writer, in the same process.
pub fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
    let connection =
        Connection::open_with_flags(own(path), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(
        "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-1000;",
    )?;
    Ok(connection)
}

/// Opens a file that nobody writes, for reading it as it lies: on a file system where nothing can
/// be written. It takes no locks, since these would have to be written too.
pub fn connect_still(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("{}&vfs=unix-none", uri(path));
    let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=ON; PRAGMA cache_size=-1000;",
    )?;
    Ok(connection)
}

/// A file of this process alone. Every other way of SQLite's shares the index of the log as memory
/// that is mapped from a file: on a full disk, or a bad one, a touch of it ends the process (SIGBUS).
/// Here the index is in memory, and other programs are refused while the file is open.
fn own(path: &Path) -> String {
    uri(path) + "&vfs=unix-excl"
}

/// The file as SQLite is told it, ready for more parameters.
pub fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?psow=0");
    uri
}

/// Tables as this version has them, empty and in memory.
pub fn pattern() -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&QUEUE, &mut connection)?;
    Ok(connection)
}

/// Whether the file is of an earlier version than this.
pub fn is_older(connection: &Connection) -> rusqlite::Result<bool> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).is_ok_and(|version| version < MIGRATIONS.len()))
}

/// Whether the file is of this kind, and of this version or an earlier one.
pub fn check_ours(format: &Format, connection: &Connection) -> rusqlite::Result<()> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = usize::try_from(version).is_ok_and(|version| version <= format.steps.len());
    if id == format.application_id && known { Ok(()) } else { Err(not_ours()) }
}

/// How many steps a file has behind it.
pub fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(format: &Format, connection: &mut Connection) -> rusqlite::Result<()> {
    let done = usize::try_from(version(connection)?).map_err(|_| not_ours())?;
    if done > format.steps.len() {
        return Err(not_ours());
    }
    for (i, step) in format.steps.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step.sql)?;
        if let Some(code) = step.code {
            code(&transaction)?;
        }
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(i + 1).unwrap_or(i64::MAX),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

/// A file of another program, or of a later version of this one.
fn not_ours() -> rusqlite::Error {
    let why = "the file belongs to another program or a later version".to_owned();
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOTADB), Some(why))
}

/// Whether the file itself is bad, so that only setting it aside helps.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, text) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            // A table or column is missing: the schema itself was hit.
            ErrorCode::Unknown => text
                .as_deref()
                .is_some_and(|text| text.starts_with("no such") || text.contains("malformed")),
            ErrorCode::SystemIoFailure => matches!(
                failure.extended_code,
                ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ
            ),
            _ => false,
        },
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::SqlInputError { .. } => true,
        _ => false,
    }
}

/// As SQLite would say it.
pub fn full() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)
}

/// Whether there was no room: for the file system or for the quota.
pub fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_is_new_enough() {
        // Before 3.51.3 a WAL reset could lose commits.
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }

    #[test]
    fn a_new_file_has_the_measured_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odd name?#%&.db");
        create(&QUEUE, &path, Shrinks::Whole, |_| Ok(())).unwrap();
        assert!(!path.with_extension("new").exists());
        let connection = connect(&QUEUE, &path, 1 << 20).unwrap();
        let ask = |pragma: &str| -> String {
            connection
                .pragma_query_value(None, pragma, |row| row.get::<_, rusqlite::types::Value>(0))
                .map(|value| format!("{value:?}"))
                .unwrap()
        };
        let expected = [
            ("page_size", "Integer(4096)"),
            ("journal_mode", "Text(\"wal\")"),
            ("synchronous", "Integer(2)"),
            ("wal_autocheckpoint", "Integer(0)"),
            ("secure_delete", "Integer(0)"),
            ("auto_vacuum", "Integer(0)"),
            ("journal_size_limit", "Integer(-1)"),
            ("mmap_size", "Integer(0)"),
            ("user_version", "Integer(3)"),
            ("max_page_count", "Integer(8448)"),
        ];
        for (pragma, value) in expected {
            if pragma == "mmap_size" && ask(pragma) == "Null" {
                continue;
            }
            assert_eq!(ask(pragma), value, "{pragma}");
        }
        let wal = dir.path().join("odd name?#%&.db-wal");
        connection.execute("INSERT INTO fact VALUES('a', 'b')", []).unwrap();
        drop(connection);
        assert!(wal.metadata().unwrap().len() > 0, "the WAL stays when the file is closed");
    }
}
