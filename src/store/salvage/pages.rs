//! SQLite's pages without SQLite: the rows of a page, as far as they can be made out.
//!
//! Follows sqlite.org/fileformat2.html, section 1.6 (b-tree pages) and 2.1 (records), for what our
//! files use: no reserved bytes, leaf pages of tables (0x0d), and both kinds of pages
//! of tables without rowid (0x0a, 0x02). Whether anything leads to a page is of no interest.
//! Pure; the bytes may be anything. That a row is the one that was written can only be told by its
//! own CRC.

/// One page; all of a file are of the same size.
pub type Page = Vec<u8>;

/// Sizes that pages of our files have or had, the newest first.
pub const SIZES: [usize; 2] = [4_096, 1_024];

/// Bytes of the file's header, which stands at the beginning of its first page.
const FILE_HEADER: usize = 100;
/// A row longer than this is damage, or not worth the memory.
const ROW_BYTES_MAX: usize = 64 << 20;

/// A column of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Null,
    Integer(i64),
    /// Bytes of a text or blob.
    Bytes(Vec<u8>),
    /// What our tables don't have.
    Other,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `None` in a table without rowid.
    pub rowid: Option<i64>,
    pub fields: Vec<Field>,
}

/// Kinds of pages that hold rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    WithoutRowid,
    WithoutRowidInterior,
}

impl Kind {
    fn of(flag: u8) -> Option<Self> {
        match flag {
            0x0d => Some(Self::Table),
            0x0a => Some(Self::WithoutRowid),
            0x02 => Some(Self::WithoutRowidInterior),
            _ => None,
        }
    }

    /// Where the pointers to cells begin, and how long the pointer before each row is.
    fn lengths(self) -> (usize, usize) {
        if self == Self::WithoutRowidInterior { (12, 4) } else { (8, 0) }
    }

    /// How much of a payload lies in the cell itself (section 1.6).
    fn local(self, payload: usize, usable: usize) -> usize {
        let max = match self {
            Self::Table => usable - 35,
            _ => (usable - 12) * 64 / 255 - 23,
        };
        if payload <= max {
            return payload;
        }
        let min = (usable - 12) * 32 / 255 - 23;
        let spread = min + (payload - min) % (usable - 4);
        if spread <= max { spread } else { min }
    }
}

fn header(number: u32) -> usize {
    if number == 1 { FILE_HEADER } else { 0 }
}

/// How many cells the page claims to have, if it holds rows.
pub fn cells(number: u32, page: &[u8]) -> u16 {
    let head = page.get(header(number)..).unwrap_or_default();
    if head.first().copied().and_then(Kind::of).is_none() {
        return 0;
    }
    let claimed = be16(head, 3).unwrap_or(0);
    claimed.min(u16::try_from(page.len() / 4).unwrap_or(u16::MAX))
}

/// The size of the pages, by the beginning of a database.
pub fn size_by_header(header: &[u8]) -> Option<usize> {
    be16(header, 16).map(usize::from).filter(|size| SIZES.contains(size))
}

/// Bytes of a size, all zero.
pub fn blank(size: usize) -> Page {
    vec![0; size]
}

/// One row of page `number` (from 1). `overflow` gives other pages, for a row longer than one.
pub fn row(
    number: u32,
    page: &[u8],
    cell: u16,
    overflow: &mut dyn FnMut(u32) -> Option<Page>,
) -> Option<Row> {
    let head = page.get(header(number)..).filter(|_| SIZES.contains(&page.len()))?;
    let kind = Kind::of(*head.first()?)?;
    let (pointers, child) = kind.lengths();
    let at = usize::from(be16(head, pointers + 2 * usize::from(cell))?);
    let mut input = page.get(at + child..)?;
    let length = usize::try_from(varint(&mut input)?).ok().filter(|n| *n <= ROW_BYTES_MAX)?;
    let rowid = match kind {
        Kind::Table => Some(varint(&mut input)?.cast_signed()),
        Kind::WithoutRowid | Kind::WithoutRowidInterior => None,
    };
    let local = kind.local(length, page.len());
    let mut payload = input.get(..local)?.to_vec();
    let mut next = be32(input, local).filter(|_| local < length);
    while payload.len() < length {
        let page = overflow(next.filter(|page| *page > 0)?)?;
        let take = (length - payload.len()).min(page.len().checked_sub(4)?);
        payload.extend_from_slice(page.get(4..4 + take)?);
        next = be32(&page, 0);
    }
    Some(Row { rowid, fields: record(&payload)? })
}

/// A record: the types of the columns, then their contents.
fn record(payload: &[u8]) -> Option<Vec<Field>> {
    let mut types = payload;
    let header = usize::try_from(varint(&mut types)?).ok()?;
    let mut types = payload.get(payload.len() - types.len()..header)?;
    let mut body = payload.get(header..)?;
    let mut fields = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let field = match kind {
            0 => Field::Null,
            1..=6 => {
                let length = [1, 2, 3, 4, 6, 8].get(usize::try_from(kind - 1).ok()?).copied()?;
                Field::Integer(integer(take(&mut body, length)?))
            }
            7 => {
                take(&mut body, 8)?;
                Field::Other
            }
            8 => Field::Integer(0),
            9 => Field::Integer(1),
            10 | 11 => return None,
            bytes => {
                let length = usize::try_from((bytes - 12) / 2).ok()?;
                Field::Bytes(take(&mut body, length)?.to_vec())
            }
        };
        fields.push(field);
    }
    Some(fields)
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

/// A big-endian number of up to eight bytes, with its sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i64::from(*byte))
}

/// SQLite's varint: seven bits a byte, highest first, the ninth byte whole.
fn varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for i in 0..9 {
        let (first, rest) = input.split_first()?;
        *input = rest;
        if i == 8 {
            return Some(value << 8 | u64::from(*first));
        }
        value = value << 7 | u64::from(first & 0x7f);
        if *first < 0x80 {
            break;
        }
    }
    Some(value)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::{Connection, params};

    use super::*;

    fn page_of(bytes: &[u8], size: usize, number: u32) -> Option<Page> {
        let at = (usize::try_from(number).ok()?.checked_sub(1)?) * size;
        bytes.get(at..at + size).map(<[u8]>::to_vec)
    }

    fn all_rows(bytes: &[u8], size: usize) -> Vec<Row> {
        let pages = u32::try_from(bytes.len() / size).unwrap();
        let mut found = Vec::new();
        for number in 1..=pages {
            let page = page_of(bytes, size, number).unwrap();
            let mut overflow = |number| page_of(bytes, size, number);
            let rows =
                (0..cells(number, &page)).filter_map(|c| row(number, &page, c, &mut overflow));
            found.extend(rows);
        }
        found
    }

    /// What SQLite wrote is read back, whatever its length.
    #[test]
    fn reads_what_sqlite_writes() {
        for size in SIZES {
            ["NONE", "INCREMENTAL"].into_iter().for_each(|vacuum| reads_pages_of(size, vacuum));
        }
    }

    fn reads_pages_of(size: usize, vacuum: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!(
                "PRAGMA page_size={size}; PRAGMA auto_vacuum={vacuum};
                 CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b BLOB, c TEXT);
                 CREATE TABLE w(k TEXT PRIMARY KEY, b BLOB) WITHOUT ROWID;"
            ))
            .unwrap();
        let mut expected = Vec::new();
        for i in 0..400_i64 {
            let length = usize::try_from(i * i % 20_000).unwrap();
            let blob: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
            let number = [0, 1, -1, 127, -129, 40_000, i64::MAX, i64::MIN, i << 40]
                [usize::try_from(i % 9).unwrap()];
            let text = "x".repeat(usize::try_from(i % 7).unwrap());
            let key = format!("{i:05}{}", "k".repeat(length / 10));
            connection
                .execute("INSERT INTO t VALUES(?1, ?2, ?3, ?4)", params![i, number, blob, text])
                .unwrap();
            connection.execute("INSERT INTO w VALUES(?1, ?2)", params![key, blob]).unwrap();
            let (number, bytes) = (Field::Integer(number), Field::Bytes);
            let fields = vec![Field::Null, number, bytes(blob.clone()), bytes(text.into())];
            expected.push(Row { rowid: Some(i), fields });
            let fields = vec![bytes(key.into()), bytes(blob)];
            expected.push(Row { rowid: None, fields });
        }
        drop(connection);
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(size_by_header(&bytes), Some(size));
        let found = all_rows(&bytes, size);
        assert!(expected.iter().all(|row| found.contains(row)));
    }

    proptest! {
        #[test]
        fn bytes_from_outside_never_panic(
            noise in prop::collection::vec(any::<u8>(), 4_096),
            size in prop::sample::select(vec![0_usize, 10, 107, 1_024, 4_096]),
            flag in prop_oneof![Just(0x0d_u8), Just(0x0a), Just(0x02)],
            first in any::<bool>(),
            pointers in prop::collection::vec(0_u8..5, 0..100),
        ) {
            let mut page: Page = noise;
            page.truncate(size);
            let head = if first { FILE_HEADER } else { 0 };
            let set = |page: &mut Page, at: usize, byte| page.get_mut(at).map(|b| *b = byte);
            set(&mut page, head, flag);
            for (i, pointer) in pointers.iter().enumerate() {
                set(&mut page, head + 8 + 2 * i, *pointer);
            }
            let other = page.clone();
            let mut overflow = |_| Some(other.clone());
            let number = if first { 1 } else { 2 };
            for cell in 0..cells(number, &page) {
                let _ = row(number, &page, cell, &mut overflow);
            }
        }
    }
}
