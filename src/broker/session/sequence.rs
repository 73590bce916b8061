//! The numbers of a session's messages of QoS 1 and 2: which one comes next, which are settled.
//!
//! A message's packet id is its number mod 65,535, plus 1. So the same message has the same id
//! after a restart, and an id is free unless a message exactly one round before still holds it.

use std::collections::BTreeMap;

/// Packet ids there are; 0 is none.
const IDS: u64 = 65_535;

#[derive(Debug, Default)]
pub struct Sequence {
    next: u64,
    /// All before this one are settled.
    first_open: u64,
    /// What is settled beyond that: from the first to before the second.
    gaps: BTreeMap<u64, u64>,
}

pub fn packet_id(number: u64) -> u16 {
    u16::try_from(number % IDS + 1).unwrap_or(1)
}

impl Sequence {
    /// The number that [`Sequence::take`] gives.
    pub fn next(&self) -> u64 {
        self.next
    }

    pub fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Nobody waits for this number any more.
    pub fn settle(&mut self, number: u64) {
        if number != self.first_open {
            return self.settle_beyond(number);
        }
        self.first_open += 1;
        while let Some(gap) = self.gaps.first_entry().filter(|g| *g.key() == self.first_open) {
            self.first_open = gap.remove();
        }
    }

    fn settle_beyond(&mut self, number: u64) {
        if number < self.first_open {
            return;
        }
        let mut start = number;
        let before = self.gaps.range_mut(..=number).next_back();
        let mut end = number + 1;
        if let Some((from, to)) = before
            && *to >= number
        {
            start = *from;
            end = end.max(*to);
        }
        if let Some(after) = self.gaps.remove(&end) {
            end = after;
        }
        self.gaps.insert(start, end);
    }

    /// All before this one are settled.
    pub fn first_open(&self) -> u64 {
        self.first_open
    }

    /// What is settled beyond the first open one: from the first to before the second.
    pub fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.gaps.iter().map(|(from, end)| (*from, *end))
    }

    /// A sequence in which all is settled but what is `open`.
    pub fn restore(next: u64, open: impl IntoIterator<Item = u64>) -> Self {
        let mut open: Vec<u64> = open.into_iter().collect();
        open.sort_unstable();
        let first_open = open.first().copied().unwrap_or(next);
        let mut gaps = BTreeMap::new();
        let ends = open.iter().skip(1).copied().chain(Some(next));
        for (number, end) in open.iter().map(|number| number + 1).zip(ends) {
            if number < end {
                gaps.insert(number, end);
            }
        }
        Self { next, first_open, gaps }
    }

    /// Whether no message of one round before can hold this number's packet id.
    pub fn is_id_free(&self, number: u64) -> bool {
        number.saturating_sub(self.first_open) < IDS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the order, the first open number and the gaps say what is settled.
        #[test]
        fn knows_what_is_settled(order in prop::collection::vec(0..40_u64, 0..60)) {
            let mut sequence = Sequence::default();
            for expected in 0..40 {
                prop_assert_eq!(sequence.take(), expected);
            }
            let mut open: BTreeSet<u64> = (0..40).collect();
            for number in order {
                sequence.settle(number);
                open.remove(&number);
                prop_assert_eq!(sequence.first_open, open.first().copied().unwrap_or(40));
                let settled: Vec<u64> =
                    sequence.gaps.iter().flat_map(|(from, to)| *from..*to).collect();
                let expected: Vec<u64> =
                    (sequence.first_open..40).filter(|n| !open.contains(n)).collect();
                prop_assert_eq!(settled, expected);
                let again = Sequence::restore(40, open.iter().copied());
                prop_assert_eq!(again.first_open, sequence.first_open);
                if !open.is_empty() {
                    prop_assert_eq!(&again.gaps, &sequence.gaps);
                }
                let touching = sequence.gaps.iter().zip(sequence.gaps.keys().skip(1));
                prop_assert!(touching.into_iter().all(|((_, to), from)| to < from));
            }
        }
    }

    #[test]
    fn packet_ids_go_round_without_zero() {
        assert_eq!([0, 65_534, 65_535].map(packet_id), [1, 65_535, 1]);
        let mut sequence = Sequence { next: 65_535, ..Sequence::default() };
        assert!(!sequence.is_id_free(65_535), "number 0 holds the id");
        sequence.settle(0);
        assert!(sequence.is_id_free(65_535));
    }
}
