//! The ledger: what is missing, for whom and why; and what of it consumers have been told.
//!
//! Every row names one consumer, who has to be told of it (`notices.rs`): the rows above its
//! *mark* are the queue of its notices. Pure. Invariants:
//!
//! * A row that was handed out is *closed*: it never changes again, what goes on begins a new one.
//!   The handed-out rows of a consumer are always the first [`NOTICES_MAX`] it was not told of, so
//!   that a restart knows them too.
//! * A row above the mark is never forgotten. When more than [`UNTOLD_MAX`] open ones pile up,
//!   neighbours of one class and reason become one row that spans both; its `n` then is less than
//!   its span.
//! * A row is in the file together with the cursors that it explains: both are taken by the same
//!   snapshot (`work.rs`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use serde::Serialize;

use super::accounting::{NEW_EPOCH, Reason, TIME_CORRECTED};
use crate::model::{Class, Wall};

/// Most rows of one consumer that are open and not told.
pub const UNTOLD_MAX: usize = 128;
/// Most rows handed out to one consumer at a time.
pub const NOTICES_MAX: usize = 16;
/// Most rows in memory besides those that are not told or not in the file; the file has more.
const ROWS_IN_MEMORY_MAX: usize = 256;
/// Ids jump by this after a crash: while the disk was broken rows were told that the file does not
/// know, and no id may stand for two of them.
const IDS_SKIPPED: i64 = 1 << 20;

/// What is noted, before it has an id.
#[derive(Debug, Clone)]
pub struct Loss<'a> {
    pub reason: Reason,
    pub consumer: &'a str,
    pub class: Class,
    pub range: Range<u64>,
    pub n: u64,
    /// When the oldest and the newest of it were read.
    pub read: Option<(Wall, Wall)>,
    pub shift_ms: Option<i64>,
    /// The epoch under which the positions count, if that is not the current one; 0 if unknown.
    pub epoch: Option<u64>,
}

impl<'a> Loss<'a> {
    /// All positions of a range.
    pub fn of(reason: Reason, consumer: &'a str, class: Class, range: Range<u64>) -> Self {
        let n = range.end - range.start;
        Self { reason, consumer, class, range, n, read: None, shift_ms: None, epoch: None }
    }
}

/// One row: what, for whom, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropRow {
    pub id: i64,
    pub reason: Cow<'static, str>,
    pub consumer: String,
    pub class: &'static str,
    pub seq_from: u64,
    /// The first position after it.
    pub seq_to: u64,
    /// How many of these positions the consumer was still waiting for.
    pub n: u64,
    /// When the oldest and the newest of it were read, as far as that is known.
    pub wall_from_ms: Option<i64>,
    pub wall_to_ms: Option<i64>,
    /// What has to be added to times that were delivered, if this is about times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift_ms: Option<i64>,
    /// The epoch under which the positions count, if that is not the current one; 0 if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

impl DropRow {
    /// Whether it tells of something that is missing, or of positions that never were.
    pub fn is_drop(&self) -> bool {
        !matches!(&*self.reason, NEW_EPOCH | TIME_CORRECTED)
    }

    /// Whether `loss` goes on where this ends.
    fn continues(&self, loss: &Loss<'_>) -> bool {
        (self.seq_to == loss.range.start || loss.reason == Reason::NewEpoch)
            && self.shift_ms == loss.shift_ms
            && self.epoch == loss.epoch
            && self.reason == loss.reason.word()
            && self.class == loss.class.as_str()
            && self.consumer == loss.consumer
    }

    fn same_kind(&self, other: &Self) -> bool {
        self.class == other.class && self.reason == other.reason && self.epoch == other.epoch
    }

    /// Takes a later row into this one.
    fn span(&mut self, other: &Self) {
        if self.reason == NEW_EPOCH {
            // Only the last of them holds.
            (self.seq_from, self.seq_to) = (other.seq_from, other.seq_to);
            return;
        }
        let touching = self.seq_to == other.seq_from || other.seq_to == self.seq_from;
        self.shift_ms = self.shift_ms.filter(|_| touching && self.shift_ms == other.shift_ms);
        self.seq_from = self.seq_from.min(other.seq_from);
        self.seq_to = self.seq_to.max(other.seq_to);
        self.n += other.n;
        let earliest = self.wall_from_ms.into_iter().chain(other.wall_from_ms).min();
        let latest = self.wall_to_ms.into_iter().chain(other.wall_to_ms).max();
        (self.wall_from_ms, self.wall_to_ms) = (earliest, latest);
    }

    /// Positions between the two.
    fn distance(&self, other: &Self) -> u64 {
        let after = other.seq_from.saturating_sub(self.seq_to);
        after.max(self.seq_from.saturating_sub(other.seq_to))
    }
}

#[derive(Debug, Clone)]
struct Line {
    row: DropRow,
    /// The file does not know it, or not as it is.
    dirty: bool,
    /// The file has a row of this id.
    stored: bool,
    /// It may have been handed out.
    closed: bool,
}

/// Up to which id a consumer was told.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    told: i64,
    /// Of its newest row.
    newest: i64,
    dirty: bool,
}

/// What the file does not know yet.
#[derive(Debug, Clone, Default)]
pub struct LedgerWork {
    pub rows: Vec<DropRow>,
    /// Rows that became part of others.
    pub gone: Vec<i64>,
    pub told: Vec<(String, i64)>,
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// In order of id.
    lines: VecDeque<Line>,
    last_id: i64,
    marks: BTreeMap<String, Mark>,
    /// Ids in the file of rows that became part of others.
    gone: BTreeSet<i64>,
    /// What consumers lost since the ledger was taken up, by name and class.
    sums: BTreeMap<(String, Class), u64>,
}

impl Ledger {
    /// Takes up after the file: `marks` are those of all consumers, and `rows`, in order of id, are
    /// at least the rows above them.
    pub fn resume(
        rows: impl IntoIterator<Item = DropRow>,
        last_id: i64,
        marks: impl IntoIterator<Item = (String, i64)>,
    ) -> Self {
        let mark = |told| Mark { told, newest: told, dirty: false };
        let marks: BTreeMap<_, _> = marks.into_iter().map(|(who, id)| (who, mark(id))).collect();
        let last_id = marks.values().map(|mark| mark.told).fold(last_id, i64::max);
        let mut ledger = Self { marks, last_id, ..Self::default() };
        let mut untold: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            let waits = ledger.is_untold(&row);
            let before = untold.entry(row.consumer.clone()).or_default();
            *before += usize::from(waits);
            let closed = !waits || *before <= NOTICES_MAX;
            ledger.push(Line { row, dirty: false, stored: true, closed });
        }
        ledger
    }

    /// After a crash: no id is given out that may have been given out before.
    pub fn skip_ids(&mut self) {
        self.last_id = self.last_id.saturating_add(IDS_SKIPPED);
    }

    /// This consumer is to be told of what is noted from now on.
    pub fn follow(&mut self, consumer: &str) {
        let mark = Mark { told: self.last_id, newest: self.last_id, dirty: true };
        self.marks.insert(consumer.to_owned(), mark);
        let own = self.lines.iter_mut().filter(|line| line.row.consumer == consumer);
        own.for_each(|line| line.closed = true);
    }

    /// What a consumer lost of a class since the ledger was taken up.
    pub fn sum(&self, consumer: &str, class: Class) -> u64 {
        self.sums.get(&(consumer.to_owned(), class)).copied().unwrap_or(0)
    }

    /// Nobody is there to be told any more.
    pub fn unfollow(&mut self, consumer: &str) {
        self.marks.remove(consumer);
        self.sums.retain(|(name, _), _| name != consumer);
        self.shorten();
    }

    pub fn record(&mut self, loss: &Loss<'_>) {
        if loss.n > 0 && loss.reason != Reason::TimeCorrected {
            let sum = self.sums.entry((loss.consumer.to_owned(), loss.class)).or_default();
            // What comes back may have been lost before this process began.
            *sum = match loss.reason {
                Reason::Salvaged => sum.wrapping_sub(loss.n),
                _ => sum.wrapping_add(loss.n),
            };
        }
        let (from, to) = (loss.read.map(|r| r.0.0), loss.read.map(|r| r.1.0));
        let mut open = self.lines.iter_mut().rev().filter(|line| !line.closed);
        if let Some(line) = open.find(|line| line.row.continues(loss)) {
            if loss.reason == Reason::NewEpoch {
                line.row.seq_from = loss.range.start; // Only the last of them holds.
            }
            line.row.seq_to = loss.range.end;
            line.row.n += loss.n;
            line.row.wall_from_ms = line.row.wall_from_ms.or(from);
            line.row.wall_to_ms = to.or(line.row.wall_to_ms);
            line.dirty = true;
            return;
        }
        self.last_id += 1;
        let row = DropRow {
            id: self.last_id,
            reason: loss.reason.word(),
            consumer: loss.consumer.to_owned(),
            class: loss.class.as_str(),
            seq_from: loss.range.start,
            seq_to: loss.range.end,
            n: loss.n,
            wall_from_ms: from,
            wall_to_ms: to,
            shift_ms: loss.shift_ms,
            epoch: loss.epoch,
        };
        self.push(Line { row, dirty: true, stored: false, closed: false });
    }

    fn push(&mut self, line: Line) {
        let consumer = line.row.consumer.clone();
        if let Some(mark) = self.marks.get_mut(&consumer) {
            mark.newest = mark.newest.max(line.row.id);
        }
        self.lines.push_back(line);
        while self.open(&consumer).count() > UNTOLD_MAX && self.merge_nearest(&consumer) {}
        self.shorten();
    }

    /// The consumer's rows that wait and were not handed out, with their places.
    fn open(&self, consumer: &str) -> impl Iterator<Item = (usize, &DropRow)> {
        let lines = self.lines.iter().enumerate().filter(|(_, line)| !line.closed);
        lines.map(|(i, line)| (i, &line.row)).filter(move |(_, row)| row.consumer == consumer)
    }

    /// Makes one row of the two neighbours of a kind with the fewest positions between them.
    fn merge_nearest(&mut self, consumer: &str) -> bool {
        let mut best: Option<(u64, usize, usize)> = None;
        let mut last: Vec<(usize, &DropRow)> = Vec::new();
        for (i, row) in self.open(consumer) {
            match last.iter_mut().find(|(_, before)| before.same_kind(row)) {
                Some(before) => {
                    let distance = before.1.distance(row);
                    if best.is_none_or(|(least, ..)| distance < least) {
                        best = Some((distance, before.0, i));
                    }
                    *before = (i, row);
                }
                None => last.push((i, row)),
            }
        }
        let Some((_, first, second)) = best else { return false };
        self.join(first, second);
        let own = self.lines.iter().rev().find(|line| line.row.consumer == consumer);
        if let (Some(mark), Some(line)) = (self.marks.get_mut(consumer), own) {
            mark.newest = line.row.id.max(mark.told);
        }
        true
    }

    /// Makes one row of two.
    fn join(&mut self, first: usize, second: usize) {
        let Some(merged) = self.lines.remove(second) else { return };
        if let Some(line) = self.lines.get_mut(first) {
            line.row.span(&merged.row);
            line.dirty = true;
        }
        if merged.stored {
            self.gone.insert(merged.row.id);
        }
    }

    /// Makes one row of the two oldest of a kind that were told and that the file does not know.
    fn merge_told(&mut self) -> bool {
        let mut seen: Vec<(usize, &DropRow)> = Vec::new();
        for (i, line) in self.lines.iter().enumerate() {
            let row = &line.row;
            if !line.dirty || self.is_untold(row) {
                continue;
            }
            let same = |(_, other): &&(usize, &DropRow)| {
                other.consumer == row.consumer && other.same_kind(row)
            };
            if let Some(first) = seen.iter().find(same).map(|(first, _)| *first) {
                self.join(first, i);
                return true;
            }
            seen.push((i, row));
        }
        false
    }

    fn is_untold(&self, row: &DropRow) -> bool {
        self.marks.get(&row.consumer).is_some_and(|mark| row.id > mark.told)
    }

    /// Forgets old rows that everyone concerned was told of and that are in the file. Where there is
    /// no file, or none that can be written, they become few.
    fn shorten(&mut self) {
        let mut excess = self.lines.len().saturating_sub(ROWS_IN_MEMORY_MAX);
        if excess == 0 {
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|line| {
            let keep = excess == 0 || line.dirty || self.is_untold(&line.row);
            excess -= usize::from(!keep);
            keep
        });
        self.lines = lines;
        while self.lines.len() > ROWS_IN_MEMORY_MAX && self.merge_told() {}
    }

    /// Whether there is anything to tell this consumer.
    pub fn has_untold(&self, consumer: &str) -> bool {
        self.marks.get(consumer).is_some_and(|mark| mark.newest > mark.told)
    }

    /// The first rows that the consumer was not told of; they are closed by this. Those that the
    /// file does not know yet come later, unless there is no file to wait for; so do all while the
    /// file does not know the mark, or a restart would take what is handed out now for open.
    pub fn hand_out(&mut self, consumer: &str, max: usize, wait_for_file: bool) -> Vec<DropRow> {
        let Some(mark) = self.marks.get(consumer).copied() else { return Vec::new() };
        let own = |line: &&mut Line| line.row.consumer == consumer && line.row.id > mark.told;
        let mut rows = Vec::new();
        let mut ready = !(mark.dirty && wait_for_file);
        for line in self.lines.iter_mut().filter(own).take(max.min(NOTICES_MAX)) {
            line.closed = true;
            ready &= !(line.dirty && wait_for_file);
            if ready {
                rows.push(line.row.clone());
            }
        }
        rows
    }

    /// The consumer knows of everything up to this row.
    pub fn told(&mut self, consumer: &str, id: i64) {
        let Some(mark) = self.marks.get_mut(consumer) else { return };
        if id > mark.told {
            mark.told = id.min(self.last_id);
            mark.newest = mark.newest.max(mark.told);
            mark.dirty = true;
            self.shorten();
        }
    }

    /// The meaning of these positions' times was put right.
    pub fn shift_times(&mut self, class: Class, range: &Range<u64>, by_ms: i64) {
        for line in self.lines.iter_mut().filter(|line| !line.closed) {
            let row = &mut line.row;
            if row.class == class.as_str()
                && range.start <= row.seq_from
                && row.seq_to <= range.end
                && (row.wall_from_ms, row.wall_to_ms) != (None, None)
            {
                row.wall_from_ms = row.wall_from_ms.map(|ms| ms.saturating_add(by_ms));
                row.wall_to_ms = row.wall_to_ms.map(|ms| ms.saturating_add(by_ms));
                line.dirty = true;
            }
        }
    }

    /// The newest rows, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = &DropRow> {
        self.lines.iter().map(|line| &line.row)
    }

    pub fn is_dirty(&self) -> bool {
        !self.gone.is_empty()
            || self.marks.values().any(|mark| mark.dirty)
            || self.lines.iter().any(|line| line.dirty)
    }

    pub fn dirty(&self) -> LedgerWork {
        let rows = self.lines.iter().filter(|line| line.dirty).map(|line| line.row.clone());
        let told = self.marks.iter().filter(|(_, mark)| mark.dirty);
        LedgerWork {
            rows: rows.collect(),
            gone: self.gone.iter().copied().collect(),
            told: told.map(|(who, mark)| (who.clone(), mark.told)).collect(),
        }
    }

    /// `work` is in the file now; what changed meanwhile stays dirty.
    pub fn written(&mut self, work: &LedgerWork) {
        for id in &work.gone {
            self.gone.remove(id);
        }
        for row in &work.rows {
            match self.lines.binary_search_by_key(&row.id, |line| line.row.id) {
                Ok(i) => {
                    if let Some(line) = self.lines.get_mut(i) {
                        line.stored = true;
                        line.dirty &= line.row != *row;
                    }
                }
                // It became part of another row while it was written.
                Err(_) => drop(self.gone.insert(row.id)),
            }
        }
        for (who, id) in &work.told {
            if let Some(mark) = self.marks.get_mut(who) {
                mark.dirty &= mark.told != *id;
            }
        }
        self.shorten();
    }

    /// `work` was taken from a copy of this that went on, and is about to be written: what it says
    /// otherwise is not handed out, and is written as it is here after that.
    pub fn diverges_from(&mut self, work: &LedgerWork) {
        for line in &mut self.lines {
            let mut rows = work.rows.iter().filter(|row| row.id == line.row.id);
            line.dirty |= work.gone.contains(&line.row.id) || rows.any(|row| *row != line.row);
        }
    }

    /// A new file knows nothing of them.
    pub fn forget_writes(&mut self) {
        self.gone.clear();
        for line in &mut self.lines {
            (line.dirty, line.stored) = (true, false);
        }
        self.marks.values_mut().for_each(|mark| mark.dirty = true);
    }
}

#[cfg(test)]
mod tests;
