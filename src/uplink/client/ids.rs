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
    used: HashMap<u16, Use>,
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
                free.insert(what);
                return Some(self.last);
            }
        }
    }

    /// False if it is not out for this.
    pub fn give_back(&mut self, id: u16, what: Use) -> bool {
        let known = self.used.get(&id) == Some(&what);
        known && self.used.remove(&id).is_some()
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
            assert!(!ids.give_back(id, Use::Subscribe));
            assert!(ids.give_back(id, Use::Publish));
            assert!(!ids.give_back(id, Use::Publish), "an answer counts once");
        }
        let all = std::iter::from_fn(|| ids.take(Use::Subscribe)).count();
        assert_eq!(all, 65_534);
    }
}
