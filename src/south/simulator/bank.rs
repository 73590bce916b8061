//! Registers and coils of the devices on one line, and what they answer. Pure.
//!
//! Strict: an address that was never defined is refused with exception 2, as many devices do.
//! Functions 1 to 6, 15, 16, 22, 23 and, once it was named, 43/14 (Modbus Application Protocol
//! V1.1b3, chapter 6).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Table;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Bank {
    units: BTreeMap<u8, BTreeMap<(Table, u16), u16>>,
    off: BTreeSet<u8>,
    writable: BTreeSet<(u8, Table, u16)>,
    /// Writes to these are acknowledged and not carried out.
    pretended: BTreeSet<(u8, Table, u16)>,
    /// Functions that a unit does not know.
    lacking: BTreeSet<(u8, u8)>,
    /// Most registers and bits that a unit gives in one answer, if less than the protocol's.
    limits: BTreeMap<u8, (u16, u16)>,
    /// What a unit says about itself, by object.
    names: BTreeMap<(u8, u8), String>,
}

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
const REGISTERS_MAX: u16 = 125;
const BITS_MAX: u16 = 2000;
/// Of the texts in one identification, with two bytes for each (a PDU without its header).
const IDENTITY_BYTES_MAX: usize = 246;
/// The first objects of the regular and of the extended category.
const REGULAR: u8 = 3;
const EXTENDED: u8 = 128;

impl Bank {
    /// Defines or changes items from `address` on; bits as 0 and 1.
    pub fn set(&mut self, unit: u8, table: Table, address: u16, words: &[u16]) {
        let items = self.units.entry(unit).or_default();
        for (at, word) in (address..=u16::MAX).zip(words) {
            items.insert((table, at), *word);
        }
    }

    pub fn get(&self, unit: u8, table: Table, address: u16) -> Option<u16> {
        self.units.get(&unit)?.get(&(table, address)).copied()
    }

    /// Lets masters write these items; the others are refused with exception 2.
    pub fn allow_writes(
        &mut self,
        unit: u8,
        table: Table,
        addresses: std::ops::RangeInclusive<u16>,
    ) {
        self.writable.extend(addresses.map(|address| (unit, table, address)));
    }

    /// Makes a device acknowledge writes to this item without obeying.
    pub fn pretend(&mut self, unit: u8, table: Table, address: u16) {
        self.pretended.insert((unit, table, address));
    }

    /// Takes a function away from a device: it refuses it with exception 1.
    pub fn lack(&mut self, unit: u8, function: u8) {
        self.lacking.insert((unit, function));
    }

    /// Makes a device refuse longer reads with exception 3.
    pub fn limit(&mut self, unit: u8, registers: u16, bits: u16) {
        self.limits.insert(unit, (registers, bits));
    }

    /// What the device answers to function 43/14: the text of an object (0 vendor, 1 product code,
    /// 2 revision, …), of which 244 bytes are kept.
    pub fn name(&mut self, unit: u8, object: u8, text: &str) {
        let end = text.floor_char_boundary(IDENTITY_BYTES_MAX - 2);
        self.names.insert((unit, object), text.get(..end).unwrap_or_default().to_owned());
    }

    pub fn switch(&mut self, unit: u8, on: bool) {
        if on {
            self.off.remove(&unit);
        } else {
            self.off.insert(unit);
        }
    }

    /// The answer's PDU; `None` when nobody here answers.
    pub fn answer(&mut self, unit: u8, pdu: &[u8]) -> Option<Vec<u8>> {
        if self.off.contains(&unit) || !self.units.contains_key(&unit) {
            return None;
        }
        let function = *pdu.first()?;
        if self.lacking.contains(&(unit, function)) {
            return Some(vec![function | 0x80, ILLEGAL_FUNCTION]);
        }
        Some(self.execute(unit, pdu).unwrap_or_else(|code| vec![function | 0x80, code]))
    }

    /// Carries out a write on every device, and nobody answers.
    pub fn broadcast(&mut self, pdu: &[u8]) {
        if matches!(pdu.first(), Some(5 | 6 | 15 | 16 | 22)) {
            let units: Vec<u8> = self.units.keys().copied().collect();
            for unit in units {
                let _ = self.answer(unit, pdu);
            }
        }
    }

    fn execute(&mut self, unit: u8, pdu: &[u8]) -> Result<Vec<u8>, u8> {
        match *pdu {
            [function @ 1..=4, a1, a0, n1, n0] => {
                let (address, count) = (word(a1, a0), word(n1, n0));
                self.read(unit, function, address, count)
            }
            [5, a1, a0, v1, v0] => {
                let on = match word(v1, v0) {
                    0xFF00 => 1,
                    0 => 0,
                    _ => return Err(ILLEGAL_VALUE),
                };
                self.write(unit, Table::Coil, word(a1, a0), &[on])?;
                Ok(pdu.to_vec())
            }
            [6, a1, a0, v1, v0] => {
                self.write(unit, Table::Holding, word(a1, a0), &[word(v1, v0)])?;
                Ok(pdu.to_vec())
            }
            [15, a1, a0, n1, n0, bytes, ref data @ ..] => {
                let count = word(n1, n0);
                if usize::from(bytes) != data.len() || count.div_ceil(8) != u16::from(bytes) {
                    return Err(ILLEGAL_VALUE);
                }
                let bits =
                    data.iter().flat_map(|byte| (0..8).map(move |i| u16::from(byte >> i & 1)));
                let bits: Vec<u16> = bits.take(usize::from(count)).collect();
                self.write(unit, Table::Coil, word(a1, a0), &bits)?;
                Ok(vec![15, a1, a0, n1, n0])
            }
            [16, a1, a0, n1, n0, bytes, ref data @ ..] => {
                let words: Vec<u16> = data
                    .chunks_exact(2)
                    .filter_map(|pair| Some(word(*pair.first()?, *pair.last()?)))
                    .collect();
                if usize::from(bytes) != data.len() || words.len() != usize::from(word(n1, n0)) {
                    return Err(ILLEGAL_VALUE);
                }
                self.write(unit, Table::Holding, word(a1, a0), &words)?;
                Ok(vec![16, a1, a0, n1, n0])
            }
            [22, a1, a0, and1, and0, or1, or0] => {
                let address = word(a1, a0);
                let (and, or) = (word(and1, and0), word(or1, or0));
                let now = self.get(unit, Table::Holding, address).ok_or(ILLEGAL_ADDRESS)?;
                self.write(unit, Table::Holding, address, &[(now & and) | (or & !and)])?;
                Ok(pdu.to_vec())
            }
            [23, r1, r0, n1, n0, a1, a0, m1, m0, bytes, ref data @ ..] => {
                let write = [[16, a1, a0, m1, m0, bytes].as_slice(), data].concat();
                self.execute(unit, &write)?;
                let mut answer = self.execute(unit, &[3, r1, r0, n1, n0])?;
                answer.iter_mut().take(1).for_each(|function| *function = 23);
                Ok(answer)
            }
            [43, 14, access, object] => self.identify(unit, access, object),
            _ => Err(ILLEGAL_FUNCTION),
        }
    }

    fn read(&self, unit: u8, function: u8, address: u16, count: u16) -> Result<Vec<u8>, u8> {
        let (table, most) = match function {
            1 => (Table::Coil, BITS_MAX),
            2 => (Table::Discrete, BITS_MAX),
            3 => (Table::Holding, REGISTERS_MAX),
            _ => (Table::Input, REGISTERS_MAX),
        };
        let own = self
            .limits
            .get(&unit)
            .map_or(most, |(registers, bits)| if table.is_bits() { *bits } else { *registers });
        if count == 0 || count > most.min(own) {
            return Err(ILLEGAL_VALUE);
        }
        let end = address.checked_add(count - 1).ok_or(ILLEGAL_ADDRESS)?;
        let words: Vec<u16> = (address..=end)
            .map(|at| self.get(unit, table, at).ok_or(ILLEGAL_ADDRESS))
            .collect::<Result<_, _>>()?;
        let data: Vec<u8> = if table.is_bits() {
            let byte = |bits: &[u16]| {
                bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit != 0))
            };
            words.chunks(8).map(byte).collect()
        } else {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        let mut pdu = vec![function, u8::try_from(data.len()).map_err(|_| ILLEGAL_VALUE)?];
        pdu.extend(data);
        Ok(pdu)
    }

    /// The category from `object` on, as much of it as fits; or one object.
    fn identify(&self, unit: u8, access: u8, object: u8) -> Result<Vec<u8>, u8> {
        let names = self.names.range((unit, 0)..=(unit, u8::MAX));
        let names: Vec<(u8, &[u8])> =
            names.map(|((_, object), text)| (*object, text.as_bytes())).collect();
        let level = match names.last() {
            None => return Err(ILLEGAL_FUNCTION),
            Some((..REGULAR, _)) => 1,
            Some((..EXTENDED, _)) => 2,
            Some(_) => 3,
        };
        let category = match access {
            1 => 0..=REGULAR - 1,
            2 => 0..=EXTENDED - 1,
            3 => 0..=u8::MAX,
            4 => object..=object,
            _ => return Err(ILLEGAL_VALUE),
        };
        let of_it = |object: &u8| category.contains(object);
        if access == 4 && !names.iter().any(|(object, _)| of_it(object)) {
            return Err(ILLEGAL_ADDRESS);
        }
        // An object that is not there begins the category anew, by the specification.
        let known = names.iter().any(|(known, _)| of_it(known) && *known == object);
        let from = if known { object } else { 0 };
        let mut rest = names.into_iter().filter(|(object, _)| of_it(object) && *object >= from);
        let mut objects = Vec::new();
        let mut count = 0;
        let next = loop {
            let Some((object, text)) = rest.next() else { break None };
            if objects.len() + 2 + text.len() > IDENTITY_BYTES_MAX {
                break Some(object);
            }
            objects.extend([object, u8::try_from(text.len()).map_err(|_| ILLEGAL_VALUE)?]);
            objects.extend(text);
            count += 1;
        };
        let more = if next.is_some() { 0xFF } else { 0 };
        let mut pdu = vec![43, 14, access, 0x80 | level, more, next.unwrap_or(0), count];
        pdu.extend(objects);
        Ok(pdu)
    }

    fn write(&mut self, unit: u8, table: Table, address: u16, words: &[u16]) -> Result<(), u8> {
        let last = u16::try_from(words.len().saturating_sub(1)).map_err(|_| ILLEGAL_VALUE)?;
        let end = address.checked_add(last).ok_or(ILLEGAL_ADDRESS)?;
        if !(address..=end).all(|at| self.writable.contains(&(unit, table, at))) {
            return Err(ILLEGAL_ADDRESS);
        }
        for (at, word) in (address..=end).zip(words) {
            if !self.pretended.contains(&(unit, table, at)) {
                self.set(unit, table, at, std::slice::from_ref(word));
            }
        }
        Ok(())
    }
}

fn word(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
