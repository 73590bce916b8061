//! What one consumer has settled of one class: everything below `base`, and ranges above it.
//!
//! Pure. The number of ranges is bounded: when the bound is hit, a settlement that would need one
//! more range is *not taken*: the reading stays unsettled and is delivered again later. A duplicate
//! is allowed, a loss is not. What touches the base or an existing range is always taken, so a
//! consumer always gets on.

use std::collections::BTreeMap;
use std::ops::Range;

use super::wire::{Input, Malformed, put_varint};

/// Most ranges kept above the base, in memory and on disk alike (about 3 bytes each on disk).
pub const RANGES_MAX: usize = 4_096;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    base: u64,
    /// Start → end; disjoint, not touching each other, all above `base`.
    above: BTreeMap<u64, u64>,
}

impl Cursor {
    /// Everything from here on is open.
    pub fn end(&self) -> u64 {
        self.above.last_key_value().map_or(self.base, |(_, end)| *end)
    }

    /// A cursor to which nothing below `base` matters.
    pub fn at(base: u64) -> Self {
        Self { base, above: BTreeMap::new() }
    }

    pub fn base(&self) -> u64 {
        self.base
    }

    /// Settles a range, and says how many positions are newly settled by it.
    pub fn settle(&mut self, range: Range<u64>) -> u64 {
        self.insert(range, RANGES_MAX)
    }

    /// As [`Cursor::settle`], whatever the bound: for positions that are gone for good.
    pub fn settle_gone(&mut self, range: Range<u64>) -> u64 {
        self.insert(range, usize::MAX)
    }

    fn insert(&mut self, range: Range<u64>, ranges_max: usize) -> u64 {
        let (mut start, mut end) = (range.start.max(self.base), range.end);
        let newly = self.unsettled_in(start..end).map(|gap| gap.end - gap.start).sum();
        if newly == 0 {
            return 0;
        }
        // The ranges lie in order, so those that touch the new one are neighbours.
        let lower = start;
        let touching = self.above.range(..=end).rev().take_while(|(_, e)| **e >= lower);
        let swallowed: Vec<(u64, u64)> = touching.map(|(s, e)| (*s, *e)).collect();
        if swallowed.is_empty() && start > self.base && self.above.len() >= ranges_max {
            return 0;
        }
        for (s, e) in swallowed {
            self.above.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        if start == self.base {
            self.base = end;
        } else {
            self.above.insert(start, end);
        }
        newly
    }

    /// Takes back that a range is settled, which must all be so: positions that turn out not to be
    /// gone.
    pub fn unsettle(&mut self, range: Range<u64>) {
        if range.is_empty() || self.unsettled_in(range.clone()).next().is_some() {
            return;
        }
        if range.start < self.base {
            let base = std::mem::replace(&mut self.base, range.start);
            if range.end < base {
                self.above.insert(range.end, base);
            }
            return;
        }
        let around = self.above.range(..=range.start).next_back().map(|(s, e)| (*s, *e));
        let Some((start, end)) = around else { return };
        self.above.remove(&start);
        if start < range.start {
            self.above.insert(start, range.start);
        }
        if range.end < end {
            self.above.insert(range.end, end);
        }
    }

    /// What is settled, oldest first.
    pub fn settled(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        std::iter::once(0..self.base).chain(self.above.iter().map(|(s, e)| *s..*e))
    }

    /// Whether every position of the range is settled.
    pub fn covers(&self, range: Range<u64>) -> bool {
        self.unsettled_in(range).next().is_none()
    }

    /// The parts of `range` that are not settled, oldest first.
    pub fn unsettled_in(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = range.start.max(self.base);
        let end = range.end;
        let before = self.above.range(..=at).next_back().map(|(_, e)| *e);
        at = at.max(before.unwrap_or(0));
        let mut later = self.above.range(at..);
        std::iter::from_fn(move || {
            while at < end {
                let (gap_end, next) = match later.next() {
                    Some((&s, &e)) => (s.min(end), e),
                    None => (end, end),
                };
                let gap = at..gap_end;
                at = next;
                if gap.start < gap.end {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// How many positions below `head` are not settled.
    pub fn waiting(&self, head: u64) -> u64 {
        let above: u64 = self.above.range(..head).map(|(s, e)| (*e).min(head) - s).sum();
        head.saturating_sub(self.base) - above
    }

    /// The first position that is not settled and the ranges above it, as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(10 + 4 * self.above.len());
        put_varint(&mut out, self.base);
        let mut last = self.base;
        for (&start, &end) in &self.above {
            put_varint(&mut out, start - last);
            put_varint(&mut out, end - start);
            last = end;
        }
        out
    }

    /// The inverse of [`Cursor::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let base = input.varint()?;
        let mut cursor = Self::at(base);
        let mut last = base;
        while !input.is_empty() {
            let start = last.checked_add(input.varint()?).ok_or(Malformed)?;
            let end = start.checked_add(input.varint()?).ok_or(Malformed)?;
            if start == last || end == start {
                return Err(Malformed);
            }
            cursor.above.insert(start, end);
            last = end;
        }
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain set: newly settled counts, gaps and the way through bytes.
        #[test]
        fn behaves_like_a_set(base in 0_u64..20, steps in prop::collection::vec((0_u64..100, 0_u64..15), 0..60)) {
            let mut cursor = Cursor::at(base);
            let mut set: BTreeSet<u64> = (0..base).collect();
            for (start, length) in steps {
                let range = start..start + length;
                let newly = range.clone().filter(|seq| set.insert(*seq)).count() as u64;
                prop_assert_eq!(cursor.settle(range.clone()), newly);
                prop_assert!(cursor.covers(range));
                let open: Vec<u64> = cursor.unsettled_in(0..120).flatten().collect();
                let expected: Vec<u64> = (0..120).filter(|seq| !set.contains(seq)).collect();
                prop_assert_eq!(open.len() as u64, cursor.waiting(120));
                prop_assert_eq!(open, expected);
                let part: Vec<u64> = cursor.unsettled_in(30..60).flatten().collect();
                let expected: Vec<u64> = (30..60).filter(|seq| !set.contains(seq)).collect();
                prop_assert_eq!(part, expected);
                prop_assert_eq!(&Cursor::from_bytes(&cursor.to_bytes()).unwrap(), &cursor);
                prop_assert!(cursor.above.keys().all(|s| *s > cursor.base));
            }
        }

        #[test]
        fn what_is_taken_back_is_as_if_never_settled(
            settled in prop::collection::vec((0_u64..100, 1_u64..15), 1..20),
            start in 0_u64..100,
            length in 0_u64..20,
        ) {
            let mut cursor = Cursor::at(0);
            let mut set = BTreeSet::new();
            for (start, length) in settled {
                cursor.settle(start..start + length);
                set.extend(start..start + length);
            }
            let back = start..start + length;
            if back.clone().all(|seq| set.contains(&seq)) {
                back.clone().for_each(|seq| { set.remove(&seq); });
            }
            cursor.unsettle(back);
            let open: Vec<u64> = cursor.unsettled_in(0..130).flatten().collect();
            let expected: Vec<u64> = (0..130).filter(|seq| !set.contains(seq)).collect();
            prop_assert_eq!(open, expected);
            let again: BTreeSet<u64> = cursor.settled().flatten().collect();
            prop_assert_eq!(again, set);
            prop_assert_eq!(&Cursor::from_bytes(&cursor.to_bytes()).unwrap(), &cursor);
        }

        #[test]
        fn bytes_from_outside_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Cursor::from_bytes(&bytes);
        }
    }

    #[test]
    fn a_full_cursor_refuses_new_islands_but_still_gets_on() {
        let mut cursor = Cursor::at(0);
        for island in 0..RANGES_MAX as u64 {
            assert_eq!(cursor.settle(2 * island + 1..2 * island + 2), 1);
        }
        let beyond = 10 * RANGES_MAX as u64;
        assert_eq!(cursor.settle(beyond..beyond + 1), 0, "one island too many is not taken");
        assert!(!cursor.covers(beyond..beyond + 1));
        assert_eq!(cursor.settle(0..1), 1, "the base always moves");
        assert_eq!(cursor.base(), 2);
        assert_eq!(cursor.settle_gone(beyond..beyond + 1), 1);
        assert_eq!(cursor.settle(beyond + 2..beyond + 3), 0);
    }
}
