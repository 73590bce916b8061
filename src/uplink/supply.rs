//! Where a connection's messages come from: the store's rows, in lanes, packed and ready.
//!
//! Reads the store ahead a little, one read at a time, and never more than the bounds below.
//! What is here is in the store as well, unsettled: dropping a `Supply` loses nothing.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::lanes::{Lane, LanePosition, Turns};
use super::pack::{Item, Packed, Packer};
use super::reader::{Found, Reader};
use super::settling::Fate;
use crate::model::{Class, Seq};
use crate::store::{Consumer, StoreError};

/// How much of the store is read at once.
const READ_BYTES: usize = 128 * 1024;
/// A lane with less than this ready to go is read further.
const READY_BYTES_LOW: usize = 64 * 1024;

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
    reader: Reader,
    turns: Turns,
    live: Ready,
    backlog: Ready,
    /// Between two rescans.
    pause: Duration,
}

impl Supply {
    /// Starts both lanes from where the store stands now.
    pub fn start(consumer: Consumer, pause: Duration) -> Self {
        Self {
            reader: Reader::start(consumer, pause),
            turns: Turns::default(),
            live: Ready::default(),
            backlog: Ready::default(),
            pause,
        }
    }

    /// Something may have been appended; says how many rows.
    pub fn appended(&mut self) -> u64 {
        self.reader.appended()
    }

    pub fn positions(&self) -> Vec<LanePosition> {
        self.reader.positions()
    }

    /// Whether a pause has to be watched.
    pub fn pausing(&self) -> bool {
        self.reader.is_pausing()
    }

    /// Whether a read is under way.
    pub fn reads(&self) -> bool {
        self.reader.is_reading()
    }

    /// Nothing is ready and nothing is being read.
    pub fn idle(&self) -> bool {
        !self.reader.is_reading() && self.live.items.is_empty() && self.backlog.items.is_empty()
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
        if !self.reader.is_free() {
            return;
        }
        let lanes = [(Lane::Live, &self.live), (Lane::Backlog, &self.backlog)];
        let work = lanes
            .into_iter()
            .filter(|(_, ready)| ready.bytes < READY_BYTES_LOW)
            .find_map(|(lane, _)| self.reader.next(lane));
        if let Some(work) = work {
            self.reader.begin(work, READ_BYTES);
        }
    }

    /// The read that is under way; waits for ever if there is none.
    pub async fn read(&mut self) -> Found {
        self.reader.read().await
    }

    /// Packs what was found. What needs no sending comes back with its fate.
    pub fn found(
        &mut self,
        found: Found,
        packer: &mut Packer,
    ) -> Result<Vec<(Class, Fate, Range<Seq>)>, StoreError> {
        let (work, entries) = self.reader.found(found)?;
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
        (self.live, self.backlog) = (Ready::default(), Ready::default());
        self.reader.restart();
    }

    /// With nothing out and nothing left to do, what the store still calls unsettled is done
    /// again. Says whether anything is owed still; not done more often than once per pause.
    pub fn rescan(&mut self) -> bool {
        let owed = self.reader.is_owed();
        if owed {
            self.reader.rescan(self.pause);
        }
        owed
    }
}
