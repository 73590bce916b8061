//! A database file that SQLite may not be able to open: what rows of ours are on its pages and in
//! its log.
//!
//! Nothing on the way from the root to a page is needed, so whatever is whole is found. What was
//! deleted may be found too, on pages that are free now; those who were owed a chunk know whether
//! they still are. Reading is in order of pages; memory is bounded, whatever the size of the file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::known::{Known, recognize};
use super::pages::{self, Page, Row, SIZES};
use super::wal::Wal;
use crate::model::{Class, Name, TagId, TagMeta};
use crate::store::boot::BootRow;
use crate::store::chunk::Chunk;
use crate::store::cursor::Cursor;
use crate::store::entry::BootNo;
use crate::store::per_class::PerClass;
use crate::store::rows;
use crate::store::schema::{PAGE_BYTES, class_code};

/// Most chunks noted in one pass over the file (10 MB of memory); the next pass goes on there.
const PLACES_MAX: usize = 1 << 18;
/// Most tags, boots and cursors noted: no file of ours has as many.
const SMALL_ROWS_MAX: usize = 1 << 16;

/// Bytes of a database's header.
const HEADER_BYTES: usize = 100;
/// What pages of new files have.
const DEFAULT_BYTES: usize = SIZES[0];
const _: () = assert!(DEFAULT_BYTES as u64 == PAGE_BYTES);
/// The size of pages is found out by so many stretches of this size.
const BLOCKS_TRIED: u32 = 256;
const LARGEST: u64 = 4_096;

/// Where a page is: in the database (from 1), or a frame of the log (from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Database(u32),
    Log(u32),
}

/// Alarms first, then the normal class, then bulk; in each by position.
pub type Key = (u8, u64);

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub key: Key,
    source: Source,
    cell: u16,
}

/// The files of a database.
pub struct OldFile {
    database: Option<File>,
    page_bytes: usize,
    pages: u32,
    log: Option<Wal>,
    /// The newest frame of each page.
    newest: HashMap<u32, u32>,
}

/// Everything but the chunks.
#[derive(Debug, Default)]
pub struct Survey {
    pub tags: BTreeMap<TagId, TagMeta>,
    pub boots: BTreeMap<BootNo, BootRow>,
    pub consumers: BTreeMap<u32, Name>,
    /// What any readable state of the cursor says is settled: nothing becomes unsettled again.
    pub cursors: BTreeMap<(u32, u8), Cursor>,
    pub epoch: Option<u64>,
    /// Where the first readable chunk begins.
    pub first: PerClass<Option<u64>>,
    /// Positions below were given out, but for those that were skipped.
    pub end: PerClass<u64>,
    /// What was jumped over after crashes, with the epoch if it is not the file's own.
    skipped: Vec<(Class, Range<u64>, Option<u64>)>,
}

/// Whether to go on; may take its time.
pub type Pace<'a> = dyn FnMut() -> bool + 'a;

impl OldFile {
    /// `path` is where the database is or was; its log lies beside it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let database = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let length = database.as_ref().map_or(Ok(0), |file| file.metadata().map(|m| m.len()))?;
        let guess = database.as_ref().map_or(Ok(DEFAULT_BYTES), page_bytes)?;
        let log = Wal::open(&log_of(path), guess)?;
        let page_bytes = guess;
        let pages = u32::try_from(length.div_ceil(page_bytes as u64)).unwrap_or(u32::MAX);
        let mut newest = HashMap::new();
        for index in 0..log.as_ref().map_or(0, |log| log.frames) {
            if let Some(frame) = log.as_ref().and_then(|log| log.frame(index)) {
                newest.insert(frame.number, index);
            }
        }
        Ok(Self { database, page_bytes, pages, log, newest })
    }

    fn page(&self, source: Source) -> Option<(u32, Page)> {
        match source {
            Source::Log(index) => {
                let frame = self.log.as_ref()?.frame(index)?;
                Some((frame.number, frame.page))
            }
            Source::Database(number) => {
                let page = page_at(self.database.as_ref()?, number, self.page_bytes)?;
                Some((number, page))
            }
        }
    }

    /// A row of ours in a cell, whichever state of the pages it runs over makes it whole.
    fn known(&self, number: u32, page: &Page, cell: u16) -> Option<Known> {
        let mut asked = false;
        let mut newest = |number| {
            asked = true;
            let frame = self.newest.get(&number).map(|frame| Source::Log(*frame));
            Some(self.page(frame.unwrap_or(Source::Database(number)))?.1)
        };
        let row: Option<Row> = pages::row(number, page, cell, &mut newest);
        let known = row.as_ref().and_then(recognize);
        if known.is_some() || !asked {
            return known;
        }
        let mut database = |number| Some(self.page(Source::Database(number))?.1);
        pages::row(number, page, cell, &mut database).as_ref().and_then(recognize)
    }

    /// Goes through everything once; `each` gets every row of ours with its place.
    fn pass(&self, pace: &mut Pace<'_>, mut each: impl FnMut(Known, Source, u16)) -> Option<()> {
        let frames = self.log.as_ref().map_or(0, |log| log.frames);
        let sources = (1..=self.pages).map(Source::Database).chain((0..frames).map(Source::Log));
        for source in sources {
            if !pace() {
                return None;
            }
            let Some((number, page)) = self.page(source) else { continue };
            for cell in 0..pages::cells(number, &page) {
                if let Some(known) = self.known(number, &page, cell) {
                    each(known, source, cell);
                }
            }
        }
        Some(())
    }

    /// Everything but the chunks; `None` if told to stop.
    pub fn survey(&self, pace: &mut Pace<'_>) -> Option<Survey> {
        let mut survey = Survey::default();
        self.pass(pace, |known, _, _| survey.note(known))?;
        Some(survey)
    }

    /// The chunks from `after` on, in order, one place each; and where to go on, if these are not
    /// all.
    pub fn chunks(&self, after: Key, pace: &mut Pace<'_>) -> Option<(Vec<Place>, Option<Key>)> {
        let mut places: Vec<Place> = Vec::new();
        let mut full = false;
        let mut tidy = |places: &mut Vec<Place>| {
            places.sort_unstable();
            places.dedup_by_key(|place| place.key);
            full |= places.len() > PLACES_MAX;
            places.truncate(PLACES_MAX);
        };
        self.pass(pace, |known, source, cell| {
            let Known::Chunk(chunk) = known else { return };
            let key = (class_code(chunk.class), chunk.seq);
            if key >= after {
                places.push(Place { key, source, cell });
                if places.len() >= 2 * PLACES_MAX {
                    tidy(&mut places);
                }
            }
        })?;
        tidy(&mut places);
        let next = places.last().filter(|_| full).map(|place| (place.key.0, place.key.1 + 1));
        Some((places, next))
    }

    pub fn chunk(&self, place: Place) -> Option<Chunk> {
        let (number, page) = self.page(place.source)?;
        match self.known(number, &page, place.cell)? {
            Known::Chunk(chunk) if (class_code(chunk.class), chunk.seq) == place.key => Some(chunk),
            _ => None,
        }
    }
}

impl Survey {
    /// Positions of a class that nobody was ever given.
    pub fn skipped(&self, class: Class) -> impl Iterator<Item = Range<u64>> + '_ {
        let of_ours = move |(of, _, epoch): &&(Class, _, Option<u64>)| {
            *of == class && (epoch.is_none() || *epoch == self.epoch)
        };
        self.skipped.iter().filter(of_ours).map(|(_, range, _)| range.clone())
    }

    fn note(&mut self, known: Known) {
        match known {
            Known::Chunk(chunk) => {
                let first = self.first.get_mut(chunk.class);
                *first = Some(first.map_or(chunk.seq, |first| first.min(chunk.seq)));
                let end = self.end.get_mut(chunk.class);
                *end = (*end).max(chunk.seq + chunk.n);
            }
            Known::Tag(id, meta) if self.tags.len() < SMALL_ROWS_MAX => {
                self.tags.insert(id, meta);
            }
            Known::Boot(row) if self.boots.len() < SMALL_ROWS_MAX => {
                // A row is written again when its time is confirmed: that one counts.
                let kept = self.boots.entry(row.no).or_insert_with(|| row.clone());
                if row.synced {
                    *kept = row;
                }
            }
            Known::Consumer { id, name } if self.consumers.len() < SMALL_ROWS_MAX => {
                self.consumers.insert(id, name);
            }
            Known::Cursor { consumer, class, settled } if self.cursors.len() < SMALL_ROWS_MAX => {
                let key = (consumer, class_code(class));
                let kept = self.cursors.entry(key).or_default();
                settled.settled().for_each(|range| {
                    kept.settle_gone(range);
                });
            }
            Known::Skipped { class, range, epoch } if self.skipped.len() < SMALL_ROWS_MAX => {
                self.skipped.push((class, range, epoch));
            }
            Known::Meta { key, value } => {
                if key == rows::EPOCH {
                    self.epoch = Some(value);
                }
                for class in Class::ALL.into_iter().filter(|c| rows::next_key(*c) == key) {
                    let end = self.end.get_mut(class);
                    *end = (*end).max(value);
                }
            }
            _ => {}
        }
    }
}

/// Page `number` of a file; the last one of a file that was cut off is worth what is there of it.
fn page_at(file: &File, number: u32, page_bytes: usize) -> Option<Page> {
    let mut page = pages::blank(page_bytes);
    let at = u64::from(number.checked_sub(1)?) * page_bytes as u64;
    let mut read = 0;
    while let Some(rest) = page.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + read as u64) {
            Ok(0) | Err(_) => break,
            Ok(n) => read += n,
        }
    }
    (read > 0).then_some(page)
}

/// The size of a database's pages, by its header; if that is damaged, the size with which more rows
/// of ours are found in places all over the file.
pub fn page_bytes(file: &File) -> io::Result<usize> {
    let header = page_at(file, 1, HEADER_BYTES).unwrap_or_default();
    if let Some(size) = pages::size_by_header(&header) {
        return Ok(size);
    }
    let blocks = u32::try_from(file.metadata()?.len() / LARGEST).unwrap_or(u32::MAX);
    let step = usize::try_from(blocks / BLOCKS_TRIED).unwrap_or(0).max(1);
    let rows = |size: usize| -> usize {
        let per_block = u32::try_from(LARGEST / size as u64).unwrap_or(1);
        let blocks = (0..blocks).step_by(step);
        let pages = blocks.flat_map(|block| block * per_block + 1..=(block + 1) * per_block);
        let rows_of = |number| {
            let page = page_at(file, number, size).unwrap_or_default();
            let mut overflow = |number| page_at(file, number, size);
            let rows = (0..pages::cells(number, &page))
                .filter_map(|cell| pages::row(number, &page, cell, &mut overflow));
            rows.filter(|row| recognize(row).is_some()).count()
        };
        pages.map(rows_of).sum()
    };
    let best = SIZES.into_iter().rev().max_by_key(|size| rows(*size));
    Ok(best.unwrap_or(DEFAULT_BYTES))
}

/// The log of a database that may be damaged.
pub fn log_beside(database: &Path) -> io::Result<Option<Wal>> {
    let size = match File::open(database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => DEFAULT_BYTES,
        other => page_bytes(&other?)?,
    };
    Wal::open(&log_of(database), size)
}

/// The log that belongs to a database.
pub fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}
