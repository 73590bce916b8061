//! What was read last, for clients that are served without asking the line. Pure: time comes in.
//!
//! Only words that a device gave in answer to a request of ours are kept, each with the moment from
//! which it is too old. Nothing is ever made up: an answer has all its items or it is none.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::model::{Mono, Table};

/// Registers and bits kept of one bus; what is read beyond is not kept.
const ITEMS_MAX: usize = 1 << 17;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cache(BTreeMap<(u8, Table, u16), Item>);

#[derive(Debug, Clone, Copy)]
struct Item {
    word: u16,
    until: Mono,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Some item was never read.
    Unknown,
    /// Some item is too old, or its device is silent.
    Stale,
}

impl Cache {
    /// These items were read, and hold until then.
    pub(crate) fn put(&mut self, unit: u8, table: Table, start: u16, words: &[u16], until: Mono) {
        for (address, word) in (start..=u16::MAX).zip(words) {
            let item = Item { word: *word, until };
            if let Some(kept) = self.0.get_mut(&(unit, table, address)) {
                *kept = item;
            } else if self.0.len() < ITEMS_MAX {
                self.0.insert((unit, table, address), item);
            }
        }
    }

    /// These items may hold something else now.
    pub(crate) fn expire(&mut self, unit: u8, table: Table, addresses: &RangeInclusive<u16>) {
        let keys = (unit, table, *addresses.start())..=(unit, table, *addresses.end());
        self.0.range_mut(keys).for_each(|(_, item)| item.until = Mono(i64::MIN));
    }

    /// Nothing of this unit holds any more.
    pub(crate) fn expire_unit(&mut self, unit: u8) {
        for table in [Table::Coil, Table::Discrete, Table::Holding, Table::Input] {
            self.expire(unit, table, &(0..=u16::MAX));
        }
    }

    pub(crate) fn get(
        &self,
        unit: u8,
        table: Table,
        addresses: &RangeInclusive<u16>,
        now: Mono,
    ) -> Result<Vec<u16>, Missing> {
        let keys = (unit, table, *addresses.start())..=(unit, table, *addresses.end());
        let items: Vec<Item> = self.0.range(keys).map(|(_, item)| *item).collect();
        if items.len() != addresses.len() {
            return Err(Missing::Unknown);
        }
        if items.iter().any(|item| item.until < now) {
            return Err(Missing::Stale);
        }
        Ok(items.iter().map(|item| item.word).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: Table = Table::Holding;

    #[test]
    fn an_answer_has_all_its_items_or_is_none() {
        let mut cache = Cache::default();
        cache.put(3, H, 10, &[7, 8, 9], Mono(100));
        assert_eq!(cache.get(3, H, &(10..=12), Mono(100)), Ok(vec![7, 8, 9]));
        assert_eq!(cache.get(3, H, &(11..=11), Mono(0)), Ok(vec![8]));
        assert_eq!(cache.get(3, H, &(9..=12), Mono(0)), Err(Missing::Unknown));
        assert_eq!(cache.get(3, H, &(12..=13), Mono(0)), Err(Missing::Unknown));
        assert_eq!(cache.get(3, Table::Input, &(10..=10), Mono(0)), Err(Missing::Unknown));
        assert_eq!(cache.get(4, H, &(10..=10), Mono(0)), Err(Missing::Unknown));
        cache.put(3, H, 14, &[1], Mono(100));
        assert_eq!(cache.get(3, H, &(12..=14), Mono(0)), Err(Missing::Unknown), "a hole");
    }

    #[test]
    fn what_is_too_old_is_not_served() {
        let mut cache = Cache::default();
        cache.put(3, H, 10, &[7, 8], Mono(100));
        cache.put(3, H, 11, &[9], Mono(200));
        assert_eq!(cache.get(3, H, &(10..=11), Mono(101)), Err(Missing::Stale));
        assert_eq!(cache.get(3, H, &(11..=11), Mono(101)), Ok(vec![9]));
        cache.expire(3, H, &(11..=11));
        assert_eq!(cache.get(3, H, &(11..=11), Mono(0)), Err(Missing::Stale));
        cache.put(4, H, 0, &[1], Mono(100));
        cache.expire_unit(3);
        assert_eq!(cache.get(3, H, &(10..=10), Mono(0)), Err(Missing::Stale));
        assert_eq!(cache.get(4, H, &(0..=0), Mono(0)), Ok(vec![1]));
    }

    #[test]
    fn the_end_of_the_address_space_is_no_edge() {
        let mut cache = Cache::default();
        cache.put(3, H, u16::MAX, &[7, 8], Mono(100));
        assert_eq!(cache.get(3, H, &(u16::MAX..=u16::MAX), Mono(0)), Ok(vec![7]));
        assert_eq!(cache.get(3, H, &(0..=0), Mono(0)), Err(Missing::Unknown));
    }
}
