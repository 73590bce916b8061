//! What a person wants to have searched, as targets in the order in which they are tried.

use std::path::PathBuf;

use super::order::{Group, Settings, Wanted, on_tcp, order, usual};
use crate::config::profile;
use crate::config::{Framing, Link, Parity, SerialLine, Switching};
use crate::south::BusPort;

/// Units to be asked for through one link.
#[derive(Clone)]
pub struct Target {
    pub link: Link,
    pub units: Vec<u8>,
    /// The bus that runs on it, in whose turn they are asked.
    pub through: Option<BusPort>,
}

/// A serial line of unknown settings; what is not said is everything that is usual.
#[derive(Debug, Clone, Default)]
pub struct OnPort {
    pub port: PathBuf,
    pub units: Option<Vec<u8>>,
    pub baud: Vec<u32>,
    pub parity: Vec<Parity>,
    pub stop_bits: Vec<u8>,
}

impl OnPort {
    /// # Errors
    /// In words: a unit that no device on a line has.
    pub fn targets(&self) -> Result<Vec<Target>, String> {
        let units = self.units.clone().unwrap_or_else(|| (1..=247).collect());
        on_line(&units)?;
        let wanted = Wanted { settings: self.settings(), units, factory: factory() };
        let target = |group: Group| {
            let Settings { baud, parity, stop_bits } = group.settings;
            let line = SerialLine {
                port: self.port.clone(),
                baud,
                data_bits: 8,
                parity,
                stop_bits,
                switching: Switching::Adapter,
            };
            Target { link: Link::modbus_rtu(line), units: group.units, through: None }
        };
        Ok(order(&wanted).into_iter().map(target).collect())
    }

    /// The usual settings, as far as they are asked for, and those that nobody uses but were named.
    fn settings(&self) -> Vec<Settings> {
        let stops = if self.stop_bits.is_empty() { vec![1] } else { self.stop_bits.clone() };
        let mut known = usual();
        for baud in &self.baud {
            for parity in [Parity::None, Parity::Even, Parity::Odd] {
                let settings = Settings { baud: *baud, parity, stop_bits: 1 };
                if !known.contains(&settings) {
                    known.push(settings);
                }
            }
        }
        let meant = |s: &Settings| {
            (self.baud.is_empty() || self.baud.contains(&s.baud))
                && (self.parity.is_empty() || self.parity.contains(&s.parity))
        };
        let meant: Vec<Settings> = known.into_iter().filter(meant).collect();
        let with = |stop_bits| meant.iter().map(move |s| Settings { stop_bits, ..*s });
        stops.into_iter().flat_map(with).collect()
    }
}

/// Devices behind an address, or on a line whose settings are known.
///
/// # Errors
/// In words: a unit that no device on a line has.
pub fn behind(link: Link, units: Option<Vec<u8>>) -> Result<Target, String> {
    let is_line = link.is_line();
    let all = || if is_line { (1..=247).collect() } else { (0..=247).chain([255]).collect() };
    let units = units.unwrap_or_else(all);
    if is_line {
        on_line(&units)?;
    }
    let has_ids = link.modbus().is_some_and(|modbus| modbus.framing == Framing::Tcp);
    let units = if has_ids { on_tcp(&units) } else { units };
    Ok(Target { link, units, through: None })
}

fn on_line(units: &[u8]) -> Result<(), String> {
    match units.iter().find(|unit| !(1..=247).contains(*unit)) {
        Some(unit) => {
            Err(format!("a device on a serial line has a unit from 1 to 247, not {unit}"))
        }
        None => Ok(()),
    }
}

/// How the devices of the shipped profiles leave their factories, the commonest first.
fn factory() -> Vec<(Settings, u8)> {
    let mut counted: Vec<((Settings, u8), usize)> = Vec::new();
    for (name, text) in profile::SHIPPED {
        let Ok((profile, _)) = profile::check(text, name, name) else { continue };
        let Some(serial) = profile.head.serial else { continue };
        let (Some(baud), Some(unit)) = (serial.baud, serial.unit) else { continue };
        let parity = serial.parity.unwrap_or(Parity::None);
        // One stop bit understands two.
        let own = (Settings { baud, parity, stop_bits: 1 }, unit);
        match counted.iter_mut().find(|(other, _)| *other == own) {
            Some((_, count)) => *count += 1,
            None => counted.push((own, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counted.into_iter().map(|(own, _)| own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factory_settings_come_from_the_profiles() {
        let factory = factory();
        assert!(factory.len() > 3, "{factory:?}");
        let all = OnPort { port: "/dev/x".into(), ..OnPort::default() }.targets();
        let first = all.unwrap_or_default().remove(0);
        let line = first.link.serial().unwrap().clone();
        assert!(factory.iter().any(|(s, unit)| s.baud == line.baud && first.units.contains(unit)));
    }

    #[test]
    fn a_line_has_no_unit_0_and_tcp_has() {
        let port = OnPort { units: Some(vec![0]), ..OnPort::default() };
        assert!(port.targets().is_err_and(|why| why.contains("1 to 247")));
        let tcp = Link::modbus_tcp("plc", 502);
        assert_eq!(behind(tcp.clone(), None).map(|target| target.units.len()), Ok(249));
        assert_eq!(behind(tcp.clone(), Some(vec![0])).map(|target| target.units), Ok(vec![0]));
        assert!(behind(tcp.with_framing(Framing::Rtu), Some(vec![0])).is_err());
    }
}
