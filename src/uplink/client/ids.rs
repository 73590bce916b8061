//! Packet identifiers that are in use.
//!
//! Invariant: an identifier stands for one packet until the broker has answered it, however late
//! and in whatever order.

use std::collections::HashMap;

/// What an identifier stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Publish,
    Subscribe,
}

#[derive(Default)]
pub struct Ids {
    last: u16,
    /// With the place on the line where the packet ends.
    used: HashMap<u16, (Use, u64)>,
}

impl Ids {
    /// A free one; `None` if all are in use.
    pub fn take(&mut self, what: Use) -> Option<u16> {
        if self.used.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if let std::collections::hash_map::Entry::Vacant(free) = self.used.entry(self.last) {
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
