//! A full disk: the ballast goes, then stored data in transactions that insert nothing (with
//! inserts in them, none would ever get through), and what that frees is given back to the file
//! system until the ballast can be made again.

use std::sync::Arc;

use super::Writer;
use crate::store::checkpoint;
use crate::store::transaction::commit;
use crate::store::work::Urgency;

/// What is left for bringing the WAL into the file, beside what that adds to it: about what one
/// transaction adds to both.
const LAST: u64 = 1 << 20;
/// Most deletions in a row before new data is tried again; what is left to delete has time.
const DELETIONS_MAX: u32 = 16;

impl Writer {
    /// Whether what just failed may have failed for want of room.
    pub(super) fn is_disk_full(&mut self, says_so: bool) -> bool {
        says_so || self.look_at_room().is_some_and(|room| room.space.is_full())
    }

    /// The file is open again after the disk was full: deletes what is more than it may hold now.
    pub(super) fn delete_for_room(&mut self) {
        for _ in 0..DELETIONS_MAX {
            if self.connection.is_none() {
                return;
            }
            self.look_at_room();
            self.trim_to_quota();
            if self.victims.is_empty() && !self.deleting_owed {
                break;
            }
            if let Err(error) = self.delete_victims() {
                tracing::debug!(%error, "no room even to delete");
                self.connection = None;
                self.retry_at = self.shared.clock.mono() + super::recover::RETRY;
                return;
            }
        }
        self.make_ballast();
    }

    /// Whether there is room for another transaction. The last of it, the ballast too, is for what
    /// the WAL will add to the file: were the WAL to take that, it could never be brought in.
    pub(super) fn has_room_for_log(&mut self) -> bool {
        let (Some(file), Some(room), Some(connection)) = (&self.file, self.room, &self.connection)
        else {
            return true;
        };
        let growth = self.pages.all.saturating_sub(room.file);
        if room.space.free + file.ballast.size() >= growth + LAST {
            return true;
        }
        match checkpoint::run(connection, "PASSIVE") {
            // From here on it is written from its beginning again, and takes no more room.
            Ok(wal) if wal.left() == 0 => true,
            Ok(_) => {
                self.connection = None;
                self.full = true;
                self.strikes += 1;
                self.retry_at = self.shared.clock.mono() + super::recover::RETRY;
                self.ram_only("the log can't be brought into the store while it is being read");
                false
            }
            Err(error) => {
                self.failed("bring the WAL into the store", &error);
                false
            }
        }
    }

    fn delete_victims(&mut self) -> rusqlite::Result<()> {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.mono();
        let work = shared.lock().take_work(now, Urgency::RowsOnly);
        let (Some(work), Some(connection)) = (work, &self.connection) else { return Ok(()) };
        let done = commit(connection, &work, &self.victims, &self.written)?;
        self.committed(&work, &done);
        self.deleting_owed = done.more_to_delete;
        if self.room.is_some_and(|room| room.above_share() > 0) {
            self.give_back()?;
        }
        if let Some(connection) = &self.connection {
            checkpoint::run(connection, "PASSIVE")?;
        }
        Ok(())
    }
}
