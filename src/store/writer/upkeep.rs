//! What the writer does from time to time: looks after the file and brings the WAL into it.

use std::time::Duration;

use super::Writer;
use crate::model::Class;
use crate::store::per_class::PerClass;
use crate::store::schema::BUSY;
use crate::store::transaction::{EMPTIED_BYTES_MAX, is_settled_whole};
use crate::store::work::Work;
use crate::store::{checkpoint, rows};

/// The file is looked at for old data, and for being there at all, that often.
const LOOK: Duration = Duration::from_secs(10);
/// A checkpoint is due when so many pages wait in the WAL (1 MB of 4 KiB) ...
const CHECKPOINT_PAGES: u64 = 250;
/// ... or after this time if there are any: rarely, since each costs the file system's journal a
/// commit, and what is in the WAL is as safe there.
pub(super) const CHECKPOINT: Duration = Duration::from_secs(600);
/// From so many on (2 MB) it is made between two reads of the consumers, or readers without a pause
/// would keep the WAL from being begun anew ...
pub(super) const CHECKPOINT_ALONE_PAGES: u64 = 2 * CHECKPOINT_PAGES;
/// ... for which the consumers are waited for so long: their reads take a few milliseconds. Longer
/// ones, of a backup, are tried again when the WAL has grown.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(20);
/// Settled chunks are deleted when so many positions of a class are settled ...
const DELETE_POSITIONS: u64 = 100_000;
/// ... or after this time. Every deletion rewrites pages all over the file, the fewer the better.
const DELETE: Duration = Duration::from_secs(60);

impl Writer {
    /// Looks after the file: is it there, is anything in it too old, how old is the oldest.
    pub(super) fn look(&mut self) {
        self.look_at = self.shared.clock.mono() + LOOK;
        self.meter_time();
        let Some(connection) = &self.connection else { return };
        if self.file.as_ref().is_some_and(|file| !file.is_same()) {
            return self.set_aside("the file was deleted or replaced while it was in use");
        }
        let below = {
            let state = self.shared.lock();
            PerClass::from_fn(|class| state.settled_below(class))
        };
        let oldest = Class::ALL
            .map(|class| (class, rows::first_chunk(connection, class, *below.get(class))));
        for (class, first) in oldest {
            match first {
                Ok(first) => {
                    let oldest = first.map(|(_, read)| read);
                    *self.shared.lock().disk.oldest.get_mut(class) = oldest;
                }
                Err(error) => return self.failed("look for old data", &error),
            }
        }
        self.shared.lock().forget_boots();
        self.trim_old();
        let now = self.shared.clock.mono();
        let deletes = Class::ALL.into_iter().any(|class| {
            let below = *below.get(class);
            below > self.written.get(class).deleted_below && !self.waits_for_rest(class, below)
        });
        if self.deleting_owed && deletes && now >= self.delete_at {
            self.shared.lock().dirty_now(now);
        }
        self.checkpoint_if_due();
    }

    /// Leaves deleting for later while there is little to delete, or while the whole table will soon
    /// be there to delete.
    pub(super) fn put_off_deleting(&mut self, work: &mut Work) {
        let now = self.shared.clock.mono();
        let is_time = now >= self.delete_at;
        let mut deletes = is_time;
        self.deleting_owed = false;
        for class in Class::ALL {
            let done = self.written.get(class).deleted_below;
            let below = *work.delete_below.get(class);
            let n = below.saturating_sub(done);
            if n == 0 {
                continue;
            }
            if (is_time || n >= DELETE_POSITIONS) && !self.waits_for_rest(class, below) {
                deletes = true;
            } else {
                self.deleting_owed = true;
                *work.delete_below.get_mut(class) = done;
            }
        }
        if deletes {
            self.delete_at = now + DELETE;
        }
    }

    /// Whether what is settled of a class had better stay until the rest is: then the table is
    /// emptied as a whole. Not where it takes more than that may, or half of what there is.
    fn waits_for_rest(&self, class: Class, below: u64) -> bool {
        let allowed = self.shared.lock().disk.allowed;
        let is_small = self.pages.live() <= EMPTIED_BYTES_MAX.min(allowed / 2);
        // What fails here fails the transaction as well, which sees to it.
        let is_whole =
            |connection| is_settled_whole(connection, class, below).is_ok_and(|whole| whole);
        is_small && !self.connection.as_ref().is_some_and(is_whole)
    }

    /// Brings the WAL into the file when it is long or old enough.
    pub(super) fn checkpoint_if_due(&mut self) {
        let now = self.shared.clock.mono();
        self.checkpoint_from(if now < self.checkpoint_at { CHECKPOINT_PAGES } else { 1 });
    }

    /// Brings the WAL into the file if it has so many pages.
    pub(super) fn checkpoint_from(&mut self, least: u64) {
        let Some(connection) = &self.connection else { return };
        let now = self.shared.clock.mono();
        let result = checkpoint::reached(connection).and_then(|before| {
            if before.left() < least {
                return Ok(None);
            }
            if before.frames < CHECKPOINT_ALONE_PAGES {
                self.alone_from = CHECKPOINT_ALONE_PAGES;
            }
            if before.frames < self.alone_from {
                return checkpoint::run(connection, "PASSIVE").map(|after| Some((before, after)));
            }
            // Not at every commit: who reads for long would slow all of them down.
            self.alone_from = before.frames + CHECKPOINT_PAGES;
            connection.busy_timeout(CHECKPOINT_WAIT)?;
            let after = checkpoint::run(connection, "RESTART");
            connection.busy_timeout(BUSY)?;
            after.map(|after| Some((before, after)))
        });
        match result {
            Ok(Some((before, after))) => {
                self.meter_checkpoint(before, after);
                self.checkpoint_at = now + CHECKPOINT;
                self.shared.lock().counters.checkpoints += 1;
            }
            Ok(None) => {}
            Err(error) => self.failed("bring the WAL into the store", &error),
        }
    }
}
