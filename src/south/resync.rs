//! Shape-change resync: how a late answer on a serial line is kept from being taken as the answer
//! to the next, identical request.
//!
//! A frame without a transaction id can only be told from another one by its length. So every read
//! that got no answer makes its (unit, function, byte count) suspect for a while, and as long as it
//! is, that unit is asked for another quantity. Pure: time comes in.

use std::time::Duration;

use crate::model::Table;

/// Suspects kept at once on a line; the oldest is forgotten, which the hold time makes harmless.
const SUSPECTS_MAX: usize = 64;
/// Extra registers that may be asked for (or bytes of bits) to find an unsuspected length.
const PADDING_MAX: u16 = 6;
/// How long an answer may be late at most, beyond which nothing is expected of it.
pub(crate) const HOLD_MIN: Duration = Duration::from_secs(10);

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
    until: Duration,
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

impl Suspects {
    /// A read got no answer.
    pub(crate) fn unanswered(
        &mut self,
        unit: u8,
        table: Table,
        count: u16,
        now: Duration,
        hold: Duration,
    ) {
        if self.open.len() >= SUSPECTS_MAX {
            self.open.remove(0);
        }
        let until = now + hold.max(HOLD_MIN);
        self.open.push(Suspect { unit, table, bytes: answer_bytes(table, count), until });
    }

    pub(crate) fn forget_expired(&mut self, now: Duration) {
        self.open.retain(|suspect| suspect.until > now);
    }

    /// Whether any answer of this unit may be on its way.
    pub(crate) fn any(&self, unit: u8) -> bool {
        self.open.iter().any(|suspect| suspect.unit == unit)
    }

    fn is_suspect(&self, unit: u8, table: Table, count: u16) -> bool {
        let bytes = answer_bytes(table, count);
        self.open.iter().any(|s| s.unit == unit && s.table == table && s.bytes == bytes)
    }

    /// The ways to read these items with an answer that no late one can match, best first: as
    /// asked, some more behind, some more in front. `most` bounds the quantity.
    pub(crate) fn variants(
        &self,
        unit: u8,
        table: Table,
        address: u16,
        count: u16,
        most: u16,
    ) -> Vec<Variant> {
        let step = if table.is_bits() { 8 } else { 1 };
        let behind =
            (0..=PADDING_MAX).map(|n| Variant { address, count: count + n * step, skip: 0 });
        let in_front = (1..=PADDING_MAX).filter_map(|n| {
            let skip = n * step;
            Some(Variant { address: address.checked_sub(skip)?, count: count + skip, skip })
        });
        behind
            .chain(in_front)
            .filter(|v| v.count == count || v.count <= most)
            .filter(|v| u32::from(v.address) + u32::from(v.count) <= 0x1_0000)
            .filter(|v| !self.is_suspect(unit, table, v.count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const HOLD: Duration = Duration::from_secs(1);

    #[test]
    fn a_clean_line_is_asked_for_exactly_what_is_wanted() {
        let suspects = Suspects::default();
        let first = suspects.variants(1, Table::Holding, 10, 4, 125)[0];
        assert_eq!(first, Variant { address: 10, count: 4, skip: 0 });
    }

    #[test]
    fn after_a_timeout_only_that_unit_and_function_changes_its_length() {
        let mut suspects = Suspects::default();
        suspects.unanswered(1, Table::Holding, 4, NOW, HOLD);
        assert_eq!(suspects.variants(1, Table::Holding, 50, 4, 125)[0].count, 5);
        assert_eq!(suspects.variants(1, Table::Input, 50, 4, 125)[0].count, 4);
        assert_eq!(suspects.variants(2, Table::Holding, 50, 4, 125)[0].count, 4);
        suspects.unanswered(1, Table::Holding, 5, NOW, HOLD);
        assert_eq!(suspects.variants(1, Table::Holding, 50, 4, 125)[0].count, 6);
        suspects.forget_expired(NOW + HOLD_MIN);
        assert_eq!(suspects.variants(1, Table::Holding, 50, 4, 125)[0].count, 4);
    }

    #[test]
    fn bits_change_their_byte_count_and_not_only_their_quantity() {
        let mut suspects = Suspects::default();
        suspects.unanswered(1, Table::Coil, 3, NOW, HOLD);
        let first = suspects.variants(1, Table::Coil, 0, 3, 2000)[0];
        assert_ne!(answer_bytes(Table::Coil, first.count), answer_bytes(Table::Coil, 3));
    }

    #[test]
    fn stays_within_the_address_space_and_the_device_limit() {
        let mut suspects = Suspects::default();
        suspects.unanswered(1, Table::Input, 2, NOW, HOLD);
        for v in suspects.variants(1, Table::Input, 65_534, 2, 4) {
            assert!(u32::from(v.address) + u32::from(v.count) <= 65_536 && v.count <= 4, "{v:?}");
            assert_eq!(v.address + v.skip, 65_534);
            assert_ne!(v.count, 2);
        }
        assert!(suspects.variants(1, Table::Input, 0, 2, 2).is_empty(), "nothing else fits");
    }
}
