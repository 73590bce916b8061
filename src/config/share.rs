//! A bus's server face in the plan: who may ask, what is answered how, what may be written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::Table;

/// A Modbus TCP server in front of a bus, for masters that share its line.
#[derive(Debug, Clone, PartialEq)]
pub struct SharePlan {
    pub listen: SocketAddr,
    /// Clients from elsewhere are turned away.
    pub allow: Vec<Network>,
    pub mode: ShareMode,
    pub write: ShareWrite,
    /// How long what was polled is served; `None` for three of its intervals.
    pub stale: Option<Duration>,
    pub connections: usize,
}

/// How reads are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareMode {
    /// From what was polled last; the line is not asked.
    Cached,
    /// By asking the line, between polls.
    Through,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareWrite {
    Nothing,
    Everything,
    Only(Vec<Writable>),
}

/// Addresses that clients may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writable {
    pub unit: u8,
    pub table: Table,
    pub addresses: RangeInclusive<u16>,
}

/// Addresses that begin with the same bits, as in 192.168.1.0/24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub bits: u8,
}

impl ShareMode {
    /// As it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Through => "through",
        }
    }
}

impl ShareWrite {
    /// Whether all of these may be written.
    pub fn allows(&self, unit: u8, table: Table, addresses: &RangeInclusive<u16>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Only(writable) => writable.iter().any(|one| {
                one.unit == unit
                    && one.table == table
                    && one.addresses.contains(addresses.start())
                    && one.addresses.contains(addresses.end())
            }),
        }
    }
}

impl Network {
    /// Of this address alone, or with the number of leading bits that count.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        // A listener for both families shows IPv4 clients with mapped addresses.
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_begins_alike() {
        let rows = [
            ("192.168.1.0/24", "192.168.1.255", true),
            ("192.168.1.0/24", "192.168.2.1", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.6", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "fd00::1", false),
            ("::1", "::1", true),
        ];
        for (network, address, inside) in rows {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for wrong in
            ["", "192.168.1", "192.168.1.0/33", "::/129", "host/8", "1.2.3.4/x", "1.2.3.4/-1"]
        {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_write_is_allowed_only_as_a_whole() {
        let addresses = 100..=119;
        let only = ShareWrite::Only(vec![Writable { unit: 3, table: Table::Holding, addresses }]);
        assert!(only.allows(3, Table::Holding, &(100..=119)));
        assert!(!only.allows(3, Table::Holding, &(119..=120)));
        assert!(!only.allows(3, Table::Holding, &(99..=100)));
        assert!(!only.allows(4, Table::Holding, &(100..=100)));
        assert!(!only.allows(3, Table::Coil, &(100..=100)));
        assert!(!ShareWrite::Nothing.allows(3, Table::Holding, &(100..=100)));
        assert!(ShareWrite::Everything.allows(9, Table::Coil, &(0..=9)));
    }
}
