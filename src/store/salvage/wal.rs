//! SQLite's write-ahead log: which frames it has, and where its chain of checksums breaks.
//!
//! Follows sqlite.org/fileformat2.html, section 4. SQLite takes the frames up to the last commit
//! before the first frame that does not fit, and silently forgets the rest: that is right for a
//! transaction that a power cut or a kill tore, and loses everything after a bit that flipped. Every
//! commit is synced before the next one begins, so only the last transaction can be torn: when
//! another follows behind the break, it is damage. (A bit that flips in the very last one passes for
//! a tear.) Frames of an earlier round of the log have other salts, and end it in good order.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
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
    /// Whether the header is no good: then SQLite believes none of the frames.
    headless: bool,
    chain: Chain,
}

type Sum = (u32, u32);

/// How far the frames of this round follow from one another.
#[derive(Debug, Clone, Copy, Default)]
struct Chain {
    /// Frames up to the last commit.
    committed: u32,
    /// Whether others follow behind that.
    tail: bool,
    /// The frame that does not fit although it, or one behind it, is of this round.
    breaks_at: Option<u32>,
    /// Whether a transaction follows behind the one in which it breaks.
    goes_on: bool,
}

/// What the database has of the frames behind a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Not all: what SQLite sees is an earlier state, but one that was.
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
    commits: bool,
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
            headless: word(0) & !1 != MAGIC || sum != (word(24), word(28)),
            chain: Chain::default(),
        };
        if wal.headless {
            // Each frame still says what the next one's checksum begins with.
            wal.salts = salts(&wal.frame_bytes(0)?);
            let [little, other] = [wal.chain(false, None)?, wal.chain(true, None)?];
            let big = other.committed > little.committed;
            wal.chain = if big { other } else { little };
            wal.damaged = wal.goes_on(big, 0, 0, None)?;
        } else {
            wal.chain = wal.chain(big, Some(sum))?;
            wal.broken = wal.chain.breaks_at.is_some();
            wal.damaged = wal.chain.goes_on;
            wal.tail = wal.chain.tail || wal.broken;
        }
        Ok(Some(wal))
    }

    /// Goes along the chain, to where it breaks or the round ends. Without the checksum of the
    /// header, that of the first frame is taken for right.
    fn chain(&self, big: bool, header: Option<Sum>) -> io::Result<Chain> {
        let (mut chain, mut sum, mut filled) = (Chain::default(), header, 0);
        for frame in 0..self.frames {
            let bytes = self.frame_bytes(frame)?;
            let stored = stored_sum(&bytes);
            let expected = sum.map_or(stored, |sum| frame_sum(big, sum, &bytes));
            if salts(&bytes) != self.salts || stored != expected {
                if self.any_is_ours(frame)? {
                    chain.breaks_at = Some(frame);
                    chain.goes_on = self.goes_on(big, frame, filled, sum)?;
                }
                break;
            }
            sum = Some(stored);
            chain.tail = !is_commit(&bytes);
            if !chain.tail {
                chain.committed = frame + 1;
                if self.offset(frame) >= filled {
                    filled = self.filled_to(frame);
                }
            }
        }
        Ok(chain)
    }

    fn any_is_ours(&self, from: u32) -> io::Result<bool> {
        for frame in from..self.frames {
            if self.is_ours(&self.frame_bytes(frame)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether anything is behind the first commit from `from` on, with `sum` before it. SQLite
    /// fills up the sector of a commit by repeating its frame, and syncs before the last of these is
    /// written to its end: what begins before `filled` does not count.
    fn goes_on(&self, big: bool, from: u32, filled: u64, sum: Option<Sum>) -> io::Result<bool> {
        let (mut commits, mut filled) = (false, filled);
        for frame in from..self.frames {
            let bytes = self.frame_bytes(frame)?;
            if !self.is_ours(&bytes) || self.offset(frame) < filled {
                continue;
            }
            if commits {
                return Ok(true);
            }
            // A header that was torn between its words has the salts of this round, and may say of an
            // earlier one that it commits.
            let sum = sum.filter(|_| frame == from);
            if is_commit(&bytes)
                && (self.follows(big, frame, &bytes, sum)? || self.is_repeated(frame, &bytes)?)
            {
                (commits, filled) = (true, self.filled_to(frame));
            }
        }
        Ok(false)
    }

    /// Whether the frame's sum goes on from the one before, from what that one says it is or, if a
    /// bit of it flipped, from what it has to be; or from `sum`, if that is known.
    fn follows(&self, big: bool, frame: u32, bytes: &[u8], sum: Option<Sum>) -> io::Result<bool> {
        let stored = stored_sum(bytes);
        if let Some(sum) = sum {
            return Ok(stored == frame_sum(big, sum, bytes));
        }
        let Some(before) = frame.checked_sub(1) else { return Ok(true) };
        let before_bytes = self.frame_bytes(before)?;
        if stored == frame_sum(big, stored_sum(&before_bytes), bytes) {
            return Ok(true);
        }
        let Some(first) = before.checked_sub(1) else { return Ok(false) };
        let sum = frame_sum(big, stored_sum(&self.frame_bytes(first)?), &before_bytes);
        Ok(stored == frame_sum(big, sum, bytes))
    }

    /// Whether the frame behind is the same, as it has to be when a commit does not end a sector.
    fn is_repeated(&self, frame: u32, bytes: &[u8]) -> io::Result<bool> {
        let next = frame + 1;
        if self.offset(next) == self.filled_to(frame) {
            return Ok(true);
        }
        if next == self.frames {
            return Ok(false);
        }
        let next = self.frame_bytes(next)?;
        let same = |range: Range<usize>| {
            next.get(range.clone()).zip(bytes.get(range)).is_some_and(|(a, b)| are_near(a, b))
        };
        Ok(same(0..8) && same(FRAME_HEADER_BYTES..bytes.len()))
    }

    fn offset(&self, frame: u32) -> u64 {
        HEADER_BYTES as u64 + u64::from(frame) * (FRAME_HEADER_BYTES + self.page_bytes) as u64
    }

    /// How far frames are repeated when this one commits.
    fn filled_to(&self, frame: u32) -> u64 {
        self.offset(frame + 1).next_multiple_of(SECTOR_BYTES)
    }

    /// How the database stands to a broken log.
    pub fn database(&self, path: &Path) -> io::Result<Database> {
        let there = Pages { file: File::open(path)?, page_bytes: self.page_bytes };
        Ok(if self.headless { self.stands(&there) } else { self.overlaid(&there) })
    }

    /// SQLite sees the database alone: it has to be as it was at one of the commits.
    fn stands(&self, there: &Pages) -> Database {
        let mut pages = HashMap::<u32, Vec<bool>>::new();
        let mut frames = Vec::new();
        for index in 0..self.frames {
            let Some(frame) = self.frame(index) else { continue };
            let same = there.has(&frame);
            pages.entry(frame.number).or_default().push(same);
            frames.push((index, frame.number, same, frame.commits));
        }
        // Before its first frame a page may be in any state but a later one; it may have had its
        // first state already: whole sectors are written, with the pages that did not change.
        let mut fits: HashMap<u32, bool> = pages
            .iter()
            .map(|(number, states)| {
                let mut states = states.iter();
                (*number, states.next() == Some(&true) || !states.any(|same| *same))
            })
            .collect();
        let mut misfits = fits.values().filter(|fits| !**fits).count();
        let mut was = misfits == 0;
        for (index, number, same, commits) in frames {
            if index >= self.chain.committed {
                break; // Never told as safe, or behind a second break.
            }
            let before = fits.insert(number, same).unwrap_or(true);
            misfits = misfits + usize::from(before && !same) - usize::from(!before && same);
            let is_last = index + 1 == self.chain.committed;
            if commits && misfits == 0 {
                was = true;
                if is_last && !self.chain.goes_on {
                    return Database::Complete;
                }
            }
        }
        if was { Database::Behind } else { Database::Mixed }
    }

    /// SQLite sees the pages of the frames it believes, and for all others the database's.
    fn overlaid(&self, there: &Pages) -> Database {
        /// What is known of the page of some frames.
        #[derive(Default)]
        struct Seen {
            /// Whether a state that SQLite may see, or one behind the break, is the database's.
            believed: bool,
            later: bool,
            newest: bool,
        }
        let mut pages = HashMap::<u32, Seen>::new();
        let mut damaged = None;
        for index in 0..self.frames {
            let Some(frame) = self.frame(index) else { continue };
            if Some(index) == self.chain.breaks_at {
                damaged = Some(frame.page);
                continue;
            }
            let same = there.has(&frame);
            // What SQLite believes may be in the database, wherever a checkpoint was cut off; and a
            // page's first state may be what it had before: whole sectors are written, with the
            // pages that did not change.
            let is_first = !pages.contains_key(&frame.number);
            let seen = pages.entry(frame.number).or_default();
            if index < self.chain.committed || is_first {
                seen.believed |= same;
            } else {
                seen.later |= same;
            }
            seen.newest = same;
        }
        let lacks = |(number, seen): (&u32, &Seen)| {
            // It may be that the damaged frame was the newest one of this page.
            let page = there.page(*number);
            let later = damaged.as_ref().zip(page).is_some_and(|(a, b)| are_near(a, &b));
            !later && !seen.newest
        };
        if !pages.iter().any(lacks) {
            Database::Complete
        } else if pages.values().any(|seen| seen.later && !seen.believed) {
            Database::Mixed
        } else {
            Database::Behind
        }
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
        Some(Frame { number: be32(&bytes, 0)?, page, commits: is_commit(&bytes) })
    }
}

/// The pages of the database, as they lie.
struct Pages {
    file: File,
    page_bytes: usize,
}

impl Pages {
    fn page(&self, number: u32) -> Option<Page> {
        let mut page = blank(self.page_bytes);
        let at = u64::from(number.checked_sub(1)?) * self.page_bytes as u64;
        self.file.read_exact_at(&mut page, at).ok().map(|()| page)
    }

    /// Whether a frame's page is there in the frame's state.
    fn has(&self, frame: &Frame) -> bool {
        self.page(frame.number).as_ref() == Some(&frame.page)
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

fn stored_sum(frame: &[u8]) -> Sum {
    (be32(frame, 16).unwrap_or(0), be32(frame, 20).unwrap_or(0))
}

/// What the sum of a frame has to be behind a frame with that sum.
fn frame_sum(big: bool, before: Sum, frame: &[u8]) -> Sum {
    let sum = checksum(big, before, frame.get(..8).unwrap_or_default());
    checksum(big, sum, frame.get(FRAME_HEADER_BYTES..).unwrap_or_default())
}

/// Section 4.2: two running sums over pairs of words.
fn checksum(big: bool, start: Sum, bytes: &[u8]) -> Sum {
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
    use std::path::PathBuf;

    use rusqlite::Connection;

    use super::*;

    fn log(path: &Path) -> PathBuf {
        path.with_extension("db-wal")
    }

    fn checkpoint(connection: &Connection, how: &str) {
        let words = format!("PRAGMA wal_checkpoint({how})");
        connection.query_row(&words, [], |_| Ok(())).unwrap();
    }

    /// Two tables of a row each, all of it in the database and nothing in the log. As in all our
    /// files, the frame of a commit is repeated to the end of its sector.
    fn two_tables(path: &Path) -> Connection {
        let connection = Connection::open(format!("file:{}?psow=0", path.display())).unwrap();
        connection
            .execute_batch(
                "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
                 CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
                 CREATE TABLE u(a INTEGER PRIMARY KEY, b TEXT);
                 INSERT INTO t VALUES(1, 'first'); INSERT INTO u VALUES(1, 'first');",
            )
            .unwrap();
        checkpoint(&connection, "TRUNCATE");
        connection
    }

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
        let connection = two_tables(&path);
        connection.execute("UPDATE t SET b='secnd'", []).unwrap();
        connection.execute("UPDATE t SET b='third'", []).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(log(&path), log(&copy)).unwrap();
        checkpoint(&Connection::open(&copy).unwrap(), "TRUNCATE");
        connection.execute("UPDATE t SET b='forth'", []).unwrap();
        connection
            .execute_batch("BEGIN; UPDATE t SET b='third'; UPDATE u SET b='other'; COMMIT;")
            .unwrap();
        let mut bytes = std::fs::read(log(&path)).unwrap();
        bytes[HEADER_BYTES + 5 * (FRAME_HEADER_BYTES + 4_096) - 1] ^= 1;
        io::Write::write_all(&mut File::create(log(&copy)).unwrap(), &bytes).unwrap();
        let wal = Wal::open(&log(&copy), 4_096).unwrap().unwrap();
        assert_eq!((wal.damaged, wal.chain.committed, wal.frames), (true, 4, 9));
        assert_eq!(wal.database(&copy).unwrap(), Database::Behind);
        // The whole of the last one puts it ahead.
        checkpoint(&connection, "TRUNCATE");
        assert_eq!(wal.database(&path).unwrap(), Database::Complete);
    }

    /// A start that began the log anew was cut off within its header, and what an earlier cut left of
    /// an unfinished transaction is still behind the frames: the database has all that ever counted.
    #[test]
    fn a_torn_header_before_a_torn_end_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("a.db"), dir.path().join("b.db"));
        let connection = two_tables(&path);
        let base = std::fs::read(&path).unwrap();
        for word in ["secnd", "third"] {
            connection.execute("UPDATE t SET b=?1", [word]).unwrap();
        }
        std::fs::copy(log(&path), log(&copy)).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        let other = Connection::open(&copy).unwrap();
        checkpoint(&other, "PASSIVE");
        let third = std::fs::read(&copy).unwrap();
        drop(other);
        connection
            .execute_batch("BEGIN; UPDATE t SET b='forth'; UPDATE u SET b='forth'; COMMIT;")
            .unwrap();
        let frame = |n: usize| HEADER_BYTES + n * (FRAME_HEADER_BYTES + 4_096);
        let whole = std::fs::read(log(&path)).unwrap();
        assert_eq!(whole.len(), frame(7));
        let stand = |database: &[u8], bytes: &[u8]| {
            io::Write::write_all(&mut File::create(&copy).unwrap(), database).unwrap();
            io::Write::write_all(&mut File::create(log(&copy)).unwrap(), bytes).unwrap();
            let wal = Wal::open(&log(&copy), 4_096).unwrap().unwrap();
            assert!(wal.broken && wal.tail);
            (wal.damaged, wal.database(&copy).unwrap())
        };
        let mut torn = whole.clone();
        torn[frame(6) - 1_000..].fill(0);
        torn[12..19].fill(0x5a);
        assert_eq!(stand(&third, &torn), (true, Database::Complete));
        // A bit of the header of a log that is needed is damage, wherever the database stands.
        let mut flipped = whole.clone();
        flipped[17] ^= 4;
        assert_eq!(stand(&base, &flipped), (true, Database::Behind));
        assert_eq!(stand(&third, &flipped), (true, Database::Behind));
        checkpoint(&connection, "PASSIVE");
        let forth = std::fs::read(&path).unwrap();
        assert_eq!(stand(&forth, &flipped), (true, Database::Complete));
        let mut mixed = third;
        mixed[4_096..8_192].copy_from_slice(&forth[4_096..8_192]); // The second page is `t`.
        assert_eq!(stand(&mixed, &flipped), (true, Database::Mixed));
    }

    /// Of a transaction that was torn everywhere, a header was torn between its words: of the round
    /// before it says that it commits. Nothing but that transaction is lost.
    #[test]
    fn a_torn_frame_header_ends_no_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let connection = two_tables(&path);
        let fill = |bytes: u32| {
            connection.execute("UPDATE t SET b=zeroblob(?1)", [bytes]).unwrap();
        };
        let place = |n: u32| (HEADER_BYTES + n as usize * (FRAME_HEADER_BYTES + 4_096), n);
        let (at, torn) = (0..).map(place).find(|(at, _)| at % 512 == 504).unwrap();
        let commits = |bytes: &[u8]| is_commit(&bytes[at..]);
        let old = loop {
            connection.execute("UPDATE u SET b=b||'.'", []).unwrap();
            let bytes = std::fs::read(log(&path)).unwrap();
            if bytes.len() > at + 8 {
                break bytes;
            }
        };
        assert!(commits(&old));
        checkpoint(&connection, "PASSIVE");
        fill(300_000);
        let whole = std::fs::read(log(&path)).unwrap();
        assert!(!commits(&whole));
        let open = |bytes: &[u8]| {
            let copy = dir.path().join("copy");
            io::Write::write_all(&mut File::create(&copy).unwrap(), bytes).unwrap();
            Wal::open(&copy, 4_096).unwrap().unwrap()
        };
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&old[at..at + 8]);
        let wal = open(&bytes);
        assert_eq!((wal.chain.breaks_at, wal.damaged), (Some(torn), false));
        // The same with its beginning lost: the log is not to be gone on with.
        let mut bytes = whole.clone();
        bytes[HEADER_BYTES..8_192].fill(0);
        let wal = open(&bytes);
        assert_eq!((wal.broken, wal.tail, wal.damaged), (true, true, false));
        // Damage is damage: another transaction follows.
        connection.execute("UPDATE u SET b='other'", []).unwrap();
        let whole = std::fs::read(log(&path)).unwrap();
        for lost in [at..at + 8, HEADER_BYTES..8_192] {
            let mut bytes = whole.clone();
            bytes[lost].fill(0);
            assert!(open(&bytes).damaged);
        }
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
        checkpoint(&connection, "PASSIVE");
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
        for byte in (0..used).step_by(97.max(size / 16) | 1).chain(0..60) {
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
