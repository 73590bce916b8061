//! Reading chunks beside the writer: one thread with a connection of its own, which copies out
//! and never holds a transaction while anyone waits for anything.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Row, params};
use tokio::sync::{mpsc, oneshot};

use super::chunk::Chunk;
use super::entry::{Body, BootNo, Entry};
use super::error::StoreError;
use super::lane::{body_bytes, fitting};
use super::ledger::DropRow;
use super::ledger_rows;
use super::schema::{self, chunk_table, is_damage};
use crate::model::{Class, Mono};

/// Reads that may wait; further ones wait for their place.
const QUEUE: usize = 16;
/// How long the connection's end is waited for.
const FORGET: Duration = Duration::from_secs(2);

/// What was found of a range.
#[derive(Debug, Default)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Everything before this position was looked at.
    pub scanned: u64,
    pub damaged: Vec<Range<u64>>,
}

/// Why nothing was found.
#[derive(Debug)]
pub struct ReadError {
    pub error: StoreError,
    /// The file itself is bad.
    pub damage: bool,
}

enum Request {
    Read {
        class: Class,
        range: Range<u64>,
        bytes_max: usize,
        reply: oneshot::Sender<Result<Page, ReadError>>,
    },
    /// The last rows of the ledger, oldest first.
    Drops { n: usize, reply: oneshot::Sender<rusqlite::Result<Vec<DropRow>>> },
    /// Close the connection: the file is about to be moved.
    Forget(SyncSender<()>),
    /// Give the memory of the page cache back.
    Shrink,
}

/// The door to the reader thread, which ends when this is closed or dropped.
pub struct Reader {
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    still: Arc<Mutex<bool>>,
}

impl Reader {
    /// `still`: nobody has the file open for writing.
    pub fn start(path: PathBuf, still: bool) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let still = Arc::new(Mutex::new(still));
        let gate = Arc::clone(&still);
        std::thread::Builder::new()
            .name("store-reader".to_owned())
            .spawn(move || serve(&path, receiver, &gate))
            .map_err(|error| StoreError::Thread(Arc::new(error)))?;
        Ok(Self { requests: Mutex::new(Some(sender)), still })
    }

    /// A reader of nothing, for a store in memory.
    pub fn none() -> Self {
        Self { requests: Mutex::new(None), still: Arc::default() }
    }

    fn sender(&self) -> Option<mpsc::Sender<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None` if there is no file to read.
    pub async fn read(
        &self,
        class: Class,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Option<Result<Page, ReadError>> {
        let sender = self.sender()?;
        let (reply, answer) = oneshot::channel();
        sender.send(Request::Read { class, range, bytes_max, reply }).await.ok()?;
        let closed = || ReadError { error: StoreError::Closed, damage: false };
        Some(answer.await.unwrap_or_else(|_| Err(closed())))
    }

    /// The last `n` rows of the ledger in the file, oldest first; none if there is no file.
    pub async fn drops(&self, n: usize) -> rusqlite::Result<Vec<DropRow>> {
        let Some(sender) = self.sender() else { return Ok(Vec::new()) };
        let (reply, answer) = oneshot::channel();
        let _ = sender.send(Request::Drops { n, reply }).await;
        answer.await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Closes the connection; the next read opens it again. Blocks until it is closed.
    pub fn forget(&self) {
        let Some(sender) = self.sender() else { return };
        let (done, closed) = sync_channel(1);
        if sender.blocking_send(Request::Forget(done)).is_ok() {
            forgotten(&closed);
        }
    }

    /// Has the memory of the page cache given back, if nothing is being asked for.
    pub fn shrink(&self) {
        if let Some(sender) = self.sender() {
            let _ = sender.try_send(Request::Shrink);
        }
    }

    /// Whether nobody has the file open for writing, so that it may be read as it lies. Waits for
    /// a read that is doing so.
    pub fn set_still(&self, still: bool) {
        *self.still.lock().unwrap_or_else(PoisonError::into_inner) = still;
    }

    pub fn close(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn forgotten(closed: &Receiver<()>) {
    if closed.recv_timeout(FORGET) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!("a read of the store takes long");
    }
}

fn serve(path: &Path, mut requests: mpsc::Receiver<Request>, still: &Mutex<bool>) {
    let mut connection: Option<Connection> = None;
    while let Some(request) = requests.blocking_recv() {
        match request {
            Request::Forget(done) => {
                connection = None;
                let _ = done.send(());
            }
            Request::Shrink => {
                // Where that fails the cache stays: it is bounded.
                let _ = connection.as_ref().map(Connection::release_memory);
            }
            Request::Read { class, range, bytes_max, reply } => {
                let found =
                    ask(path, &mut connection, still, |c| read(c, class, range.clone(), bytes_max));
                let _ = reply.send(found.map_err(|error| ReadError {
                    damage: is_damage(&error),
                    error: StoreError::Sqlite { doing: "read the store", source: Arc::new(error) },
                }));
            }
            Request::Drops { reply, .. } if !path.exists() => {
                let _ = reply.send(Ok(Vec::new()));
            }
            Request::Drops { n, reply } => {
                let found = ask(path, &mut connection, still, |c| ledger_rows::newest_drops(c, n));
                let _ = reply.send(found);
            }
        }
    }
}

/// Reads on the connection, which is opened if need be, and not used again if that failed.
fn ask<T>(
    path: &Path,
    connection: &mut Option<Connection>,
    still: &Mutex<bool>,
    read: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let open = connection.take().map_or_else(|| schema::connect_reader(path), Ok);
    let found = open.and_then(|open| {
        let found = read(&open)?;
        *connection = Some(open);
        Ok(found)
    });
    match found {
        Err(error) if !is_damage(&error) => ask_still(path, still, read).ok_or(error),
        other => other,
    }
}

/// Where nothing can be written, not even what a common reader needs.
fn ask_still<T>(
    path: &Path,
    still: &Mutex<bool>,
    read: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> Option<T> {
    // Held while reading, or the writer might come back meanwhile.
    let still = still.lock().unwrap_or_else(PoisonError::into_inner);
    if !*still {
        return None;
    }
    read(&schema::connect_still(path).ok()?).ok()
}

fn chunk_of(class: Class, row: &Row<'_>) -> rusqlite::Result<Chunk> {
    Ok(Chunk {
        class,
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        n: row.get::<_, i64>(1)?.cast_unsigned(),
        boot: BootNo(row.get(2)?),
        from: Mono(row.get(3)?),
        to: Mono(row.get(4)?),
        kind: row.get(5)?,
        codec: row.get(6)?,
        crc: row.get(7)?,
        body: row.get(8)?,
    })
}

/// Everything of `range` that fits; a row that can't be read or decoded is damaged, not an error.
pub fn read(
    connection: &Connection,
    class: Class,
    range: Range<u64>,
    bytes_max: usize,
) -> rusqlite::Result<Page> {
    let columns = "seq, n, boot, mono0, mono1, kind, codec, crc, body";
    let table = chunk_table(class);
    // The chunk that `range` begins in, and those after it.
    let sql = format!(
        "SELECT {columns} FROM {table}
         WHERE seq >= ifnull((SELECT max(seq) FROM {table} WHERE seq <= ?1), ?1) AND seq < ?2
         ORDER BY seq"
    );
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query(params![range.start.cast_signed(), range.end.cast_signed()])?;
    let mut page = Page { scanned: range.start, ..Page::default() };
    let mut left = bytes_max;
    let mut damaged: Option<Range<u64>> = None;
    while let Some(row) = rows.next()? {
        let seq = row.get::<_, i64>(0)?.cast_unsigned();
        close_damage(&mut page, &mut damaged, seq);
        page.scanned = page.scanned.max(seq);
        let entries = chunk_of(class, row).ok().and_then(|chunk| chunk.decode().ok());
        let Some(entries) = entries else {
            let n = row.get::<_, i64>(1).unwrap_or(1).cast_unsigned().max(1);
            damaged = Some(seq.max(range.start)..seq.saturating_add(n).min(range.end));
            continue;
        };
        for entry in entries {
            let whole = entry.range();
            if whole.end.0 <= range.start {
                continue;
            }
            if whole.start.0 >= range.end || (left == 0 && !page.entries.is_empty()) {
                return Ok(page);
            }
            let entry = clip(entry, &range, left);
            left = left.saturating_sub(body_bytes(&entry.body));
            page.scanned = entry.range().end.0;
            let cut = page.scanned < whole.end.0.min(range.end);
            page.entries.push(entry);
            if cut {
                return Ok(page);
            }
        }
        if left == 0 {
            return Ok(page);
        }
    }
    close_damage(&mut page, &mut damaged, range.end);
    page.scanned = range.end;
    Ok(page)
}

/// Damage ends where the next chunk begins, whatever the damaged count says.
fn close_damage(page: &mut Page, damaged: &mut Option<Range<u64>>, next: u64) {
    if let Some(range) = damaged.take()
        && range.start < range.end.min(next)
    {
        page.damaged.push(range.start..range.end.min(next));
    }
}

fn clip(entry: Entry, range: &Range<u64>, bytes_max: usize) -> Entry {
    let Body::Readings(readings) = entry.body else { return entry };
    let from = range.start.max(entry.seq.0);
    let skip = usize::try_from(from - entry.seq.0).unwrap_or(usize::MAX);
    let take = usize::try_from(range.end - from).unwrap_or(usize::MAX);
    let body = Body::Readings(fitting(readings.iter().skip(skip).take(take), bytes_max));
    Entry { seq: crate::model::Seq(from), boot: entry.boot, body }
}
