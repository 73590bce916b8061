//! Everything in a store's file, or what waits for one consumer, page by page.
//!
//! What can't be read is skipped and said, never the end: a chunk whose CRC does not hold, and, where
//! the file's own tree is damaged, the chunks that can't be reached any more.

use std::collections::VecDeque;
use std::ops::Range;

use rusqlite::{Connection, params};

use super::{Inspector, failed};
use crate::model::Class;
use crate::store::entry::{Entry, Policy};
use crate::store::error::StoreError;
use crate::store::row::{Filter, Meanings, Row};
use crate::store::schema::{chunk_table, is_damage};
use crate::store::{reader, rows};

/// Memory of the readings of a page; no less than a chunk, or it would be decoded twice.
const PAGE_BYTES: usize = 512 << 10;
/// Positions a first look goes back for the newest rows, and how many times further each next one.
const BACK: u64 = 4_096;
const BACK_FACTOR: u64 = 8;
const LOOKING: &str = "look for readings";
const READING: &str = "read the store";

/// Positions that can't be read, or are not there though someone waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub class: Class,
    pub positions: Range<u64>,
}

/// A page of rows, in order of position.
#[derive(Debug, Default)]
pub struct RowPage {
    pub rows: Vec<Row>,
    pub damaged: Vec<Damage>,
    /// What could not be read of the tables that give numbers their meaning.
    pub remarks: Vec<String>,
    /// Positions dealt with by this page.
    pub passed: u64,
}

/// What is still to be read of a file.
pub struct Pages<'a> {
    file: &'a Inspector,
    meanings: Meanings,
    filter: Filter,
    todo: VecDeque<(Class, Range<u64>)>,
    /// All of it must be there.
    demanded: bool,
    /// Damage lies ahead: chunk by chunk until it is found.
    careful: bool,
    /// What could not be read of the tables that give numbers their meaning.
    pub remarks: Vec<String>,
}

impl Inspector {
    /// Everything that is in the file now and `filter` takes, class by class; only what waits for
    /// `consumer` if one is named.
    pub fn pages(&self, filter: &Filter, consumer: Option<&str>) -> Result<Pages<'_>, StoreError> {
        let waiting = consumer.map(|name| self.consumer(name)).transpose()?;
        let demanded = waiting.as_ref().is_some_and(|c| c.policy == Policy::Required);
        self.look(LOOKING, |connection| {
            let mut todo = VecDeque::new();
            for class in Class::ALL.into_iter().filter(|class| filter.takes_class(*class)) {
                let whole = extent(connection, class)?;
                match &waiting {
                    None => todo.push_back((class, whole)),
                    Some(consumer) => {
                        let cursor = &consumer.shares.get(class).cursor;
                        todo.extend(cursor.unsettled_in(whole).map(|range| (class, range)));
                    }
                }
            }
            Ok(self.begin(connection, filter, todo, demanded))
        })
    }

    fn begin(
        &self,
        connection: &Connection,
        filter: &Filter,
        mut todo: VecDeque<(Class, Range<u64>)>,
        demanded: bool,
    ) -> Pages<'_> {
        todo.retain(|(_, range)| range.start < range.end);
        let (meanings, remarks) = meanings(connection);
        let filter = filter.clone();
        Pages { file: self, meanings, filter, todo, demanded, careful: false, remarks }
    }

    /// The newest `n` rows that `filter` takes, oldest first.
    pub fn last(&self, n: usize, filter: &Filter) -> Result<RowPage, StoreError> {
        let mut found = RowPage::default();
        for class in Class::ALL.into_iter().filter(|class| filter.takes_class(*class)) {
            let whole = self.look(LOOKING, |connection| extent(connection, class))?;
            let mut back = BACK.max(n as u64);
            loop {
                let start = whole.end.saturating_sub(back).max(whole.start);
                let page = self.newest(n, filter, class, start..whole.end)?;
                if page.rows.len() < n && start > whole.start {
                    back = back.saturating_mul(BACK_FACTOR);
                    continue;
                }
                found.rows.extend(page.rows);
                found.damaged.extend(page.damaged);
                found.remarks = page.remarks;
                break;
            }
        }
        found.rows.sort_by_key(|row| row.ms);
        let excess = found.rows.len().saturating_sub(n);
        found.rows.drain(..excess);
        Ok(found)
    }

    fn newest(
        &self,
        n: usize,
        filter: &Filter,
        class: Class,
        range: Range<u64>,
    ) -> Result<RowPage, StoreError> {
        let mut pages = self.look(LOOKING, |connection| {
            Ok(self.begin(connection, filter, [(class, range.clone())].into(), false))
        })?;
        let mut newest =
            RowPage { remarks: std::mem::take(&mut pages.remarks), ..RowPage::default() };
        while let Some(page) = pages.next_page()? {
            newest.rows.extend(page.rows);
            let excess = newest.rows.len().saturating_sub(n);
            newest.rows.drain(..excess);
            newest.damaged.extend(page.damaged);
        }
        Ok(newest)
    }
}

/// From the oldest chunk of a class to the end of the newest.
fn extent(connection: &Connection, class: Class) -> Result<Range<u64>, StoreError> {
    // The ends of a damaged tree may not be found; then everything is looked through.
    let ends = rows::first_chunk(connection, class, 0)
        .and_then(|first| Ok((first, rows::chunks_end(connection, class)?)));
    match ends {
        Ok((first, end)) => Ok(first.map_or(end, |(seq, _)| seq)..end),
        Err(error) if is_damage(&error) => Ok(0..i64::MAX.cast_unsigned()),
        Err(error) => Err(failed(LOOKING)(error)),
    }
}

fn meanings(connection: &Connection) -> (Meanings, Vec<String>) {
    let (mut meanings, mut remarks) = (Meanings::default(), Vec::new());
    match rows::needed_meta(connection, rows::EPOCH) {
        Ok(epoch) => meanings.epoch = epoch,
        Err(error) => {
            remarks.push(format!("the store's epoch is not known, ids are wrong: {error}"));
        }
    }
    match rows::boots(connection) {
        Ok(boots) => meanings.boots = boots,
        Err(error) => remarks.push(format!("times are not known: {error}")),
    }
    match rows::tags(connection) {
        Ok(tags) => meanings.tags = tags.all(),
        Err(error) => remarks.push(format!("tags are not known: {error}")),
    }
    (meanings, remarks)
}

/// Where the chunk after the one that holds `at` begins, as far as that can be found; at most
/// `end`.
fn chunk_after(connection: &Connection, class: Class, at: u64, end: u64) -> rusqlite::Result<u64> {
    let sql = format!("SELECT min(seq) FROM {} WHERE seq >= ?1", chunk_table(class));
    let mut select = connection.prepare(&sql)?;
    let mut next = |from: u64| -> rusqlite::Result<Option<u64>> {
        match select.query_row(params![from.cast_signed()], |row| row.get::<_, Option<i64>>(0)) {
            Ok(found) => Ok(Some(found.map_or(end, |seq| seq.cast_unsigned().min(end)))),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error),
        }
    };
    // In ever longer steps to a place that can be read, then back to the first such place.
    let (mut bad, mut step) = (at, 1_u64);
    let mut good = loop {
        let from = at.saturating_add(step);
        if from >= end {
            break end;
        }
        match next(from)? {
            Some(seq) => break seq.max(from),
            None => (bad, step) = (from, step.saturating_mul(2)),
        }
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        match next(middle)? {
            Some(seq) if seq < good => good = seq.max(middle),
            Some(_) => break,
            None => bad = middle,
        }
    }
    Ok(good)
}

/// What of `range` is in none of the entries, which are in order.
fn absent(range: Range<u64>, entries: &[Entry]) -> Vec<Range<u64>> {
    let mut at = range.start;
    let mut absent = Vec::new();
    let there = entries.iter().map(|entry| entry.range().start.0..entry.range().end.0);
    for part in there.chain(std::iter::once(range.end..range.end)) {
        if at < part.start {
            absent.push(at..part.start);
        }
        at = at.max(part.end);
    }
    absent
}

impl Pages<'_> {
    /// Positions still to be looked at.
    pub fn left(&self) -> u64 {
        self.todo.iter().map(|(_, range)| range.end - range.start).sum()
    }

    /// The next page; it may be empty without being the last. `None` after the last.
    pub fn next_page(&mut self) -> Result<Option<RowPage>, StoreError> {
        loop {
            let Some((class, range)) = self.todo.front().cloned() else { return Ok(None) };
            let read = |connection: &Connection| {
                self.read(connection, class, &range).map_err(failed(READING))
            };
            let Some((page, careful)) = self.file.look(READING, read)? else {
                self.careful = true;
                continue;
            };
            self.careful = careful;
            let passed = range.start + page.passed;
            self.todo.pop_front();
            if passed < range.end {
                self.todo.push_front((class, passed..range.end));
            }
            return Ok(Some(page));
        }
    }

    /// A page from the start of `range`, and whether damage still lies ahead. `None` if there is damage
    /// that was not known of.
    fn read(
        &self,
        connection: &Connection,
        class: Class,
        range: &Range<u64>,
    ) -> rusqlite::Result<Option<(RowPage, bool)>> {
        let mut stretch = range.clone();
        if self.careful {
            stretch.end = chunk_after(connection, class, range.start, range.end)?;
        }
        let mut page = RowPage::default();
        let damage = |positions| Damage { class, positions };
        match reader::read(connection, class, stretch.clone(), PAGE_BYTES) {
            Ok(found) => {
                let entries = found.entries.iter();
                let rows = entries.flat_map(|entry| self.meanings.rows(class, entry));
                page.rows = rows.filter(|row| self.filter.takes(row)).collect();
                let scanned = found.scanned.max(range.start + 1);
                let mut damaged = found.damaged;
                if self.demanded {
                    damaged = absent(range.start..scanned, &found.entries);
                }
                page.damaged = damaged.into_iter().map(damage).collect();
                page.passed = scanned - range.start;
                Ok(Some((page, self.careful)))
            }
            Err(error) if is_damage(&error) && !self.careful => Ok(None),
            Err(error) if is_damage(&error) => {
                page.passed = stretch.end - range.start;
                page.damaged.push(damage(stretch));
                Ok(Some((page, false)))
            }
            Err(error) => Err(error),
        }
    }
}
