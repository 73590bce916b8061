//! Rows whose fate is known, gathered until they are settled in the store in one go.
//!
//! Pure. Ranges that touch are merged, so that a thousand single acknowledgements become a few
//! ranges.

use std::ops::Range;

use crate::model::{Class, Seq};

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The broker acknowledged them, with the times of this version (see `store::Times`).
    Delivered(u64),
    /// No `send` filter wants them.
    Excluded,
    /// They can't be sent at all, for this reason.
    Dead(DeadReason),
}

/// Why rows can never be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadReason {
    /// Alone larger than the largest packet the broker takes.
    TooLarge,
    /// The topic with its prefix is none that MQTT or the service allows.
    BadTopic,
    /// The store no longer knows the tag.
    UnknownTag,
    /// The broker will never take it (MQTT 5: no valid topic, or not the format it wants).
    Refused,
}

impl DeadReason {
    pub const ALL: [Self; 4] = [Self::TooLarge, Self::BadTopic, Self::UnknownTag, Self::Refused];

    /// Stable word for counters and the store's ledger.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::BadTopic => "bad-topic",
            Self::UnknownTag => "unknown-tag",
            Self::Refused => "refused",
        }
    }
}

/// Appends a range, or lengthens the last one.
pub fn push_range(ranges: &mut Vec<Range<Seq>>, range: Range<Seq>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Rows in a list of ranges.
pub fn rows_in(ranges: &[Range<Seq>]) -> u64 {
    ranges.iter().map(|range| range.end.0.saturating_sub(range.start.0)).sum()
}

/// Fates that are known and not yet in the store.
#[derive(Debug, Default)]
pub struct Settling {
    known: Vec<(Class, Range<Seq>, Fate)>,
}

/// One call to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub class: Class,
    pub fate: Fate,
    pub ranges: Vec<Range<Seq>>,
}

impl Settling {
    pub fn add(&mut self, class: Class, fate: Fate, ranges: impl IntoIterator<Item = Range<Seq>>) {
        self.known.extend(ranges.into_iter().map(|range| (class, range, fate)));
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Everything gathered, once, from old to new. The order matters: the store keeps its books in
    /// a bounded number of pieces, and a thousand delivered rows with unwanted ones in between are
    /// one piece only if they are settled as they lie, not one fate after the other.
    pub fn take(&mut self) -> Vec<Settlement> {
        let mut known = std::mem::take(&mut self.known);
        known.sort_unstable_by_key(|(class, range, _)| (*class, range.start));
        let mut settlements: Vec<Settlement> = Vec::new();
        for (class, range, fate) in known {
            match settlements.last_mut() {
                Some(last) if (last.class, last.fate) == (class, fate) => {
                    push_range(&mut last.ranges, range);
                }
                _ => settlements.push(Settlement { class, fate, ranges: vec![range] }),
            }
        }
        settlements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settlement(fate: Fate, ranges: &[(u64, u64)]) -> Settlement {
        let ranges = ranges.iter().map(|(start, end)| Seq(*start)..Seq(*end)).collect();
        Settlement { class: Class::Normal, fate, ranges }
    }

    #[test]
    fn acknowledgements_in_any_order_become_few_ranges() {
        let mut settling = Settling::default();
        for seq in [4, 3, 9, 5, 8] {
            settling.add(Class::Normal, Fate::Delivered(1), [Seq(seq)..Seq(seq + 1)]);
        }
        assert_eq!(settling.take(), [settlement(Fate::Delivered(1), &[(3, 6), (8, 10)])]);
        assert!(settling.is_empty() && settling.take().is_empty());
    }

    #[test]
    fn fates_alternate_as_the_rows_lie() {
        let mut settling = Settling::default();
        for seq in [1, 3] {
            settling.add(Class::Normal, Fate::Delivered(1), [Seq(seq)..Seq(seq + 1)]);
        }
        settling.add(Class::Normal, Fate::Excluded, [Seq(2)..Seq(3), Seq(4)..Seq(6)]);
        let expected = [
            settlement(Fate::Delivered(1), &[(1, 2)]),
            settlement(Fate::Excluded, &[(2, 3)]),
            settlement(Fate::Delivered(1), &[(3, 4)]),
            settlement(Fate::Excluded, &[(4, 6)]),
        ];
        assert_eq!(settling.take(), expected);
    }
}
