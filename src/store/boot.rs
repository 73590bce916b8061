//! Monotonic time and what it means in wall time: `wall = mono + offset of the boot row`.
//!
//! A gateway without a clock battery comes up in 1970 and learns the time later. Readings carry
//! monotonic time and the number of a boot row; a row is the offset that was valid while they were
//! read, and where in each class's sequence it began. A step of the wall clock by more than half a
//! second begins a new row, and readings of earlier rows keep theirs, with one exception: rows of
//! the *same kernel boot* take over the offset of a clock that is better trusted than theirs, since
//! their monotonic time is on the same scale. What was delivered with the old offset has to be told
//! ([`Shift`]).
//!
//! # How far a clock is trusted
//! `Unset` (before 2025) < `Plausible` (a battery clock, a time saved at the last shutdown, a date
//! set by hand) < `Confirmed` (by a time source, see `runtime/clock.rs`). A machine that no time
//! source ever reaches stays `Plausible` for ever and loses nothing by it: its rows never change,
//! ages across boots are told on its own clock. Only ages between a confirmed and a merely plausible
//! time are unknown, and nothing is dropped for an unknown age.

use std::ops::Range;
use std::sync::Arc;

use super::entry::BootNo;
use super::per_class::PerClass;
use crate::model::{Clock, Mono, Wall};

/// A smaller difference is the wall clock being slewed, not set.
pub const STEP_MS: u64 = 500;
/// With more rows than this, those without readings are forgotten ...
const ROWS_MAX: usize = 1_024;
/// ... but for the newest.
const ROWS_KEPT: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    Unset,
    Plausible,
    Confirmed,
}

impl Trust {
    fn of(offset_ms: i64, synced: bool) -> Self {
        match (synced, Wall(offset_ms).is_plausible()) {
            (true, _) => Self::Confirmed,
            (false, true) => Self::Plausible,
            (false, false) => Self::Unset,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootRow {
    pub no: BootNo,
    /// Which boot of the kernel; monotonic times compare only within one.
    pub kernel: String,
    /// Wall minus monotonic time.
    pub offset_ms: i64,
    /// Whether a time source had confirmed the wall clock.
    pub synced: bool,
    /// The heads when it began; a row of an earlier version does not know.
    pub first: Option<PerClass<u64>>,
}

impl BootRow {
    fn trust(&self) -> Trust {
        Trust::of(self.offset_ms, self.synced)
    }
}

/// Positions whose times are known to have been off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    pub ranges: PerClass<Range<u64>>,
    /// To be added to the times that were delivered.
    pub by_ms: i64,
}

/// What a look at the clocks showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The row that holds now.
    pub boot: BootNo,
    /// Whether any row is new or changed.
    pub changed: bool,
    pub shifts: Vec<Shift>,
}

/// What the rows mean, at one moment. Readings packed with the same version have the same times.
#[derive(Debug, Clone, Default)]
pub struct Times {
    pub version: u64,
    offsets: Vec<(BootNo, i64)>,
}

impl Times {
    /// Wall time of a monotonic time; an unknown boot counts from 1970, as an unset clock does.
    pub fn wall(&self, no: BootNo, at: Mono) -> Wall {
        let found = self.offsets.binary_search_by_key(&no, |(no, _)| *no);
        let offset = found.ok().and_then(|i| self.offsets.get(i)).map_or(0, |(_, offset)| *offset);
        Wall(at.0.saturating_add(offset))
    }
}

/// Never empty once [`Boots::observe`] was called.
#[derive(Debug, Clone, Default)]
pub struct Boots {
    rows: Vec<BootRow>,
    /// Rows the file does not know, or not as they are now.
    dirty: Vec<BootNo>,
}

impl Boots {
    pub fn resume(rows: Vec<BootRow>) -> Self {
        Self { rows, dirty: Vec::new() }
    }

    /// Compares the clocks with the current row, begins a new one if they moved apart, and puts
    /// right what the clock now knows better. `heads` are the next positions to be given out.
    pub fn observe(&mut self, clock: &dyn Clock, heads: &PerClass<u64>) -> Observed {
        let offset_ms = clock.wall().0.saturating_sub(clock.mono().0);
        let synced = clock.synced();
        let trust = Trust::of(offset_ms, synced);
        let last = self.rows.last();
        let near = |row: &&BootRow| {
            row.kernel == clock.boot_id() && row.offset_ms.abs_diff(offset_ms) <= STEP_MS
        };
        let boot = match last.filter(near) {
            Some(row) if row.trust() >= trust => {
                return Observed { boot: row.no, changed: false, shifts: Vec::new() };
            }
            Some(row) => row.no,
            None => {
                let no = BootNo(last.map_or(1, |row| row.no.0.saturating_add(1)));
                let (kernel, first) = (clock.boot_id().to_owned(), Some(heads.clone()));
                self.rows.push(BootRow { no, kernel, offset_ms, synced, first });
                self.dirty.push(no);
                no
            }
        };
        let mut shifts = Vec::new();
        for i in 0..self.rows.len() {
            let (earlier, later) = self.rows.split_at_mut(i + 1);
            let Some(row) = earlier.last_mut() else { continue };
            if row.kernel != clock.boot_id() || row.trust() >= trust {
                continue;
            }
            let by_ms = offset_ms.saturating_sub(row.offset_ms);
            if let Some(first) = row.first.as_ref().filter(|_| by_ms.unsigned_abs() > STEP_MS) {
                let end = later.iter().find_map(|row| row.first.as_ref()).unwrap_or(heads);
                let ranges = PerClass::from_fn(|class| *first.get(class)..*end.get(class));
                shifts.push(Shift { ranges, by_ms });
            }
            (row.offset_ms, row.synced) = (offset_ms, synced);
            self.dirty.push(row.no);
        }
        Observed { boot, changed: true, shifts }
    }

    /// The number given last.
    pub fn last(&self) -> BootNo {
        self.rows.last().map(|row| row.no).unwrap_or_default()
    }

    /// Takes over a row of another file; gives its number here. The current row has to be looked
    /// for again afterwards ([`Boots::observe`]), since the newest one is not it any more.
    pub fn import(&mut self, other: &BootRow) -> BootNo {
        let same = |row: &&BootRow| {
            let near = row.offset_ms.abs_diff(other.offset_ms) <= STEP_MS;
            // Rows that were never confirmed took over the first offset that was.
            row.kernel == other.kernel && (near || (row.synced && !other.synced))
        };
        if let Some(row) = self.rows.iter().find(same) {
            return row.no;
        }
        let no = BootNo(self.last().0.saturating_add(1));
        // Where it began says nothing here: nothing of it that was delivered is corrected.
        self.rows.push(BootRow { no, first: None, ..other.clone() });
        self.dirty.push(no);
        no
    }

    /// What the rows mean now.
    pub fn times(&self, version: u64) -> Arc<Times> {
        let offsets = self.rows.iter().map(|row| (row.no, row.offset_ms)).collect();
        Arc::new(Times { version, offsets })
    }

    /// Forgets rows before `oldest`, of which no reading is left, except those that may yet be put
    /// right: what was delivered of them has to be corrected then.
    pub fn forget_before(&mut self, oldest: BootNo) {
        let kernel = self.rows.last().map(|row| row.kernel.clone()).unwrap_or_default();
        self.rows.retain(|row| row.no >= oldest || (row.kernel == kernel && !row.synced));
        self.forget_dirt();
    }

    /// Keeps the number of rows within bounds; `oldest` is the first that readings are left of.
    pub fn shorten(&mut self, oldest: BootNo) {
        if self.rows.len() <= ROWS_MAX {
            return;
        }
        let newest = self.rows.len() - ROWS_KEPT;
        let newest = self.rows.get(newest).map_or(oldest, |row| row.no);
        self.rows.retain(|row| row.no >= oldest.min(newest));
        self.forget_dirt();
    }

    fn forget_dirt(&mut self) {
        let rows = &self.rows;
        self.dirty.retain(|no| rows.binary_search_by_key(no, |row| row.no).is_ok());
    }

    pub fn row(&self, no: BootNo) -> Option<&BootRow> {
        self.rows.binary_search_by_key(&no, |row| row.no).ok().and_then(|i| self.rows.get(i))
    }

    /// Wall time of a monotonic time; an unknown boot counts from 1970, as an unset clock does.
    pub fn wall(&self, no: BootNo, at: Mono) -> Wall {
        Wall(at.0.saturating_add(self.row(no).map_or(0, |row| row.offset_ms)))
    }

    /// How long ago that was, if that can be told: both on the same monotonic scale, or both wall
    /// times of the same trust. Nothing is dropped for its age on a guess.
    pub fn age_ms(&self, no: BootNo, at: Mono, clock: &dyn Clock) -> Option<u64> {
        let row = self.row(no)?;
        let (mono, wall) = (clock.mono().0, clock.wall().0);
        let now = Trust::of(wall.saturating_sub(mono), clock.synced());
        let age = if row.kernel == clock.boot_id() {
            mono.saturating_sub(at.0)
        } else if row.trust() == now && now >= Trust::Plausible {
            wall.saturating_sub(at.0.saturating_add(row.offset_ms))
        } else {
            return None;
        };
        Some(u64::try_from(age).unwrap_or(0))
    }

    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub fn dirty(&self) -> Vec<BootRow> {
        self.rows.iter().filter(|row| self.dirty.contains(&row.no)).cloned().collect()
    }

    /// `written` are in the file now; a row that changed meanwhile stays dirty.
    pub fn written(&mut self, written: &[BootRow]) {
        let rows = &self.rows;
        self.dirty.retain(|no| !rows.iter().any(|row| row.no == *no && written.contains(row)));
    }

    /// A new file knows none of them.
    pub fn forget_writes(&mut self) {
        self.dirty = self.rows.iter().map(|row| row.no).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::model::ManualClock;

    struct Kernel {
        id: &'static str,
        synced: AtomicBool,
        clock: ManualClock,
    }

    impl Kernel {
        fn new(id: &'static str, synced: bool, mono: i64, wall: i64) -> Self {
            let clock = ManualClock::new(Mono(mono), Wall(wall));
            Self { id, synced: AtomicBool::new(synced), clock }
        }
    }

    impl Clock for Kernel {
        fn mono(&self) -> Mono {
            self.clock.mono()
        }
        fn wall(&self) -> Wall {
            self.clock.wall()
        }
        fn boot_id(&self) -> &str {
            self.id
        }
        fn synced(&self) -> bool {
            self.synced.load(Ordering::Relaxed)
        }
    }

    fn see(boots: &mut Boots, clock: &Kernel) -> BootNo {
        boots.observe(clock, &PerClass::default()).boot
    }

    #[test]
    fn a_step_begins_a_row_and_a_slew_does_not() {
        let clock = Kernel::new("a", true, 1_000, 1_700_000_000_000);
        let mut boots = Boots::default();
        let first = see(&mut boots, &clock);
        clock.clock.advance(Duration::from_secs(100));
        clock.clock.set_wall(Wall(clock.wall().0 + 400));
        assert_eq!(see(&mut boots, &clock), first);
        clock.clock.set_wall(Wall(clock.wall().0 + 3_600_000));
        let second = see(&mut boots, &clock);
        assert_ne!(first, second);
        assert_eq!(boots.wall(first, Mono(1_000)), Wall(1_700_000_000_000));
        assert_eq!(boots.wall(second, clock.mono()), clock.wall());
        let again = see(&mut Boots::resume(boots.rows.clone()), &clock);
        assert_eq!(again, second, "a restart of the process within one boot keeps its row");
    }

    #[test]
    fn an_unset_clock_is_put_right_for_its_own_kernel_boot_only() {
        let mut boots = Boots::default();
        let earlier = see(&mut boots, &Kernel::new("earlier", false, 5_000, 5_000));
        let clock = Kernel::new("now", false, 2_000, 2_000);
        let unset = see(&mut boots, &clock);
        assert_eq!(boots.wall(unset, Mono(1_500)), Wall(1_500));
        clock.clock.set_wall(Wall(1_700_000_000_000));
        clock.synced.store(true, Ordering::Relaxed);
        let set = see(&mut boots, &clock);
        assert_ne!(unset, set);
        assert_eq!(boots.wall(unset, Mono(1_500)), Wall(1_699_999_999_500));
        assert_eq!(boots.wall(earlier, Mono(5_000)), Wall(5_000));
        assert_eq!(boots.age_ms(unset, Mono(1_500), &clock), Some(500));
        assert_eq!(boots.age_ms(earlier, Mono(0), &clock), None, "no one can tell");
        assert_eq!(boots.dirty().len(), 3);
        let written = boots.dirty();
        boots.written(&written);
        assert!(boots.dirty().is_empty());
    }

    #[test]
    fn a_clock_that_nobody_confirms_keeps_its_rows_and_its_ages() {
        let mut boots = Boots::default();
        let before = Kernel::new("before", false, 5_000, 1_790_000_000_000);
        let old = see(&mut boots, &before);
        let clock = Kernel::new("now", false, 1_000, 1_790_000_060_000);
        let first = see(&mut boots, &clock);
        assert_eq!(boots.age_ms(old, Mono(5_000), &clock), Some(60_000), "by its own clock");
        clock.clock.set_wall(Wall(1_790_000_120_000)); // Somebody puts it right by hand.
        let second = boots.observe(&clock, &PerClass::default());
        assert_ne!(second.boot, first);
        assert_eq!(second.shifts, [], "a hand is no better than a battery");
        assert_eq!(boots.wall(first, Mono(1_000)), Wall(1_790_000_060_000));
        clock.synced.store(true, Ordering::Relaxed);
        clock.clock.set_wall(Wall(1_790_000_120_300));
        let seen = boots.observe(&clock, &PerClass::from_fn(|_| 9));
        assert_eq!(seen.boot, second.boot, "a slew");
        assert_eq!(seen.shifts.len(), 1, "60.3 s for the first row, nothing for the second");
        assert_eq!(seen.shifts[0].by_ms, 60_300);
        assert_eq!(boots.age_ms(old, Mono(5_000), &clock), None, "a guess from now on");
    }

    #[test]
    fn a_clock_that_jumps_about_does_not_fill_the_memory() {
        let clock = Kernel::new("a", false, 1_000, 1_000);
        let mut boots = Boots::default();
        for i in 0..5_000 {
            clock.clock.set_wall(Wall(i * 10_000));
            let boot = see(&mut boots, &clock);
            boots.shorten(boot);
        }
        assert!(boots.rows.len() <= ROWS_MAX, "{}", boots.rows.len());
        assert!(boots.dirty().len() <= boots.rows.len());
    }
}
