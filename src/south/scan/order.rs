//! In which order a serial line is tried: factory settings first, then what is most in use, the
//! unlikely last. Pure.
//!
//! Invariants: every combination that was asked for is tried exactly once; the settings of the port
//! change as seldom as that order allows.

use crate::config::Parity;

/// Settings of a port that a device may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub baud: u32,
    pub parity: Parity,
    pub stop_bits: u8,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// By likeliness.
    pub settings: Vec<Settings>,
    pub units: Vec<u8>,
    /// With what devices leave their factories.
    pub factory: Vec<(Settings, u8)>,
}

/// Units that are asked one after the other with the same settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub settings: Settings,
    pub units: Vec<u8>,
}

/// Units that people give to the first devices on a line.
const LIKELY_UNITS: std::ops::RangeInclusive<u8> = 1..=10;
/// The settings that are worth trying with these units before all others.
const LIKELY_SETTINGS: usize = 4;

/// The settings in use, by how often one meets them: these speeds with these characters.
pub fn usual() -> Vec<Settings> {
    const BAUDS: [u32; 8] = [9_600, 19_200, 38_400, 115_200, 57_600, 4_800, 2_400, 1_200];
    let mut all = Vec::new();
    // 19200 8E1 is the specification's own, 9600 8N1 the industry's.
    for (baud, parity) in [
        (9_600, Parity::None),
        (19_200, Parity::Even),
        (9_600, Parity::Even),
        (19_200, Parity::None),
    ] {
        all.push(Settings { baud, parity, stop_bits: 1 });
    }
    for parity in [Parity::None, Parity::Even, Parity::Odd] {
        for baud in BAUDS {
            let settings = Settings { baud, parity, stop_bits: 1 };
            if !all.contains(&settings) {
                all.push(settings);
            }
        }
    }
    all
}

/// All combinations, in the order in which they are tried.
pub fn order(wanted: &Wanted) -> Vec<Group> {
    let mut plan = Order { groups: Vec::new() };
    let asked = |settings: &Settings, unit: u8| {
        wanted.settings.contains(settings) && wanted.units.contains(&unit)
    };
    for settings in &wanted.settings {
        let own = wanted
            .factory
            .iter()
            .filter(|(factory, unit)| factory == settings && asked(factory, *unit));
        plan.add(*settings, own.map(|(_, unit)| *unit));
    }
    for settings in wanted.settings.iter().take(LIKELY_SETTINGS) {
        let likely = wanted.units.iter().copied().filter(|unit| LIKELY_UNITS.contains(unit));
        plan.add(*settings, likely);
    }
    for settings in &wanted.settings {
        plan.add(*settings, wanted.units.iter().copied());
    }
    plan.groups
}

struct Order {
    groups: Vec<Group>,
}

impl Order {
    /// Appends those that have not been tried with these settings.
    fn add(&mut self, settings: Settings, units: impl Iterator<Item = u8>) {
        let mut new: Vec<u8> = Vec::new();
        for unit in units {
            let same = self.groups.iter().filter(|group| group.settings == settings);
            let before = same.flat_map(|group| &group.units).any(|tried| *tried == unit);
            if !before && !new.contains(&unit) {
                new.push(unit);
            }
        }
        if new.is_empty() {
            return;
        }
        match self.groups.last_mut().filter(|last| last.settings == settings) {
            Some(last) => last.units.extend(new),
            None => self.groups.push(Group { settings, units: new }),
        }
    }
}

/// The order of units behind one address on TCP: a device on its own mostly is 1 (or 255, or takes
/// any), and by asking for two that hardly anybody has it shows at once whether it takes any.
pub fn on_tcp(units: &[u8]) -> Vec<u8> {
    let first = [1, 247, 246, 255, 0].into_iter().filter(|unit| units.contains(unit));
    let mut order: Vec<u8> = first.collect();
    for unit in units {
        if !order.contains(unit) {
            order.push(*unit);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(baud: u32, parity: Parity) -> Settings {
        Settings { baud, parity, stop_bits: 1 }
    }

    #[test]
    fn factory_settings_first_then_likely_units_then_all() {
        let wanted = Wanted {
            settings: usual(),
            units: (1..=247).collect(),
            factory: vec![(settings(2_400, Parity::Even), 1), (settings(9_600, Parity::None), 100)],
        };
        let groups = order(&wanted);
        let first: Vec<_> =
            groups.iter().take(4).map(|g| (g.settings.baud, g.units.clone())).collect();
        assert_eq!(first[0], (9_600, vec![100]));
        assert_eq!(first[1], (2_400, vec![1]));
        assert_eq!(first[2], (9_600, (1..=10).collect()));
        assert_eq!(groups[3].settings, settings(19_200, Parity::Even));
        assert_eq!(usual()[..2], [settings(9_600, Parity::None), settings(19_200, Parity::Even)]);
    }

    #[test]
    fn on_tcp_the_telling_units_come_first() {
        assert_eq!(on_tcp(&[1, 2, 3, 246, 247, 255])[..4], [1, 247, 246, 255]);
        assert_eq!(on_tcp(&[5, 4]), [5, 4]);
        assert!(on_tcp(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn every_combination_is_tried_once(
            many in 0..26_usize,
            units in proptest::collection::vec(any::<u8>(), 0..40),
            factory in proptest::collection::vec((0..26_usize, any::<u8>()), 0..10),
        ) {
            let all = usual();
            let factory = factory.iter().filter_map(|(i, unit)| Some((*all.get(*i)?, *unit)));
            let wanted = Wanted {
                settings: all.iter().copied().take(many).collect(),
                units: units.clone(),
                factory: factory.collect(),
            };
            let mut tried: Vec<_> = order(&wanted)
                .iter()
                .flat_map(|group| group.units.iter().map(|unit| (group.settings, *unit)))
                .collect();
            let count = tried.len();
            tried.sort_by_key(|(s, unit)| (s.baud, s.parity as u8, *unit));
            tried.dedup();
            prop_assert_eq!(tried.len(), count, "something is tried twice");
            let mut different = units;
            different.sort_unstable();
            different.dedup();
            prop_assert_eq!(count, different.len() * many.min(all.len()));
            let mut on_tcp = on_tcp(&wanted.units);
            on_tcp.sort_unstable();
            on_tcp.dedup();
            prop_assert_eq!(on_tcp, different);
        }
    }
}
