//! Reads the store ahead, one read at a time, live before what waited.
//!
//! What is here is in the store as well, unsettled: dropping a feed loses nothing.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Class;
use crate::store::{Consumer, Entry, StoreError};
use crate::uplink::lanes::{LIVE_LAG_MAX, Lane, LanePosition, Lanes, Turns, Work};

/// How much of the store is read at once, in bytes of memory: some hundred values, whose messages
/// go out with one ping behind them.
const READ_BYTES: usize = 32 * 1024;

/// What a read of the store gave.
pub type Found = (Work, Result<Vec<Entry>, StoreError>);

pub struct Feed {
    consumer: Consumer,
    lanes: Lanes,
    turns: Turns,
    reading: Option<Pin<Box<dyn Future<Output = Found> + Send>>>,
    pause: Duration,
    /// Not before this, after the store could not be read.
    read_again: Option<Instant>,
    /// When the lanes were made.
    scanned: Instant,
}

impl Feed {
    /// What is unsettled now has waited; what comes from now on is live.
    pub fn start(consumer: Consumer, pause: Duration) -> Self {
        Self {
            lanes: lanes(&consumer),
            consumer,
            turns: Turns::default(),
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

    pub fn is_pausing(&self) -> bool {
        self.read_again.is_some()
    }

    /// Whether something that waited is still to be sent. A read that is under way is still in its
    /// lane.
    pub fn has_backlog(&self) -> bool {
        self.lanes.next(Lane::Backlog).is_some()
    }

    /// Starts the next read, by the lanes' turns.
    pub fn read_ahead(&mut self) {
        if self.reading.is_some() || self.read_again.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.read_again = None;
        let ready = |lane| self.lanes.next(lane).is_some();
        let Some(lane) = self.turns.next(ready(Lane::Live), ready(Lane::Backlog)) else { return };
        let Some(work) = self.lanes.next(lane) else { return };
        self.turns.took(lane);
        let consumer = self.consumer.clone();
        self.reading = Some(Box::pin(async move {
            let entries = consumer.read(work.class, work.range.clone(), READ_BYTES).await;
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

    /// Whether, with nothing left to do, the store still calls rows unsettled. It may decline a
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

    /// Does what is owed again, if that was not done for this long.
    pub fn rescan(&mut self, pause: Duration) -> bool {
        let due = self.scanned.elapsed() >= pause;
        if due {
            self.lanes = lanes(&self.consumer);
            self.scanned = Instant::now();
        }
        due
    }
}

fn lanes(consumer: &Consumer) -> Lanes {
    let position = |class| {
        let position = consumer.position(class);
        (position.head, position.unsettled)
    };
    Lanes::start(position, LIVE_LAG_MAX)
}
