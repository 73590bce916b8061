//! SQLite's write-ahead log: which frames it has, and where its chain of checksums breaks.
//!
//! Follows sqlite.org/fileformat2.html, section 4. SQLite takes the frames up to the last commit
//! before the first frame that does not fit, and silently forgets the rest: that is right for a
//! transaction that a power cut or a kill tore, and loses everything after a bit that flipped. Every
//! commit is synced before the next one begins, so only the last transaction can be torn: when
//! another follows behind the break, it is damage. (A bit that flips in the very last one passes for
//! a tear.) A frame of an earlier round of the log has other salts, and ends it in good order.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::pages::{Page, SIZES, be32, blank};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// What SQLite takes for a sector that a write may take with it (`psow=0`).
const SECTOR_BYTES: u64 = 4_096;
/// The last bit says in which order of bytes checksums are made.
const MAGIC: u32 = 0x377f_0682;
/// Salts that differ in no more bits are the same salts, damaged.
const SALT_BITS: u32 = 2;

pub struct Wal {
    file: File,
    /// Bytes of a page.
    page_bytes: usize,
    /// Whole frames in the file, of whatever round.
    pub frames: u32,
    salts: (u32, u32),
    /// Whether frames of this round are there that SQLite does not believe.
    pub broken: bool,
    /// Whether a transaction follows behind the one in which the chain breaks.
    pub damaged: bool,
    /// Whether anything of this round is behind the last commit.
    pub tail: bool,
    /// Frames up to the last commit that SQLite believes.
    believed: u32,
    /// The frame that does not fit.
    breaks_at: u32,
}

/// What the database has of the frames behind a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Nothing: what SQLite sees is an earlier state, but one that was.
    Behind,
    /// Everything: the log is not needed.
    Complete,
    /// A part: what SQLite sees never was.
    Mixed,
}

/// One frame.
pub struct Frame {
    /// The page it holds.
    pub number: u32,
    pub page: Page,
}

impl Wal {
    /// `None` if there is no log, or nothing in it. `page_bytes` is believed if the log itself has
    /// no right size.
    pub fn open(path: &Path, page_bytes: usize) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let Some(frames_bytes) = length.checked_sub(HEADER_BYTES) else { return Ok(None) };
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let own = be32(&header, 8).and_then(|size| usize::try_from(size).ok());
        let page_bytes = own.filter(|size| SIZES.contains(size)).unwrap_or(page_bytes);
        let frames = u32::try_from(frames_bytes / (FRAME_HEADER_BYTES + page_bytes));
        let frames = frames.unwrap_or(u32::MAX);
        if frames == 0 {
            return Ok(None);
        }
        let word = |at| be32(&header, at).unwrap_or(0);
        let big = word(0) & 1 == 1;
        let sum = checksum(big, (0, 0), header.get(..24).unwrap_or_default());
        let mut wal = Self {
            file,
            page_bytes,
            frames,
            salts: (word(16), word(20)),
            broken: true,
            damaged: false,
            tail: true,
            believed: 0,
            breaks_at: u32::MAX,
        };
        if word(0) & !1 == MAGIC && sum == (word(24), word(28)) {
            wal.follow(big, sum)?;
        } else {
            let first = wal.frame_bytes(0)?;
            wal.salts = salts(&first);
            wal.damaged = wal.goes_on(0, 0);
        }
        Ok(Some(wal))
    }

    /// Goes along the chain, to where it breaks or the round ends.
    fn follow(&mut self, big: bool, header: (u32, u32)) -> io::Result<()> {
        let (mut sum, mut filled) = (header, 0);
        (self.broken, self.tail) = (false, false);
        for frame in 0..self.frames {
            let bytes = self.frame_bytes(frame)?;
            if salts(&bytes) != self.salts {
                self.broken = self.is_ours(&bytes);
                self.breaks_at = frame;
                self.damaged = self.broken && self.goes_on(frame, filled);
                break;
            }
            sum = checksum(big, sum, bytes.get(..8).unwrap_or_default());
            sum = checksum(big, sum, bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default());
            let stored = (be32(&bytes, 16).unwrap_or(0), be32(&bytes, 20).unwrap_or(0));
            if sum != stored {
                self.broken = true;
                self.breaks_at = frame;
                self.damaged = self.goes_on(frame, filled);
                break;
            }
            self.tail = !is_commit(&bytes);
            if !self.tail {
                self.believed = frame + 1;
                if self.offset(frame) >= filled {
                    filled = self.filled_to(frame);
                }
            }
        }
        self.tail |= self.broken;
        Ok(())
    }

    /// Whether anything is behind the first commit from `frame` on. SQLite fills up the sector of a
    /// commit by repeating its frame, and syncs before the last of these is written to its end:
    /// what begins before `filled` does not count.
    fn goes_on(&self, frame: u32, mut filled: u64) -> bool {
        let mut commits = false;
        for frame in (frame..self.frames).filter(|frame| self.frame(*frame).is_some()) {
            if self.offset(frame) < filled {
                continue;
            }
            if commits {
                return true;
            }
            let bytes = self.frame_bytes(frame).unwrap_or_default();
            if is_commit(&bytes) {
                (commits, filled) = (true, self.filled_to(frame));
            }
        }
        false
    }

    fn offset(&self, frame: u32) -> u64 {
        HEADER_BYTES as u64 + u64::from(frame) * (FRAME_HEADER_BYTES + self.page_bytes) as u64
    }

    /// How far frames are repeated when this one commits.
    fn filled_to(&self, frame: u32) -> u64 {
        self.offset(frame + 1).next_multiple_of(SECTOR_BYTES)
    }

    /// How the database stands to a broken log: SQLite will see the pages of the frames it
    /// believes, and for all others the database's.
    pub fn database(&self, path: &Path) -> io::Result<Database> {
        let file = File::open(path)?;
        let page_of = |number: u32| -> Option<Page> {
            let mut page = blank(self.page_bytes);
            let at = u64::from(number.checked_sub(1)?) * self.page_bytes as u64;
            file.read_exact_at(&mut page, at).ok().map(|()| page)
        };
        let (mut states, mut newest) = (HashMap::<u32, Vec<Page>>::new(), HashMap::new());
        let mut ahead = false;
        let mut damaged = None;
        for index in 0..self.frames {
            let Some(Frame { number, page }) = self.frame(index) else { continue };
            if index == self.breaks_at {
                damaged = Some(page);
                continue;
            }
            // What SQLite believes may be in the database, wherever a checkpoint was cut off; and a
            // page's first state may be what it had before: whole sectors are written, with the
            // pages that did not change.
            let known = states.entry(number).or_default();
            if index < self.believed || known.is_empty() {
                known.push(page.clone());
            } else {
                ahead |= !known.contains(&page) && page_of(number).as_ref() == Some(&page);
            }
            newest.insert(number, page);
        }
        let lacks = |(number, page): &(&u32, &Page)| {
            let there = page_of(**number);
            // It may be that the damaged frame was the newest one of this page.
            let later = damaged.as_ref().zip(there.as_ref()).is_some_and(|(a, b)| are_near(a, b));
            !later && there.as_ref() != Some(*page)
        };
        Ok(if !newest.iter().any(|entry| lacks(&entry)) {
            Database::Complete
        } else if ahead {
            Database::Mixed
        } else {
            Database::Behind
        })
    }

    /// Whether the frame is of this round, as far as that can be told from damaged salts.
    fn is_ours(&self, bytes: &[u8]) -> bool {
        let (a, b) = salts(bytes);
        (a ^ self.salts.0).count_ones() + (b ^ self.salts.1).count_ones() <= SALT_BITS
    }

    fn frame_bytes(&self, frame: u32) -> io::Result<Vec<u8>> {
        let mut bytes = blank(FRAME_HEADER_BYTES + self.page_bytes);
        self.file.read_exact_at(&mut bytes, self.offset(frame))?;
        Ok(bytes)
    }

    /// A frame of this round, whether or not its checksum holds.
    pub fn frame(&self, frame: u32) -> Option<Frame> {
        let bytes = self.frame_bytes(frame).ok().filter(|bytes| self.is_ours(bytes))?;
        let page = bytes.get(FRAME_HEADER_BYTES..)?.to_vec();
        Some(Frame { number: be32(&bytes, 0)?, page })
    }
}

/// Whether these are one page, but for a flipped bit: two states of a page differ in more, since
/// rows have their CRC in them.
fn are_near(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() <= 1
}

/// A commit says how many pages the database has then.
fn is_commit(frame: &[u8]) -> bool {
    be32(frame, 4).is_some_and(|pages| pages != 0)
}

fn salts(frame: &[u8]) -> (u32, u32) {
    (be32(frame, 8).unwrap_or(0), be32(frame, 12).unwrap_or(0))
}

/// Section 4.2: two running sums over pairs of words.
fn checksum(big: bool, start: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let (mut a, mut b) = start;
    for pair in bytes.chunks_exact(8) {
        let (Some(x), Some(y)) = (be32(pair, 0), be32(pair, 4)) else { break };
        let (x, y) = if big { (x, y) } else { (x.swap_bytes(), y.swap_bytes()) };
        a = a.wrapping_add(x).wrapping_add(b);
        b = b.wrapping_add(y).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// A log of SQLite's own making is whole; one bit anywhere in its last round breaks it, and
    /// what an earlier round left behind does not.
    #[test]
    fn a_flipped_bit_breaks_the_chain_and_old_frames_do_not() {
        SIZES.into_iter().for_each(look_at_pages_of);
    }

    /// A checkpoint that was cut off has brought what SQLite believes into the database: that a later,
    /// disbelieved transaction has a page in the same state does not put the database ahead.
    #[test]
    fn a_state_that_came_back_is_no_sign_of_a_later_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("a.db"), dir.path().join("b.db"));
        let log = |path: &Path| path.with_extension("db-wal");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
                 CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
                 CREATE TABLE u(a INTEGER PRIMARY KEY, b TEXT);
                 INSERT INTO t VALUES(1, 'first'); INSERT INTO u VALUES(1, 'first');",
            )
            .unwrap();
        let all = |connection: &Connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        };
        all(&connection);
        connection.execute("UPDATE t SET b='secnd'", []).unwrap();
        connection.execute("UPDATE t SET b='third'", []).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(log(&path), log(&copy)).unwrap();
        all(&Connection::open(&copy).unwrap());
        connection.execute("UPDATE t SET b='forth'", []).unwrap();
        connection
            .execute_batch("BEGIN; UPDATE t SET b='third'; UPDATE u SET b='other'; COMMIT;")
            .unwrap();
        let mut bytes = std::fs::read(log(&path)).unwrap();
        bytes[HEADER_BYTES + 3 * (FRAME_HEADER_BYTES + 4_096) - 1] ^= 1;
        io::Write::write_all(&mut File::create(log(&copy)).unwrap(), &bytes).unwrap();
        let wal = Wal::open(&log(&copy), 4_096).unwrap().unwrap();
        assert_eq!((wal.damaged, wal.believed, wal.frames), (true, 2, 5));
        assert_eq!(wal.database(&copy).unwrap(), Database::Behind);
        // The whole of the last one puts it ahead.
        all(&connection);
        assert_eq!(wal.database(&path).unwrap(), Database::Complete);
    }

    fn look_at_pages_of(size: usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let log = dir.path().join("a.db-wal");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!(
                "PRAGMA page_size={size}; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
                 CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB);"
            ))
            .unwrap();
        let fill = |n: i64| {
            for _ in 0..n {
                connection.execute("INSERT INTO t(b) VALUES(randomblob(700))", []).unwrap();
            }
        };
        fill(40);
        let whole = Wal::open(&log, size).unwrap().unwrap();
        assert!(!whole.broken && whole.frames > 40);
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        fill(10);
        let second = Wal::open(&log, size).unwrap().unwrap();
        assert!(!second.broken && !second.tail);
        assert_eq!(second.frames, whole.frames, "the rest of the first round is there");
        let ours = (0..second.frames).filter(|frame| second.frame(*frame).is_some()).count();
        assert!((10..40).contains(&ours), "{ours}");
        let copy = dir.path().join("copy");
        let bytes = std::fs::read(&log).unwrap();
        let used = HEADER_BYTES + ours * (FRAME_HEADER_BYTES + size);
        let mut unnoticed = Vec::new();
        for byte in (0..used).step_by(97).chain(0..60) {
            let mut bytes = bytes.clone();
            bytes[byte] ^= 1 << (byte % 8);
            io::Write::write_all(&mut File::create(&copy).unwrap(), &bytes).unwrap();
            if !Wal::open(&copy, size).unwrap().unwrap().broken {
                unnoticed.push(byte);
            }
        }
        assert_eq!(unnoticed, Vec::<usize>::new());
        assert!(Wal::open(&dir.path().join("none"), size).unwrap().is_none());
    }
}
