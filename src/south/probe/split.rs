//! Reading a range of addresses that may have holes: in blocks, halved where the device refuses,
//! down to the single address. Pure: answers come in, the next request comes out.
//!
//! Invariants: every address of the range is asked for until it has an answer of its own or was
//! part of one; no request is longer than the device lets it be; it always comes to an end.

use std::collections::BTreeMap;

/// What became of one address: its register or bit, or the exception code.
pub type Item = Result<u16, u8>;

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_VALUE: u8 = 3;

/// See the module.
#[derive(Debug)]
pub struct Split {
    /// Still to be read, the next one last.
    left: Vec<(u32, u32)>,
    most: u32,
    /// Whether any read of this length was answered, so that the length is not the problem.
    fits: u32,
    found: BTreeMap<u16, Item>,
}

impl Split {
    /// `count` addresses from `address` on, at most `most` in a request.
    pub fn new(address: u16, count: u32, most: u16) -> Self {
        let end = (u32::from(address) + count).min(0x1_0000);
        let left = vec![(u32::from(address), end - u32::from(address))];
        Self { left, most: u32::from(most).max(1), fits: 0, found: BTreeMap::new() }
    }

    /// The next request; the same until it is answered.
    pub fn request(&mut self) -> Option<(u16, u16)> {
        let (address, count) = loop {
            let (address, count) = self.left.pop()?;
            if count > self.most {
                self.left.push((address + self.most, count - self.most));
                break (address, self.most);
            }
            if count > 0 {
                break (address, count);
            }
        };
        self.left.push((address, count));
        Some((u16::try_from(address).ok()?, u16::try_from(count).ok()?))
    }

    /// The open request has this answer.
    pub fn answered(&mut self, words: &[u16]) {
        let Some((address, count)) = self.left.pop() else { return };
        self.fits = self.fits.max(count);
        for (at, word) in (address..address + count).zip(words) {
            if let Ok(at) = u16::try_from(at) {
                self.found.insert(at, Ok(*word));
            }
        }
    }

    /// The open request was refused.
    pub fn refused(&mut self, code: u8) {
        let Some((address, count)) = self.left.pop() else { return };
        if count == 1 || code == ILLEGAL_FUNCTION {
            let end = if code == ILLEGAL_FUNCTION {
                // The device does not have the table at all.
                let end = self.left.iter().map(|(at, count)| at + count).max();
                self.left.clear();
                end.unwrap_or(0).max(address + count)
            } else {
                address + count
            };
            let all = (address..end).filter_map(|at| u16::try_from(at).ok());
            self.found.extend(all.map(|at| (at, Err(code))));
            return;
        }
        let half = count / 2;
        self.left.push((address + half, count - half));
        self.left.push((address, half));
        if code == ILLEGAL_VALUE && count > self.fits {
            // Too long, says the specification; then the others would be as well.
            self.most = self.most.min(half.max(self.fits).max(1));
        }
    }

    /// Addresses that have an answer.
    pub fn done(&self) -> usize {
        self.found.len()
    }

    /// What became of every address so far.
    pub fn found(self) -> BTreeMap<u16, Item> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A device with some registers, each holding its address, and a longest read.
    fn read(
        has: impl Fn(u16) -> bool,
        longest: u16,
        mut split: Split,
    ) -> (BTreeMap<u16, Item>, u32) {
        let mut requests = 0;
        while let Some((address, count)) = split.request() {
            requests += 1;
            assert!(requests < 300_000, "never ends");
            let range: Vec<u16> = (address..=address + (count - 1)).collect();
            if count > longest {
                split.refused(3);
            } else if range.iter().all(|at| has(*at)) {
                split.answered(&range);
            } else {
                split.refused(2);
            }
        }
        (split.found(), requests)
    }

    #[test]
    fn a_whole_range_is_read_in_the_fewest_requests() {
        let (found, requests) = read(|_| true, 125, Split::new(10, 300, 125));
        assert_eq!((found.len(), requests), (300, 3));
        assert!(found.iter().all(|(at, item)| *item == Ok(*at)));
        let (end, _) = read(|_| true, 125, Split::new(65_530, 20, 125));
        assert_eq!(end.keys().copied().max(), Some(65_535));
    }

    #[test]
    fn one_hole_costs_a_few_requests_and_a_shorter_device_is_learned() {
        let (found, requests) = read(|at| at != 77, 125, Split::new(0, 125, 125));
        assert_eq!(found.get(&77), Some(&Err(2)));
        assert_eq!(found.values().filter(|item| item.is_ok()).count(), 124);
        assert!(requests <= 15, "{requests}");
        let (found, requests) = read(|_| true, 40, Split::new(0, 500, 125));
        assert!(found.len() == 500 && requests <= 22, "{requests}");
    }

    #[test]
    fn a_table_that_is_not_there_is_asked_for_once() {
        let mut split = Split::new(0, 1000, 125);
        assert_eq!(split.request(), Some((0, 125)));
        split.refused(1);
        assert_eq!(split.request(), None);
        assert_eq!(split.found().len(), 1000);
    }

    proptest! {
        #[test]
        fn every_address_gets_what_the_device_has(
            holes in proptest::collection::btree_set(0_u16..400, 0..60),
            start in 0_u16..300,
            count in 1_u32..200,
            most in 1_u16..130,
            longest in 1_u16..130,
        ) {
            let (found, _) = read(|at| !holes.contains(&at), longest, Split::new(start, count, most));
            prop_assert_eq!(found.len(), usize::try_from(count).unwrap());
            for (at, item) in found {
                prop_assert_eq!(item, if holes.contains(&at) { Err(2) } else { Ok(at) });
            }
        }
    }
}
