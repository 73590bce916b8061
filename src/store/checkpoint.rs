//! Checkpoints: the log is brought into the file, and how far that has come.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;

use super::wear::Wal;
use super::{guests, wal};

/// How far the WAL goes, and how far it is in the file.
pub fn reached(connection: &Connection) -> rusqlite::Result<Wal> {
    checkpoint(connection, "NOOP")
}

/// Runs a checkpoint, unless somebody looks into the file; gives what the WAL is afterwards.
pub fn run(connection: &Connection, mode: &str) -> rusqlite::Result<Wal> {
    let path = Path::new(connection.path().unwrap_or_default());
    match guests::keep_out(path) {
        Ok(Some(_held)) => checkpoint(connection, mode),
        Ok(None) if mode != "TRUNCATE" => reached(connection),
        Ok(None) => Err(busy("somebody looks into the file")),
        Err(error) => Err(busy(&format!("nobody can be kept from looking into the file: {error}"))),
    }
}

fn busy(why: &str) -> rusqlite::Error {
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(busy, Some(why.to_owned()))
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Wal> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let (is_busy, frames, done) = connection.query_row(&sql, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    if is_busy != 0 && mode == "TRUNCATE" {
        return Err(busy("the log is being read"));
    }
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Wal { frames: count(frames), done: count(done) })
}

/// Which pages these frames of the WAL hold.
pub fn pages(path: &Path, frames: Range<u64>) -> io::Result<Vec<u32>> {
    let wal = File::open(wal::path(path))?;
    let page = |frame| {
        let mut number = [0; 4];
        wal.read_exact_at(&mut number, Wal::page_place(frame))?;
        Ok(u32::from_be_bytes(number))
    };
    frames.map(page).collect()
}
