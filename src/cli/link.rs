//! A link as words of the command line: the kind, its address, its settings.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::BadInput;
use crate::config::{
    Endpoint, Framing, Link, ModbusLink, ModbusTls, Parity, SerialLine, Switching, TcpWire,
    TlsPlan, Wire,
};

pub const MODBUS_PORT: u16 = 502;
const MODBUS_TLS_PORT: u16 = 802;

#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("kind").required(true))]
pub struct LinkArguments {
    /// A Modbus TCP device or converter, as HOST or HOST:PORT
    #[arg(long, value_name = "HOST", group = "kind")]
    tcp: Option<String>,
    /// A Modbus UDP device, as HOST or HOST:PORT
    #[arg(long, value_name = "HOST", group = "kind")]
    udp: Option<String>,
    /// A serial port with Modbus RTU devices
    #[arg(long, value_name = "PORT", group = "kind")]
    rtu: Option<PathBuf>,
    /// A serial port with Modbus ASCII devices
    #[arg(long, value_name = "PORT", group = "kind")]
    ascii: Option<PathBuf>,
    /// What the frames look like: rtu or ascii for a converter that passes them on as they are
    #[arg(long, value_enum, default_value_t = FramingWord::Tcp, conflicts_with_all = ["rtu", "ascii"])]
    framing: FramingWord,
    /// With TLS (Modbus/TCP Security); the port is 802 then, unless given
    #[arg(long, conflicts_with_all = ["udp", "rtu", "ascii"])]
    tls: bool,
    /// PEM file of the authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// PEM file of our own certificate
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    certificate: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", requires_all = ["tls", "certificate"])]
    key: Option<PathBuf>,
    /// The name in the device's certificate, if it is not the host's
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
    /// Baud rate of the serial line
    #[arg(long, default_value_t = 19200, value_parser = clap::value_parser!(u32).range(300..=4_000_000), conflicts_with_all = ["tcp", "udp"])]
    baud: u32,
    /// Data bits; 8 with --rtu and 7 with --ascii, unless given
    #[arg(long, value_parser = clap::value_parser!(u8).range(7..=8), conflicts_with_all = ["tcp", "udp", "rtu"])]
    data_bits: Option<u8>,
    /// Parity of the serial line
    #[arg(long, value_enum, default_value_t = ParityWord::Even, conflicts_with_all = ["tcp", "udp"])]
    parity: ParityWord,
    /// Stop bits; 1 with a parity bit and 2 without, unless given
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2), conflicts_with_all = ["tcp", "udp"])]
    stop_bits: Option<u8>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FramingWord {
    Tcp,
    Rtu,
    Ascii,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ParityWord {
    None,
    Even,
    Odd,
}

impl From<FramingWord> for Framing {
    fn from(word: FramingWord) -> Self {
        match word {
            FramingWord::Tcp => Self::Tcp,
            FramingWord::Rtu => Self::Rtu,
            FramingWord::Ascii => Self::Ascii,
        }
    }
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
        let (wire, framing) = match (&self.tcp, &self.udp, &self.rtu, &self.ascii) {
            (Some(peer), ..) => (Wire::Tcp(self.connection(peer)?), self.framing.into()),
            (_, Some(peer), ..) => {
                (Wire::Udp(peer_of("--udp", peer, MODBUS_PORT)?), self.framing.into())
            }
            (_, _, Some(port), _) => (Wire::Serial(self.serial(port, 8)), Framing::Rtu),
            (_, _, _, Some(port)) => (Wire::Serial(self.serial(port, 7)), Framing::Ascii),
            _ => return Err(bad("give --tcp, --udp, --rtu or --ascii".to_owned())),
        };
        Ok(Link::Modbus(ModbusLink { wire, framing }))
    }

    fn connection(&self, peer: &str) -> anyhow::Result<TcpWire> {
        let encrypted = self.tls;
        if encrypted && Framing::from(self.framing) != Framing::Tcp {
            return Err(bad("--tls is for devices that speak Modbus TCP".to_owned()));
        }
        let port = if encrypted { MODBUS_TLS_PORT } else { MODBUS_PORT };
        let tls = encrypted.then(|| ModbusTls {
            files: TlsPlan {
                ca: self.ca.clone(),
                client: self.certificate.clone().zip(self.key.clone()),
            },
            server_name: self.server_name.clone(),
        });
        Ok(TcpWire { tls, ..TcpWire::new(peer_of("--tcp", peer, port)?) })
    }

    fn serial(&self, port: &std::path::Path, data_bits: u8) -> SerialLine {
        let parity = Parity::from(self.parity);
        SerialLine {
            port: port.to_owned(),
            baud: self.baud,
            data_bits: self.data_bits.unwrap_or(data_bits),
            parity,
            // Modbus over Serial Line V1.02, 2.5.1: without parity a second stop bit takes its place.
            stop_bits: self.stop_bits.unwrap_or(if parity == Parity::None { 2 } else { 1 }),
            switching: Switching::Adapter,
        }
    }
}

/// `HOST`, `HOST:PORT`, or an IPv6 address, in brackets if a port follows.
pub fn peer_of(option: &str, peer: &str, default: u16) -> anyhow::Result<Endpoint> {
    if let Ok(address) = peer.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        return Ok(Endpoint { host: address.to_string(), port: default });
    }
    let Some((host, port)) = peer.rsplit_once(':') else {
        return Ok(Endpoint { host: peer.to_owned(), port: default });
    };
    match port.parse() {
        Ok(port) if port > 0 => {
            Ok(Endpoint { host: host.trim_matches(['[', ']']).to_owned(), port })
        }
        _ => Err(bad(format!("{option} {peer}: {port:?} is not a port, 1 to 65535"))),
    }
}

fn bad(problem: String) -> anyhow::Error {
    BadInput(problem).into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        link: LinkArguments,
    }

    fn link(words: &str) -> Result<String, String> {
        let words = std::iter::once("x").chain(words.split_whitespace());
        let parsed = Words::try_parse_from(words).map_err(|error| error.to_string())?;
        parsed.link.link().map(|link| link.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn words_make_every_kind_of_link() {
        for (words, said) in [
            ("--tcp plc", "Modbus TCP plc:502"),
            ("--tcp moxa:4001 --framing rtu", "Modbus RTU over TCP moxa:4001"),
            ("--tcp moxa:4001 --framing ascii", "Modbus ASCII over TCP moxa:4001"),
            ("--tcp plc --tls", "Modbus TCP plc:802 with TLS"),
            ("--tcp plc:8802 --tls --certificate c --key k", "Modbus TCP plc:8802 with TLS"),
            ("--udp [::1]:1502", "Modbus UDP [::1]:1502"),
            ("--rtu /dev/ttyS0 --baud 9600", "Modbus RTU /dev/ttyS0 at 9600 baud 8E1"),
            ("--rtu /dev/ttyS0 --parity none", "Modbus RTU /dev/ttyS0 at 19200 baud 8N2"),
            ("--ascii /dev/ttyS0", "Modbus ASCII /dev/ttyS0 at 19200 baud 7E1"),
            ("--ascii /dev/ttyS0 --data-bits 8", "Modbus ASCII /dev/ttyS0 at 19200 baud 8E1"),
        ] {
            assert_eq!(link(words).as_deref(), Ok(said), "{words}");
        }
    }

    #[test]
    fn words_that_can_not_be_meant_are_refused() {
        for words in [
            "",
            "--tcp plc --rtu /dev/ttyS0",
            "--rtu /dev/ttyS0 --framing ascii",
            "--tcp plc --baud 9600",
            "--rtu /dev/ttyS0 --data-bits 7",
            "--tcp plc:0",
            "--udp plc:x",
            "--udp plc --tls",
            "--tcp plc --ca x",
            "--tcp plc --tls --key k",
            "--tcp plc --tls --framing rtu",
        ] {
            assert!(link(words).is_err(), "{words}: {:?}", link(words));
        }
    }

    #[test]
    fn peers_are_names_or_addresses_with_or_without_a_port() {
        for (peer, host, port) in [
            ("plc.local", "plc.local", 502),
            ("10.0.0.7:1502", "10.0.0.7", 1502),
            ("::1", "::1", 502),
            ("[fe80::7]", "fe80::7", 502),
            ("[::1]:1502", "::1", 1502),
        ] {
            assert_eq!(
                peer_of("--tcp", peer, 502).unwrap(),
                Endpoint { host: host.to_owned(), port }
            );
        }
        assert!(peer_of("--tcp", "plc:x", 502).unwrap_err().is::<BadInput>());
        assert!(
            peer_of("--tcp", "plc:0", 502).is_err() && peer_of("--tcp", "plc:70000", 502).is_err()
        );
    }
}
