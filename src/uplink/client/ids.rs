//! Packet identifiers that are in use.
//!
//! Invariant: an identifier stands for one packet until the broker has answered it, however late
//! and in whatever order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

/// What an identifier stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Publish,
    Subscribe,
}

/// Something by packet id. Nobody can choose ids to be alike, so they need no costly hash.
pub type ById<T> = HashMap<u16, T, BuildHasherDefault<Spread>>;

/// Spreads numbers that follow each other (Fibonacci hashing).
#[derive(Debug, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u16(u16::from(*byte)));
    }

    fn write_u16(&mut self, id: u16) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Default)]
pub struct Ids {
    last: u16,
    /// With the place on the line where the packet ends.
    used: ById<(Use, u64)>,
}

impl Ids {
    /// A free one; `None` if all are in use.
    pub fn take(&mut self, what: Use) -> Option<u16> {
        if self.used.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if let Entry::Vacant(free) = self.used.entry(self.last) {
                free.insert((what, 0));
                return Some(self.last);
            }
        }
    }

    /// Where its packet ends.
    pub fn ends(&mut self, id: u16, end: u64) {
        if let Some((_, at)) = self.used.get_mut(&id) {
            *at = end;
        }
    }

    /// Where its packet ended; `None` if it is not out for this.
    pub fn give_back(&mut self, id: u16, what: Use) -> Option<u64> {
        let of = |(of, end): &(Use, u64)| (*of == what).then_some(*end);
        let end = self.used.get(&id).and_then(of)?;
        self.used.remove(&id);
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_taken_once_and_never_zero() {
        let mut ids = Ids::default();
        let kept = ids.take(Use::Publish).unwrap();
        for _ in 0..70_000 {
            let id = ids.take(Use::Publish).unwrap();
            assert!(id != kept && id != 0);
            ids.ends(id, 7);
            assert_eq!(ids.give_back(id, Use::Subscribe), None);
            assert_eq!(ids.give_back(id, Use::Publish), Some(7));
            assert_eq!(ids.give_back(id, Use::Publish), None, "an answer counts once");
        }
        let all = std::iter::from_fn(|| ids.take(Use::Subscribe)).count();
        assert_eq!(all, 65_534);
    }
}
