//! What a consumer has to be told besides readings: losses, jumps of positions, corrected times.
//!
//! The ledger is the queue: every row for a consumer is a notice, handed out until the consumer
//! says that it was told. A notice, once handed out, never changes. It is handed out when the file
//! has it (a store without a file, or whose disk is broken, does not wait), so a crash takes none
//! back and gives no id to two.

use super::accounting::{NEW_EPOCH, SALVAGED, SKIPPED, TIME_CORRECTED};
use super::ledger::DropRow;
use super::status::Health;
use super::{Consumer, Range};
use crate::model::{Class, Seq, Wall};

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Grows; unique within an epoch.
    pub id: i64,
    pub kind: NoticeKind,
    pub class: Class,
    pub range: Range<Seq>,
    /// The epoch under which the positions count, if that is not the current one; 0 if unknown.
    pub epoch: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeKind {
    /// `n` of these positions will never come.
    Gap { reason: String, n: u64, read: Option<(Wall, Wall)> },
    /// `n` of these positions, told as a gap, come after all, under new positions.
    Salvaged { n: u64 },
    /// After a crash positions go on behind these.
    Resume,
    /// A new epoch begins; nothing before the range comes under it.
    NewEpoch,
    /// These were delivered with a time that is off by so much; `None`: by different amounts.
    TimeCorrection { shift_ms: Option<i64> },
}

impl Notice {
    fn of(row: DropRow) -> Option<Self> {
        let kind = match &*row.reason {
            SALVAGED => NoticeKind::Salvaged { n: row.n },
            SKIPPED => NoticeKind::Resume,
            NEW_EPOCH => NoticeKind::NewEpoch,
            TIME_CORRECTED => NoticeKind::TimeCorrection { shift_ms: row.shift_ms },
            _ => NoticeKind::Gap {
                read: row.wall_from_ms.zip(row.wall_to_ms).map(|(from, to)| (Wall(from), Wall(to))),
                n: row.n,
                reason: row.reason.into_owned(),
            },
        };
        let class = Class::ALL.into_iter().find(|class| class.as_str() == row.class)?;
        let range = Seq(row.seq_from)..Seq(row.seq_to);
        Some(Self { id: row.id, kind, class, range, epoch: row.epoch })
    }
}

impl Consumer {
    /// Whether there is anything to tell; cheap.
    pub fn has_notices(&self) -> bool {
        let state = self.shared.lock();
        state.consumer(self.id).is_some_and(|own| state.ledger.has_untold(own.name.as_str()))
    }

    /// The oldest notices that were not told, at most `max` and [`super::NOTICES_MAX`]. What the
    /// file does not have yet is written at once, and handed out after that.
    pub fn notices(&self, max: usize) -> Vec<Notice> {
        let now = self.shared.clock.mono();
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let Some(own) = state.consumers.iter().find(|own| own.id == self.id) else {
            return Vec::new();
        };
        let name = own.name.as_str();
        let wait = matches!(state.health, Health::Ok | Health::Closed);
        let rows = state.ledger.hand_out(name, max, wait);
        if rows.is_empty() && state.ledger.has_untold(name) {
            state.dirty_now(now);
            self.shared.release_in_time(guard, now);
        }
        rows.into_iter().filter_map(Notice::of).collect()
    }

    /// Everything up to this notice was told.
    pub fn told(&self, id: i64) {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        if let Some(own) = state.consumers.iter().find(|own| own.id == self.id) {
            state.ledger.told(own.name.as_str(), id);
        }
    }
}
