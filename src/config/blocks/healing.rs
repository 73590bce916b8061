//! Learning what a device's register map doesn't say: addresses that must not be read across,
//! tags that it does not have, and how many registers it really gives at once.
//!
//! When a block is refused, its holes are the suspects. The block is cut at a few of them and the
//! pieces, which are ordinary reads of ordinary tags, tell the rest: a refused piece keeps only
//! the suspects inside it, and when all pieces are answered the culprit is among the cuts. The one
//! that remains, and is refused once more where it was answered in pieces, is remembered as a gap,
//! and every other hole is bridged again. When no hole is left to blame, the seams between
//! adjacent tags are cut the same way, and a tag that is refused alone is bad: it rests, and is
//! tried again alone with back-off.
//!
//! Silence is only held against a block when others of the device are answered meanwhile, three
//! times in a row.
//!
//! One `Healer` serves one table of one device. Pure: time comes in, nothing goes out but the plan.

mod facts;
mod hunt;

use std::ops::Range;
use std::time::Duration;

pub use self::facts::Learned;
use self::hunt::{Hunt, Verdict};
use super::{Block, Cost, Item, Limits, plan};
use crate::model::{Fault, Mono};

/// Unanswered reads of one block, while others are answered, that count as a refusal.
const SILENCES: u8 = 3;

/// Refusals in a row as "illegal data value" before a block counts as too long.
const TOO_LONG_TIMES: u8 = 2;

/// A refused block is blamed for its length ("illegal data value") only above this span; below,
/// every device can be expected to give it.
const LONG_REGISTERS: u32 = 16;

/// Rest of a bad tag before it is tried again, doubled up to the cap.
const PROBE_FIRST: Duration = Duration::from_secs(10);
const PROBE_CAP: Duration = Duration::from_secs(900);

/// Before any time there is.
const AT_ONCE: Mono = Mono(i64::MIN);

/// Modbus exceptions (Modbus Application Protocol V1.1b3, 7).
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;

/// What became of reading a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    Answered,
    /// A Modbus exception with this code.
    Exception(u8),
    /// No valid answer in time.
    Silent,
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Nothing,
    /// The blocks are to be planned again.
    Replan,
    /// As `Replan`, and [`Healer::learned`] is to be persisted.
    Learned,
}

/// Why a tag is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Exception(u8),
    Silence,
}

impl Cause {
    /// The quality of the tag's readings.
    pub fn fault(self) -> Fault {
        match self {
            Self::Exception(code) => Fault::Exception(code),
            Self::Silence => Fault::NoAnswer,
        }
    }
}

/// The blocks to read now, and the tags that rest instead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Planned {
    pub blocks: Vec<Block>,
    /// `Item::index` of tags that are bad, with the cause; each poll still owes them a reading.
    pub resting: Vec<(usize, Cause)>,
}

/// A tag that the device refuses, and when it is tried again.
#[derive(Debug, Clone)]
struct Probe {
    range: Range<u32>,
    cause: Cause,
    next: Mono,
    delay: Duration,
}

/// A block that was not answered lately.
#[derive(Debug, Clone)]
struct Silence {
    range: Range<u32>,
    times: u8,
    /// `Healer::answers` at the first of them.
    answers: u64,
}

/// Keeps what is learned about one table of one device and plans its blocks accordingly.
#[derive(Debug, Clone)]
pub struct Healer {
    learned: Learned,
    hunts: Vec<Hunt>,
    probes: Vec<Probe>,
    silences: Vec<Silence>,
    /// Blocks refused for what may be their length, and how often in a row.
    too_long: Vec<(Range<u32>, u8)>,
    /// Answers of the device so far.
    answers: u64,
    /// The longest span that was answered.
    longest: u32,
}

impl Healer {
    /// Starts with what was learned before. Bad tags are tried again at once, alone.
    pub fn new(learned: Learned) -> Self {
        let probes = learned
            .bad
            .iter()
            .map(|range| Probe {
                range: range.clone(),
                cause: Cause::Exception(ILLEGAL_ADDRESS),
                next: AT_ONCE,
                delay: PROBE_FIRST,
            })
            .collect();
        Self {
            learned,
            hunts: Vec::new(),
            probes,
            silences: Vec::new(),
            too_long: Vec::new(),
            answers: 0,
            longest: 0,
        }
    }

    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// Whether some block is cut on trial at the moment: reading again soon is worth it.
    pub fn is_searching(&self) -> bool {
        !self.hunts.is_empty()
    }

    /// When the next bad tag among these is due for a try, if any rests.
    pub fn next_probe(&self, items: &[Item]) -> Option<Mono> {
        items.iter().filter_map(|item| Some(self.probe(&item.range())?.next)).min()
    }

    /// The device was away: what it refused before it may have by now, so that is tried at once.
    pub fn device_came_back(&mut self) {
        for probe in &mut self.probes {
            probe.next = AT_ONCE;
        }
    }

    /// The blocks for these items as far as is known. `limits` are the device's configured ones.
    pub fn plan(&self, items: &[Item], cost: Cost, limits: &Limits, now: Mono) -> Planned {
        let mut planned = Planned::default();
        let mut good = Vec::with_capacity(items.len());
        let mut alone: Vec<Item> = Vec::new();
        for item in items {
            match self.probe(&item.range()) {
                None => good.push(*item),
                Some(probe) if probe.next <= now => alone.push(*item),
                Some(probe) => planned.resting.push((item.index, probe.cause)),
            }
        }
        let mut limits = limits.clone();
        limits.max_span = self.learned.max_span.unwrap_or(u16::MAX).min(limits.max_span);
        limits.forbidden.extend(self.learned.gaps.iter().cloned());
        limits.forbidden.extend(self.probes.iter().map(|probe| probe.range.clone()));
        limits.forbidden.extend(self.hunts.iter().flat_map(Hunt::trial_cuts));
        planned.blocks = plan(&good, cost, &limits);

        alone.sort_by_key(|item| (item.start, item.end));
        for same in alone.chunk_by(|a, b| a.range() == b.range()) {
            planned.blocks.extend(plan(same, cost, &Limits::new(u16::MAX)));
        }
        planned
    }

    /// The device answered something else: another table, a write.
    pub fn device_answered(&mut self) {
        self.answers += 1;
    }

    /// Takes note of what became of a block. `items` are those it was planned from.
    pub fn report(&mut self, block: &Block, items: &[Item], report: Report, now: Mono) -> Change {
        let range = block.range();
        match report {
            Report::Answered => self.answered(&range),
            Report::Exception(code @ (ILLEGAL_ADDRESS | ILLEGAL_VALUE)) => {
                self.answers += 1;
                self.silences.retain(|silence| silence.range != range);
                self.refused(block, items, Cause::Exception(code), now)
            }
            Report::Exception(_) => {
                self.answers += 1; // busy, broken, another function: nothing a plan could mend
                Change::Nothing
            }
            Report::Silent => {
                if self.is_suspiciously_silent(&range) {
                    self.refused(block, items, Cause::Silence, now)
                } else {
                    Change::Nothing
                }
            }
        }
    }

    fn answered(&mut self, range: &Range<u32>) -> Change {
        self.answers += 1;
        self.longest = self.longest.max(range.end - range.start);
        self.silences.retain(|silence| silence.range != *range);
        self.too_long.retain(|(long, _)| long != range);
        let mut change = Change::Nothing;
        if self.probe(range).is_some() {
            self.probes.retain(|probe| probe.range != *range);
            self.learned.bad.retain(|bad| bad != range);
            self.device_came_back(); // what mended this one may have mended the others
            change = Change::Learned;
        }
        let mut hunts = std::mem::take(&mut self.hunts);
        hunts.retain_mut(|hunt| {
            let verdict = hunt.answered(range);
            change = change.max(self.judge(&verdict));
            !verdict.ends()
        });
        self.hunts = hunts;
        change
    }

    fn refused(&mut self, block: &Block, items: &[Item], cause: Cause, now: Mono) -> Change {
        let range = block.range();
        let mut parts: Vec<Range<u32>> = items
            .iter()
            .filter(|item| block.items.contains(&item.index))
            .map(Item::range)
            .collect();
        parts.sort_by_key(|part| (part.start, part.end));
        parts.dedup();
        if let [alone] = parts.as_slice() {
            return self.bad_tag(alone, cause, now);
        }
        let span = range.end - range.start;
        let hunted = self.hunts.iter().any(|hunt| hunt.contains(&range));
        if cause == Cause::Exception(ILLEGAL_VALUE)
            && !hunted
            && span > self.longest.max(LONG_REGISTERS)
        {
            return self.refused_as_too_long(range);
        }
        let (holes, seams) = hunt::suspects(&parts);
        if seams.is_empty() {
            // Tags that overlap can't be told apart by a cut: each is tried alone.
            for part in parts {
                self.rest(part, cause, now, Duration::ZERO);
            }
            return Change::Learned;
        }
        let mut verdict = None;
        self.hunts.retain_mut(|hunt| {
            if verdict.is_some() || !hunt.contains(&range) {
                return true;
            }
            let found = hunt.refused(&range, &seams);
            let keep = !found.ends();
            verdict = Some(found);
            keep
        });
        match verdict {
            Some(verdict) => self.judge(&verdict),
            None => {
                self.hunts.retain(|hunt| !hunt.overlaps(&range));
                self.hunts.push(Hunt::new(range, &holes, &seams, cause));
                Change::Replan
            }
        }
    }

    fn refused_as_too_long(&mut self, range: Range<u32>) -> Change {
        let times = match self.too_long.iter_mut().find(|(long, _)| *long == range) {
            Some((_, times)) => {
                *times += 1;
                *times
            }
            None => {
                self.too_long.push((range.clone(), 1));
                1
            }
        };
        if times < TOO_LONG_TIMES {
            return Change::Nothing;
        }
        self.too_long.clear();
        self.hunts.clear();
        self.learned.max_span = u16::try_from((range.end - range.start) / 2).ok();
        Change::Learned
    }

    fn judge(&mut self, verdict: &Verdict) -> Change {
        match verdict {
            Verdict::Unchanged => Change::Nothing,
            Verdict::Cut | Verdict::Innocent => Change::Replan,
            Verdict::Found(gap, cause) => {
                self.learned.add_gap(gap.clone());
                self.blame_instead_of_length(*cause);
                Change::Learned
            }
        }
    }

    /// A block that was refused as too long may have been refused for what was found now.
    fn blame_instead_of_length(&mut self, cause: Cause) {
        if cause == Cause::Exception(ILLEGAL_VALUE) {
            self.learned.max_span = None;
        }
    }

    fn bad_tag(&mut self, range: &Range<u32>, cause: Cause, now: Mono) -> Change {
        self.hunts.retain(|hunt| !hunt.contains(range));
        let delay = match self.probes.iter().find(|probe| probe.range == *range) {
            Some(probe) if probe.delay.is_zero() => PROBE_FIRST,
            Some(probe) => (probe.delay * 2).min(PROBE_CAP),
            None => PROBE_FIRST,
        };
        let before = self.learned.clone();
        self.blame_instead_of_length(cause);
        self.rest(range.clone(), cause, now, delay);
        if self.learned == before { Change::Replan } else { Change::Learned }
    }

    fn rest(&mut self, range: Range<u32>, cause: Cause, now: Mono, delay: Duration) {
        self.probes.retain(|probe| probe.range != range);
        self.learned.add_bad(range.clone());
        self.probes.push(Probe { range, cause, next: now + delay, delay });
    }

    fn probe(&self, range: &Range<u32>) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.range == *range)
    }

    /// Counts a silence; true when it is the block's own and not the device's.
    fn is_suspiciously_silent(&mut self, range: &Range<u32>) -> bool {
        let answers = self.answers;
        let Some(at) = self.silences.iter().position(|silence| silence.range == *range) else {
            self.silences.push(Silence { range: range.clone(), times: 1, answers });
            return false;
        };
        let Some(silence) = self.silences.get_mut(at) else { return false };
        silence.times = silence.times.saturating_add(1);
        let own = silence.times >= SILENCES && answers > silence.answers;
        if own {
            self.silences.remove(at);
        }
        own
    }
}
