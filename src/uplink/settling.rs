//! Rows whose fate is known, gathered until they are settled in the store in one go.
//!
//! Pure. Ranges that touch are merged, so that a thousand single acknowledgements become a few
//! ranges.

use std::ops::Range;

use crate::model::{Class, Seq};

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The broker acknowledged them.
    Delivered,
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
    /// The topic with its prefix is none that MQTT allows.
    BadTopic,
    /// The store no longer knows the tag.
    UnknownTag,
}

impl DeadReason {
    /// Stable word for counters and the store's ledger.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::BadTopic => "bad-topic",
            Self::UnknownTag => "unknown-tag",
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
    ranges: Vec<(Class, Fate, Vec<Range<Seq>>)>,
}

impl Settling {
    pub fn add(&mut self, class: Class, fate: Fate, ranges: impl IntoIterator<Item = Range<Seq>>) {
        let index = self.ranges.iter().position(|(c, f, _)| (*c, *f) == (class, fate));
        let index = index.unwrap_or_else(|| {
            self.ranges.push((class, fate, Vec::new()));
            self.ranges.len() - 1
        });
        if let Some((_, _, known)) = self.ranges.get_mut(index) {
            for range in ranges {
                push_range(known, range);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Everything gathered, sorted and merged, once.
    pub fn take(&mut self) -> Vec<(Class, Fate, Vec<Range<Seq>>)> {
        let mut all = std::mem::take(&mut self.ranges);
        for (_, _, ranges) in &mut all {
            ranges.sort_unstable_by_key(|range| range.start);
            let mut merged = Vec::with_capacity(ranges.len().min(64));
            for range in ranges.drain(..) {
                push_range(&mut merged, range);
            }
            *ranges = merged;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_in_any_order_become_few_ranges() {
        let mut settling = Settling::default();
        for seq in [4, 3, 9, 5, 8] {
            settling.add(Class::Normal, Fate::Delivered, [Seq(seq)..Seq(seq + 1)]);
        }
        settling.add(Class::Normal, Fate::Excluded, [Seq(6)..Seq(8)]);
        let taken = settling.take();
        let delivered = vec![Seq(3)..Seq(6), Seq(8)..Seq(10)];
        assert_eq!(
            taken,
            [
                (Class::Normal, Fate::Delivered, delivered),
                (Class::Normal, Fate::Excluded, vec![Seq(6)..Seq(8)]),
            ]
        );
        assert!(settling.is_empty() && settling.take().is_empty());
    }
}
