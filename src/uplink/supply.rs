//! Where a connection's messages come from: the store's rows, in lanes, packed and ready.
//!
//! Reads the store ahead a little, one read at a time, and never more than the bounds below.
//! What is here is in the store as well, unsettled: dropping a `Supply` loses nothing.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::{LIVE_LAG_MAX, Lane, LanePosition, Lanes, Turns, Work};
use super::pack::{Item, Packed, Packer};
use super::settling::Fate;
use crate::model::{Class, Seq};
use crate::store::{Consumer, Entry, StoreError};

/// How much of the store is read at once.
const READ_BYTES: usize = 128 * 1024;
/// A lane with less than this ready to go is read further.
const READY_BYTES_LOW: usize = 64 * 1024;

/// What a read of the store gave.
pub type Found = (Work, Result<Vec<Entry>, StoreError>);

/// Packed messages of one lane.
#[derive(Default)]
struct Ready {
    items: VecDeque<Item>,
    bytes: usize,
}

impl Ready {
    fn push(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }
}

pub struct Supply {
    consumer: Consumer,
    lanes: Lanes,
    turns: Turns,
    live: Ready,
    backlog: Ready,
    /// The one read of the store that is under way.
    reading: Option<Pin<Box<dyn Future<Output = Found> + Send>>>,
    /// The pause after a read that failed, and between two rescans.
    pause: Duration,
    /// Not before this, after the store could not be read.
    read_again: Option<Instant>,
    rescan_at: Instant,
}

impl Supply {
    /// Starts both lanes from where the store stands now.
    pub fn start(consumer: Consumer, pause: Duration) -> Self {
        Self {
            lanes: lanes(&consumer),
            consumer,
            turns: Turns::default(),
            live: Ready::default(),
            backlog: Ready::default(),
            reading: None,
            pause,
            read_again: None,
            rescan_at: Instant::now() + pause,
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
    pub fn pausing(&self) -> bool {
        self.read_again.is_some()
    }

    /// Nothing is ready and nothing is being read.
    pub fn idle(&self) -> bool {
        self.reading.is_none() && self.live.items.is_empty() && self.backlog.items.is_empty()
    }

    /// The sizes of the messages that come next, live and backlog.
    pub fn next_bytes(&self) -> [Option<usize>; 2] {
        [&self.live, &self.backlog].map(|ready| ready.items.front().map(Item::bytes))
    }

    /// The next message of those lanes for which there is room, by their turns.
    pub fn next(&mut self, live: bool, backlog: bool) -> Option<Item> {
        let live = live && !self.live.items.is_empty();
        let backlog = backlog && !self.backlog.items.is_empty();
        let lane = self.turns.next(live, backlog)?;
        self.turns.took(lane);
        match lane {
            Lane::Live => self.live.pop(),
            Lane::Backlog => self.backlog.pop(),
        }
    }

    /// Starts the next read if a lane runs low.
    pub fn read_ahead(&mut self) {
        if self.reading.is_some() || self.read_again.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.read_again = None;
        let lanes = [(Lane::Live, &self.live), (Lane::Backlog, &self.backlog)];
        let work = lanes
            .into_iter()
            .filter(|(_, ready)| ready.bytes < READY_BYTES_LOW)
            .find_map(|(lane, _)| self.lanes.next(lane));
        let Some(work) = work else { return };
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

    /// Packs what was found. What needs no sending comes back with its fate.
    pub fn found(
        &mut self,
        (work, entries): Found,
        packer: &mut Packer,
    ) -> Result<Vec<(Class, Fate, Range<Seq>)>, StoreError> {
        let entries = entries.inspect_err(|_| {
            self.read_again = Some(Instant::now() + self.pause);
        })?;
        // Nothing at all means that nothing of the range exists any more.
        let upto = entries.last().map_or(work.range.end, |entry| entry.range().end);
        self.lanes.read(&work, upto);
        let ready = match work.lane {
            Lane::Live => &mut self.live,
            Lane::Backlog => &mut self.backlog,
        };
        let mut fates = Vec::new();
        for packed in packer.pack(&work, entries) {
            match packed {
                Packed::Item(item) => ready.push(item),
                Packed::Settled(fate, range) => fates.push((work.class, fate, range)),
            }
        }
        Ok(fates)
    }

    /// With nothing out: all that the store calls unsettled is done again, whatever is ready here.
    pub fn restart(&mut self) {
        (self.live, self.backlog, self.reading) = (Ready::default(), Ready::default(), None);
        self.lanes = lanes(&self.consumer);
    }

    /// With nothing out and nothing left to do, what the store still calls unsettled is done
    /// again: the store may decline a settlement that would scatter its books too much. Says
    /// whether anything is owed still; not done more often than once per pause.
    pub fn rescan(&mut self) -> bool {
        self.appended();
        if self.lanes.next(Lane::Live).or(self.lanes.next(Lane::Backlog)).is_some() {
            return false;
        }
        let owed = |class: &Class| !self.consumer.position(*class).unsettled.is_empty();
        let owed = Class::ALL.iter().any(owed);
        if owed && Instant::now() >= self.rescan_at {
            self.lanes = lanes(&self.consumer);
            self.rescan_at = Instant::now() + self.pause;
        }
        owed
    }
}

fn lanes(consumer: &Consumer) -> Lanes {
    let position = |class| {
        let position = consumer.position(class);
        (position.head, position.unsettled)
    };
    Lanes::start(position, LIVE_LAG_MAX)
}
