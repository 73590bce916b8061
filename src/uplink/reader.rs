//! Reads the store for one connection: lanes, one read ahead at a time, and what is owed at the end.
//!
//! What is read is in the store as well, unsettled: dropping a reader loses nothing. Which lane is
//! read when, and what becomes of the rows, is for who owns it.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::{LIVE_LAG_MAX, Lane, LanePosition, Lanes, Work};
use crate::model::Class;
use crate::store::{Consumer, Entry, StoreError};

/// What a read of the store gave.
pub type Found = (Work, Result<Vec<Entry>, StoreError>);

pub struct Reader {
    consumer: Consumer,
    lanes: Lanes,
    /// The one read of the store that is under way.
    reading: Option<Pin<Box<dyn Future<Output = Found> + Send>>>,
    /// The pause after a read that failed.
    pause: Duration,
    /// Not before this, after the store could not be read.
    read_again: Option<Instant>,
    /// When the lanes were made, by the start or by a rescan.
    scanned: Instant,
}

impl Reader {
    /// What is unsettled now has waited; what comes from now on is live.
    pub fn start(consumer: Consumer, pause: Duration) -> Self {
        Self {
            lanes: lanes(&consumer),
            consumer,
            reading: None,
            pause,
            read_again: None,
            scanned: Instant::now(),
        }
    }

    /// Something may have been appended; says how many rows.
    pub fn appended(&mut self) -> u64 {
        let heads = Class::ALL.map(|class| (class, self.consumer.head(class)));
        heads.into_iter().map(|(class, head)| self.lanes.appended(class, head)).sum()
    }

    pub fn positions(&self) -> Vec<LanePosition> {
        self.lanes.positions()
    }

    /// Whether a pause has to be watched.
    pub fn is_pausing(&self) -> bool {
        self.read_again.is_some()
    }

    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// What is to be read next of this lane. A read that is under way is still in its lane.
    pub fn next(&self, lane: Lane) -> Option<Work> {
        self.lanes.next(lane)
    }

    /// Whether a read may begin: none is under way, and no pause.
    pub fn is_free(&mut self) -> bool {
        if self.reading.is_some() || self.read_again.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.read_again = None;
        true
    }

    /// Begins a read, of about so many bytes of memory.
    pub fn begin(&mut self, work: Work, bytes: usize) {
        let consumer = self.consumer.clone();
        self.reading = Some(Box::pin(async move {
            let entries = consumer.read(work.class, work.range.clone(), bytes).await;
            (work, entries)
        }));
    }

    /// The read that is under way; waits for ever if there is none.
    pub async fn read(&mut self) -> Found {
        match &mut self.reading {
            Some(reading) => {
                let found = reading.await;
                self.reading = None;
                found
            }
            None => std::future::pending().await,
        }
    }

    /// What was found is given out and not read again.
    pub fn found(&mut self, (work, entries): Found) -> Result<(Work, Vec<Entry>), StoreError> {
        let entries = entries.inspect_err(|_| {
            self.read_again = Some(Instant::now() + self.pause);
        })?;
        // Nothing at all means that nothing of the range exists any more.
        let upto = entries.last().map_or(work.range.end, |entry| entry.range().end);
        self.lanes.read(&work, upto);
        Ok((work, entries))
    }

    /// Whether, with nothing left to read, the store still calls rows unsettled. It may decline a
    /// settlement that would scatter its books too much.
    pub fn is_owed(&mut self) -> bool {
        if self.reading.is_some() {
            return false;
        }
        self.appended();
        if self.lanes.next(Lane::Live).or(self.lanes.next(Lane::Backlog)).is_some() {
            return false;
        }
        let owed = |class: &Class| !self.consumer.position(*class).unsettled.is_empty();
        Class::ALL.iter().any(owed)
    }

    /// Does what is owed again, if that was not done for this long; says whether it does.
    pub fn rescan(&mut self, pause: Duration) -> bool {
        let due = self.scanned.elapsed() >= pause;
        if due {
            self.restart();
            self.scanned = Instant::now();
        }
        due
    }

    /// All that the store calls unsettled is done again.
    pub fn restart(&mut self) {
        self.reading = None;
        self.lanes = lanes(&self.consumer);
    }
}

fn lanes(consumer: &Consumer) -> Lanes {
    let position = |class| {
        let position = consumer.position(class);
        (position.head, position.unsettled)
    };
    Lanes::start(position, LIVE_LAG_MAX)
}
