//! `broker.db`: how it is made, opened, read and written, and what is done when it is no good.
//!
//! Every row has a CRC over its table, key and value; a row that does not fit its own is left out.
//! A file in which more than that is wrong is set aside whole, and what can be read of it goes into
//! a new one. It is made when there is something to write, and one connection has it to itself:
//! another process is kept out, and there is no shared memory that a full disk could pull away.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, Transaction, TransactionBehavior, params};

use super::waiting::{Batch, Reached};
use super::{KeepCopied, Key, Table};
use crate::store::checkpoint;
use crate::store::file::FileError;
use crate::store::quarantine;
use crate::store::rows::LoadError;
use crate::store::salvage::{Database, log_beside, quick_check};
use crate::store::schema::{self, Format, Pages, Step};
use crate::store::space::{self, Space};
use crate::store::status::Quarantined;
use crate::store::wal;

/// "FHbr".
const APPLICATION_ID: i32 = 0x4648_6272;
/// The start gives empty pages back when there are so many bytes of them, and at least half.
const SHRINK_FROM: u64 = 16 << 20;
/// Far more than the broker keeps in memory at most.
const BYTES_MAX: u64 = 4_000_000_000;
/// What a copy leaves free, so that nobody else runs out of room for it.
const COPY_SPARES: u64 = 64 << 20;

/// Numbered tables have their rows in the leaves alone, which fill up from left to right.
const FORMAT: Format = Format {
    application_id: APPLICATION_ID,
    steps: &[Step {
        sql: "
    CREATE TABLE session(k BLOB PRIMARY KEY, v BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE progress(k INTEGER PRIMARY KEY, v BLOB NOT NULL, crc INTEGER NOT NULL);
    CREATE TABLE message(k INTEGER PRIMARY KEY, v BLOB NOT NULL, crc INTEGER NOT NULL);
    CREATE TABLE retained(k BLOB PRIMARY KEY, v BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
",
        code: None,
    }],
};

/// Where the broker's database of a store directory lies.
pub fn database(dir: &Path) -> PathBuf {
    dir.join("store").join("broker.db")
}

impl Table {
    const ALL: [Self; 4] = [Self::Session, Self::Progress, Self::Message, Self::Retained];

    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Progress => "progress",
            Self::Message => "message",
            Self::Retained => "retained",
        }
    }

    /// The key of a row.
    fn key(self, row: &Row<'_>) -> rusqlite::Result<Key> {
        let number = || row.get::<_, i64>(0).map(i64::cast_unsigned);
        let name = || -> rusqlite::Result<Bytes> {
            Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?))
        };
        Ok(match self {
            Self::Session => Key::Session(name()?),
            Self::Progress => Key::Progress(number()?),
            Self::Message => Key::Message(number()?),
            Self::Retained => Key::Retained(name()?),
        })
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Session(name) | Self::Retained(name) => {
                ToSqlOutput::Borrowed(ValueRef::Blob(name))
            }
            Self::Progress(number) | Self::Message(number) => {
                ToSqlOutput::Borrowed(ValueRef::Integer(number.cast_signed()))
            }
        })
    }
}

fn crc(key: &Key, value: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key.table().name().as_bytes());
    match key {
        Key::Session(name) | Key::Retained(name) => {
            crc.update(&(name.len() as u64).to_le_bytes());
            crc.update(name);
        }
        Key::Progress(number) | Key::Message(number) => crc.update(&number.to_le_bytes()),
    }
    crc.update(value);
    crc.finalize()
}

pub struct KeepFile {
    pub path: PathBuf,
    connection: Option<Connection>,
    /// Of the file that is in use, or was found.
    inode: Option<u64>,
    /// Why what lies in its place is not what this process read or wrote; then it is set aside
    /// before anything is written.
    foreign: Option<String>,
    /// What the file had is not in the one that is there now, and the broker was not told yet.
    owes_all: bool,
}

/// What the start found.
#[derive(Debug, Default)]
pub struct Found {
    pub reached: Reached,
    /// Why nothing can be written now, if so.
    pub hindrance: Option<String>,
}

impl KeepFile {
    /// Looks at what is there. Never fails: what is no good is set aside, and what can't be opened
    /// yet is left for later.
    pub fn open(dir: &Path) -> (Self, Found) {
        let path = database(dir);
        let mut file = Self { path, connection: None, inode: None, foreign: None, owes_all: false };
        let mut found = Found::default();
        let opened = match file.start() {
            Err(error) if error.is_damage() => file.rescue(&error.to_string()),
            other => other,
        };
        if let Err(error) = opened {
            found.hindrance = Some(file.explain(&error.to_string()));
        }
        match file.reached() {
            Ok(reached) => found.reached = reached,
            Err(error) => {
                tracing::error!(%error, "what the broker kept can't be read");
                file.foreign = Some(format!("it could not be read at the start: {error}"));
            }
        }
        (file, found)
    }

    fn start(&mut self) -> Result<(), FileError> {
        if !self.path.try_exists()? {
            let [_, log, index] = quarantine::parts(&self.path);
            if log.exists() || index.exists() {
                return Err(LoadError::Damaged("a file that is gone (its log is there)").into());
            }
            return Ok(());
        }
        self.inode = inode(&self.path);
        if self.path.metadata()?.len() == 0 {
            return Err(LoadError::Damaged("the whole file (it is empty)").into());
        }
        let is_torn = self.look_at_log()?;
        let connection = schema::connect(&FORMAT, &self.path, BYTES_MAX)?;
        if !quick_check(&connection)?.is_empty() {
            return Err(LoadError::Damaged("a page").into());
        }
        give_room_back(&connection)?;
        // Or a cut while the next frame is written could take commits in the same sector along, and
        // what is behind the last commit could be taken for damage the next time.
        checkpoint::run(&connection, if is_torn { "TRUNCATE" } else { "PASSIVE" })?;
        wal::make_room(&self.path);
        self.connection = Some(connection);
        Ok(())
    }

    /// Looks at the log before SQLite does, which silently forgets what is behind a damaged frame;
    /// says whether a crash tore its end.
    fn look_at_log(&self) -> Result<bool, FileError> {
        let Some(log) = log_beside(&self.path)?.filter(|log| log.tail) else { return Ok(false) };
        if !log.broken || !log.damaged {
            return Ok(true);
        }
        if log.database(&self.path)? != Database::Complete {
            return Err(LoadError::Damaged("a page in the log").into());
        }
        quarantine::put_log_away(&self.path)?;
        Ok(false)
    }

    /// Whether there may be rows that are not in memory.
    fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Sees to it that there is a file that can be written; says whether it was begun anew under the
    /// broker's feet.
    pub fn prepare(&mut self) -> Result<bool, FileError> {
        let is_same = inode(&self.path) == self.inode;
        if self.connection.is_some() && is_same {
            return Ok(false);
        }
        self.connection = None;
        if !is_same {
            self.foreign = Some("it was deleted or replaced while it was in use".to_owned());
        }
        if self.foreign.is_none() && self.is_there() {
            match self.reopen() {
                Err(error) if error.is_damage() => self.foreign = Some(error.to_string()),
                other => other?,
            }
        }
        if let Some(why) = self.foreign.clone() {
            // What was in it is in memory, or was never seen and has no place beside what is.
            self.owes_all = true;
            self.set_aside(&why)?;
        }
        if self.connection.is_none() {
            self.make()?;
        }
        Ok(std::mem::take(&mut self.owes_all))
    }

    fn make(&mut self) -> Result<(), FileError> {
        std::fs::create_dir_all(self.place())?;
        schema::create(&FORMAT, &self.path, schema::Shrinks::InSteps, |_| Ok(()))?;
        self.inode = inode(&self.path);
        self.connection = Some(schema::connect(&FORMAT, &self.path, BYTES_MAX)?);
        wal::make_room(&self.path);
        Ok(())
    }

    /// Opens the file again after a failure, and shows that it can be written.
    fn reopen(&mut self) -> Result<(), FileError> {
        wal::rewrite(&self.path)?;
        let connection = schema::connect(&FORMAT, &self.path, BYTES_MAX)?;
        checkpoint::run(&connection, "TRUNCATE")?;
        wal::make_room(&self.path);
        let version = schema::version(&connection)?;
        connection.pragma_update(None, "user_version", version)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Moves what is in the file's place away; gives where to, if there was anything.
    fn set_aside(&mut self, why: &str) -> Result<Option<Quarantined>, FileError> {
        self.connection = None;
        let is_there = quarantine::parts(&self.path).iter().any(|part| part.exists());
        let aside = if is_there { Some(quarantine::set_aside(&self.path, why)?) } else { None };
        if let Some(aside) = &aside {
            // Salvage is for readings.
            quarantine::note(&Quarantined { done: true, ..aside.clone() })?;
        }
        (self.inode, self.foreign) = (None, None);
        Ok(aside)
    }

    /// At the start: sets a bad file aside and begins a new one with what can be read of it.
    fn rescue(&mut self, why: &str) -> Result<(), FileError> {
        let aside = self.set_aside(why)?;
        self.make()?;
        if let (Some(mut aside), Some(connection)) = (aside, &self.connection) {
            if let Ok(old) = look_at(Path::new(&aside.file)) {
                (aside.salvaged, aside.lost) = take_over(&old, connection)?;
            }
            aside.done = true;
            quarantine::note(&aside)?;
        }
        Ok(())
    }

    /// What was set aside, newest last.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        quarantine::list(&self.path)
    }

    /// After an error: the connection can't be trusted any more, nor a damaged file.
    pub fn give_up(&mut self, error: &FileError) {
        self.connection = None;
        if error.is_damage() {
            self.foreign = Some(error.to_string());
        }
    }

    /// Makes a batch durable.
    pub fn write(&mut self, batch: &Batch) -> Result<(), FileError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        for table in Table::ALL {
            let of_table = batch.changes.iter().filter(|(key, _)| key.table() == table);
            let mut of_table = of_table.peekable();
            if of_table.peek().is_none() {
                continue;
            }
            let mut put = transaction.prepare(&put_sql(table))?;
            let mut remove =
                transaction.prepare(&format!("DELETE FROM {} WHERE k = ?1", table.name()))?;
            for (key, value) in of_table {
                match value {
                    Some(value) => put.execute(params![key, &value[..], crc(key, value)])?,
                    None => remove.execute([key])?,
                };
            }
        }
        Ok(transaction.commit()?)
    }

    /// Size of what is in the file.
    pub fn bytes(&self) -> u64 {
        let pages = self.connection().and_then(|connection| Pages::of(connection).ok());
        pages.unwrap_or_default().live()
    }

    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Hands out the rows of a table in the order of their keys; gives the keys of damaged ones.
    pub fn read(
        &self,
        table: Table,
        each: &mut dyn FnMut(Key, &[u8]),
    ) -> Result<Vec<Key>, FileError> {
        match &self.connection {
            Some(connection) => Ok(rows(connection, table, each)?),
            None if !self.is_there() => Ok(Vec::new()),
            // Nothing can be written: what is there is read as it lies.
            None => Ok(rows(&schema::connect_still(&self.path)?, table, each)?),
        }
    }

    /// Makes a file of its own of what this one has; `None` if there is none.
    pub fn copy_to(&self, to: &Path) -> Result<Option<KeepCopied>, FileError> {
        match &self.connection {
            Some(connection) => copy_rows(connection, to).map(Some),
            None => copy_at_rest(&self.path, to),
        }
    }

    /// What of a file was read is all there is of it.
    pub fn distrust(&mut self, why: &str) {
        self.foreign = Some(why.to_owned());
        self.connection = None;
    }

    fn reached(&self) -> Result<Reached, FileError> {
        let still;
        let connection = match &self.connection {
            Some(connection) => connection,
            None if !self.is_there() => return Ok(Reached::default()),
            None => {
                still = look_at(&self.path)?;
                &still
            }
        };
        let last = |table: Table| -> rusqlite::Result<Option<u64>> {
            let sql = format!("SELECT max(k) FROM {}", table.name());
            let last: Option<i64> = connection.query_row(&sql, [], |row| row.get(0))?;
            Ok(last.map(i64::cast_unsigned))
        };
        Ok(Reached { progress: last(Table::Progress)?, message: last(Table::Message)? })
    }

    fn place(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// An error of the file in words for whoever looks after the machine.
    pub fn explain(&self, error: &str) -> String {
        match space::hindrance(self.place()) {
            Some(hindrance) => format!("{hindrance} ({error})"),
            None => error.to_owned(),
        }
    }
}

/// As [`KeepFile::copy_to`], of a file that nobody writes.
pub fn copy_at_rest(path: &Path, to: &Path) -> Result<Option<KeepCopied>, FileError> {
    if !path.try_exists()? {
        return Ok(None);
    }
    copy_rows(&look_at(path)?, to).map(Some)
}

/// Opens a file that nobody writes, for reading it as it lies.
fn look_at(path: &Path) -> rusqlite::Result<Connection> {
    let connection = schema::connect_still(path)?;
    schema::check_ours(&FORMAT, &connection)?;
    Ok(connection)
}

/// What is whole, row by row: a row that is damaged here would be left out there, too.
fn copy_rows(from: &Connection, to: &Path) -> Result<KeepCopied, FileError> {
    let needed = Pages::of(from)?.all.saturating_mul(2); // It has a journal beside it.
    if Space::of(to.parent().unwrap_or(to))?.free < needed + COPY_SPARES {
        return Err(schema::full().into());
    }
    let mut copied = KeepCopied::default();
    schema::create(&FORMAT, to, schema::Shrinks::InSteps, |new| {
        let (_, damaged) = take_over(from, new)?;
        let (sessions, retained) = (count(new, Table::Session)?, count(new, Table::Retained)?);
        copied = KeepCopied { sessions, retained, damaged };
        Ok(())
    })
    .inspect_err(|_| drop(std::fs::remove_file(to.with_extension("new"))))?;
    Ok(copied)
}

/// What a big backlog left empty.
fn give_room_back(connection: &Connection) -> rusqlite::Result<()> {
    let pages = Pages::of(connection)?;
    if pages.empty >= SHRINK_FROM && pages.empty >= pages.all / 2 {
        let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut given = vacuum.query([])?;
        // One row is one page.
        while given.next()?.is_some() {}
    }
    Ok(())
}

fn inode(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.ino())
}

fn put_sql(table: Table) -> String {
    format!("REPLACE INTO {} VALUES(?1, ?2, ?3)", table.name())
}

fn rows(
    connection: &Connection,
    table: Table,
    each: &mut dyn FnMut(Key, &[u8]),
) -> rusqlite::Result<Vec<Key>> {
    let mut damaged = Vec::new();
    scan(connection, table, "ASC", &mut |key, value, fits| {
        if fits {
            each(key, value);
        } else {
            damaged.push(key);
        }
    })?;
    Ok(damaged)
}

/// Goes through a table; `each` is told whether the row fits its CRC.
fn scan(
    connection: &Connection,
    table: Table,
    order: &str,
    each: &mut dyn FnMut(Key, &[u8], bool),
) -> rusqlite::Result<()> {
    let sql = format!("SELECT k, v, crc FROM {} ORDER BY k {order}", table.name());
    let mut select = connection.prepare(&sql)?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let key = table.key(row)?;
        let value = row.get_ref(1)?.as_bytes().unwrap_or_default();
        let fits = row.get_ref(2)?.as_i64().is_ok_and(|sum| sum == i64::from(crc(&key, value)));
        each(key, value, fits);
    }
    Ok(())
}

/// Copies the rows that are whole into a new file, from both ends of every table as far as it can be
/// read; gives how many there were, and how many of those seen were not whole.
fn take_over(old: &Connection, to: &Connection) -> rusqlite::Result<(u64, u64)> {
    let (mut whole, mut damaged) = (0, 0);
    let transaction = to.unchecked_transaction()?;
    for table in Table::ALL {
        let mut failed = Ok(());
        let mut put = transaction.prepare(&put_sql(table))?;
        let mut copy = |order: &str| {
            let mut bad = 0;
            let read = scan(old, table, order, &mut |key, value, fits| {
                bad += u64::from(!fits);
                if fits && failed.is_ok() {
                    failed = put.execute(params![key, value, crc(&key, value)]).map(drop);
                }
            });
            read.map(|()| bad)
        };
        damaged += match copy("ASC") {
            Ok(bad) => bad,
            Err(_) => 1 + copy("DESC").unwrap_or(0),
        };
        failed?;
        whole += count(&transaction, table)?;
    }
    transaction.commit()?;
    Ok((whole, damaged))
}

fn count(connection: &Connection, table: Table) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {}", table.name());
    connection.query_row(&sql, [], |row| row.get(0)).map(i64::cast_unsigned)
}
