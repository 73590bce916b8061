//! What a unit and a name make one expect of a measured value. Guesses, in one table.

/// How a value of a unit behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Likely {
    Around { centre: f64, swing: f64 },
    Count { start: f64, per_second: f64 },
    Unknown,
}

const fn around(centre: f64, swing: f64) -> Likely {
    Likely::Around { centre, swing }
}

const fn count(start: f64, per_second: f64) -> Likely {
    Likely::Count { start, per_second }
}

const UNITS: [(&str, Likely); 41] = [
    ("V", around(231.0, 4.0)),
    ("mV", around(500.0, 50.0)),
    ("kV", around(20.0, 0.3)),
    ("A", around(12.0, 6.0)),
    ("mA", around(12.0, 4.0)),
    ("W", around(2_400.0, 1_500.0)),
    ("kW", around(24.0, 15.0)),
    ("MW", around(1.2, 0.4)),
    ("VA", around(2_600.0, 1_500.0)),
    ("kVA", around(26.0, 15.0)),
    ("var", around(400.0, 300.0)),
    ("kvar", around(4.0, 3.0)),
    ("Hz", around(50.0, 0.05)),
    ("°C", around(23.0, 4.0)),
    ("K", around(296.0, 4.0)),
    ("°F", around(73.0, 7.0)),
    ("%", around(45.0, 20.0)),
    ("bar", around(6.0, 1.0)),
    ("mbar", around(1_013.0, 8.0)),
    ("hPa", around(1_013.0, 8.0)),
    ("kPa", around(101.0, 1.0)),
    ("rpm", around(1_450.0, 30.0)),
    ("Nm", around(40.0, 20.0)),
    ("l/min", around(12.0, 4.0)),
    ("m3/h", around(8.0, 3.0)),
    ("m/s", around(2.0, 0.5)),
    ("kg", around(120.0, 40.0)),
    ("kN", around(400.0, 200.0)),
    ("mm", around(120.0, 60.0)),
    ("m", around(3.0, 1.0)),
    ("°", around(120.0, 60.0)),
    ("Wh", count(48_211.0, 7.0)),
    ("kWh", count(4_821.0, 0.01)),
    ("MWh", count(482.0, 0.001)),
    ("varh", count(8_211.0, 1.0)),
    ("kvarh", count(821.0, 0.002)),
    ("VAh", count(50_000.0, 7.5)),
    ("kVAh", count(5_000.0, 0.011)),
    ("h", count(1_250.0, 1.0 / 3_600.0)),
    ("m3", count(730.0, 0.002)),
    ("l", count(730.0, 0.2)),
];

/// Parts of names that say more than a missing unit.
const NAMES: [(&str, Likely); 5] = [
    ("power_factor", around(0.95, 0.04)),
    ("cos_phi", around(0.95, 0.04)),
    ("energy", count(4_821.0, 0.01)),
    ("count", count(1_200.0, 0.25)),
    ("total", count(1_200.0, 0.25)),
];

pub(super) fn of(unit: &str, name: &str) -> Likely {
    // A voltage between two phases.
    if unit == "V" && name.matches("_l").count() >= 2 {
        return around(400.0, 6.0);
    }
    let by_unit = UNITS.iter().find(|(known, _)| *known == unit);
    let by_name = || NAMES.iter().find(|(part, _)| unit.is_empty() && name.contains(part));
    by_unit.or_else(by_name).map_or(Likely::Unknown, |(_, likely)| *likely)
}
