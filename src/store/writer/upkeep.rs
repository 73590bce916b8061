//! What the writer does from time to time: looks after the file and brings the WAL into it.

use std::time::Duration;

use super::Writer;
use crate::model::Class;
use crate::store::{file, rows};

/// The file is looked at for old data, and for being there at all, that often.
const LOOK: Duration = Duration::from_secs(10);
/// A checkpoint is due when so many pages wait in the WAL (1 MB) ...
const CHECKPOINT_PAGES: u64 = 1_000;
/// ... or after this time if there are any.
pub(super) const CHECKPOINT: Duration = Duration::from_secs(60);

impl Writer {
    /// Looks after the file: is it there, is anything in it too old, how old is the oldest.
    pub(super) fn look(&mut self) {
        self.look_at = self.shared.clock.mono() + LOOK;
        self.meter_time();
        let Some(connection) = &self.connection else { return };
        if self.file.as_ref().is_some_and(|file| !file.is_same()) {
            return self.set_aside("the file was deleted or replaced while it was in use");
        }
        let oldest = Class::ALL.map(|class| (class, rows::first_chunk(connection, class)));
        for (class, first) in oldest {
            match first {
                Ok(first) => {
                    let oldest = first.map(|(_, read)| read);
                    *self.shared.lock().disk.oldest.get_mut(class) = oldest;
                }
                Err(error) => return self.failed("look for old data", &error),
            }
        }
        self.trim_old();
        self.checkpoint_if_due();
    }

    /// Brings the WAL into the file when it is long or old enough.
    pub(super) fn checkpoint_if_due(&mut self) {
        let Some(connection) = &self.connection else { return };
        let now = self.shared.clock.mono();
        let result = file::wal(connection).and_then(|before| {
            let left = before.left();
            if left < CHECKPOINT_PAGES && (left == 0 || now < self.checkpoint_at) {
                return Ok(None);
            }
            file::checkpoint(connection, "PASSIVE").map(|after| Some((before, after)))
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
