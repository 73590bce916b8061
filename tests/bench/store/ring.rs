//! The physical limit: the same encoded chunks, written into a file whose blocks exist already,
//! one after the other and around, with one `fdatasync` each. It can't be deleted from, searched,
//! or told from garbage after a power cut; nothing that can be is faster.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fieldhold::model::{Batch, Reading, Seq};
use fieldhold::store::pack_readings;

/// Large enough that no block is written twice within one measurement of the store's WAL.
const RING_BYTES: u64 = 16 << 20;

pub struct Ring {
    file: File,
    at: u64,
    next: Seq,
}

impl Ring {
    pub fn make(path: &Path) -> Self {
        let file = File::options().create(true).write(true).truncate(true).open(path).unwrap();
        let zeros = vec![0; 1 << 20];
        for at in (0..RING_BYTES).step_by(1 << 20) {
            file.write_all_at(&zeros, at).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, at: 0, next: Seq(0) }
    }

    /// One commit; gives the bytes of the record.
    pub fn commit(&mut self, batches: &[Batch]) -> usize {
        let readings: Vec<&Reading> = batches.iter().flat_map(|b| &b.readings).collect();
        let mut record = Vec::new();
        let most = usize::try_from(fieldhold::store::CHUNK_MAX).unwrap();
        for chunk in readings.chunks(most) {
            pack_readings(self.next, chunk, &mut record);
            self.next = self.next.plus(chunk.len() as u64);
        }
        if self.at + record.len() as u64 > RING_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&record, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at += record.len() as u64;
        record.len()
    }
}
