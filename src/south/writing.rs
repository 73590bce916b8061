//! A command on its way: its tags checked, put together into requests, and what became of each.
//!
//! Pure: knows tags and words, no line. Invariants: nothing is written unless every tag of the
//! command passed its checks; registers are written together only where they adjoin and belong to
//! one command; every tag has exactly one outcome in the end.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::codec::registers::{Decoded, Encoded, at_power, decode, encode};
use crate::config::{
    DevicePlan, Registers, Verify, WRITE_AND_READ_MAX, WRITE_BITS_MAX, WRITE_REGISTERS_MAX,
    WriteWith,
};
use crate::model::{Command, Outcome, Refusal, Set, Table};

/// One tag of the command.
#[derive(Debug)]
pub(super) struct Part {
    /// Of the tag in its device.
    pub(super) tag: usize,
    pub(super) from: Registers,
    encoded: Encoded,
    verify: Verify,
}

/// One write request: items that adjoin, or bits of one register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) table: Table,
    pub(super) address: u16,
    pub(super) words: Vec<u16>,
    /// Which bits of its one register are written; all of them if `None`.
    pub(super) mask: Option<u16>,
    /// The parts in it, by their index.
    parts: Vec<usize>,
}

/// What scale registers hold, by the tags that they scale.
pub(super) type Scales = HashMap<usize, u16>;

/// See the module.
pub(super) struct Writing {
    pub(super) device: usize,
    parts: Vec<Part>,
    outcomes: Vec<Option<Outcome>>,
    /// Not written yet.
    groups: VecDeque<Group>,
    /// Acknowledged, and to be read back.
    to_verify: Vec<usize>,
    /// Whether anything was sent.
    pub(super) begun: bool,
    reply: Box<dyn FnOnce(Vec<Outcome>) + Send>,
}

/// How registers of a device may be put together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Together {
    registers: u16,
    bits: u16,
}

impl Together {
    /// `alone` for a device that takes one item per request.
    pub(super) fn of(plan: &DevicePlan, alone: bool) -> Self {
        if alone || plan.write_with == WriteWith::Six {
            return Self { registers: 1, bits: 1 };
        }
        let registers = match plan.write_with {
            WriteWith::TwentyThree => WRITE_AND_READ_MAX,
            _ => WRITE_REGISTERS_MAX,
        };
        Self {
            registers: plan.registers_max.min(registers),
            bits: plan.bits_max.min(WRITE_BITS_MAX),
        }
    }

    fn most(self, table: Table) -> u16 {
        if table.is_bits() { self.bits } else { self.registers }
    }
}

/// A command that wrote nothing.
pub(super) struct Refused {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) reply: Box<dyn FnOnce(Vec<Outcome>) + Send>,
}

impl Writing {
    /// Checks every tag; if one may not be written, none is, and all have their answer.
    pub(super) fn begin(
        device: usize,
        plan: &DevicePlan,
        together: Together,
        command: Command,
        scales: &Scales,
    ) -> Result<Self, Refused> {
        let Command { sets, reply, .. } = command;
        match check_all(plan, &sets, scales) {
            Ok(parts) => {
                let all: Vec<usize> = (0..parts.len()).collect();
                Ok(Self {
                    device,
                    outcomes: vec![None; parts.len()],
                    groups: group(&parts, &all, together),
                    parts,
                    to_verify: Vec::new(),
                    begun: false,
                    reply,
                })
            }
            Err(outcomes) => Err(Refused { outcomes, reply }),
        }
    }

    /// The next request.
    pub(super) fn next(&mut self) -> Option<Group> {
        self.groups.pop_front()
    }

    pub(super) fn has_more(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The device takes one item per request: the group again, one by one. Not possible if one of
    /// its values takes more than that.
    pub(super) fn split(&mut self, group: &Group, together: Together) -> bool {
        let single =
            |part: &usize| self.parts.get(*part).is_some_and(|p| p.from.coding.span() == 1);
        if group.parts.len() < 2 || !group.parts.iter().all(single) {
            return false;
        }
        let mut ones = self::group(&self.parts, &group.parts, together);
        ones.append(&mut self.groups);
        self.groups = ones;
        true
    }

    /// The device acknowledged the request, or nobody does.
    pub(super) fn written(&mut self, group: &Group, outcome: &Outcome) {
        for part in &group.parts {
            let verify = self.parts.get(*part).map(|part| part.verify);
            if verify == Some(Verify::ReadBack) && *outcome == Outcome::Acknowledged {
                self.to_verify.push(*part);
            } else if let Some(open) = self.outcomes.get_mut(*part) {
                *open = Some(outcome.clone());
            }
        }
    }

    /// The request failed: what comes after it is not written.
    pub(super) fn failed(&mut self, group: &Group, refusal: &Refusal) {
        self.groups.clear();
        for part in &group.parts {
            self.conclude(*part, Outcome::Refused(refusal.clone()));
        }
    }

    /// Parts that were written and are to be read back, with where they lie.
    pub(super) fn unverified(&self) -> Vec<(usize, &Part)> {
        let part = |at: &usize| Some((*at, self.parts.get(*at)?));
        self.to_verify.iter().filter_map(part).collect()
    }

    /// These could not be looked at.
    pub(super) fn not_read_back(&mut self, which: impl Fn(&Part) -> bool) {
        let unverified = self.unverified();
        let gone: Vec<usize> =
            unverified.iter().filter(|(_, part)| which(part)).map(|(at, _)| *at).collect();
        for part in gone {
            self.conclude(part, Outcome::Refused(Refusal::NotReadBack));
        }
    }

    pub(super) fn conclude(&mut self, part: usize, outcome: Outcome) {
        self.to_verify.retain(|open| *open != part);
        if let Some(open) = self.outcomes.get_mut(part) {
            *open = Some(outcome);
        }
    }

    /// Gives what is still open this reason, except what was never sent.
    pub(super) fn broken(&mut self, refusal: &Refusal) {
        self.groups.clear();
        let unverified = std::mem::take(&mut self.to_verify);
        for part in unverified {
            self.conclude(part, Outcome::Refused(Refusal::NotReadBack));
        }
        if !self.begun {
            for part in 0..self.parts.len() {
                self.conclude(part, Outcome::Refused(refusal.clone()));
            }
        }
    }

    /// Answers; gives the words of what was refused, for the counters.
    pub(super) fn end(self) -> Vec<&'static str> {
        let outcome =
            |outcome: Option<Outcome>| outcome.unwrap_or(Outcome::Refused(Refusal::NotWritten));
        let outcomes: Vec<_> = self.outcomes.into_iter().map(outcome).collect();
        let refused = refused(&outcomes);
        (self.reply)(outcomes);
        refused
    }
}

impl Refused {
    pub(super) fn end(self) -> Vec<&'static str> {
        let refused = refused(&self.outcomes);
        (self.reply)(self.outcomes);
        refused
    }
}

fn refused(outcomes: &[Outcome]) -> Vec<&'static str> {
    let code = |outcome: &Outcome| match outcome {
        Outcome::Refused(refusal) => Some(refusal.code()),
        _ => None,
    };
    outcomes.iter().filter_map(code).collect()
}

/// The parts, or the outcome of each: its own refusal, or that of the company it is in.
fn check_all(plan: &DevicePlan, sets: &[Set], scales: &Scales) -> Result<Vec<Part>, Vec<Outcome>> {
    let checked: Vec<_> = sets.iter().map(|set| check(plan, set, scales)).collect();
    let outcome =
        |refusal: Option<Refusal>| Outcome::Refused(refusal.unwrap_or(Refusal::NotWritten));
    if checked.iter().any(Result::is_err) {
        return Err(checked.into_iter().map(|part| outcome(part.err())).collect());
    }
    let parts: Vec<Part> = checked.into_iter().flatten().collect();
    let Some((first, second)) = clash(&parts) else { return Ok(parts) };
    let with = sets.get(first).map(|set| set.tag.to_string()).unwrap_or_default();
    let refusal = Refusal::BadPayload(format!("it lies in the same registers as {with}"));
    let outcomes = (0..parts.len()).map(|at| outcome((at == second).then(|| refusal.clone())));
    Err(outcomes.collect())
}

/// The words to write, if the value may be written at all.
fn check(plan: &DevicePlan, Set { tag, value }: &Set, scales: &Scales) -> Result<Part, Refusal> {
    let found = plan.tags.iter().enumerate().find(|(_, candidate)| candidate.name == *tag);
    let (index, tag) = found.ok_or(Refusal::UnknownTag)?;
    let from = tag.registers().ok_or(Refusal::UnknownTag)?;
    let rule = tag.write.as_ref().filter(|_| from.table.is_writable());
    let rule = rule.ok_or(Refusal::UnknownTag)?;
    rule.check(&from.coding, value)?;
    // A scale register that could not be read, or holds no scale, is a device without an answer.
    let coding = match (from.scale_register, scales.get(&index)) {
        (None, _) => Cow::Borrowed(&from.coding),
        (Some(_), Some(power)) => {
            Cow::Owned(at_power(&from.coding, *power).map_err(|_| Refusal::NoAnswer)?)
        }
        (Some(_), None) => return Err(Refusal::NoAnswer),
    };
    let encoded = encode(&coding, value).map_err(|error| Refusal::BadPayload(error.to_string()))?;
    Ok(Part { tag: index, from: from.clone(), encoded, verify: rule.verify })
}

/// Two parts that write the same bits.
fn clash(parts: &[Part]) -> Option<(usize, usize)> {
    let same = |a: &Part, b: &Part| {
        let bits = a.encoded.mask.unwrap_or(u16::MAX) & b.encoded.mask.unwrap_or(u16::MAX);
        let (from, to) = (a.from.address.max(b.from.address), end(&a.from).min(end(&b.from)));
        a.from.table == b.from.table && u32::from(from) < to && bits != 0
    };
    parts.iter().enumerate().find_map(|(second, b)| {
        let first = parts.iter().take(second).position(|a| same(a, b))?;
        Some((first, second))
    })
}

/// One past the last item.
fn end(from: &Registers) -> u32 {
    u32::from(from.address) + u32::from(from.coding.span())
}

/// The requests for these parts, in the order of their addresses.
fn group(parts: &[Part], which: &[usize], together: Together) -> VecDeque<Group> {
    let mut order: Vec<(usize, &Part)> =
        which.iter().filter_map(|at| Some((*at, parts.get(*at)?))).collect();
    order.sort_by_key(|(_, part)| (part.from.table, part.from.address));
    let mut groups: VecDeque<Group> = VecDeque::new();
    for (at, part) in order {
        let Part { from, encoded, .. } = part;
        if let Some(last) = groups.back_mut().filter(|last| last.table == from.table) {
            let adjoins = last.takes(part, together);
            match (encoded.mask, &mut last.mask) {
                (Some(mask), Some(taken)) if last.address == from.address => {
                    if let ([word], [new]) = (last.words.as_mut_slice(), encoded.words.as_slice()) {
                        *word = (*word & *taken) | (new & mask);
                        *taken |= mask;
                        last.parts.push(at);
                        continue;
                    }
                }
                (None, None) if adjoins => {
                    last.words.extend_from_slice(&encoded.words);
                    last.parts.push(at);
                    continue;
                }
                _ => {}
            }
        }
        groups.push_back(Group {
            table: from.table,
            address: from.address,
            words: encoded.words.clone(),
            mask: encoded.mask,
            parts: vec![at],
        });
    }
    groups
}

impl Part {
    /// Whether these, all that is read for the tag, hold what was written: bit by bit as far as the mask
    /// goes, or the same value. Devices fill texts up with blanks, and clear bits that mean nothing.
    pub(super) fn holds(&self, words: &[u16]) -> bool {
        let Some((words, _)) = self.from.split(words) else { return false };
        let Encoded { words: asked, mask } = &self.encoded;
        let mask = mask.unwrap_or(u16::MAX);
        let value = |words| match decode(&self.from.coding, self.from.table.is_bits(), words) {
            Decoded::Good(value) => Some(value),
            Decoded::Uncertain(..) | Decoded::Bad(_) => None,
        };
        let same = words.iter().zip(asked).all(|(a, b)| a & mask == b & mask);
        words.len() == asked.len()
            && (same || value(words).is_some_and(|held| value(asked) == Some(held)))
    }
}

impl Group {
    /// Whether the part's items come right behind, and fit.
    fn takes(&self, part: &Part, together: Together) -> bool {
        let length = self.words.len() + part.encoded.words.len();
        usize::from(self.address) + self.words.len() == usize::from(part.from.address)
            && length <= usize::from(together.most(self.table))
    }

    /// All that is read for a part, of what was read of the group's range; `None` if its scale
    /// is missing there.
    pub(super) fn part<'w>(&self, part: &Part, words: &'w [u16]) -> Option<&'w [u16]> {
        if part.from.scale_register.is_some() {
            return None;
        }
        let start = usize::from(part.from.address.checked_sub(self.address)?);
        words.get(start..start + usize::from(part.from.coding.span()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Coding, Kind};

    fn part(table: Table, address: u16, kind: Kind, words: &[u16], mask: Option<u16>) -> Part {
        Part {
            tag: 0,
            from: Registers { table, address, coding: Coding::plain(kind), scale_register: None },
            encoded: Encoded { words: words.to_vec(), mask },
            verify: Verify::ReadBack,
        }
    }

    fn word(address: u16, word: u16) -> Part {
        part(Table::Holding, address, Kind::Int { bits: 16, signed: false }, &[word], None)
    }

    fn bits(address: u16, word: u16, mask: u16) -> Part {
        part(Table::Holding, address, Kind::Bit(0), &[word], Some(mask))
    }

    fn shape(parts: &[Part], together: Together) -> Vec<(u16, Vec<u16>, Option<u16>)> {
        let all: Vec<usize> = (0..parts.len()).collect();
        let groups = group(parts, &all, together);
        groups.into_iter().map(|g| (g.address, g.words, g.mask)).collect()
    }

    const MANY: Together = Together { registers: 3, bits: 3 };
    const ONE: Together = Together { registers: 1, bits: 1 };

    #[test]
    fn what_adjoins_goes_together_in_the_order_of_addresses() {
        let wide = part(Table::Holding, 5, Kind::F32, &[7, 8], None);
        let coil = part(Table::Coil, 6, Kind::Bool, &[1], None);
        let parts = [word(4, 1), word(10, 2), wide, word(7, 3), coil, word(8, 4)];
        let want = vec![
            (6, vec![1], None),
            (4, vec![1, 7, 8], None),
            (7, vec![3, 4], None),
            (10, vec![2], None),
        ];
        assert_eq!(shape(&parts, MANY), want, "three registers at most, coils apart");
        assert_eq!(shape(&parts, ONE).len(), 6, "one by one, and a wide value whole");
    }

    #[test]
    fn bits_of_one_register_are_one_write() {
        let parts = [bits(5, 0b0001, 0b0001), bits(5, 0b0000, 0b0100), bits(6, 1, 1), word(7, 9)];
        let want = vec![(5, vec![0b0001], Some(0b0101)), (6, vec![1], Some(1)), (7, vec![9], None)];
        assert_eq!(shape(&parts, MANY), want);
    }

    #[test]
    fn what_means_the_same_was_carried_out() {
        let rows = [
            // RUN, filled up with NULs and with blanks.
            (Kind::Text { registers: 3 }, [0x5255, 0x4E00, 0], [0x5255, 0x4E20, 0x2020], true),
            (Kind::Text { registers: 3 }, [0x5255, 0x4E00, 0], [0x5255, 0x4E21, 0x2020], false),
            (Kind::Int { bits: 48, signed: true }, [0xFFFF; 3], [0xFFFF, 0xFFFF, 0xFFFE], false),
        ];
        for (kind, asked, held, same) in rows {
            assert_eq!(part(Table::Holding, 4, kind, &asked, None).holds(&held), same, "{kind:?}");
        }
        let unused = Kind::Int { bits: 24, signed: true };
        let minus_one = part(Table::Holding, 4, unused, &[0xFFFF, 0xFFFF], None);
        assert!(minus_one.holds(&[0x00FF, 0xFFFF]) && !minus_one.holds(&[0x007F, 0xFFFF]));
        let zero = part(Table::Holding, 4, Kind::F32, &[0, 0], None);
        assert!(zero.holds(&[0x8000, 0]) && !zero.holds(&[0x7FC0, 0]), "minus zero, no number");
        let bit = bits(4, 0b01, 0b01);
        assert!(bit.holds(&[0b11]) && !bit.holds(&[0b10]));
        assert!(!word(4, 7).holds(&[]));
    }

    #[test]
    fn bits_and_registers_that_overlap_are_told() {
        assert_eq!(clash(&[word(4, 1), word(5, 1)]), None);
        assert_eq!(clash(&[word(4, 1), word(9, 0), word(4, 1)]), Some((0, 2)));
        assert_eq!(clash(&[bits(4, 1, 1), bits(4, 0, 2)]), None, "other bits");
        assert_eq!(clash(&[bits(4, 1, 3), bits(4, 0, 2)]), Some((0, 1)));
        assert_eq!(
            clash(&[part(Table::Holding, 4, Kind::F32, &[0, 0], None), word(5, 1)]),
            Some((0, 1))
        );
        assert_eq!(clash(&[part(Table::Coil, 4, Kind::Bool, &[0], None), word(4, 1)]), None);
    }
}
