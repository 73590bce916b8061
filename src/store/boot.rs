//! Monotonic time and what it means in wall time: `wall = mono + offset of the boot row`.
//!
//! A gateway without a clock battery comes up in 1970 and learns the time later. Readings carry
//! monotonic time and the number of a boot row; a row is the offset that was valid while they were
//! read. A step of the wall clock by more than half a second begins a new row, and readings of
//! earlier rows keep theirs, with one exception: rows of the *same kernel boot* whose offset was
//! never confirmed by a time source take over the first confirmed one, since their monotonic time
//! is on the same scale.

use crate::model::{Clock, Mono, Wall};

use super::entry::BootNo;

/// A smaller difference is the wall clock being slewed, not set.
const STEP_MS: u64 = 500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootRow {
    pub no: BootNo,
    /// Which boot of the kernel; monotonic times compare only within one.
    pub kernel: String,
    /// Wall minus monotonic time.
    pub offset_ms: i64,
    /// Whether a time source had confirmed the wall clock.
    pub synced: bool,
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

    /// Compares the clocks with the current row and begins a new one if they moved apart.
    /// Gives the current row's number.
    pub fn observe(&mut self, clock: &dyn Clock) -> BootNo {
        let offset_ms = clock.wall().0.saturating_sub(clock.mono().0);
        let last = self.rows.last();
        let near = |row: &&BootRow| {
            row.kernel == clock.boot_id() && row.offset_ms.abs_diff(offset_ms) <= STEP_MS
        };
        let no = match last.filter(near) {
            Some(row) if row.synced || !clock.synced() => return row.no,
            Some(row) => row.no,
            None => {
                let no = BootNo(last.map_or(1, |row| row.no.0.saturating_add(1)));
                let kernel = clock.boot_id().to_owned();
                self.rows.push(BootRow { no, kernel, offset_ms, synced: false });
                self.dirty.push(no);
                no
            }
        };
        if clock.synced() {
            let unconfirmed = |row: &&mut BootRow| !row.synced && row.kernel == clock.boot_id();
            for row in self.rows.iter_mut().filter(unconfirmed) {
                row.offset_ms = offset_ms;
                row.synced = true;
                self.dirty.push(row.no);
            }
        }
        no
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
        self.rows.push(BootRow { no, ..other.clone() });
        self.dirty.push(no);
        no
    }

    /// Forgets rows before `oldest`, of which no reading is left.
    pub fn forget_before(&mut self, oldest: BootNo) {
        self.rows.retain(|row| row.no >= oldest);
        self.dirty.retain(|no| *no >= oldest);
    }

    pub fn row(&self, no: BootNo) -> Option<&BootRow> {
        self.rows.binary_search_by_key(&no, |row| row.no).ok().and_then(|i| self.rows.get(i))
    }

    /// Wall time of a monotonic time; an unknown boot counts from 1970, as an unset clock does.
    pub fn wall(&self, no: BootNo, at: Mono) -> Wall {
        Wall(at.0.saturating_add(self.row(no).map_or(0, |row| row.offset_ms)))
    }

    /// How long ago that was, if that can be told: both on the same monotonic scale, or both
    /// confirmed wall times. Nothing is dropped for its age on a guess.
    pub fn age_ms(&self, no: BootNo, at: Mono, clock: &dyn Clock) -> Option<u64> {
        let row = self.row(no)?;
        let age = if row.kernel == clock.boot_id() {
            clock.mono().0.saturating_sub(at.0)
        } else if row.synced && clock.synced() {
            clock.wall().0.saturating_sub(at.0.saturating_add(row.offset_ms))
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

    #[test]
    fn a_step_begins_a_row_and_a_slew_does_not() {
        let clock = Kernel::new("a", true, 1_000, 1_700_000_000_000);
        let mut boots = Boots::default();
        let first = boots.observe(&clock);
        clock.clock.advance(Duration::from_secs(100));
        clock.clock.set_wall(Wall(clock.wall().0 + 400));
        assert_eq!(boots.observe(&clock), first);
        clock.clock.set_wall(Wall(clock.wall().0 + 3_600_000));
        let second = boots.observe(&clock);
        assert_ne!(first, second);
        assert_eq!(boots.wall(first, Mono(1_000)), Wall(1_700_000_000_000));
        assert_eq!(boots.wall(second, clock.mono()), clock.wall());
        let again = Boots::resume(boots.rows.clone()).observe(&clock);
        assert_eq!(again, second, "a restart of the process within one boot keeps its row");
    }

    #[test]
    fn an_unset_clock_is_put_right_for_its_own_kernel_boot_only() {
        let mut boots = Boots::default();
        let earlier = boots.observe(&Kernel::new("earlier", false, 5_000, 5_000));
        let clock = Kernel::new("now", false, 2_000, 2_000);
        let unset = boots.observe(&clock);
        assert_eq!(boots.wall(unset, Mono(1_500)), Wall(1_500));
        clock.clock.set_wall(Wall(1_700_000_000_000));
        clock.synced.store(true, Ordering::Relaxed);
        let set = boots.observe(&clock);
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
}
