//! How much is written, and how long a card lasts at that.
//!
//! Pure. Counted in whole blocks of the file system, since that is what reaches the card: those of
//! the WAL that a commit touches, those of the file that a checkpoint brings up to date, and other
//! files as they are written. Not counted is what the file system writes for itself (its journal).
//! Hours are hours of operation, so no step of any clock disturbs them; they are kept in the file by
//! transactions that are made anyway, so a crash may forget the last of it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::schema::PAGE_BYTES;
use crate::model::Mono;

/// What file systems write at least.
const BLOCK_BYTES: u64 = 4_096;
const WAL_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;
const FRAME_BYTES: u64 = FRAME_HEADER_BYTES + PAGE_BYTES;
/// Full hours that the rates are taken from, besides the one that runs.
pub const HOURS: usize = 24;
const HOUR: Duration = Duration::from_secs(3_600);
/// A rate is not told before so much was measured.
const MEASURED_MIN_MS: u64 = 600_000;
/// The hours go into the file that often, if there is a transaction anyway.
const SAVE: Duration = Duration::from_secs(600);
const DAY_MS: f64 = 86_400_000.0;
const YEAR_DAYS: f64 = 365.25;

/// What was written in one hour of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hour {
    /// Counted from the first one of this file.
    pub no: u64,
    pub store_bytes: u64,
    pub process_bytes: u64,
    /// How much of it is over.
    pub ms: u64,
}

/// What of it is kept in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WearRows {
    /// Those that changed.
    pub hours: Vec<Hour>,
    pub store_bytes_total: u64,
    pub process_bytes_total: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Wear {
    past: VecDeque<Hour>,
    /// The one that runs.
    hour: Hour,
    store_bytes_total: u64,
    process_bytes_total: u64,
    /// What this process had written when it was last asked; `None` where nobody tells.
    process_bytes: Option<u64>,
    ticked: Option<Mono>,
    saved: Option<Mono>,
    /// The oldest hour that the file has not as it is now.
    unsaved: u64,
}

/// Frames in the WAL, and how many of them are in the file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wal {
    pub frames: u64,
    pub done: u64,
}

/// For the page and for export; all in bytes that reach the card.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WearStatus {
    /// By the store, since its file was made.
    pub store_bytes_total: u64,
    /// By the store in a day, at the rate of the last 24 hours of operation.
    pub store_bytes_per_day: Option<u64>,
    /// By the whole process; `None` where the kernel does not tell.
    pub process_bytes_total: Option<u64>,
    pub process_bytes_per_day: Option<u64>,
    /// How much operation the rates are taken from.
    pub measured_ms: u64,
    pub endurance_bytes: u64,
    /// How long a new card of that endurance lasts at these rates.
    pub card_years: Option<f64>,
}

impl Wear {
    pub fn resume(rows: WearRows) -> Self {
        let mut past: VecDeque<Hour> = rows.hours.into();
        let hour = past.pop_back().unwrap_or_default();
        Self {
            past,
            hour,
            store_bytes_total: rows.store_bytes_total,
            process_bytes_total: rows.process_bytes_total,
            unsaved: hour.no,
            ..Self::default()
        }
    }

    /// The store wrote so many bytes.
    pub fn wrote(&mut self, bytes: u64) {
        self.hour.store_bytes += bytes;
        self.store_bytes_total += bytes;
    }

    /// Time goes on; `process_bytes` is what this process wrote since it started.
    pub fn tick(&mut self, now: Mono, process_bytes: Option<u64>) {
        let passed = self.ticked.replace(now).map_or(Duration::ZERO, |before| now - before);
        let more = process_bytes.map(|all| all.saturating_sub(self.process_bytes.unwrap_or(0)));
        self.process_bytes = process_bytes.or(self.process_bytes);
        self.process_bytes_total += more.unwrap_or(0);
        self.hour.process_bytes += more.unwrap_or(0);
        self.hour.ms += u64::try_from(passed.as_millis()).unwrap_or(0);
        if Duration::from_millis(self.hour.ms) >= HOUR {
            let next = Hour { no: self.hour.no + 1, ..Hour::default() };
            self.past.push_back(std::mem::replace(&mut self.hour, next));
            while self.past.len() > HOURS {
                self.past.pop_front();
            }
        }
    }

    fn hours(&self) -> impl Iterator<Item = &Hour> {
        self.past.iter().chain([&self.hour])
    }

    /// What goes along with a transaction, if it is time.
    pub fn due(&mut self, now: Mono) -> Option<WearRows> {
        let saved = *self.saved.get_or_insert(now);
        if now - saved < SAVE {
            return None;
        }
        self.saved = Some(now);
        Some(self.rows())
    }

    /// What the file has not yet.
    pub fn rows(&self) -> WearRows {
        WearRows {
            hours: self.hours().filter(|hour| hour.no >= self.unsaved).copied().collect(),
            store_bytes_total: self.store_bytes_total,
            process_bytes_total: self.process_bytes_total,
        }
    }

    /// These are in the file.
    pub fn saved(&mut self, rows: &WearRows) {
        self.unsaved = rows.hours.last().map_or(self.unsaved, |hour| hour.no);
    }

    /// A new file begins to count anew.
    pub fn restart(&mut self) {
        let (process_bytes, ticked) = (self.process_bytes, self.ticked);
        *self = Self { process_bytes, ticked, ..Self::default() };
    }

    pub fn status(&self, endurance_bytes: u64) -> WearStatus {
        let sum = |of: fn(&Hour) -> u64| self.hours().map(of).sum::<u64>();
        let measured_ms = sum(|hour| hour.ms);
        let per_day = |bytes| (measured_ms >= MEASURED_MIN_MS).then(|| per_day(bytes, measured_ms));
        let store = per_day(sum(|hour| hour.store_bytes));
        let process = per_day(sum(|hour| hour.process_bytes));
        WearStatus {
            store_bytes_total: self.store_bytes_total,
            store_bytes_per_day: store,
            process_bytes_total: self.process_bytes.map(|_| self.process_bytes_total),
            process_bytes_per_day: process.filter(|_| self.process_bytes.is_some()),
            measured_ms,
            endurance_bytes,
            // What the process wrote includes the store, unless the kernel counts it elsewhere.
            card_years: store.max(process).and_then(|daily| years(endurance_bytes, daily)),
        }
    }
}

impl Wal {
    /// Bytes that a commit wrote that led from `self` to `after`.
    pub fn commit_bytes(self, after: Self) -> u64 {
        // The WAL begins anew only when all of it is in the file.
        let anew = self.frames == 0 || (self.done > 0 && after.done == 0);
        let place = |frames: u64| WAL_HEADER_BYTES + frames * FRAME_BYTES;
        let from = if anew { 0 } else { place(self.frames) };
        let to = place(after.frames);
        if from >= to || (!anew && self.frames == after.frames) {
            return 0;
        }
        (to.div_ceil(BLOCK_BYTES) - from / BLOCK_BYTES) * BLOCK_BYTES
    }

    /// Frames that are not in the file yet.
    pub fn left(self) -> u64 {
        self.frames.saturating_sub(self.done)
    }

    /// Where the page number of a frame stands in the WAL.
    pub fn page_place(frame: u64) -> u64 {
        WAL_HEADER_BYTES + frame * FRAME_BYTES
    }
}

/// Bytes that a checkpoint of these pages writes: of every block that holds one of them.
pub fn checkpoint_bytes(pages: impl Iterator<Item = u32>) -> u64 {
    let per_block = BLOCK_BYTES / PAGE_BYTES;
    let blocks: BTreeSet<u64> =
        pages.map(|page| u64::from(page).saturating_sub(1) / per_block).collect();
    blocks.len() as u64 * BLOCK_BYTES
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for display; float casts saturate"
)]
fn per_day(bytes: u64, ms: u64) -> u64 {
    (bytes as f64 * (DAY_MS / ms as f64)) as u64
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for display")]
fn years(endurance_bytes: u64, per_day: u64) -> Option<f64> {
    (per_day > 0 && endurance_bytes > 0)
        .then(|| endurance_bytes as f64 / per_day as f64 / YEAR_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_day_of_operation_and_survive_a_restart() {
        let mut wear = Wear::default();
        let start = 7_000_000;
        wear.tick(Mono(start), Some(1_000));
        assert_eq!(wear.status(1).store_bytes_per_day, None, "nothing is measured yet");
        // Thirty hours at 60 MB an hour, then thirty at 120 MB.
        let run = |wear: &mut Wear, hours: std::ops::Range<i64>, bytes: u64| {
            for minute in hours.start * 60..hours.end * 60 {
                wear.wrote(bytes / 60);
                wear.tick(Mono(start + (minute + 1) * 60_000), None);
            }
        };
        run(&mut wear, 0..30, 60_000_000);
        let status = wear.status(4_000_000_000_000);
        assert_eq!(status.store_bytes_per_day, Some(24 * 60_000_000));
        assert_eq!(status.store_bytes_total, 30 * 60_000_000);
        let years = status.card_years.unwrap();
        assert!((years - 7.6).abs() < 0.1, "{years}");
        let rows = wear.rows();
        assert_eq!(rows.hours.len(), HOURS + 1);
        let mut wear = Wear::resume(rows);
        assert_eq!(wear.status(1).store_bytes_per_day, Some(24 * 60_000_000));
        // Another boot: what is before the first look is not known, and does not count.
        wear.tick(Mono(start + 30 * 3_600_000), Some(77));
        run(&mut wear, 30..60, 120_000_000);
        let status = wear.status(1);
        assert!(status.store_bytes_per_day.unwrap().abs_diff(24 * 120_000_000) < 400_000_000);
        assert_eq!(status.process_bytes_total, Some(1_077));
    }

    #[test]
    fn a_commit_counts_the_blocks_it_touches() {
        let wal = |frames, done| Wal { frames, done };
        assert_eq!(wal(0, 0).commit_bytes(wal(3, 0)), 4 * 4_096, "with the header");
        assert_eq!(wal(3, 0).commit_bytes(wal(4, 0)), 2 * 4_096, "12,392 to 16,512");
        assert_eq!(wal(4, 0).commit_bytes(wal(4, 0)), 0);
        assert_eq!(wal(100, 100).commit_bytes(wal(4, 0)), 5 * 4_096, "begun anew");
        assert_eq!(wal(100, 100).commit_bytes(wal(104, 100)), 5 * 4_096, "a reader held it");
        assert_eq!(checkpoint_bytes([1, 2, 4, 5, 9, 10, 9].into_iter()), 6 * 4_096);
    }

    #[test]
    fn hours_go_into_the_file_every_ten_minutes_at_most() {
        let mut wear = Wear::default();
        wear.tick(Mono(0), None);
        assert_eq!(wear.due(Mono(0)), None);
        wear.wrote(500);
        assert_eq!(wear.due(Mono(599_999)), None);
        let rows = wear.due(Mono(600_000)).unwrap();
        assert_eq!((rows.hours.len(), rows.store_bytes_total), (1, 500));
        wear.saved(&rows);
        assert_eq!(wear.due(Mono(1_199_999)), None);
    }
}
