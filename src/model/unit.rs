//! Units that may stand for each other: how many of one make one of the other, exactly.
//!
//! A scale that is switched from g to kg must not make a thousandfold value. Only what is exact by
//! definition is here; units that are not are never converted.

/// Unit, its kind, and its size as a fraction of the kind's first unit.
const UNITS: [(&str, Kind, u64, u64); 32] = [
    ("g", Kind::Mass, 1, 1),
    ("mg", Kind::Mass, 1, 1_000),
    ("kg", Kind::Mass, 1_000, 1),
    ("t", Kind::Mass, 1_000_000, 1),
    ("lb", Kind::Mass, 45_359_237, 100_000),
    ("oz", Kind::Mass, 45_359_237, 1_600_000),
    ("ozt", Kind::Mass, 311_034_768, 10_000_000),
    ("dwt", Kind::Mass, 155_517_384, 100_000_000),
    ("gr", Kind::Mass, 6_479_891, 100_000_000),
    ("ct", Kind::Mass, 1, 5),
    ("Wh", Kind::Energy, 1, 1),
    ("kWh", Kind::Energy, 1_000, 1),
    ("MWh", Kind::Energy, 1_000_000, 1),
    ("varh", Kind::ReactiveEnergy, 1, 1),
    ("kvarh", Kind::ReactiveEnergy, 1_000, 1),
    ("W", Kind::Power, 1, 1),
    ("kW", Kind::Power, 1_000, 1),
    ("MW", Kind::Power, 1_000_000, 1),
    ("mV", Kind::Voltage, 1, 1_000),
    ("V", Kind::Voltage, 1, 1),
    ("kV", Kind::Voltage, 1_000, 1),
    ("mA", Kind::Current, 1, 1_000),
    ("A", Kind::Current, 1, 1),
    ("kA", Kind::Current, 1_000, 1),
    ("km/h", Kind::Speed, 1, 1),
    ("m/s", Kind::Speed, 18, 5),
    ("kn", Kind::Speed, 1_852, 1_000),
    ("mm", Kind::Length, 1, 1_000),
    ("cm", Kind::Length, 1, 100),
    ("m", Kind::Length, 1, 1),
    ("km", Kind::Length, 1_000, 1),
    ("ft", Kind::Length, 3_048, 10_000),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mass,
    Energy,
    ReactiveEnergy,
    Power,
    Voltage,
    Current,
    Speed,
    Length,
}

/// `value in to = value in from * numerator / denominator`; `None` where that is not known exactly.
#[expect(clippy::cast_precision_loss, reason = "what a float can't hold exactly is refused before")]
pub fn conversion(from: &str, to: &str) -> Option<(f64, f64)> {
    const EXACT_MAX: u128 = 1 << 53;
    if from == to {
        return Some((1.0, 1.0));
    }
    let find = |name: &str| UNITS.iter().find(|(unit, ..)| *unit == name);
    let (&(_, kind, from_over, from_under), &(_, same, to_over, to_under)) =
        (find(from)?, find(to)?);
    if kind != same {
        return None;
    }
    let mut over = u128::from(from_over) * u128::from(to_under);
    let mut under = u128::from(from_under) * u128::from(to_over);
    let common = common_divisor(over, under);
    over /= common;
    under /= common;
    (over <= EXACT_MAX && under <= EXACT_MAX).then_some((over as f64, under as f64))
}

/// At least 1 for the numbers above 0 of the table.
fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_units_of_one_kind_are_exchanged() {
        assert_eq!(conversion("g", "kg"), Some((1.0, 1000.0)));
        assert_eq!(conversion("kg", "g"), Some((1000.0, 1.0)));
        assert_eq!(conversion("lb", "oz"), Some((16.0, 1.0)));
        assert_eq!(conversion("Wh", "kWh"), Some((1.0, 1000.0)));
        assert_eq!(conversion("pcs", "pcs"), Some((1.0, 1.0)));
        assert_eq!(conversion("kg", "kWh"), None);
        assert_eq!(conversion("pcs", "g"), None);
        let (over, under) = conversion("kn", "m/s").unwrap();
        assert_eq!(over / under, 1852.0 / 3600.0);
    }
}
