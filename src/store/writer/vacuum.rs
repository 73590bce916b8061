//! Gives empty pages back to the file system: after a big backlog was drained, and when the file
//! has more than its share of a disk that has little left. In steps small enough that no commit
//! waits noticeably, and not otherwise: a file that shrinks and grows all the time only wears the
//! disk.

use std::time::Duration;

use rusqlite::Connection;

use super::Writer;
use super::room::Room;
use crate::model::{Clock, Mono};
use crate::store::file::Pages;

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

/// Whether pages are to be given back, given whether that is going on already.
fn wanted(pages: Pages, room: Option<Room>, going_on: bool) -> bool {
    let short = room.is_some_and(|room| room.lacking() > 0 && room.above_share() > 0);
    let big = pages.empty >= FROM && pages.empty >= pages.all / 2;
    (short && pages.empty > LEAVE_SHORT) || big || (going_on && pages.empty > LEAVE)
}

impl Writer {
    pub(super) fn is_vacuum_due(&self, now: Mono) -> bool {
        self.connection.is_some()
            && now >= self.vacuum_at
            && wanted(self.pages, self.room, self.vacuuming)
    }

    /// One step of giving pages back.
    pub(super) fn vacuum(&mut self) {
        self.vacuum_at = self.shared.clock.mono() + PAUSE;
        if let Err(error) = self.give_back() {
            return self.failed("give empty pages back", &error);
        }
        self.checkpoint_if_due();
        self.look_at_room();
        self.make_ballast();
        self.vacuuming = wanted(self.pages, self.room, true);
        if !self.vacuuming {
            self.checkpoint_from(1); // The file gets shorter with the checkpoint.
        }
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
