//! Shape-change resync: how a late answer on a serial line is kept from being taken as the answer
//! to the next, identical request.
//!
//! A frame without a transaction id can only be told from another one by its length. So every read
//! that got no answer makes its (unit, function, byte count) suspect for a hold time. As long as it
//! is, that unit is asked for another quantity.
//!
//! A suspect is dropped early when its answer was seen after all, and a length is taken again, if
//! no other is left, when the device has answered something else since: a device answers in order.
//! But neither before the suspect is some timeouts old, because a frame that looks like the late
//! answer may be a wrong answer to something newer. What another master was heard to ask is suspect
//! in the same way. Pure: time comes in.

use std::time::Duration;

use crate::model::Table;

/// Suspects kept at once on a line; the oldest is forgotten, which the hold time makes harmless.
const SUSPECTS_MAX: usize = 64;
/// Extra registers that may be asked for (or bytes of bits) to find an unsuspected length.
const PADDING_MAX: u16 = 6;
/// How long an answer may be late at most, beyond which nothing is expected of it.
const HOLD_MIN: Duration = Duration::from_secs(10);
/// A suspect is this many timeouts old before a later answer can settle it.
const SETTLE_TIMEOUTS: u32 = 4;

/// Unanswered reads whose answers may still come.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    open: Vec<Suspect>,
}

#[derive(Debug, Clone, Copy)]
struct Suspect {
    unit: u8,
    table: Table,
    bytes: u16,
    /// Asked for by another master: our own answers say nothing about it.
    others: bool,
    /// From then on an answer to something else settles it.
    ripe: Duration,
    until: Duration,
    /// The device has answered something else since.
    overtaken: bool,
    /// A frame that looks like its answer has been seen.
    came: bool,
}

/// What to ask for instead, and where the wanted part lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) address: u16,
    pub(crate) count: u16,
    /// Items to skip at the start of the answer.
    pub(crate) skip: u16,
}

/// The byte count of the answer to a read.
pub(crate) fn answer_bytes(table: Table, count: u16) -> u16 {
    if table.is_bits() { count.div_ceil(8) } else { count.saturating_mul(2) }
}

/// Whether a longer read is possible at all: with more behind, with more in front.
pub(crate) fn may_pad(table: Table, (address, count): (u16, u16), most: u16) -> (bool, bool) {
    let step = if table.is_bits() { 8 } else { 1 };
    let short = u32::from(count) + u32::from(step) <= u32::from(most);
    let behind = u32::from(address) + u32::from(count) + u32::from(step) <= 0x1_0000;
    (short && behind, short && address >= step)
}

impl Suspects {
    /// A read got no answer within `timeout`.
    pub(crate) fn unanswered(
        &mut self,
        unit: u8,
        table: Table,
        count: u16,
        now: Duration,
        timeout: Duration,
    ) {
        self.suspect(unit, table, answer_bytes(table, count), now, timeout);
    }

    /// Another master asks this of the unit: the answer to it would pass as one to us.
    pub(crate) fn overheard(&mut self, unit: u8, table: Table, bytes: u16, now: Duration) {
        self.open.retain(|s| s.unit != unit || s.table != table || s.bytes != bytes || !s.others);
        self.suspect(unit, table, bytes, now, Duration::ZERO);
        if let Some(suspect) = self.open.last_mut() {
            suspect.others = true;
        }
    }

    fn suspect(&mut self, unit: u8, table: Table, bytes: u16, now: Duration, timeout: Duration) {
        if self.open.len() >= SUSPECTS_MAX {
            self.open.remove(0);
        }
        let settle = timeout * SETTLE_TIMEOUTS;
        self.open.push(Suspect {
            unit,
            table,
            bytes,
            others: false,
            ripe: now + settle,
            until: now + settle.max(HOLD_MIN),
            overtaken: false,
            came: false,
        });
    }

    /// Its answer came after all, by the look of it.
    pub(crate) fn came_late(&mut self, unit: u8, table: Table, bytes: u16) {
        let same = |s: &&mut Suspect| {
            s.unit == unit && s.table == table && s.bytes == bytes && !s.came && !s.others
        };
        if let Some(suspect) = self.open.iter_mut().find(same) {
            suspect.came = true;
        }
    }

    /// The unit answered something that can't be mistaken.
    pub(crate) fn answered(&mut self, unit: u8) {
        for suspect in self.open.iter_mut().filter(|s| s.unit == unit && !s.others) {
            suspect.overtaken = true;
        }
    }

    /// As [`Suspects::answered`], for an answer asked for to this end: nothing older is to come.
    pub(crate) fn synchronised(&mut self, unit: u8) {
        self.open.retain(|suspect| suspect.unit != unit || suspect.others);
    }

    /// Drops those of which nothing is to come any more.
    pub(crate) fn forget(&mut self, now: Duration) {
        self.open.retain(|s| s.until > now && !(s.came && s.ripe <= now));
    }

    /// Whether any answer of this unit may be on its way.
    pub(crate) fn any(&self, unit: u8) -> bool {
        self.open.iter().any(|suspect| suspect.unit == unit)
    }

    /// Whether an answer of this length may be on its way.
    pub(crate) fn is_suspect(&self, unit: u8, table: Table, count: u16, now: Duration) -> bool {
        self.doubt(unit, table, count, now) == 2
    }

    /// 0: no late answer can have this length; 1: hardly; 2: one may be on its way.
    fn doubt(&self, unit: u8, table: Table, count: u16, now: Duration) -> u8 {
        let bytes = answer_bytes(table, count);
        let same = |s: &&Suspect| s.unit == unit && s.table == table && s.bytes == bytes;
        let doubt = |s: &Suspect| if s.overtaken && s.ripe <= now { 1 } else { 2 };
        self.open.iter().filter(same).map(doubt).max().unwrap_or(0)
    }

    /// The ways to read these items with an answer that no late one can match, best first: as
    /// asked, some more behind, some more in front. `most` bounds the quantity.
    pub(crate) fn variants(
        &self,
        unit: u8,
        table: Table,
        (address, count): (u16, u16),
        most: u16,
        now: Duration,
    ) -> Vec<Variant> {
        let step = if table.is_bits() { 8 } else { 1 };
        let behind = (0..=PADDING_MAX).map(|n| (address, n * step, 0));
        let in_front = (1..=PADDING_MAX)
            .filter_map(|n| Some((address.checked_sub(n * step)?, n * step, n * step)));
        let fits = |v: &Variant| {
            (v.count == count || v.count <= most)
                && u32::from(v.address) + u32::from(v.count) <= 0x1_0000
        };
        let mut variants: Vec<(u8, Variant)> = behind
            .chain(in_front)
            .map(|(address, more, skip)| Variant { address, count: count + more, skip })
            .filter(fits)
            .map(|v| (self.doubt(unit, table, v.count, now), v))
            .filter(|(doubt, _)| *doubt < 2)
            .collect();
        variants.sort_by_key(|(doubt, _)| *doubt);
        variants.into_iter().map(|(_, variant)| variant).collect()
    }

    /// A smaller read at the same place, only to see that the device has caught up: when its
    /// answer is there, no older one is to come.
    pub(crate) fn smaller(
        &self,
        unit: u8,
        table: Table,
        (address, count): (u16, u16),
        now: Duration,
    ) -> Option<Variant> {
        let step = if table.is_bits() { 8 } else { 1 };
        (1..count)
            .step_by(step)
            .find(|count| self.doubt(unit, table, *count, now) == 0)
            .map(|count| Variant { address, count, skip: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const TIMEOUT: Duration = Duration::from_secs(1);

    fn first(suspects: &Suspects, unit: u8, table: Table, read: (u16, u16)) -> Option<Variant> {
        suspects.variants(unit, table, read, 125, NOW + TIMEOUT).first().copied()
    }

    fn count(suspects: &Suspects, unit: u8, table: Table) -> u16 {
        first(suspects, unit, table, (50, 4)).unwrap().count
    }

    #[test]
    fn a_clean_line_is_asked_for_exactly_what_is_wanted() {
        let plain = Variant { address: 10, count: 4, skip: 0 };
        assert_eq!(first(&Suspects::default(), 1, Table::Holding, (10, 4)), Some(plain));
    }

    #[test]
    fn after_a_timeout_only_that_unit_and_function_changes_its_length() {
        let mut suspects = Suspects::default();
        suspects.unanswered(1, Table::Holding, 4, NOW, TIMEOUT);
        assert_eq!(count(&suspects, 1, Table::Holding), 5);
        assert_eq!(count(&suspects, 1, Table::Input), 4);
        assert_eq!(count(&suspects, 2, Table::Holding), 4);
        suspects.unanswered(1, Table::Holding, 5, NOW, TIMEOUT);
        assert_eq!(count(&suspects, 1, Table::Holding), 6);
        suspects.came_late(1, Table::Holding, 8);
        suspects.forget(NOW + TIMEOUT);
        assert_eq!(count(&suspects, 1, Table::Holding), 6, "too fresh to be sure");
        suspects.forget(NOW + TIMEOUT * SETTLE_TIMEOUTS);
        assert_eq!(count(&suspects, 1, Table::Holding), 4);
        suspects.forget(NOW + HOLD_MIN);
        assert!(!suspects.any(1));
    }

    #[test]
    fn bits_change_their_byte_count_and_not_only_their_quantity() {
        let mut suspects = Suspects::default();
        suspects.unanswered(1, Table::Coil, 3, NOW, TIMEOUT);
        let first = suspects.variants(1, Table::Coil, (0, 3), 2000, NOW)[0];
        assert_ne!(answer_bytes(Table::Coil, first.count), answer_bytes(Table::Coil, 3));
        let smaller = suspects.smaller(1, Table::Coil, (0, 30), NOW).unwrap();
        assert_ne!(answer_bytes(Table::Coil, smaller.count), 1);
    }

    #[test]
    fn stays_within_the_address_space_and_the_device_limit() {
        let mut suspects = Suspects::default();
        suspects.unanswered(1, Table::Input, 2, NOW, TIMEOUT);
        let variants = suspects.variants(1, Table::Input, (65_534, 2), 4, NOW);
        assert!(!variants.is_empty());
        for v in variants {
            assert!(u32::from(v.address) + u32::from(v.count) <= 65_536 && v.count <= 4, "{v:?}");
            assert_eq!(v.address + v.skip, 65_534);
            assert_ne!(v.count, 2);
        }
        assert!(suspects.variants(1, Table::Input, (0, 2), 2, NOW).is_empty(), "nothing fits");
        assert_eq!(may_pad(Table::Input, (0, 2), 2), (false, false));
        assert_eq!(may_pad(Table::Input, (0, 2), 3), (true, false));
        assert_eq!(may_pad(Table::Input, (65_534, 2), 3), (false, true));
        let smaller = suspects.smaller(1, Table::Input, (0, 2), NOW).unwrap();
        assert_eq!(smaller, Variant { address: 0, count: 1, skip: 0 });
    }

    #[test]
    fn with_all_lengths_suspect_one_is_free_again_when_the_device_went_on() {
        let mut suspects = Suspects::default();
        for count in 1..=7 {
            suspects.unanswered(1, Table::Holding, count, NOW, TIMEOUT);
        }
        let later = NOW + TIMEOUT * SETTLE_TIMEOUTS;
        assert!(suspects.variants(1, Table::Holding, (9, 1), 125, later).is_empty());
        suspects.answered(1);
        assert!(suspects.variants(1, Table::Holding, (9, 1), 125, NOW).is_empty(), "too fresh");
        let first = suspects.variants(1, Table::Holding, (9, 1), 125, later)[0];
        assert_eq!(first, Variant { address: 9, count: 1, skip: 0 });
    }
}
