//! The record of commands: who asked for what, and what became of it.
//!
//! Bounded in every direction: texts are cut, equal records that follow each other are one row with
//! a count, a flood of refusals ends in one row per reason, and the file keeps so many rows of what
//! was carried out and so many of what was refused that neither pushes out the other. Pure; a row
//! is in the file at the latest one commit window after it was made.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Mono;

/// Most rows in memory; older ones are in the file alone.
const ROWS_IN_MEMORY_MAX: usize = 512;
/// Rows kept in the file of commands that were carried out, and of others.
pub const ROWS_MAX: i64 = 10_000;
/// How far back a row is looked for that a record repeats, in rows and in time.
const ROWS_TO_REPEAT: usize = 32;
const REPEAT_WITHIN_MS: i64 = 10 * 60 * 1_000;
/// New rows of refusals in a minute; what goes beyond is not told apart by topic and origin.
const REFUSED_PER_MINUTE: u32 = 60;
const MINUTE_MS: i64 = 60 * 1_000;
/// Stands for topics and origins that are not told apart.
const VARIOUS: &str = "(various)";
/// Longest text of a record, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// One command for one tag, as it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// `lan:<client id>`, `uplink:<name>`, `local` or `safe-value`.
    pub origin: String,
    pub topic: String,
    /// `device.tag`; empty when no tag is meant.
    pub tag: String,
    /// What the tag held before, as far as that is known.
    pub old: Option<String>,
    pub asked: String,
    /// `done`, `acknowledged`, `sent`, or the code of the refusal.
    pub outcome: String,
    /// Why not, in words.
    pub reason: Option<String>,
    pub read_back: Option<String>,
    /// Whether it went to the device, be it without success.
    pub carried_out: bool,
    /// From its arrival to its answer.
    pub took_ms: u64,
}

/// Records that were the same, but for the value that a refused one asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    pub id: i64,
    /// How many.
    pub n: u64,
    /// When the first and the last of them were answered, wall time.
    pub first_ms: i64,
    pub last_ms: i64,
    /// The last one.
    #[serde(flatten)]
    pub record: AuditRecord,
}

/// The newest rows, and which of them the file does not know as they are.
#[derive(Debug, Default)]
pub struct Audit {
    rows: VecDeque<(AuditRow, bool)>,
    last_id: i64,
    /// Since when a row waits to be written.
    dirty_since: Option<Mono>,
    /// The minute in which `refused` rows were made.
    minute: i64,
    refused: u32,
    /// Rows that were never written because the disk failed for too long.
    pub lost: u64,
}

impl AuditRow {
    fn repeats(&self, record: &AuditRecord, wall_ms: i64) -> bool {
        let own = &self.record;
        (0..=REPEAT_WITHIN_MS).contains(&(wall_ms - self.first_ms))
            && own.origin == record.origin
            && own.topic == record.topic
            && own.tag == record.tag
            && own.outcome == record.outcome
            && (!record.carried_out || own.asked == record.asked)
            && own.read_back == record.read_back
    }
}

impl Audit {
    /// Takes up after the last row of the file.
    pub fn resume(last_id: i64) -> Self {
        Self { last_id, ..Self::default() }
    }

    pub fn record(&mut self, mut record: AuditRecord, wall_ms: i64, now: Mono) {
        record.shorten();
        self.dirty_since.get_or_insert(now);
        if self.repeat(&record, wall_ms) {
            return;
        }
        if !record.carried_out && self.is_flood(wall_ms) {
            (record.origin, record.topic) = (VARIOUS.to_owned(), VARIOUS.to_owned());
            (record.tag, record.read_back) = (String::new(), None);
            if self.repeat(&record, wall_ms) {
                return;
            }
        }
        self.last_id += 1;
        let row = AuditRow { id: self.last_id, n: 1, first_ms: wall_ms, last_ms: wall_ms, record };
        self.rows.push_back((row, true));
        while self.rows.len() > ROWS_IN_MEMORY_MAX {
            let gone = self.rows.pop_front();
            self.lost += u64::from(gone.is_some_and(|(_, dirty)| dirty));
        }
    }

    fn repeat(&mut self, record: &AuditRecord, wall_ms: i64) -> bool {
        let newest = self.rows.iter_mut().rev().take(ROWS_TO_REPEAT);
        let mut same = newest.filter(|(row, _)| row.repeats(record, wall_ms));
        let Some((row, dirty)) = same.next() else { return false };
        row.n += 1;
        row.last_ms = wall_ms;
        // What it held before the first is what matters.
        let old = row.record.old.take();
        row.record = record.clone();
        row.record.old = old.or(row.record.old.take());
        *dirty = true;
        true
    }

    /// Whether this minute has had its share of refusals; one more is counted.
    fn is_flood(&mut self, wall_ms: i64) -> bool {
        let minute = wall_ms.div_euclid(MINUTE_MS);
        if minute != self.minute {
            (self.minute, self.refused) = (minute, 0);
        }
        self.refused = self.refused.saturating_add(1);
        self.refused > REFUSED_PER_MINUTE
    }

    /// The newest rows, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = &AuditRow> {
        self.rows.iter().map(|(row, _)| row)
    }

    /// When they have to be written, if any must.
    pub fn due(&self, commit: Duration) -> Option<Mono> {
        self.dirty_since.map(|since| since + commit)
    }

    pub fn dirty(&self) -> Vec<AuditRow> {
        if self.dirty_since.is_none() {
            return Vec::new();
        }
        self.rows.iter().filter(|(_, dirty)| *dirty).map(|(row, _)| row.clone()).collect()
    }

    /// `written` are in the file now; a row that grew meanwhile stays dirty.
    pub fn written(&mut self, written: &[AuditRow]) {
        if written.is_empty() {
            return;
        }
        for (row, dirty) in &mut self.rows {
            *dirty &= !written.contains(row);
        }
        if !self.rows.iter().any(|(_, dirty)| *dirty) {
            self.dirty_since = None;
        }
    }

    /// A new file knows nothing of them.
    pub fn forget_writes(&mut self) {
        self.rows.iter_mut().for_each(|(_, dirty)| *dirty = true);
        if !self.rows.is_empty() {
            self.dirty_since.get_or_insert(Mono::default());
        }
    }
}

impl AuditRecord {
    fn shorten(&mut self) {
        let optional = [&mut self.old, &mut self.reason, &mut self.read_back];
        let texts = [&mut self.origin, &mut self.topic, &mut self.tag, &mut self.asked];
        for text in texts.into_iter().chain(optional.into_iter().flatten()) {
            if text.len() > TEXT_BYTES_MAX {
                text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
                text.push('…');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(topic: &str, asked: &str, outcome: &str) -> AuditRecord {
        AuditRecord {
            origin: "lan:hmi".to_owned(),
            topic: topic.to_owned(),
            tag: "press.setpoint".to_owned(),
            old: Some("20".to_owned()),
            asked: asked.to_owned(),
            outcome: outcome.to_owned(),
            reason: None,
            read_back: None,
            carried_out: outcome == "done",
            took_ms: 4,
        }
    }

    #[test]
    fn repetitions_are_one_row_with_a_count() {
        let mut audit = Audit::resume(7);
        for at in 0..5 {
            audit.record(record("a/set", "42", "done"), at, Mono(at));
        }
        audit.record(record("a/set", "43", "done"), 5, Mono(5));
        for at in 6..9 {
            audit.record(record("a/set", &at.to_string(), "out-of-limits"), at, Mono(at));
        }
        audit.record(record("a/set", "42", "done"), REPEAT_WITHIN_MS + 9, Mono(9));
        let rows: Vec<_> = audit.rows().map(|row| (row.id, row.n, &*row.record.asked)).collect();
        assert_eq!(rows, [(8, 5, "42"), (9, 1, "43"), (10, 3, "8"), (11, 1, "42")]);
        assert_eq!(audit.rows().next().map(|row| (row.first_ms, row.last_ms)), Some((0, 4)));
        assert_eq!(audit.due(Duration::from_millis(100)), Some(Mono(100)), "since the first");
    }

    #[test]
    fn a_flood_of_refusals_ends_in_one_row_per_reason() {
        let mut audit = Audit::default();
        for at in 0..10_000 {
            let mut flood = record(&format!("x/{at}/set"), "1", "unknown-tag");
            flood.origin = format!("lan:{at}");
            audit.record(flood, 1_000, Mono(1));
        }
        audit.record(record("a/set", "42", "done"), 1_000, Mono(1));
        assert_eq!(audit.rows().count(), 62);
        let flood = audit.rows().find(|row| row.record.topic == VARIOUS).unwrap();
        assert_eq!((flood.n, &*flood.record.outcome), (9_940, "unknown-tag"));
        let total: u64 = audit.rows().map(|row| row.n).sum();
        assert_eq!(total, 10_001, "none is left out");
    }

    #[test]
    fn what_grew_while_it_was_written_stays_to_be_written() {
        let mut audit = Audit::default();
        audit.record(record("a/set", "42", "done"), 1, Mono(1));
        let taken = audit.dirty();
        audit.record(record("a/set", "42", "done"), 2, Mono(2));
        audit.written(&taken);
        assert_eq!(audit.dirty().len(), 1);
        let taken = audit.dirty();
        audit.written(&taken);
        assert_eq!((audit.dirty().len(), audit.due(Duration::ZERO)), (0, None));
        audit.forget_writes();
        assert_eq!(audit.dirty().len(), 1);
    }

    #[test]
    fn texts_and_memory_are_bounded() {
        let mut audit = Audit::default();
        audit.record(record("ä".repeat(500).as_str(), &"9".repeat(100_000), "done"), 1, Mono(1));
        let row = audit.rows().next().unwrap();
        assert!(row.record.topic.len() <= TEXT_BYTES_MAX + 3, "{}", row.record.topic.len());
        assert!(row.record.asked.len() <= TEXT_BYTES_MAX + 3);
        for n in 0..1_000 {
            audit.record(record("a/set", &n.to_string(), "done"), 1, Mono(1));
        }
        assert_eq!(audit.rows().count(), ROWS_IN_MEMORY_MAX);
        assert_eq!(audit.lost, 1_001 - 512);
    }
}
