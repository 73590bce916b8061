//! A link as words of the command line: the kind, its address, its settings.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::BadInput;
use crate::config::{Link, Parity, SerialLine, Wire};

const MODBUS_PORT: u16 = 502;

#[derive(Debug, clap::Args)]
pub struct LinkArguments {
    /// A Modbus TCP device, as HOST or HOST:PORT
    #[arg(long, conflicts_with = "rtu", required_unless_present = "rtu")]
    tcp: Option<String>,
    /// A serial port with Modbus RTU devices
    #[arg(long)]
    rtu: Option<PathBuf>,
    /// Baud rate of the serial line
    #[arg(long, default_value_t = 19200, value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: u32,
    /// Parity of the serial line
    #[arg(long, value_enum, default_value_t = ParityWord::Even)]
    parity: ParityWord,
    /// Stop bits; 1 with a parity bit and 2 without, unless given
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: Option<u8>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ParityWord {
    None,
    Even,
    Odd,
}

impl From<ParityWord> for Parity {
    fn from(word: ParityWord) -> Self {
        match word {
            ParityWord::None => Self::None,
            ParityWord::Even => Self::Even,
            ParityWord::Odd => Self::Odd,
        }
    }
}

impl LinkArguments {
    pub fn link(&self) -> anyhow::Result<Link> {
        if let Some(peer) = &self.tcp {
            let (host, port) = peer_of("--tcp", peer)?;
            return Ok(Link::modbus_tcp(host, port));
        }
        let Some(port) = self.rtu.clone() else {
            return Err(BadInput("give --tcp or --rtu".to_owned()).into());
        };
        let parity = Parity::from(self.parity);
        // Modbus over Serial Line V1.02, 2.5.1: without parity a second stop bit takes its place.
        let stop_bits = self.stop_bits.unwrap_or(if parity == Parity::None { 2 } else { 1 });
        let line = SerialLine { port, baud: self.baud, data_bits: 8, parity, stop_bits };
        Ok(Link::modbus_rtu(line))
    }
}

/// Where a link leads, for people.
pub fn name(link: &Link) -> String {
    match link.modbus().map(|modbus| &modbus.wire) {
        Some(Wire::Serial(line)) => line.port.display().to_string(),
        Some(Wire::Tcp(to)) => to.to_string(),
        None => String::new(),
    }
}

/// `HOST`, `HOST:PORT`, or an IPv6 address, in brackets if a port follows.
pub fn peer_of(option: &str, peer: &str) -> anyhow::Result<(String, u16)> {
    if let Ok(address) = peer.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        return Ok((address.to_string(), MODBUS_PORT));
    }
    let Some((host, port)) = peer.rsplit_once(':') else {
        return Ok((peer.to_owned(), MODBUS_PORT));
    };
    match port.parse() {
        Ok(port) if port > 0 => Ok((host.trim_matches(['[', ']']).to_owned(), port)),
        _ => Err(BadInput(format!("{option} {peer}: {port:?} is not a port, 1 to 65535")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_names_or_addresses_with_or_without_a_port() {
        for (peer, host, port) in [
            ("plc.local", "plc.local", 502),
            ("10.0.0.7:1502", "10.0.0.7", 1502),
            ("::1", "::1", 502),
            ("[fe80::7]", "fe80::7", 502),
            ("[::1]:1502", "::1", 1502),
        ] {
            assert_eq!(peer_of("--tcp", peer).unwrap(), (host.to_owned(), port));
        }
        assert!(peer_of("--tcp", "plc:x").unwrap_err().is::<BadInput>());
        assert!(peer_of("--tcp", "plc:0").is_err() && peer_of("--tcp", "plc:70000").is_err());
    }
}
