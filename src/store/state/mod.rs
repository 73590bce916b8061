//! Everything the store knows in memory, behind one mutex that is never held across I/O.
//!
//! Pure: no file, no thread, no clock but the one handed in. The writer takes snapshots of it
//! (`work.rs`) and reports back what became of them.

mod clock;
mod consumers;
mod losses;
mod memory;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use losses::{note, note_shift};

use crate::model::{Class, Mono, Name, Seq, Wall};
use crate::store::accounting::{Account, Reason};
use crate::store::audit::Audit;
use crate::store::boot::{Boots, Shift, Times};
use crate::store::cursor::Cursor;
use crate::store::entry::{BootNo, Policy, Position, Settled};
use crate::store::error::StoreError;
use crate::store::inbox::Arrival;
use crate::store::lane::{Content, Fresh, Lane, Waiter};
use crate::store::ledger::Ledger;
use crate::store::per_class::PerClass;
use crate::store::reader::Page;
use crate::store::recent::Recent;
use crate::store::registry::{Facts, Tags};
use crate::store::salvage::Salvages;
use crate::store::shared::Control;
use crate::store::status::{Counters, Disk, Health};
use crate::store::wear::Wear;
use crate::store::window::Window;

/// So many corrections of times are remembered for what was on its way meanwhile.
const SHIFTS_MAX: usize = 64;

/// One consumer's part in one class.
#[derive(Debug, Clone, Default)]
pub struct Share {
    pub cursor: Cursor,
    pub account: Account,
    /// Counts changes, so that the writer knows what it has written.
    pub version: u64,
    pub version_written: u64,
}

impl Share {
    /// Whether the file has it otherwise.
    pub fn is_dirty(&self) -> bool {
        self.version != self.version_written
    }
}

#[derive(Debug, Clone)]
pub struct Consumer {
    pub id: u32,
    pub name: Name,
    pub policy: Policy,
    /// What it waits for may be missing from the file: it was best-effort once, or its cursor was
    /// damaged.
    pub sparse: bool,
    pub shares: PerClass<Share>,
}

/// Whom a drop concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    Everyone,
    One(u32),
}

#[derive(Debug)]
pub struct State {
    pub epoch: u64,
    pub lanes: PerClass<Lane>,
    pub consumers: Vec<Consumer>,
    pub consumer_id_last: u32,
    /// Whether the set of consumers is in the file as it is here.
    pub consumers_dirty: bool,
    pub tags: Tags,
    pub facts: Facts,
    pub boots: Boots,
    pub boot: BootNo,
    /// What the boots mean now; a new version whenever a meaning was put right.
    pub times: Arc<Times>,
    /// What was put right lately, with the first version in which it is.
    shifts: VecDeque<(u64, Shift)>,
    pub ledger: Ledger,
    pub audit: Audit,
    pub salvages: Salvages,
    /// Whether it was said who consumes: nothing is salvaged before.
    pub consumers_known: bool,
    pub recent: Recent,
    pub ram_bytes: usize,
    pub ram_bytes_max: usize,
    /// What left memory and is freed without the lock ([`super::shared::Shared::release`]): that
    /// takes longer than all else that is done for it.
    pub gone: Vec<Content>,
    /// Room for what comes out of the inbox, used again and again.
    pub spare: Vec<Arrival>,
    /// What is settled in time need not be written.
    pub write_behind: bool,
    pub window: Window,
    pub health: Health,
    pub counters: Counters,
    /// What contradicts in the accounts, as of the last check.
    pub violations: Vec<String>,
    pub wear: Wear,
    pub disk: Disk,
    /// Since when small rows wait to be written.
    pub dirty_since: Option<Mono>,
    /// Small rows are not to wait this time.
    pub hurry: bool,
    /// Something that may be in the file was settled, and the file does not know.
    pub stored_settled: bool,
    pub control: Control,
}

impl State {
    /// An empty store; positions are free to use up to `reserved`.
    pub fn new(epoch: u64, reserved: u64, ram_bytes_max: usize) -> Self {
        Self {
            epoch,
            lanes: PerClass::from_fn(|_| Lane { reserved, ..Lane::default() }),
            consumers: Vec::new(),
            consumer_id_last: 0,
            consumers_dirty: false,
            tags: Tags::default(),
            facts: Facts::default(),
            boots: Boots::default(),
            boot: BootNo::default(),
            times: Arc::default(),
            shifts: VecDeque::new(),
            ledger: Ledger::default(),
            audit: Audit::default(),
            salvages: Salvages::default(),
            consumers_known: false,
            recent: Recent::new(fastrand::u64(1..)),
            ram_bytes: 0,
            ram_bytes_max,
            gone: Vec::new(),
            spare: Vec::new(),
            write_behind: true,
            window: Window::default(),
            health: Health::default(),
            counters: Counters::default(),
            violations: Vec::new(),
            wear: Wear::default(),
            disk: Disk::default(),
            dirty_since: None,
            hurry: false,
            stored_settled: false,
            control: Control::default(),
        }
    }

    /// Takes what was appended to its place.
    pub fn take(&mut self, arrival: Arrival) {
        let Arrival { class, seq, fresh: Fresh { content, n, bytes }, at, tell } = arrival;
        self.counters.appended += n;
        let lane = self.lanes.get_mut(class);
        debug_assert_eq!(lane.head, seq, "the inbox and the state give out the same positions");
        self.recent.push(class, seq, n, self.boot, content.clone(), bytes);
        if self.consumers.is_empty() {
            // Nobody waits for it, so it is not kept; the positions are used up all the same.
            lane.head += n;
            lane.scan_from = lane.head;
            if let Some(tell) = tell {
                let _ = tell.send(Ok(()));
            }
            return;
        }
        let bytes = lane.push(self.boot, at, (content, n, bytes), tell.is_some());
        if let Some(tell) = tell {
            match self.health {
                Health::Ok | Health::RamOnly(_) => lane.waiters.push(Waiter { seq, tell }),
                Health::MemoryOnly => drop(tell.send(Ok(()))),
                Health::Closed => drop(tell.send(Err(StoreError::Closed))),
            }
        }
        for consumer in &mut self.consumers {
            consumer.shares.get_mut(class).account.appended += n;
        }
        self.ram_bytes += bytes;
        self.make_room();
    }

    fn read_times(&self, boot: BootNo, times: (Mono, Mono)) -> (Wall, Wall) {
        (self.boots.wall(boot, times.0), self.boots.wall(boot, times.1))
    }

    /// Whether the file must have it.
    pub fn needed(&self, class: Class, range: &Range<u64>, awaited: bool) -> bool {
        !self.write_behind || self.wanted(class, range, awaited)
    }

    /// Whether it counts on the file: a required consumer has not settled it, or someone waits for
    /// it to be safe and anyone has not.
    fn wanted(&self, class: Class, range: &Range<u64>, awaited: bool) -> bool {
        self.consumers.iter().any(|consumer| {
            (awaited || consumer.policy == Policy::Required)
                && !consumer.shares.get(class).cursor.covers(range.clone())
        })
    }

    /// Everything below is settled by everyone.
    pub fn settled_below(&self, class: Class) -> u64 {
        let bases = self.consumers.iter().map(|c| c.shares.get(class).cursor.base());
        bases.min().unwrap_or(self.lanes.get(class).head)
    }

    pub fn consumer(&self, id: u32) -> Option<&Consumer> {
        self.consumers.iter().find(|consumer| consumer.id == id)
    }

    pub fn position(&self, id: u32, class: Class) -> Position {
        let head = self.lanes.get(class).visible();
        let Some(consumer) = self.consumer(id) else { return Position::default() };
        let open = consumer.shares.get(class).cursor.unsettled_in(0..head);
        let unsettled = open.map(|range| Seq(range.start)..Seq(range.end)).collect();
        Position { head: Seq(head), unsettled }
    }

    pub fn settle(&mut self, id: u32, class: Class, ranges: &[Range<Seq>], how: Settled) {
        let head = self.lanes.get(class).head;
        let Some(consumer) = self.consumers.iter_mut().find(|c| c.id == id) else { return };
        let share = consumer.shares.get_mut(class);
        for range in ranges {
            let range = range.start.0..range.end.0.min(head);
            let open: Vec<_> = share.cursor.unsettled_in(range.clone()).collect();
            let n = share.cursor.settle(range.clone());
            if n == 0 {
                continue;
            }
            share.version += 1;
            self.stored_settled |= self.lanes.get(class).may_be_stored(range.start);
            match how {
                Settled::Delivered => share.account.delivered += n,
                Settled::DeliveredAsOf(version) => {
                    share.account.delivered += n;
                    let later = self.shifts.iter().filter(|(since, _)| *since > version);
                    for (_, shift) in later {
                        for open in &open {
                            let whole = shift.ranges.get(class);
                            let part = open.start.max(whole.start)..open.end.min(whole.end);
                            note_shift(&mut self.ledger, &consumer.name, class, part, shift);
                        }
                    }
                }
                Settled::Excluded => share.account.excluded += n,
                Settled::Dead(why) => {
                    let reason = Reason::Dead(why);
                    share.account.drop(reason, n);
                    note(&mut self.ledger, &consumer.name, class, open, reason, None);
                }
            }
        }
        self.after_settling(class);
    }

    /// Counts what is gone for good as dropped, for those who were still waiting for it.
    pub fn drop_range(
        &mut self,
        class: Class,
        range: Range<u64>,
        reason: Reason,
        whom: Whom,
        read: Option<(Wall, Wall)>,
    ) -> u64 {
        let mut dropped = 0;
        for consumer in &mut self.consumers {
            if whom != Whom::Everyone && whom != Whom::One(consumer.id) {
                continue;
            }
            let share = consumer.shares.get_mut(class);
            let open: Vec<_> = share.cursor.unsettled_in(range.clone()).collect();
            let n = share.cursor.settle_gone(range.clone());
            if n > 0 {
                share.version += 1;
                share.account.drop(reason, n);
                note(&mut self.ledger, &consumer.name, class, open, reason, read);
                dropped += n;
            }
        }
        if dropped > 0 && whom == Whom::Everyone {
            let waiters = &mut self.lanes.get_mut(class).waiters;
            for waiter in waiters.extract_if(.., |waiter| range.contains(&waiter.seq)) {
                let _ = waiter.tell.send(Err(StoreError::Dropped));
            }
        }
        dropped
    }

    /// The file was searched: what is damaged, or not there though someone waits for it, is lost.
    pub fn found(&mut self, class: Class, searched: Range<u64>, page: &Page) {
        let mut lost = 0;
        for damaged in &page.damaged {
            let n = self.drop_range(class, damaged.clone(), Reason::Corrupt, Whom::Everyone, None);
            self.counters.chunks_corrupt += u64::from(n > 0);
            lost += n;
        }
        let mut at = searched.start;
        let there = page.entries.iter().map(|entry| entry.range().start.0..entry.range().end.0);
        let end = std::iter::once(searched.end..searched.end);
        for range in there.chain(end) {
            if at < range.start {
                let absent = at..range.start;
                lost += self.drop_range(class, absent, Reason::Lost, Whom::Everyone, None);
            }
            at = at.max(range.end);
        }
        if lost > 0 {
            tracing::error!(class = class.as_str(), lost, "stored readings could not be read");
            self.after_settling(class);
        }
    }

    /// Forgets what nobody waits for any more.
    pub fn after_settling(&mut self, class: Class) {
        let below = self.settled_below(class);
        while let Some(item) = self.lanes.get(class).items.front() {
            if item.end() > below || (!item.stored && !self.write_behind) {
                break;
            }
            self.counters.spared += if item.stored { 0 } else { item.n };
            self.pop_front(class);
        }
        if !self.lanes.get(class).waiters.is_empty() {
            let waiters = std::mem::take(&mut self.lanes.get_mut(class).waiters);
            let (open, safe): (Vec<_>, Vec<_>) = waiters
                .into_iter()
                .partition(|waiter| self.wanted(class, &(waiter.seq..waiter.seq + 1), true));
            self.lanes.get_mut(class).waiters = open;
            for waiter in safe {
                let _ = waiter.tell.send(Ok(()));
            }
        }
    }

    /// When the oldest thing that this consumer waits for was appended, as far as that is known
    /// without asking the file.
    pub fn oldest(&self, consumer: &Consumer, class: Class) -> Option<(BootNo, Mono)> {
        let lane = self.lanes.get(class);
        let first = consumer.shares.get(class).cursor.unsettled_in(0..lane.head).next()?;
        let item = lane.items.get(lane.index_at(first.start));
        let in_memory = item.filter(|item| item.seq <= first.start);
        in_memory.map(|item| (item.boot, item.since)).or(*self.disk.oldest.get(class))
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        self.consumers.iter().find(|c| c.name.as_str() == name).map(|c| c.id)
    }
}
