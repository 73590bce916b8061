//! What the writer writes, counted for the life of the card (`store/wear.rs`).

use super::Writer;
use crate::store::checkpoint;
use crate::store::wear::{Wal, checkpoint_bytes};

impl Writer {
    /// Counts what the last transaction added to the WAL.
    pub(super) fn meter_commit(&mut self) {
        let Some(after) = self.connection.as_ref().and_then(|c| checkpoint::reached(c).ok()) else {
            return;
        };
        let bytes = self.wal.commit_bytes(after);
        self.wal = after;
        self.shared.lock().wear.wrote(bytes);
    }

    /// Counts the blocks of the file that a checkpoint wrote.
    pub(super) fn meter_checkpoint(&mut self, before: Wal, after: Wal) {
        self.wal = after;
        let Some(file) = &self.file else { return };
        if let Ok(pages) = checkpoint::pages(&file.path, before.done..after.done) {
            self.shared.lock().wear.wrote(checkpoint_bytes(pages.into_iter()));
        }
    }

    /// Lets the time of the rates go on, and looks what the whole process wrote.
    pub(super) fn meter_time(&self) {
        let process_bytes = process_bytes();
        self.shared.lock().wear.tick(self.shared.clock.mono(), process_bytes);
    }
}

/// What the kernel counted for this process as sent to disks; not every kernel does.
fn process_bytes() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?;
    line.trim().parse().ok()
}
