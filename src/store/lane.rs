//! One class in memory: the sequence and the tail of what was appended last.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::entry::{Body, BootNo, Entry};
use super::error::StoreError;
use super::work::RESERVE;
use crate::model::{Message, Mono, Reading, Seq};

/// Most readings in one item: what memory drops at once.
pub const ITEM_READINGS_MAX: usize = 4_096;
/// What one appended thing costs in memory besides its readings.
const ITEM_OVERHEAD: usize = 96;

/// What was appended in one call; shared with the writer while it writes.
#[derive(Debug, Clone)]
pub enum Content {
    Readings(Arc<Vec<Reading>>),
    Message(Arc<Message>),
}

impl From<Body> for Content {
    fn from(body: Body) -> Self {
        match body {
            Body::Readings(readings) => Self::Readings(Arc::new(readings)),
            Body::Message(message) => Self::Message(Arc::new(message)),
        }
    }
}

/// Something to append, made ready before a lock is taken: others wait for that.
#[derive(Debug)]
pub struct Fresh {
    pub content: Content,
    pub n: u64,
    /// Memory that it takes.
    pub bytes: usize,
}

impl From<Body> for Fresh {
    fn from(body: Body) -> Self {
        let (n, bytes) = (body.count(), body_bytes(&body));
        Self { content: body.into(), n, bytes }
    }
}

impl Fresh {
    /// In as few items as may be.
    pub fn of_readings(mut readings: Vec<Reading>) -> Vec<Self> {
        let mut items = Vec::with_capacity(1);
        while readings.len() > ITEM_READINGS_MAX {
            let rest = readings.split_off(ITEM_READINGS_MAX);
            items.push(Body::Readings(std::mem::replace(&mut readings, rest)).into());
        }
        if !readings.is_empty() {
            items.push(Body::Readings(readings).into());
        }
        items
    }
}

#[derive(Debug, Clone)]
pub struct Item {
    pub seq: u64,
    pub n: u64,
    pub boot: BootNo,
    /// When it was appended; its window runs from here.
    pub since: Mono,
    pub bytes: usize,
    pub content: Content,
    /// Whether the file has it.
    pub stored: bool,
    /// Whether someone waits for it to be safe.
    pub awaited: bool,
}

impl Item {
    pub fn end(&self) -> u64 {
        self.seq + self.n
    }

    pub fn range(&self) -> Range<u64> {
        self.seq..self.end()
    }

    /// When the oldest and the newest of it were read.
    pub fn times(&self) -> (Mono, Mono) {
        match &self.content {
            Content::Readings(readings) => {
                let times = readings.iter().map(Reading::at);
                (times.clone().min().unwrap_or(self.since), times.max().unwrap_or(self.since))
            }
            Content::Message(message) => (message.at, message.at),
        }
    }

    /// A copy of the part inside `range`, no longer than `bytes_max` but never empty.
    fn part(&self, range: &Range<u64>, bytes_max: usize) -> Option<(Entry, usize)> {
        let (from, to) = (range.start.max(self.seq), range.end.min(self.end()));
        if from >= to {
            return None;
        }
        let body = match &self.content {
            Content::Message(message) => Body::Message((**message).clone()),
            Content::Readings(readings) => {
                let skip = usize::try_from(from - self.seq).ok()?;
                let take = usize::try_from(to - from).ok()?;
                Body::Readings(fitting(readings.iter().skip(skip).take(take), bytes_max))
            }
        };
        let bytes = body_bytes(&body);
        Some((Entry { seq: Seq(from), boot: self.boot, body }, bytes))
    }
}

/// As many readings as fit into `bytes_max`, at least one.
pub fn fitting<'a>(readings: impl Iterator<Item = &'a Reading>, bytes_max: usize) -> Vec<Reading> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for reading in readings {
        bytes += reading_bytes(reading);
        if bytes > bytes_max && !taken.is_empty() {
            break;
        }
        taken.push(reading.clone());
    }
    taken
}

/// Memory of one reading.
fn reading_bytes(reading: &Reading) -> usize {
    size_of::<Reading>() + reading.value().map_or(0, crate::model::Value::heap_bytes)
}

/// Memory of an entry's content.
pub fn body_bytes(body: &Body) -> usize {
    match body {
        Body::Readings(readings) => readings.iter().map(reading_bytes).sum(),
        Body::Message(message) => {
            size_of::<Message>() + message.topic.as_str().len() + message.payload.len()
        }
    }
}

/// Someone who waits until a message is safe.
#[derive(Debug)]
pub struct Waiter {
    pub seq: u64,
    pub tell: oneshot::Sender<Result<(), StoreError>>,
}

/// What a read found in memory.
#[derive(Debug)]
pub enum Found {
    /// These, and nothing is missing between them.
    Entries(Vec<Entry>),
    /// Memory knows nothing about this range; what there is of it is in the file.
    NotHere(Range<u64>),
}

#[derive(Debug, Default)]
pub struct Lane {
    /// The next position to be given out.
    pub head: u64,
    /// Positions below this may be known outside: a crash can't make them be given out again.
    pub reserved: u64,
    /// Up to where the file had everything when it was opened.
    pub next_in_file: u64,
    /// From here on positions are being filled with what was salvaged, and kept from consumers.
    pub held: Option<u64>,
    /// In order of position. Gaps are positions that are settled, or in the file only.
    pub items: VecDeque<Item>,
    pub waiters: Vec<Waiter>,
    /// Everything below is in the file or needed by nobody who counts on the file.
    pub scan_from: u64,
    /// Memory of the items from there on.
    pub unwritten_bytes: usize,
}

impl Lane {
    /// What consumers may know of the head.
    pub fn visible(&self) -> u64 {
        self.head.min(self.reserved).min(self.held.unwrap_or(u64::MAX))
    }

    /// Appends, and gives the memory taken.
    pub fn push(
        &mut self,
        boot: BootNo,
        since: Mono,
        (content, n, bytes): (Content, u64, usize),
        awaited: bool,
    ) -> usize {
        let (seq, bytes) = (self.head, ITEM_OVERHEAD + bytes);
        self.items.push_back(Item { seq, n, boot, since, bytes, content, stored: false, awaited });
        self.head += n;
        self.unwritten_bytes += bytes;
        bytes
    }

    /// Whether the positions reserved in the file run out.
    pub fn wants_reserve(&self) -> bool {
        self.head + RESERVE / 4 > self.reserved
    }

    /// Up to where positions shall be reserved with the next transaction.
    pub fn reserve_to(&self) -> u64 {
        if self.head + RESERVE / 2 > self.reserved { self.head + RESERVE } else { self.reserved }
    }

    /// Looks at every item again for whether it has to be written.
    pub fn rescan(&mut self) {
        self.scan_from = 0;
        self.unwritten_bytes = self.items.iter().map(|item| item.bytes).sum();
    }

    /// Forgets the oldest item; gives it.
    pub fn pop_front(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        if item.end() > self.scan_from {
            self.unwritten_bytes = self.unwritten_bytes.saturating_sub(item.bytes);
        }
        Some(item)
    }

    /// Index of the first item that ends after `seq`.
    pub fn index_at(&self, seq: u64) -> usize {
        self.items.partition_point(|item| item.end() <= seq)
    }

    /// Whether the file may have this position.
    pub fn may_be_stored(&self, seq: u64) -> bool {
        let item = self.items.get(self.index_at(seq)).filter(|item| item.seq <= seq);
        item.is_none_or(|item| item.stored)
    }

    /// Copies out of memory what `range` begins with.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Found {
        let first = self.index_at(range.start);
        let begins = self.items.get(first).map_or(range.end, |item| item.seq).min(range.end);
        if begins > range.start {
            return Found::NotHere(range.start..begins);
        }
        let (mut entries, mut next, mut left) = (Vec::new(), range.start, bytes_max);
        for item in self.items.range(first..) {
            if item.seq > next {
                break; // What is between them may be in the file.
            }
            let Some((entry, bytes)) = item.part(&(next..range.end), left) else { break };
            next = entry.range().end.0;
            entries.push(entry);
            left = left.saturating_sub(bytes);
            if left == 0 || next < item.end() {
                break;
            }
        }
        Found::Entries(entries)
    }
}
