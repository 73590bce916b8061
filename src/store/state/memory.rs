//! What leaves memory, and in which order, so that it keeps within its bound.

use std::time::Duration;

use super::{State, Whom};
use crate::model::{Class, Clock};
use crate::store::accounting::Reason;
use crate::store::per_class::FIRST_TO_GO;

/// Things in the file too that leave memory with one arrival at most.
const EVICTED_AT_ONCE: usize = 4;
/// So many things that left memory wait to be freed at most.
const GONE_MAX: usize = 4_096;

impl State {
    /// Keeps within the memory bound: first what the file has too, then what only best-effort
    /// consumers wait for, then the oldest of the lowest class, counted.
    pub fn make_room(&mut self) {
        // What is in the file is a mere cache and gets half, so that a burst finds room. A few at a
        // time: after a commit there are hundreds, and who appends would wait for all of them.
        for _ in 0..EVICTED_AT_ONCE {
            if self.ram_bytes <= self.ram_bytes_max / 2 || !self.evict_one(Evict::Stored) {
                break;
            }
        }
        while self.ram_bytes > self.ram_bytes_max {
            let gone = self.evict_one(Evict::Stored)
                || self.evict_one(Evict::NotRequired)
                || self.evict_one(Evict::Anything);
            if !gone {
                break;
            }
        }
    }

    fn evict_one(&mut self, what: Evict) -> bool {
        for class in FIRST_TO_GO {
            let Some(item) = self.lanes.get(class).items.front() else { continue };
            let range = item.range();
            let (fits, reason) = match what {
                Evict::Stored => (item.stored, None),
                Evict::NotRequired => {
                    (!self.wanted(class, &range, item.awaited), Some(Reason::ConsumerLag))
                }
                Evict::Anything => (true, Some(Reason::RamFull)),
            };
            if !fits {
                continue;
            }
            if let Some(reason) = reason {
                let read = self.read_times(item.boot, item.times());
                self.drop_range(class, range, reason, Whom::Everyone, Some(read));
            }
            self.pop_front(class);
            return true;
        }
        false
    }

    pub(super) fn pop_front(&mut self, class: Class) {
        if let Some(item) = self.lanes.get_mut(class).pop_front() {
            self.ram_bytes = self.ram_bytes.saturating_sub(item.bytes);
            if self.gone.len() < GONE_MAX {
                self.gone.push(item.content);
            }
        }
    }

    /// Drops from memory what is older than anyone wants it; the file is trimmed by `trim.rs`.
    pub fn drop_old(&mut self, max_age: Duration, clock: &dyn Clock) {
        for class in Class::ALL {
            while let Some(item) = self.lanes.get(class).items.front() {
                let age = self.boots.age_ms(item.boot, item.times().1, clock);
                if age.is_none_or(|age| u128::from(age) <= max_age.as_millis()) {
                    break;
                }
                let (range, read) = (item.range(), self.read_times(item.boot, item.times()));
                self.drop_range(class, range, Reason::Age, Whom::Everyone, Some(read));
                self.pop_front(class);
            }
        }
    }
}

/// What may be evicted from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evict {
    Stored,
    NotRequired,
    Anything,
}
