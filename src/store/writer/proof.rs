//! What the writer does every minute: checks the accounts against the file, and gives memory back.

use std::time::Duration;

use super::Writer;
use crate::model::Class;
use crate::store::proof::ROWS;
use crate::store::rows;

/// How often; a bounded part of the file each time.
const EVERY: Duration = Duration::from_secs(60);

impl Writer {
    /// Checks the accounts, and gives back the memory that pages of long ago take: a cache as full as
    /// it may be is megabytes that an outage would leave behind.
    pub(super) fn prove_and_shrink(&mut self) {
        self.prove();
        if let Some(connection) = &self.connection {
            // Where that fails the cache stays: it is bounded.
            let _ = connection.release_memory();
        }
        self.shared.reader.shrink();
    }

    /// Checks the accounts, against the file as far as there is one that can be asked.
    pub(super) fn prove(&mut self) {
        self.prove_at = self.shared.clock.mono() + EVERY;
        let mut found = Vec::new();
        for class in Class::ALL {
            let asked = match (&self.connection, &self.file) {
                (Some(connection), _) => {
                    let from = self.proof.from(class);
                    rows::chunk_ranges(connection, class, from, ROWS)
                        .and_then(|rows| Ok((rows, rows::chunks_end(connection, class)?)))
                }
                (None, None) => Ok((Vec::new(), 0)),
                (None, Some(_)) => continue,
            };
            match asked {
                // Nothing is written or deleted meanwhile: that is this thread's.
                Ok((rows, end)) => {
                    let state = self.shared.lock();
                    found.extend(self.proof.of_file(&state, class, &rows, end));
                }
                Err(error) => return self.failed("check the accounts", &error),
            }
        }
        let mut state = self.shared.lock();
        found.extend(self.proof.contradictions(&state));
        state.tell_contradictions(found);
    }
}
