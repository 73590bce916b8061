//! Room on the disk: how much of it the store may use now, and what it does to stay within.
//!
//! The quota is what the store may take of a file system that has the room. When there is little
//! left, what it may take shrinks (`disk` in the ledger), but never below its fair share of the
//! file system: whatever it gave up there another program would take, and what was acknowledged as
//! safe would be gone for nothing. A disk that others keep full is waited for, with new readings in
//! memory. Looked at after every commit, so that a fast writer can't fill the disk in between, and
//! seen to every [`LOOK`].

use std::time::Duration;

use super::Writer;
use crate::model::Mono;
use crate::store::schema::Shrinks;
use crate::store::space::Space;

/// The free space is seen to that often, whatever is written meanwhile.
const LOOK: Duration = Duration::from_secs(5);
/// So much of the file system is left to others ...
const KEEP_FREE_MAX: u64 = 64 << 20;
/// ... of a small one, one part in so many.
const KEEP_FREE_PART: u64 = 8;
/// What stored data goes for is more than what is wanted by one part in so many.
const SPARE_PART: u64 = 8;

/// What was seen when the disk was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub space: Space,
    /// Size of the database file, free pages counted.
    pub file: u64,
    /// How it gives pages back.
    pub shrinks: Shrinks,
    /// What the ballast takes, if it has yet to be made.
    pub ballast_missing: u64,
}

impl Room {
    /// What should be free: room for others, and for the ballast.
    fn wanted(&self) -> u64 {
        self.kept_free() + self.ballast_missing
    }

    fn kept_free(&self) -> u64 {
        (self.space.total / KEEP_FREE_PART).min(KEEP_FREE_MAX)
    }

    /// How much is missing to what should be free.
    pub fn lacking(&self) -> u64 {
        self.wanted().saturating_sub(self.space.free)
    }

    /// How much of the file is more than its share of the file system, and could be given back.
    pub fn above_share(&self) -> u64 {
        self.file.saturating_sub(self.kept())
    }

    /// So much of the file stays, whoever wants room: what would go for nothing does not go.
    fn kept(&self) -> u64 {
        match self.shrinks {
            Shrinks::InSteps => self.space.fair_share(),
            Shrinks::Whole => self.space.fair_share().max(self.file),
        }
    }

    /// How large the live data may be now.
    pub fn allowed(&self, quota: u64) -> u64 {
        // A little more than is wanted, or it would never quite be reached.
        let left = self.wanted() + self.wanted() / SPARE_PART;
        let comfortable = (self.file + self.space.free).saturating_sub(left);
        quota.min(comfortable.max(self.kept()))
    }

    /// The size of the ballast to be made, if there is room for it.
    fn ballast(&self) -> Option<u64> {
        (self.ballast_missing > 0 && self.lacking() == 0).then_some(self.ballast_missing)
    }
}

impl Writer {
    /// Looks at the disk; gives what it saw.
    pub(super) fn look_at_room(&mut self) -> Option<Room> {
        let file = self.file.as_ref()?;
        let room = file.room().ok();
        let mut state = self.shared.lock();
        state.disk.free = room.map(|room| room.space.free);
        state.disk.allowed = room.map_or(file.quota, |room| room.allowed(file.quota));
        self.room = room;
        room
    }

    /// Sees to it that the room is enough, without being asked by a commit.
    pub(super) fn keep_room(&mut self) {
        self.room_at = self.shared.clock.mono() + LOOK;
        self.look_at_room();
        if self.connection.is_none() {
            return;
        }
        self.make_ballast();
        self.trim_to_quota();
        if !self.victims.is_empty() {
            self.shared.lock().dirty_now(self.shared.clock.mono());
        }
    }

    /// Makes the ballast (again) if there is room for it.
    pub(super) fn make_ballast(&mut self) {
        let Some(size) = self.room.and_then(|room| room.ballast()) else { return };
        let Some(file) = &self.file else { return };
        match file.ballast.make(size) {
            Ok(()) => tracing::debug!(size, "room is reserved for a full disk"),
            Err(error) => tracing::debug!(%error, "no room could be reserved for a full disk"),
        }
        self.look_at_room();
    }

    pub(super) fn is_room_due(&self, now: Mono) -> bool {
        self.file.is_some() && now >= self.room_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(total: u64, free: u64, file: u64) -> Room {
        let space = Space { total: total * MIB, free: free * MIB };
        Room { space, file: file * MIB, shrinks: Shrinks::InSteps, ballast_missing: 0 }
    }

    fn allowed(room: Room, quota: u64) -> u64 {
        room.allowed(quota * MIB) / MIB
    }

    #[test]
    fn with_room_to_spare_the_quota_holds() {
        assert_eq!(allowed(room(100_000, 50_000, 10), 2_000), 2_000);
    }

    #[test]
    fn above_its_share_it_leaves_room_to_others() {
        assert_eq!(allowed(room(1_000, 100, 500), 2_000), 500 + 100 - 72);
        assert_eq!(allowed(room(80, 12, 40), 2_000), 40, "a small disk keeps less free");
    }

    #[test]
    fn above_its_share_it_gives_room_back_and_never_goes_below_for_that() {
        assert_eq!(allowed(room(1_000, 4, 900), 2_000), 900 - 68);
        assert_eq!(allowed(room(1_000, 0, 260), 2_000), 250);
    }

    #[test]
    fn nothing_goes_for_others_from_a_file_that_can_give_nothing_back() {
        let whole = |total, free, file| Room { shrinks: Shrinks::Whole, ..room(total, free, file) };
        assert_eq!(allowed(whole(1_000, 4, 900), 2_000), 900, "it only grows no more");
        assert_eq!((whole(1_000, 4, 900).above_share(), room(2, 0, 1).above_share()), (0, MIB / 2));
        assert_eq!(allowed(whole(1_000, 4, 900), 300), 300, "the quota holds");
        assert_eq!(allowed(whole(1_000, 60, 100), 2_000), 250);
    }

    #[test]
    fn below_its_share_nothing_goes_for_others() {
        assert_eq!(allowed(room(1_000, 60, 100), 2_000), 250);
        assert_eq!(allowed(room(1_000, 0, 100), 2_000), 250);
        assert_eq!(allowed(room(1_000, 0, 100), 120), 120, "and no more than the quota");
    }

    #[test]
    fn the_ballast_is_made_when_it_costs_nobody_anything() {
        let with = |free| Room { ballast_missing: 16 * MIB, ..room(1_000, free, 500) };
        assert_eq!((with(79).ballast(), with(80).ballast()), (None, Some(16 * MIB)));
        assert_eq!(allowed(with(70), 2_000), 480, "room is made for it");
        assert_eq!(room(1_000, 500, 300).ballast(), None, "it is there");
    }
}
