//! Which requests to read a set of tags with: the cheapest in line time, exactly.
//!
//! Reading across a hole costs less than a second request when the hole is smaller than F/R
//! ([`Cost`]), so blocks are chosen by dynamic programming over the items sorted by address:
//! `f(j) = min over i of f(i) + F + R * span(i..j)`. In an optimal plan the blocks are runs of
//! that order: a block that starts inside another and ends before it could be merged into it.
//!
//! Invariants: every item is in exactly one block; no block exceeds the limits unless it holds a
//! single item; no block bridges a hole that touches a forbidden range. Pure: knows no device.

mod healing;
mod load;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

pub use self::healing::{Cause, Change, Healer, Learned, Planned, Report};
pub use self::load::{Load, load, load_at, utilisation};
use super::link::Link;
use super::plan::Registers;
pub use super::wire::Cost;

/// What has to be read for one tag: addresses `start..end` of one table of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub start: u16,
    /// Exclusive.
    pub end: u32,
    /// The caller's number of the tag.
    pub index: usize,
}

impl Item {
    /// The registers or bits of a tag.
    pub fn of(registers: &Registers, index: usize) -> Self {
        let Range { start, end } = registers.range();
        // A range starts at an address.
        Self { start: u16::try_from(start).unwrap_or(registers.address), end, index }
    }

    pub fn range(&self) -> Range<u32> {
        u32::from(self.start)..self.end
    }
}

/// What a block must respect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most registers or bits in one request.
    pub max_span: u16,
    /// Addresses that must not be read on the way from one item to the next. An empty range is a
    /// place that must not be crossed. Addresses of the items themselves are never forbidden.
    pub forbidden: Vec<Range<u32>>,
    /// Longest line time of a block of several items, so that a slow line stays responsive.
    pub block_time_max: Option<Duration>,
}

impl Limits {
    pub fn new(max_span: u16) -> Self {
        Self { max_span, forbidden: Vec::new(), block_time_max: None }
    }
}

/// On a line no block of several tags occupies it for longer, so that writes and fast
/// devices get their turn.
const SERIAL_BLOCK_TIME_MAX: Duration = Duration::from_millis(500);

/// The longest line time of a block of several items on this link.
pub fn block_time_max(link: &Link) -> Option<Duration> {
    link.is_line().then_some(SERIAL_BLOCK_TIME_MAX)
}

/// One request and the tags that are read with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub start: u16,
    pub count: u16,
    /// `Item::index` of each, by address.
    pub items: Vec<usize>,
}

impl Block {
    pub fn range(&self) -> Range<u32> {
        u32::from(self.start)..u32::from(self.start) + u32::from(self.count)
    }

    /// Where an item's words are within the block's; `None` if it is not in the block.
    pub fn part(&self, item: &Item) -> Option<Range<usize>> {
        let (range, part) = (self.range(), item.range());
        if part.start < range.start || part.end > range.end {
            return None;
        }
        let start = usize::from(item.start - self.start);
        Some(start..start + usize::try_from(part.end - part.start).ok()?)
    }
}

/// The cheapest blocks for these items of one table of one device, by address.
///
/// An item that is wider than the limits gets a block of its own: it is up to the device to
/// refuse it. Checking against the protocol's maximum is the configuration's part.
#[expect(clippy::indexing_slicing, reason = "all indices are below the lengths built here")]
pub fn plan(items: &[Item], cost: Cost, limits: &Limits) -> Vec<Block> {
    let mut sorted: Vec<&Item> = items.iter().collect();
    sorted.sort_by_key(|item| (item.start, item.end));
    let cut = cuts(&sorted, &limits.forbidden);
    let time_max = limits.block_time_max.map_or(f64::INFINITY, |time| time.as_secs_f64());

    // best[j]: cost of the first j items; from[j]: where the last of their blocks begins.
    let mut best = vec![f64::INFINITY; sorted.len() + 1];
    let mut from = vec![0; sorted.len() + 1];
    best[0] = 0.0;
    for j in 1..=sorted.len() {
        let mut end = 0;
        for i in (0..j).rev() {
            end = end.max(sorted[i].end);
            let span = end.saturating_sub(u32::from(sorted[i].start));
            let time = cost.of(span);
            let several = i + 1 < j;
            if several && (span > u32::from(limits.max_span) || time > time_max) {
                break;
            }
            if best[i] + time <= best[j] {
                (best[j], from[j]) = (best[i] + time, i);
            }
            if cut[i] {
                break;
            }
        }
    }

    let mut blocks = Vec::new();
    let mut j = sorted.len();
    while j > 0 {
        let run = &sorted[from[j]..j];
        blocks.push(block(run));
        j = from[j];
    }
    blocks.reverse();
    blocks
}

fn block(run: &[&Item]) -> Block {
    let start = run.first().map_or(0, |item| item.start);
    let end = run.iter().map(|item| item.end).max().unwrap_or(0);
    Block {
        start,
        count: u16::try_from(end.saturating_sub(u32::from(start))).unwrap_or(u16::MAX),
        items: run.iter().map(|item| item.index).collect(),
    }
}

/// For each item in order, whether no block may reach it from the item before.
fn cuts(sorted: &[&Item], forbidden: &[Range<u32>]) -> Vec<bool> {
    let mut covered = 0;
    sorted
        .iter()
        .map(|item| {
            let hole = covered..u32::from(item.start);
            covered = covered.max(item.end);
            hole.start <= hole.end && forbidden.iter().any(|f| touches(f, &hole))
        })
        .collect()
}

/// Whether a forbidden range lies, at least in part, in a hole; an empty range also at its ends.
fn touches(forbidden: &Range<u32>, hole: &Range<u32>) -> bool {
    if forbidden.is_empty() {
        hole.start <= forbidden.start && forbidden.start <= hole.end
    } else {
        forbidden.start.max(hole.start) < forbidden.end.min(hole.end)
    }
}
