//! Gives empty pages back to the file system: after a big backlog was drained, and when the file
//! has more than its share of a disk that has little left. Not otherwise: a file that shrinks and
//! grows all the time only wears the disk.
//!
//! A file that is nearly empty is written anew as a whole, which takes no more of the log than what
//! is left in it. One that may grow beyond its share can also shrink in steps, small enough that no
//! commit waits noticeably; the others go without what that costs at every new page.

use std::time::Duration;

use rusqlite::Connection;

use super::Writer;
use super::room::Room;
use crate::model::{Clock, Mono};

use crate::store::schema::{Pages, Shrinks};

/// A drain is big when it left so much empty, and at least half of the file.
const FROM: u64 = 16 << 20;
/// So much stays empty, for what comes next.
const LEAVE: u64 = 4 << 20;
/// When the disk is short of room, only so much.
const LEAVE_SHORT: u64 = 256 << 10;
/// Most pages in one step ...
const STEP_PAGES: usize = 512;
/// ... and the longest time, as finding a page in a long list of empty ones may take.
const STEP_TIME: Duration = Duration::from_millis(20);
/// Between two steps the disk belongs to others.
const PAUSE: Duration = Duration::from_millis(60);

/// What a file that is written anew may still hold: the log has to hold it once more.
const WHOLE_MAX: u64 = 1 << 20;

/// How pages are to be given back, if they are to be, given whether that is going on already.
fn wanted(pages: Pages, room: Option<Room>, shrinks: Shrinks, going_on: bool) -> Option<Shrinks> {
    if pages.empty >= FROM && pages.live() <= WHOLE_MAX {
        return Some(Shrinks::Whole);
    }
    let short = room.is_some_and(|room| room.lacking() > 0 && room.above_share() > 0);
    let big = pages.empty >= FROM && pages.empty >= pages.all / 2;
    let due = (short && pages.empty > LEAVE_SHORT) || big || (going_on && pages.empty > LEAVE);
    (due && shrinks == Shrinks::InSteps).then_some(Shrinks::InSteps)
}

impl Writer {
    fn wanted_vacuum(&self, going_on: bool) -> Option<Shrinks> {
        wanted(self.pages, self.room, self.file.as_ref()?.shrinks, going_on)
    }

    pub(super) fn is_vacuum_due(&self, now: Mono) -> bool {
        self.connection.is_some()
            && now >= self.vacuum_at
            && self.wanted_vacuum(self.vacuuming).is_some()
    }

    /// One step of giving pages back.
    pub(super) fn vacuum(&mut self) {
        self.vacuum_at = self.shared.clock.mono() + PAUSE;
        let given = match self.wanted_vacuum(self.vacuuming) {
            Some(Shrinks::Whole) if !self.has_room_for_log() => return,
            Some(Shrinks::Whole) => self.write_anew(),
            _ => self.give_back(),
        };
        if let Err(error) = given {
            return self.failed("give empty pages back", &error);
        }
        self.meter_commit();
        self.checkpoint_if_due();
        self.look_at_room();
        self.make_ballast();
        self.vacuuming = self.wanted_vacuum(true).is_some();
        if !self.vacuuming {
            self.checkpoint_from(1); // The file gets shorter with the checkpoint.
        }
    }

    /// Writes what is left into a short file, of the kind that a new one would be now.
    fn write_anew(&mut self) -> rusqlite::Result<()> {
        let (Some(connection), Some(file)) = (&self.connection, &mut self.file) else {
            return Ok(());
        };
        let shrinks = file.wanted_shrinks();
        connection.execute_batch(&format!("PRAGMA auto_vacuum={}; VACUUM;", shrinks.pragma()))?;
        file.shrinks = shrinks;
        self.pages = Pages::of(connection)?;
        Ok(())
    }

    pub(super) fn give_back(&mut self) -> rusqlite::Result<()> {
        let Some(connection) = &self.connection else { return Ok(()) };
        step(connection, &*self.shared.clock)?;
        self.pages = Pages::of(connection)?;
        Ok(())
    }
}

fn step(connection: &Connection, clock: &dyn Clock) -> rusqlite::Result<()> {
    let until = clock.mono() + STEP_TIME;
    let transaction = connection.unchecked_transaction()?;
    {
        let mut vacuum =
            transaction.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
        let mut given = vacuum.query([])?;
        // One row is one page.
        while given.next()?.is_some() && clock.mono() < until {}
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::space::Space;

    const MIB: u64 = 1 << 20;

    fn pages(all: u64, empty: u64) -> Pages {
        Pages { all: all * MIB, empty: empty * MIB }
    }

    #[test]
    fn a_nearly_empty_file_is_written_anew_and_others_shrink_in_steps_if_they_can() {
        let of = |all, empty, shrinks| wanted(pages(all, empty), None, shrinks, false);
        let (whole, steps) = (Some(Shrinks::Whole), Some(Shrinks::InSteps));
        for shrinks in [Shrinks::Whole, Shrinks::InSteps] {
            assert_eq!(of(17, 16, shrinks), whole);
            assert_eq!(of(16, 15, shrinks), None, "not worth it");
        }
        assert_eq!((of(30, 20, Shrinks::Whole), of(30, 20, Shrinks::InSteps)), (None, steps));
        assert_eq!(of(60, 20, Shrinks::InSteps), None, "it will be needed again");
        let going_on = |shrinks| wanted(pages(30, 5), None, shrinks, true);
        assert_eq!((going_on(Shrinks::Whole), going_on(Shrinks::InSteps)), (None, steps));
    }

    #[test]
    fn a_short_disk_gets_back_what_is_above_the_share() {
        let of = |shrinks| {
            let space = Space { total: 100 * MIB, free: MIB };
            let room = Room { space, file: 60 * MIB, shrinks, ballast_missing: 0 };
            wanted(pages(60, 1), Some(room), shrinks, false)
        };
        assert_eq!((of(Shrinks::Whole), of(Shrinks::InSteps)), (None, Some(Shrinks::InSteps)));
    }
}
