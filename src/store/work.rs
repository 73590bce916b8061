//! What the writer has to do: a snapshot of everything that is in memory and not in the file.
//!
//! Taken under the mutex in one go, so that cursors, sums and chunks of one transaction always fit
//! together. What becomes of it is reported back by [`State::committed`]; if it fails, nothing is
//! reported and the next snapshot holds it again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::accounting::{Account, Reason};
use super::audit::AuditRow;
use super::boot::BootRow;
use super::entry::{Body, BootNo, Policy};
use super::file::Had;
use super::lane::{Content, ITEM_READINGS_MAX, Item, body_bytes};
use super::ledger::LedgerWork;
use super::per_class::PerClass;
use super::salvage::{Returned, SalvageRows};
use super::state::{Share, State, Whom};
use super::wear::WearRows;
use crate::model::{Class, Mono, Name, TagId, TagMeta};

/// Positions are reserved in the file in steps of this size, which a crash may jump over. Each step
/// costs a commit one page more.
pub const RESERVE: u64 = 500_000;
/// Small rows alone are written after this time at the latest.
pub const QUIET_WRITE: Duration = Duration::from_secs(10);
/// Cursors and sums alone that only say of things that never were in the file that they are
/// settled: were that forgotten, nothing would be delivered again.
const QUIET_SETTLED_WRITE: Duration = Duration::from_secs(60);
/// So much unwritten memory (about 64 KiB in the file) does not wait for the window to end, and a
/// quarter of the memory bound does not either.
const EAGER_BYTES: usize = 1 << 20;
/// Most memory that goes into one transaction, so that the WAL stays small.
const TRANSACTION_BYTES_MAX: usize = 2 << 20;

/// Most of anything in one chunk: what the file reads, gives up or finds damaged at once.
const CHUNK: ChunkMax = ChunkMax { n: ITEM_READINGS_MAX as u64, bytes: 256 << 10 };
/// With a window of so long ...
const LARGE_CHUNK_WINDOW: Duration = Duration::from_secs(5);
/// ... and a quota of so much it may be more, or the readings of one window would take rows that
/// fill no page: a power cut costs as many then, and the quota is many times that.
const LARGE_CHUNK_QUOTA: u64 = 64 << 20;
const LARGE_CHUNK: ChunkMax = ChunkMax { n: CHUNK_MAX, bytes: 1 << 20 };
/// No chunk holds more than this.
pub const CHUNK_MAX: u64 = 16_384;

/// How large a chunk may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ChunkMax {
    n: u64,
    /// Of memory.
    bytes: usize,
}

#[derive(Debug, Clone)]
pub struct ConsumerRow {
    pub id: u32,
    pub name: Name,
    pub policy: Policy,
    pub sparse: bool,
}

#[derive(Debug, Clone)]
pub struct ShareRow {
    pub consumer: u32,
    pub class: Class,
    pub settled: Vec<u8>,
    pub account: Account,
    version: u64,
}

impl ShareRow {
    /// The share as it will be when what changes its version has been done.
    pub fn new(consumer: u32, class: Class, share: &Share, version: u64) -> Self {
        let (settled, account) = (share.cursor.to_bytes(), share.account.clone());
        Self { consumer, class, settled, account, version }
    }
}

/// Consecutive items that become one chunk.
#[derive(Debug, Clone)]
pub struct Piece {
    pub class: Class,
    pub boot: BootNo,
    pub range: Range<u64>,
    pub contents: Vec<Content>,
    /// When the oldest of it was appended.
    pub since: Mono,
    bytes: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Work {
    pub pieces: Vec<Piece>,
    /// Per class: everything below is in the file afterwards, or not needed there.
    pub next: PerClass<u64>,
    pub reserved: PerClass<u64>,
    /// Chunks that end at or below are of no use to anyone.
    pub delete_below: PerClass<u64>,
    pub consumers: Option<(u32, Vec<ConsumerRow>)>,
    pub shares: Vec<ShareRow>,
    pub boots: Vec<BootRow>,
    pub tags: Vec<(TagId, Arc<TagMeta>)>,
    pub tag_last: u32,
    pub facts: Vec<(String, Option<String>)>,
    pub ledger: LedgerWork,
    pub audit: Vec<AuditRow>,
    pub salvages: Option<SalvageRows>,
    /// What of `pieces` was salvaged.
    pub returned: Vec<Returned>,
    pub wear: Option<WearRows>,
    /// Whether there is more of it than fits into one transaction.
    pub more: bool,
}

/// How much of the work has to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// What is due.
    Due,
    /// Everything.
    All,
    /// No chunks.
    RowsOnly,
}

impl State {
    /// How long what differs between file and memory besides chunks may wait; `None` if nothing
    /// does.
    fn rows_wait(&self) -> Option<Duration> {
        if self.hurry {
            return Some(Duration::ZERO);
        }
        let rows_dirty = self.consumers_dirty
            || self.tags.is_dirty()
            || self.facts.is_dirty()
            || self.boots.is_dirty()
            || self.ledger.is_dirty()
            || self.salvages.is_dirty();
        if rows_dirty || self.stored_settled {
            return Some(QUIET_WRITE);
        }
        Class::ALL.into_iter().any(|c| self.share_dirty(c)).then_some(QUIET_SETTLED_WRITE)
    }

    fn share_dirty(&self, class: Class) -> bool {
        self.consumers.iter().any(|consumer| consumer.shares.get(class).is_dirty())
    }

    /// Steps over what need not be written (any more).
    fn skip_settled(&mut self, class: Class) {
        let lane = self.lanes.get(class);
        let (mut upto, mut bytes, mut is_all) = (lane.scan_from, 0, true);
        for item in lane.items.range(lane.index_at(lane.scan_from)..) {
            if !item.stored && self.needed(class, &item.range(), item.awaited) {
                is_all = false;
                break;
            }
            (upto, bytes) = (item.end(), bytes + item.bytes);
        }
        let lane = self.lanes.get_mut(class);
        lane.scan_from = if is_all { lane.head } else { upto };
        lane.unwritten_bytes = if is_all { 0 } else { lane.unwritten_bytes.saturating_sub(bytes) };
    }

    /// Readings and messages that the file should have and does not.
    pub fn unwritten(&self) -> u64 {
        let of = |class: Class| -> u64 {
            let items = self.lanes.get(class).items.iter().filter(|item| !item.stored);
            items.filter(|i| self.needed(class, &i.range(), i.awaited)).map(|item| item.n).sum()
        };
        Class::ALL.into_iter().map(of).sum()
    }

    /// When the oldest that the file should have and does not was appended.
    pub fn unwritten_since(&self) -> Option<Mono> {
        let first = |class: Class| {
            let lane = self.lanes.get(class);
            let mut items = lane.items.range(lane.index_at(lane.scan_from)..);
            items.find(|i| !i.stored && self.needed(class, &i.range(), i.awaited)).map(|i| i.since)
        };
        Class::ALL.into_iter().filter_map(first).min()
    }

    /// When a class's oldest unwritten item has to be written, if there is one.
    fn lane_due(&self, class: Class) -> Option<Mono> {
        let lane = self.lanes.get(class);
        let item = lane.items.get(lane.index_at(lane.scan_from))?;
        let at_once = class == Class::Alarm
            || !lane.waiters.is_empty()
            || lane.unwritten_bytes >= EAGER_BYTES.min(self.ram_bytes_max / 4);
        Some(if at_once { item.since } else { item.since + self.window.wait() })
    }

    /// When the next transaction is due, if there is anything to write.
    pub fn due(&mut self, now: Mono) -> Option<Mono> {
        let window = self.window.wait();
        Class::ALL.into_iter().for_each(|class| self.skip_settled(class));
        if Class::ALL.into_iter().any(|class| self.lanes.get(class).wants_reserve()) {
            return Some(now);
        }
        let lanes = Class::ALL.into_iter().filter_map(|class| self.lane_due(class)).min();
        let rows = match self.rows_wait() {
            Some(wait) => {
                let since = *self.dirty_since.get_or_insert(now);
                Some(since + if wait.is_zero() { wait } else { wait.max(window) })
            }
            None => {
                self.dirty_since = None;
                None
            }
        };
        lanes.into_iter().chain(rows).chain(self.audit.due(window)).min()
    }

    /// A cheap upper bound of when the writer has to look after what was just appended.
    pub fn due_hint(&self, now: Mono) -> Mono {
        let hasty = |class: Class| {
            let lane = self.lanes.get(class);
            !lane.waiters.is_empty()
                || lane.unwritten_bytes >= EAGER_BYTES.min(self.ram_bytes_max / 4)
                || lane.wants_reserve()
                || (class == Class::Alarm && lane.unwritten_bytes > 0)
        };
        if self.hurry || Class::ALL.into_iter().any(hasty) { now } else { now + self.window.wait() }
    }

    /// Small rows are to be written with no more waiting.
    pub fn dirty_now(&mut self, now: Mono) {
        self.hurry = true;
        self.dirty_since = Some(now);
    }

    /// Takes what is due, or everything; `None` if there is nothing.
    pub fn take_work(&mut self, now: Mono, urgency: Urgency) -> Option<Work> {
        let due = self.due(now);
        let wanted = match urgency {
            Urgency::Due => due.is_some_and(|due| due <= now),
            Urgency::All => due.is_some(),
            Urgency::RowsOnly => true,
        };
        wanted.then(|| self.snapshot(now, urgency))
    }

    /// Everything, also if it is nothing.
    pub fn everything(&mut self) -> Work {
        Class::ALL.into_iter().for_each(|class| self.skip_settled(class));
        self.snapshot(Mono::default(), Urgency::All)
    }

    /// The small rows alone.
    pub fn rows_only(&mut self) -> Work {
        self.snapshot(Mono::default(), Urgency::RowsOnly)
    }

    fn snapshot(&mut self, now: Mono, urgency: Urgency) -> Work {
        let mut work = Work::default();
        for class in Class::ALL {
            // A class that is due soon comes along: it saves a transaction of its own.
            let soon = now + self.window.wait() / 2;
            let taken = match urgency {
                Urgency::Due => self.lane_due(class).is_some_and(|due| due <= soon),
                Urgency::All => true,
                Urgency::RowsOnly => false,
            };
            let lane = self.lanes.get(class);
            *work.next.get_mut(class) = lane.scan_from;
            if taken {
                *work.next.get_mut(class) = self.take_pieces(class, &mut work.pieces);
                work.more |= *work.next.get(class) < lane.head;
            }
            *work.reserved.get_mut(class) = lane.reserve_to();
            *work.delete_below.get_mut(class) = self.settled_below(class);
            for consumer in &self.consumers {
                let share = consumer.shares.get(class);
                if share.is_dirty() {
                    work.shares.push(ShareRow::new(consumer.id, class, share, share.version));
                }
            }
        }
        if self.consumers_dirty {
            let row = |c: &super::state::Consumer| ConsumerRow {
                id: c.id,
                name: c.name.clone(),
                policy: c.policy,
                sparse: c.sparse,
            };
            work.consumers =
                Some((self.consumer_id_last, self.consumers.iter().map(row).collect()));
        }
        work.boots = self.boots.dirty();
        work.tags = self.tags.dirty();
        work.tag_last = self.tags.last();
        work.facts = self.facts.dirty();
        work.ledger = self.ledger.dirty();
        work.salvages = self.salvages.dirty();
        // The small rows alone are written to make room on a full disk: these only take some.
        if urgency != Urgency::RowsOnly {
            work.audit = self.audit.dirty();
            work.wear = self.wear.due(now);
        }
        work
    }

    fn chunk_max(&self) -> ChunkMax {
        let large =
            self.window.configured() >= LARGE_CHUNK_WINDOW && self.disk.quota >= LARGE_CHUNK_QUOTA;
        if large { LARGE_CHUNK } else { CHUNK }
    }

    /// Cuts a class's unwritten items into chunks; gives the position up to which it got.
    fn take_pieces(&self, class: Class, pieces: &mut Vec<Piece>) -> u64 {
        let (lane, max) = (self.lanes.get(class), self.chunk_max());
        let mut bytes: usize = pieces.iter().map(|piece| piece.bytes).sum();
        for item in lane.items.range(lane.index_at(lane.scan_from)..) {
            if item.stored || !self.needed(class, &item.range(), item.awaited) {
                continue;
            }
            if bytes > 0 && bytes + item.bytes > TRANSACTION_BYTES_MAX {
                return item.seq;
            }
            bytes += item.bytes;
            match pieces.last_mut().filter(|piece| piece.class == class) {
                Some(piece) if piece.continues_with(item, max) => piece.push(item),
                _ => pieces.push(Piece::new(class, item)),
            }
        }
        lane.head
    }

    /// The work is in the file.
    pub fn committed(&mut self, work: &Work) {
        for piece in &work.pieces {
            let lane = self.lanes.get_mut(piece.class);
            let first = lane.index_at(piece.range.start);
            for item in lane.items.range_mut(first..) {
                if item.seq >= piece.range.end {
                    break;
                }
                item.stored = true;
            }
            self.counters.written += piece.range.end - piece.range.start;
            self.counters.chunks += 1;
        }
        for class in Class::ALL {
            let lane = self.lanes.get_mut(class);
            lane.reserved = lane.reserved.max(*work.reserved.get(class));
            let next = *work.next.get(class);
            for waiter in lane.waiters.extract_if(.., |waiter| waiter.seq < next) {
                let _ = waiter.tell.send(Ok(()));
            }
            self.skip_settled(class);
            if !self.write_behind {
                self.after_settling(class);
            }
        }
        for row in &work.shares {
            let found = self.consumers.iter_mut().find(|consumer| consumer.id == row.consumer);
            if let Some(consumer) = found {
                consumer.shares.get_mut(row.class).version_written = row.version;
            }
        }
        // What was settled while it was being written, too, is in the file now.
        let settled = |piece: &Piece| {
            let n = piece.range.end - piece.range.start;
            self.consumers.iter().map(|consumer| consumer.shares.get(piece.class)).any(|share| {
                let open: u64 =
                    share.cursor.unsettled_in(piece.range.clone()).map(|r| r.end - r.start).sum();
                share.is_dirty() && open < n
            })
        };
        let dirty = Class::ALL.into_iter().any(|class| self.share_dirty(class));
        self.stored_settled = dirty && (self.stored_settled || work.pieces.iter().any(settled));
        if let Some((last, rows)) = &work.consumers {
            let same = *last == self.consumer_id_last
                && rows
                    .iter()
                    .map(|row| (row.id, row.policy))
                    .eq(self.consumers.iter().map(|consumer| (consumer.id, consumer.policy)));
            self.consumers_dirty &= !same;
        }
        self.boots.written(&work.boots);
        self.tags.written(work.tag_last);
        self.facts.written(&work.facts);
        self.ledger.written(&work.ledger);
        self.audit.written(&work.audit);
        if let Some(rows) = &work.salvages {
            self.salvages.written(rows);
        }
        self.brought_back(&work.returned);
        if let Some(rows) = &work.wear {
            self.wear.saved(rows);
        }
        self.dirty_since = None;
        self.hurry = false;
        self.counters.commits += 1;
        self.make_room();
    }

    /// The file, opened again, has less than it was believed to have: what memory still holds of
    /// the rest is to be written again.
    pub fn unstore_from(&mut self, had: &PerClass<Had>) {
        for class in Class::ALL {
            let lane = self.lanes.get_mut(class);
            for item in lane.items.iter_mut().filter(|item| item.end() > had.get(class).end) {
                item.stored = false;
            }
            lane.rescan();
        }
    }

    /// Goes on with a new file: memory is written to it, what is not in memory is counted as lost.
    pub fn start_new_file(&mut self, epoch: u64, reserved: &PerClass<u64>, owes: Option<u64>) {
        self.epoch = epoch;
        let gone = self.forget_writes();
        if let Some(file) = owes {
            self.claim_gone(file, &gone);
        }
        for class in Class::ALL {
            self.lanes.get_mut(class).reserved = *reserved.get(class);
            for range in gone.get(class) {
                self.drop_range(class, range.clone(), Reason::Corrupt, Whom::Everyone, None);
            }
            self.after_settling(class);
        }
        self.note_new_epoch();
    }

    /// The file is new and empty: everything in memory has to be written (again). Gives the
    /// positions of each class that are not in memory, and so are gone.
    fn forget_writes(&mut self) -> PerClass<Vec<Range<u64>>> {
        self.tags.forget_writes();
        self.facts.forget_writes();
        self.boots.forget_writes();
        self.ledger.forget_writes();
        self.audit.forget_writes();
        self.salvages.forget_writes();
        self.wear.restart();
        self.consumers_dirty = true;
        for consumer in &mut self.consumers {
            Class::ALL.iter().for_each(|class| consumer.shares.get_mut(*class).version += 1);
        }
        PerClass::from_fn(|class| {
            let lane = self.lanes.get_mut(class);
            lane.items.iter_mut().for_each(|item| item.stored = false);
            lane.rescan();
            let mut gone = Vec::new();
            let mut at = 0;
            for item in &lane.items {
                if item.seq > at {
                    gone.push(at..item.seq);
                }
                at = item.end();
            }
            gone.push(at..lane.head);
            gone
        })
    }
}

impl Piece {
    /// What was salvaged of one chunk.
    pub fn salvaged(
        class: Class,
        boot: BootNo,
        first: u64,
        since: Mono,
        bodies: Vec<Body>,
    ) -> Self {
        let n: u64 = bodies.iter().map(Body::count).sum();
        let bytes = bodies.iter().map(body_bytes).sum();
        let contents = bodies.into_iter().map(Content::from).collect();
        Self { class, boot, range: first..first + n, contents, since, bytes }
    }

    /// The same at another position.
    pub fn at(self, start: u64) -> Self {
        let n = self.range.end - self.range.start;
        Self { range: start..start + n, ..self }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn new(class: Class, item: &Item) -> Self {
        Self {
            class,
            boot: item.boot,
            range: item.range(),
            contents: vec![item.content.clone()],
            since: item.since,
            bytes: item.bytes,
        }
    }

    fn push(&mut self, item: &Item) {
        self.range.end = item.end();
        self.contents.push(item.content.clone());
        self.bytes += item.bytes;
    }

    fn continues_with(&self, item: &Item, max: ChunkMax) -> bool {
        let same_kind = matches!(
            (self.contents.first(), &item.content),
            (Some(Content::Readings(_)), Content::Readings(_))
                | (Some(Content::Message(_)), Content::Message(_))
        );
        same_kind
            && self.boot == item.boot
            && self.range.end == item.seq
            && self.range.end - self.range.start + item.n <= max.n
            && self.bytes + item.bytes <= max.bytes
    }
}
