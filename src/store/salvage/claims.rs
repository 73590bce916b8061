//! What each consumer is owed of a file that was set aside.
//!
//! The rule: when a file is set aside, everything in it that a consumer had not settled counts as
//! dropped (`corrupt`) from that moment on, and is noted as a claim. When salvage brings some of
//! it back, the claim, `dropped(corrupt)` and `waiting` change together, in memory at once and in
//! the file in the one transaction that inserts the chunk: so nothing counts twice, and a crash
//! finds either all of it or nothing. The ledger notes `salvaged` with the old positions; what is
//! brought back has new positions at the head. What stays claimed when the file has been gone
//! through is lost.

use std::ops::Range;

use crate::model::{Class, Name};
use crate::store::cursor::Cursor;
use crate::store::schema::{class_code, class_of};
use crate::store::wire::{Input, Malformed, put_bytes, put_varint};

/// What one consumer is owed of one class: the positions below `end` that are not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub consumer: Name,
    pub class: Class,
    pub settled: Cursor,
    pub end: u64,
}

/// The claims on one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Salvage {
    /// The number of the file in quarantine.
    pub file: u64,
    /// Numbers of tags and boots up to these mean the same as in the file in use.
    pub tags_upto: u32,
    pub boots_upto: u32,
    /// Its epoch, if positions in the file in use do not count on from its own; 0 if unknown.
    pub epoch: Option<u64>,
    /// Readings and messages brought back so far.
    pub salvaged: u64,
    pub claims: Vec<Claim>,
}

impl Salvage {
    /// Whether anyone is owed anything of this.
    pub fn wants(&self, class: Class, range: &Range<u64>) -> bool {
        let of_class = self.claims.iter().filter(|claim| claim.class == class);
        of_class.clone().any(|claim| claim.open(range.clone()).next().is_some())
    }

    /// How many positions are owed to at least one consumer.
    pub fn owed(&self) -> u64 {
        let of_class = |class: Class| {
            let mut owed = Cursor::at(0);
            let claims = self.claims.iter().filter(|claim| claim.class == class);
            claims
                .flat_map(|claim| claim.open(0..claim.end))
                .map(|r| owed.settle_gone(r))
                .sum::<u64>()
        };
        Class::ALL.into_iter().map(of_class).sum()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, u64::from(self.tags_upto));
        put_varint(&mut out, u64::from(self.boots_upto));
        out.push(u8::from(self.epoch.is_some()));
        put_varint(&mut out, self.epoch.unwrap_or(0));
        put_varint(&mut out, self.salvaged);
        for claim in &self.claims {
            put_bytes(&mut out, claim.consumer.as_str().as_bytes());
            out.push(class_code(claim.class));
            put_varint(&mut out, claim.end);
            put_bytes(&mut out, &claim.settled.to_bytes());
        }
        out
    }

    /// The inverse of [`Salvage::to_bytes`].
    pub fn from_bytes(file: u64, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let small = |value: u64| u32::try_from(value).map_err(|_| Malformed);
        let (tags_upto, boots_upto) = (small(input.varint()?)?, small(input.varint()?)?);
        let (other, epoch) = (input.byte()? != 0, input.varint()?);
        let epoch = other.then_some(epoch);
        let (salvaged, claims) = (input.varint()?, Vec::new());
        let mut salvage = Self { file, tags_upto, boots_upto, epoch, salvaged, claims };
        while !input.is_empty() {
            let name = std::str::from_utf8(input.bytes()?).map_err(|_| Malformed)?;
            salvage.claims.push(Claim {
                consumer: Name::new(name).map_err(|_| Malformed)?,
                class: class_of(i64::from(input.byte()?)).ok_or(Malformed)?,
                end: input.varint()?,
                settled: Cursor::from_bytes(input.bytes()?)?,
            });
        }
        Ok(salvage)
    }
}

impl Claim {
    /// A claim on these ranges, which are in order.
    pub fn on(consumer: Name, class: Class, open: impl Iterator<Item = Range<u64>>) -> Self {
        let mut claim = Self { consumer, class, settled: Cursor::default(), end: 0 };
        for range in open {
            claim.settled.settle_gone(claim.end..range.start);
            claim.end = range.end;
        }
        claim
    }

    /// What of `range` is owed.
    pub fn open(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        self.settled.unsettled_in(range.start..range.end.min(self.end))
    }

    pub fn owed(&self) -> u64 {
        self.settled.waiting(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_know_what_is_owed_and_come_back_from_bytes() {
        let name = |name| Name::new(name).unwrap();
        let cloud = Claim::on(name("cloud"), Class::Normal, [5..10, 20..25].into_iter());
        let lab = Claim::on(name("lab"), Class::Normal, std::iter::once(8..22));
        assert_eq!((cloud.owed(), lab.owed(), cloud.end), (10, 14, 25));
        let (epoch, claims) = (Some(5), vec![cloud, lab]);
        let mut salvage =
            Salvage { file: 3, tags_upto: 7, boots_upto: 1, epoch, salvaged: 9, claims };
        assert_eq!(salvage.owed(), 20);
        assert!(salvage.wants(Class::Normal, &(0..6)) && !salvage.wants(Class::Normal, &(0..5)));
        assert!(!salvage.wants(Class::Bulk, &(0..100)) && !salvage.wants(Class::Normal, &(25..99)));
        let back = Salvage::from_bytes(3, &salvage.to_bytes()).unwrap();
        assert_eq!(back, salvage);
        for claim in &mut salvage.claims {
            claim.settled.settle_gone(0..30);
        }
        assert_eq!(salvage.owed(), 0);
        for cut in 0..salvage.to_bytes().len() {
            let _ = Salvage::from_bytes(3, &salvage.to_bytes()[..cut]);
        }
    }
}
