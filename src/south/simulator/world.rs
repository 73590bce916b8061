//! The devices of a whole configuration, with values that move.
//!
//! Every tag gets a [`Signal`]; what may be written stays as it was written last. Between two tags
//! of a device there are zeros as far as one request reaches, so that it can be read the way it was
//! planned; beyond that the bank is as strict as ever. Pure but for the lock of [`Devices`]: the
//! time comes in.

use std::time::Duration;

use super::{Bank, Devices, Signal};
use crate::codec::registers::{Decoded, EncodeError, Encoded, at_power, decode, encode};
use crate::config::blocks::Item;
use crate::config::{BusPlan, DevicePlan, Link, Plan, Registers};
use crate::model::{Coding, Kind, Name, Table, Value};

/// What simulated devices say in their scale registers: tenths.
pub(super) const POWER: i16 = -1;

/// See the module.
pub struct World {
    pub lines: Vec<Line>,
}

/// One bus of the configuration.
pub struct Line {
    pub name: Name,
    pub link: Link,
    pub devices: Devices,
    tags: Vec<Tag>,
}

/// A simulated tag.
pub struct Tag {
    pub device: Name,
    pub unit: u8,
    pub name: Name,
    /// The engineering unit.
    pub of: String,
    pub registers: Registers,
    signal: Signal,
    /// Whether it stays as it is until someone writes it.
    held: bool,
}

/// Where values come from.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    pub seed: u64,
    /// What clocks in devices show at the start, in seconds since 1970.
    pub epoch_s: u64,
}

/// Why a value can't be set.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    #[error("there is no tag {0:?}; write it as DEVICE.TAG")]
    Unknown(String),
    #[error("{tag} can't be set to that: {problem}")]
    Value { tag: String, problem: EncodeError },
}

impl World {
    /// Every Modbus device of the plan, at time zero.
    pub fn of(plan: &Plan, start: Start) -> Self {
        let modbus = plan.buses.iter().filter(|bus| bus.link.modbus().is_some());
        let world = Self { lines: modbus.map(|bus| Line::of(bus, start)).collect() };
        for line in &world.lines {
            line.show(Duration::ZERO, |_| true);
        }
        world
    }

    /// Moves all values to where they are at `time`.
    pub fn advance(&self, time: Duration) {
        for line in &self.lines {
            line.show(time, |tag| !tag.held);
        }
    }

    /// Gives a tag, named as `DEVICE.TAG`, a value that stays until it is written.
    pub fn set(&mut self, path: &str, text: &str) -> Result<(), SetError> {
        for line in &mut self.lines {
            let named = |tag: &&mut Tag| format!("{}.{}", tag.device, tag.name) == path;
            let Some(tag) = line.tags.iter_mut().find(named) else { continue };
            let value = value_of(&tag.registers, text);
            let coding = scaled(&line.devices.bank(), tag.unit, &tag.registers);
            let encoded = encode(&coding, &value)
                .map_err(|problem| SetError::Value { tag: path.to_owned(), problem })?;
            tag.held = true;
            store(&mut line.devices.bank(), tag.unit, &tag.registers, &encoded);
            return Ok(());
        }
        Err(SetError::Unknown(path.to_owned()))
    }
}

impl Line {
    fn of(bus: &BusPlan, start: Start) -> Self {
        let mut bank = Bank::default();
        let mut tags = Vec::new();
        for device in &bus.devices {
            bank.name(device.unit, 0, "Fieldhold");
            bank.name(device.unit, 1, device.name.as_str());
            bank.name(device.unit, 2, env!("CARGO_PKG_VERSION"));
            bank.limit(device.unit, device.registers_max, device.bits_max);
            for table in [Table::Coil, Table::Discrete, Table::Holding, Table::Input] {
                fill(&mut bank, device, table);
            }
            for tag in device.tags.iter() {
                let Some(registers) = tag.registers() else { continue };
                let path = format!("{}.{}", device.name, tag.name);
                let seed = start.seed ^ u64::from(crc32fast::hash(path.as_bytes()));
                let held = tag.write.is_some();
                if let Some(last) = registers.coding.span().checked_sub(1).filter(|_| held) {
                    let range = registers.address..=registers.address.saturating_add(last);
                    bank.allow_writes(device.unit, registers.table, range);
                }
                if let Some(at) = registers.scale_register {
                    bank.set(device.unit, registers.table, at, &[POWER.cast_unsigned()]);
                }
                let coding = scaled(&bank, device.unit, registers);
                let known = Registers { coding, ..registers.clone() };
                tags.push(Tag {
                    device: device.name.clone(),
                    unit: device.unit,
                    name: tag.name.clone(),
                    of: tag.unit.clone(),
                    registers: registers.clone(),
                    signal: Signal::of(tag, &known, seed, start.epoch_s),
                    held,
                });
            }
        }
        Self { name: bus.name.clone(), link: bus.link.clone(), devices: Devices::new(bank), tags }
    }

    /// Every tag with its words and what they mean.
    pub fn values(&self) -> Vec<(&Tag, Vec<u16>, Decoded)> {
        let bank = self.devices.bank();
        let mut values = Vec::with_capacity(self.tags.len());
        for tag in &self.tags {
            let Registers { table, address, .. } = &tag.registers;
            let coding = scaled(&bank, tag.unit, &tag.registers);
            let words: Vec<u16> = (0..coding.span())
                .filter_map(|at| bank.get(tag.unit, *table, address.checked_add(at)?))
                .collect();
            let decoded = decode(&coding, table.is_bits(), &words);
            values.push((tag, words, decoded));
        }
        values
    }

    fn show(&self, time: Duration, which: impl Fn(&Tag) -> bool) {
        let mut bank = self.devices.bank();
        for tag in self.tags.iter().filter(|tag| which(tag)) {
            store(&mut bank, tag.unit, &tag.registers, &tag.signal.words(time));
        }
    }
}

/// The coding with the scale that stands in the bank.
fn scaled(bank: &Bank, unit: u8, registers: &Registers) -> Coding {
    let at = registers.scale_register;
    let power = at.and_then(|at| bank.get(unit, registers.table, at));
    power
        .and_then(|power| at_power(&registers.coding, power).ok())
        .unwrap_or_else(|| registers.coding.clone())
}

/// Zeros in all registers of the tags and between them.
fn fill(bank: &mut Bank, device: &DevicePlan, table: Table) {
    let most = if table.is_bits() { device.bits_max } else { device.registers_max };
    let mut items: Vec<Item> =
        device.in_table(table).map(|(index, _, registers)| Item::of(registers, index)).collect();
    items.sort_by_key(|item| item.start);
    let mut covered = 0;
    for item in items {
        let (start, end) = (u32::from(item.start), item.end.min(0x1_0000));
        let near = covered > 0 && end.saturating_sub(covered) < u32::from(most);
        let from = if near { covered.min(start) } else { start };
        for address in from.max(covered.min(start))..end {
            if let Ok(address) = u16::try_from(address)
                && bank.get(device.unit, table, address).is_none()
            {
                bank.set(device.unit, table, address, &[0]);
            }
        }
        covered = covered.max(end);
    }
}

/// Puts words into the bank; bits that belong to others stay.
fn store(bank: &mut Bank, unit: u8, registers: &Registers, encoded: &Encoded) {
    for (at, word) in (registers.address..=u16::MAX).zip(&encoded.words) {
        let kept =
            encoded.mask.map_or(0, |mask| bank.get(unit, registers.table, at).unwrap_or(0) & !mask);
        bank.set(unit, registers.table, at, &[word | kept]);
    }
}

/// What a person means by this text for a tag of this type.
fn value_of(registers: &Registers, text: &str) -> Value {
    let coding = &registers.coding;
    if coding.count > 1 {
        let single =
            Registers { coding: Coding { count: 1, ..coding.clone() }, ..registers.clone() };
        let parts = text.trim_matches(['[', ']']).split(',');
        return Value::List(parts.map(|part| value_of(&single, part.trim())).collect());
    }
    let label = coding.labels.iter().any(|label| *label.text == *text);
    if label || matches!(coding.kind, Kind::Text { .. }) {
        return Value::Text(text.into());
    }
    if matches!(coding.kind, Kind::Raw { .. }) {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes =
            digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16));
        return match bytes.collect::<Result<Vec<_>, _>>() {
            Ok(bytes) => Value::Bytes(bytes.into()),
            Err(_) => Value::Text(text.into()),
        };
    }
    let whole = || text.parse().map(Value::U64).or_else(|_| text.parse().map(Value::I64)).ok();
    let real = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::F64);
    let bool = || text.parse().map(Value::Bool).ok();
    bool().or_else(whole).or_else(real).unwrap_or_else(|| Value::Text(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "
gateway: { name: g }
buses:
  hall: { modbus-tcp: { host: h } }
devices:
  a:
    bus: hall
    unit: 3
    registers-max: 20
    tags:
      volts: { input: 10, type: f32, unit: V, order: CDAB }
      far: { input: 29, type: u16 }
      island: { input: 300, type: i16, scale: 0.1, unit: °C }
      bit: { holding: 7, type: 'bit:3' }
      other: { holding: 7, type: 'bits:8..11' }
      set: { holding: 8, type: u16, scale: 0.1, write: { min: 10, max: 30 } }
      list: { holding: 9, type: u16, count: 2, write: { min: 0, max: 9 } }
      on: { coil: 0, write: true }
      name: { holding: 20, type: 'text:4' }
      scaled: { holding: 30, type: u16, scale-register: 32, unit: V }
";

    fn world() -> World {
        let plan = crate::config::parse(PLAN, "test").unwrap().plan;
        World::of(&plan, Start { seed: 1, epoch_s: 0 })
    }

    fn read(world: &World, tag: &str) -> Value {
        let values = world.lines[0].values();
        let found = values.into_iter().find(|(t, ..)| t.name.as_str() == tag).unwrap();
        let Decoded::Good(value) = found.2 else { panic!("{tag}: {:?}", found.2) };
        value
    }

    #[test]
    fn every_tag_has_a_value_and_what_is_not_writable_moves() {
        let world = world();
        let all = |world: &World| {
            let values = world.lines[0].values();
            values
                .iter()
                .map(|(tag, words, value)| {
                    assert!(matches!(value, Decoded::Good(_)), "{}: {value:?}", tag.name);
                    (tag.name.to_string(), words.clone())
                })
                .collect::<Vec<_>>()
        };
        let before = all(&world);
        world.advance(Duration::from_secs(33));
        let after = all(&world);
        let moved: Vec<_> =
            before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0.as_str()).collect();
        for tag in ["volts", "far", "island", "scaled"] {
            assert!(moved.contains(&tag), "{tag}: {moved:?}");
        }
        assert!(!moved.contains(&"set") && !moved.contains(&"on"), "{moved:?}");
        let set = read(&world, "set").as_f64().unwrap();
        assert!((10.0..=30.0).contains(&set), "{set}");
    }

    #[test]
    fn holes_within_a_request_are_zeros_and_the_rest_is_refused() {
        let world = world();
        let mut bank = world.lines[0].devices.bank();
        let input = |from: u8, count: u8| [4, 0, from, 0, count];
        assert_eq!(bank.answer(3, &input(10, 20)).unwrap().len(), 42);
        assert_eq!(bank.answer(3, &input(10, 21)), Some(vec![0x84, 3]), "its limit");
        assert_eq!(bank.answer(3, &input(9, 2)), Some(vec![0x84, 2]));
        assert_eq!(
            bank.answer(3, &[4, 0x01, 0x2B, 0, 1]),
            Some(vec![0x84, 2]),
            "before the island"
        );
        assert_eq!(bank.answer(4, &input(10, 1)), None);
        assert_eq!(bank.answer(3, &[43, 14, 4, 1]).unwrap()[9..], *b"a");
    }

    #[test]
    fn what_is_set_or_written_stays() {
        let mut world = world();
        for (tag, text) in [
            ("volts", "231.4"),
            ("scaled", "231.4"),
            ("set", "21.5"),
            ("list", "[3, 4]"),
            ("on", "true"),
            ("name", "P 1"),
        ] {
            world.set(&format!("a.{tag}"), text).unwrap();
        }
        world.advance(Duration::from_secs(50));
        assert_eq!(read(&world, "volts"), Value::F64(231.4));
        assert_eq!(read(&world, "scaled"), Value::F64(231.4));
        assert_eq!(read(&world, "set"), Value::F64(21.5));
        assert_eq!(read(&world, "list"), Value::List([Value::U64(3), Value::U64(4)].into()));
        assert_eq!(read(&world, "name"), Value::Text("P 1".into()));
        let wrote = world.lines[0].devices.bank().answer(3, &[6, 0, 8, 0, 100]);
        assert_eq!(wrote, Some(vec![6, 0, 8, 0, 100]));
        world.advance(Duration::from_secs(51));
        assert_eq!(read(&world, "set"), Value::F64(10.0));
        let refused = world.lines[0].devices.bank().answer(3, &[6, 0, 7, 0, 1]);
        assert_eq!(refused, Some(vec![0x86, 2]), "bits are not writable here");
        assert!(matches!(world.set("a.nothing", "1"), Err(SetError::Unknown(_))));
        assert!(world.set("a.set", "21.55").unwrap_err().to_string().contains("a.set"));
        assert!(world.set("a.set", "high").is_err());
    }

    #[test]
    fn bits_of_one_register_do_not_disturb_each_other() {
        let mut world = world();
        world.set("a.bit", "true").unwrap();
        for code in ["0", "15", "5"] {
            world.set("a.other", code).unwrap();
            assert_eq!(read(&world, "bit"), Value::Bool(true));
            assert_eq!(read(&world, "other").to_string(), code);
        }
    }
}
