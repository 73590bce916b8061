//! The store's place on disk: lock, directory, file; opening what is there, or making a new one.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::accounting::Reason;
use super::audit::Audit;
use super::ballast::Ballast;
use super::error::StoreError;
use super::lane::Lane;
use super::ledger::Loss;
use super::ledger_rows;
use super::per_class::PerClass;
use super::quarantine;
use super::rows::{self, LoadError};
use super::salvage::{Database, Salvages, log_beside};
use super::schema::{self, CreateError, Shrinks, chunk_table, is_damage, is_full};
use super::space::{self, Space};
use super::state::State;
use super::status::{Health, Quarantined};
use super::wal;
use super::wear::{Wal, WearRows};
use super::work::{Piece, RESERVE};
use super::writer::Room;
use crate::model::{Class, Clock};

/// What the index of a log of up to 4,096 pages takes (and there are never so many), twice.
const INDEX_BYTES: u64 = 64 << 10;

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

/// What the start found of the log.
enum Log {
    /// SQLite will take all of it.
    Whole,
    /// Something is behind what SQLite will take; a copy was made of what is worth salvaging.
    Torn { copy: Option<u64> },
}

/// What a file that is opened again has of a class.
#[derive(Debug, Clone, Copy, Default)]
pub struct Had {
    /// Where its last chunk ends.
    pub end: u64,
    /// Up to where positions are reserved.
    pub reserved: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the file in its place is another one")]
    Replaced,
}

impl From<rusqlite::Error> for FileError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Load(error.into())
    }
}

impl FileError {
    /// Whether the file itself is bad, so that only setting it aside helps.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Load(LoadError::Damaged(_)) | Self::Replaced => true,
            Self::Load(LoadError::Sqlite(error)) => is_damage(error),
            Self::Create(_) | Self::Io(_) => false,
        }
    }

    /// Whether it says itself that there was no room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Load(LoadError::Sqlite(error)) | Self::Create(CreateError::Sqlite(error)) => {
                is_full(error)
            }
            Self::Create(CreateError::Io(error)) | Self::Io(error) => {
                error.kind() == io::ErrorKind::StorageFull
            }
            Self::Load(LoadError::Damaged(_)) | Self::Replaced => false,
        }
    }
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
        // On a read-only disk an old lock file will do, or the directory.
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .or_else(|error| File::open(&name).or_else(|_| File::open(&place)).map_err(|_| error))
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

    /// Opens what is there, sets it aside if it is no good, makes a new one if need be. When the
    /// disk does not allow any of it, the state begins in memory only.
    pub fn open(&mut self, clock: &dyn Clock, ram_bytes: usize) -> (State, Option<Connection>) {
        let mut opened = self.load(clock, ram_bytes);
        // A full disk: what was set aside for it may make the difference.
        if !matches!(opened, Ok((_, Some(_)))) && self.is_full() && self.ballast.give_up() {
            opened = self.load(clock, ram_bytes);
        }
        let opened = match opened {
            Err(error) if error.is_damage() => self.renew(&error, clock, ram_bytes),
            other => other,
        };
        opened.unwrap_or_else(|error| {
            let mut state = State::new(fastrand::u64(1..), u64::MAX / 2, ram_bytes);
            state.observe_clock(clock);
            self.begin_in_memory(&mut state, &error);
            self.epoch = None;
            (state, None)
        })
    }

    fn is_full(&self) -> bool {
        self.room().is_ok_and(|room| room.space.is_full())
    }

    /// New readings stay in memory; the writer opens the file again when it can.
    fn begin_in_memory(&self, state: &mut State, error: &FileError) {
        let why = self.explain(&error.to_string());
        tracing::error!(%why, "the store can't write: what is read is kept in memory only");
        state.disk.last_error = Some(why.clone());
        state.health = Health::RamOnly(why);
    }

    fn load(
        &mut self,
        clock: &dyn Clock,
        ram_bytes: usize,
    ) -> Result<(State, Option<Connection>), FileError> {
        let leftovers = ["-wal", "-shm"].map(|suffix| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name).exists()
        });
        if !self.path.try_exists()? {
            if leftovers.contains(&true) {
                // The WAL of a file that is gone must not get into the next one.
                return Err(LoadError::Damaged("a file that is gone (its log is there)").into());
            }
            let (connection, epoch, reserved) = self.make(&PerClass::default())?;
            let mut state = State::new(epoch, 0, ram_bytes);
            for class in Class::ALL {
                state.lanes.get_mut(class).reserved = *reserved.get(class);
            }
            self.load_quarantine(&connection, &mut state)?;
            state.observe_clock(clock);
            state.health = Health::Ok;
            state.disk.clean_start = true;
            return Ok((state, Some(connection)));
        }
        if self.path.metadata()?.len() == 0 {
            return Err(LoadError::Damaged("the whole file (it is empty)").into());
        }
        let log = self.look_at_log()?;
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            Err(error) if is_damage(&error) => return Err(error.into()),
            Err(error) => return self.load_still(clock, ram_bytes, error.into()),
        };
        let mut state = self.take_state(&connection, clock, ram_bytes)?;
        if let Log::Torn { copy } = log {
            if let Some(number) = copy {
                let floors = PerClass::from_fn(|class| state.lanes.get(class).next_in_file);
                match quarantine::note_log(&self.path, number, floors) {
                    Ok(aside) => state.disk.quarantined.push(aside),
                    Err(error) => tracing::warn!(%error, "the end of the log is not salvaged"),
                }
            }
            // Or what is behind its last commit could be taken for damage the next time.
            if let Err(error) = checkpoint(&connection, "TRUNCATE") {
                tracing::debug!(%error, "the log could not be emptied");
            }
        }
        match bring_in(&connection).and_then(|()| begin(&mut connection, &mut state)) {
            Ok(()) => {
                wal::make_room(&self.path);
                state.health = Health::Ok;
                Ok((state, Some(connection)))
            }
            Err(error) if is_damage(&error) => Err(error.into()),
            // A full disk, mostly: what is in the file is delivered from it all the same.
            Err(error) => {
                self.begin_in_memory(&mut state, &error.into());
                Ok((state, None))
            }
        }
    }

    /// Looks at the log before SQLite does, which silently forgets what is behind a damaged frame.
    fn look_at_log(&self) -> Result<Log, FileError> {
        let Some(log) = log_beside(&self.path)?.filter(|log| log.tail) else {
            return Ok(Log::Whole);
        };
        // A torn end was never told to anyone as safe: SQLite drops it, as it should. Only where a
        // whole transaction follows behind the break was something damaged that had been synced.
        if !log.broken || !log.damaged {
            return Ok(Log::Torn { copy: None });
        }
        match log.database(&self.path)? {
            Database::Mixed => Err(LoadError::Damaged("a page in the log").into()),
            Database::Complete => {
                quarantine::put_log_away(&self.path)?;
                Ok(Log::Whole)
            }
            Database::Behind => {
                // Without room for a copy it is better to start than to salvage.
                let copy = quarantine::copy_log(&self.path)
                    .inspect_err(|error| tracing::error!(%error, "the end of the log is lost"));
                Ok(Log::Torn { copy: copy.ok() })
            }
        }
    }

    /// What was set aside, and who is owed what of it.
    fn load_quarantine(&self, connection: &Connection, state: &mut State) -> Result<(), LoadError> {
        state.disk.quarantined = quarantine::list(&self.path);
        state.salvages = Salvages::resume(rows::salvages(connection)?);
        let asides = &state.disk.quarantined;
        state.salvages.retain(|file| asides.iter().any(|a| a.number == file && !a.done));
        Ok(())
    }

    /// Opens the file for writing, unless there is no room for the index of the log. SQLite writes
    /// into that through memory, and makes sure of one byte per 4 KiB only: where blocks are smaller
    /// and the disk is full, the process would be killed with SIGBUS.
    fn connect(&self) -> rusqlite::Result<Connection> {
        if self.room().is_ok_and(|room| room.space.free < INDEX_BYTES) {
            return Err(schema::full());
        }
        self.open_file()
    }

    fn open_file(&self) -> rusqlite::Result<Connection> {
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

    /// Nothing can be written, not even what opening needs: what is in the file is delivered from
    /// it as it lies.
    fn load_still(
        &mut self,
        clock: &dyn Clock,
        ram_bytes: usize,
        why: FileError,
    ) -> Result<(State, Option<Connection>), FileError> {
        let read = schema::connect_still(&self.path).map_err(FileError::from);
        match read.and_then(|connection| self.take_state(&connection, clock, ram_bytes)) {
            Ok(mut state) => {
                self.begin_in_memory(&mut state, &why);
                Ok((state, None))
            }
            // Whatever it was: here it does not speak against the file.
            Err(_) => Err(why),
        }
    }

    fn take_state(
        &mut self,
        connection: &Connection,
        clock: &dyn Clock,
        ram_bytes: usize,
    ) -> Result<State, FileError> {
        let mut state = read_state(connection, ram_bytes)?;
        self.load_quarantine(connection, &mut state)?;
        state.observe_clock(clock);
        state.disk.bytes = Pages::of(connection)?.live();
        self.shrinks = Shrinks::of(connection)?;
        self.epoch = Some(state.epoch);
        self.inode = inode(&self.path);
        Ok(state)
    }

    /// At the start: nothing is in memory yet, so a new file is all there is to it.
    fn renew(
        &mut self,
        why: &FileError,
        clock: &dyn Clock,
        ram_bytes: usize,
    ) -> Result<(State, Option<Connection>), FileError> {
        self.set_aside(&why.to_string())?;
        let (mut state, connection) = self.load(clock, ram_bytes)?;
        state.disk.last_error = Some(why.to_string());
        state.disk.clean_start = false;
        Ok((state, connection))
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
        let connection = self.open_file()?;
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
        checkpoint(&connection, "TRUNCATE")?;
        wal::make_room(&self.path);
        self.shrinks = Shrinks::of(&connection)?;
        // If the start could not write, the mark of the last orderly end is still there.
        if rows::needed_meta(&connection, rows::CLEAN)? != 0 {
            rows::put_meta(&connection, rows::CLEAN, 0)?;
        }
        let mut had = PerClass::default();
        for class in Class::ALL {
            *had.get_mut(class) = reached(&connection, class)?;
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

/// How far a class goes in the file. Nothing lies beyond what is reserved, whatever the damaged
/// count of a chunk says.
fn reached(connection: &Connection, class: Class) -> Result<Had, LoadError> {
    let reserved = rows::needed_meta(connection, &rows::reserved_key(class))?;
    Ok(Had { end: rows::chunks_end(connection, class)?.min(reserved), reserved })
}

/// Everything but the chunks, as the file has it.
pub fn read_state(connection: &Connection, ram_bytes: usize) -> Result<State, LoadError> {
    let mut state = State::new(rows::needed_meta(connection, rows::EPOCH)?, 0, ram_bytes);
    let clean = rows::needed_meta(connection, rows::CLEAN)? == 1;
    state.disk.clean_start = clean;
    let mut next = PerClass::<u64>::default();
    for class in Class::ALL {
        let noted = rows::needed_meta(connection, &rows::next_key(class))?;
        // After an orderly end that is all there is to it.
        let end = if clean { 0 } else { reached(connection, class)?.end };
        *next.get_mut(class) = noted.max(end);
        let oldest = rows::first_chunk(connection, class, 0)?;
        *state.disk.oldest.get_mut(class) = oldest.map(|(_, read)| read);
    }
    let last = rows::meta(connection, rows::CONSUMER_LAST)?.unwrap_or(0);
    state.consumer_id_last = u32::try_from(last).unwrap_or(u32::MAX);
    state.consumers = rows::consumers(connection, &next)?;
    state.ledger = ledger_rows::load(connection, &state.consumers)?;
    if !clean {
        state.ledger.skip_ids();
    }
    state.tags = rows::tags(connection)?;
    state.boots = rows::boots(connection)?;
    // Nothing changes them as long as the clock goes on as before.
    state.times = state.boots.times(state.times.version);
    state.facts = rows::facts(connection)?;
    state.wear = rows::wear(connection)?;
    state.audit = Audit::resume(rows::audit_last(connection)?);
    for class in Class::ALL {
        let reserved = rows::needed_meta(connection, &rows::reserved_key(class))?;
        let next = *next.get(class);
        let head = if clean { next } else { next.max(reserved) };
        // Nothing may be given out before more is reserved.
        *state.lanes.get_mut(class) =
            Lane { head, reserved: head, scan_from: head, next_in_file: next, ..Lane::default() };
        if next < head {
            // Of these nobody knows whether they were ever given out: skipped, not lost.
            for consumer in &mut state.consumers {
                let share = consumer.shares.get_mut(class);
                share.cursor.settle_gone(next..head);
                share.version += 1;
                state.ledger.record(&Loss {
                    reason: Reason::Skipped,
                    consumer: consumer.name.as_str(),
                    class,
                    range: next..head,
                    n: 0,
                    read: None,
                    shift_ms: None,
                    epoch: None,
                });
            }
        }
    }
    Ok(state)
}

/// Brings the WAL into the file before anything is added to it. What a crash left of its last
/// sector may be followed at once by the next frame, and a cut while that is written could take
/// commits in the same sector along. On a full disk it stays where it is.
fn bring_in(connection: &Connection) -> rusqlite::Result<()> {
    match checkpoint(connection, "PASSIVE") {
        Err(error) if !is_full(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The first transaction: positions are reserved before any is given out.
fn begin(connection: &mut Connection, state: &mut State) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    rows::put_meta(&transaction, rows::CLEAN, 0)?;
    for class in Class::ALL {
        let head = state.lanes.get(class).head;
        rows::put_meta(&transaction, &rows::next_key(class), head)?;
        rows::put_meta(&transaction, &rows::reserved_key(class), head + RESERVE)?;
    }
    // Rows of boots of which nothing is left would else pile up for ever.
    let used = Class::ALL.iter().filter_map(|class| *state.disk.oldest.get(*class));
    let oldest = used.map(|(boot, _)| boot).min().unwrap_or(state.boot).min(state.boot);
    if !may_have_salvaged(&transaction, state)? {
        state.boots.forget_before(oldest);
        rows::keep_boots(&transaction, &state.boots)?;
    }
    let work = state.rows_only();
    for share in &work.shares {
        rows::put_share(&transaction, share)?;
    }
    rows::put_boots(&transaction, &work.boots)?;
    ledger_rows::put(&transaction, &work.ledger)?;
    transaction.commit()?;
    for class in Class::ALL {
        let lane = state.lanes.get_mut(class);
        lane.reserved = lane.head + RESERVE;
    }
    state.committed(&work);
    Ok(())
}

/// Whether there may be chunks whose boots are older than those of the chunks before them.
fn may_have_salvaged(connection: &Connection, state: &State) -> rusqlite::Result<bool> {
    if !state.salvages.is_empty() {
        return Ok(true);
    }
    for class in Class::ALL {
        let upto = rows::meta(connection, &rows::salvaged_key(class)).ok().flatten().unwrap_or(0);
        let first = rows::first_chunk(connection, class, 0)?;
        if first.is_some_and(|(seq, _)| seq < upto) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes an orderly end: positions go on at `heads`.
pub fn mark_clean(
    connection: &Connection,
    heads: &PerClass<u64>,
    wear: &WearRows,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for class in Class::ALL {
        rows::put_meta(&transaction, &rows::next_key(class), *heads.get(class))?;
    }
    rows::put_meta(&transaction, rows::CLEAN, 1)?;
    rows::put_wear(&transaction, wear)?;
    transaction.commit()
}

/// Whether the file has the last chunk of a transaction, and so all of it.
pub fn holds(connection: &Connection, piece: &Piece) -> rusqlite::Result<bool> {
    let sql = format!("SELECT n FROM {} WHERE seq = ?1", chunk_table(piece.class));
    let n: Option<i64> = connection
        .query_row(&sql, [piece.range.start.cast_signed()], |row| row.get(0))
        .optional()?;
    Ok(n.map(i64::cast_unsigned) == Some(piece.range.end - piece.range.start))
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
        let page_bytes = schema::page_bytes(connection)?;
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

/// How far the WAL goes, and how far it is in the file.
pub fn wal(connection: &Connection) -> rusqlite::Result<Wal> {
    checkpoint(connection, "NOOP")
}

/// Runs a checkpoint; gives what the WAL is afterwards.
pub fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Wal> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let (busy, frames, done) = connection.query_row(&sql, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    if busy != 0 && mode == "TRUNCATE" {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(Wal { frames: count(frames), done: count(done) })
}

/// Which pages these frames of the WAL hold.
pub fn wal_pages(path: &Path, frames: Range<u64>) -> io::Result<Vec<u32>> {
    let wal = File::open(wal::path(path))?;
    let page = |frame| {
        let mut number = [0; 4];
        wal.read_exact_at(&mut number, Wal::page_place(frame))?;
        Ok(u32::from_be_bytes(number))
    };
    frames.map(page).collect()
}
