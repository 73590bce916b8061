//! Where simulated buses are: an address or a path each, asked for or chosen.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cli::BadInput;
use crate::config::{Endpoint, Link, ModbusLink, SerialLine, Wire};
use crate::south::simulator::Line;

/// Where one bus is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Pty(PathBuf),
}

/// What was asked for: of named buses, and of those without a name.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    named: Vec<(String, Place)>,
    tcp: Option<SocketAddr>,
    pty: Option<PathBuf>,
}

impl Wanted {
    pub(super) fn read(
        listen: &[String],
        pty: &[String],
        lines: &[Line],
    ) -> Result<Self, BadInput> {
        let mut wanted = Self::default();
        for text in listen {
            let (bus, address) = split(text, lines, false)?;
            let address: SocketAddr = address.parse().map_err(|_| {
                BadInput(format!("--listen {text}: write it as [BUS=]127.0.0.1:5020"))
            })?;
            match bus {
                Some(bus) => wanted.named.push((bus, Place::Tcp(address))),
                None => wanted.tcp = Some(address),
            }
        }
        for text in pty {
            match split(text, lines, true)? {
                (Some(bus), path) => wanted.named.push((bus, Place::Pty(path.into()))),
                (None, path) => wanted.pty = Some(path.into()),
            }
        }
        let serial = lines.iter().filter(|line| line.link.serial().is_some());
        let unnamed =
            serial.filter(|line| !wanted.named.iter().any(|(bus, _)| line.name.as_str() == bus));
        if wanted.pty.is_some() && unnamed.count() > 1 {
            return Err(BadInput("several buses are serial: write --pty BUS=PATH for each".into()));
        }
        Ok(wanted)
    }

    /// A place for each line: further TCP buses on the ports after the one asked for.
    pub(super) fn places(mut self, lines: &[Line]) -> Vec<Place> {
        let mut places = Vec::new();
        for line in lines {
            let named = self.named.iter().find(|(bus, _)| line.name.as_str() == bus);
            places.push(match named {
                Some((_, place)) => place.clone(),
                None if line.link.serial().is_some() => {
                    Place::Pty(self.pty.take().unwrap_or_else(|| {
                        let own =
                            format!("fieldhold-simulate-{}-{}", std::process::id(), line.name);
                        std::env::temp_dir().join(own)
                    }))
                }
                None => {
                    let here = self.tcp.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
                    if here.port() > 0 {
                        self.tcp = Some(SocketAddr::new(here.ip(), here.port().saturating_add(1)));
                    }
                    Place::Tcp(here)
                }
            });
        }
        // Asked for as an address, and of the kind that the bus is.
        for (place, line) in places.iter_mut().zip(lines) {
            if let (Place::Tcp(address), true) = (&place, is_udp(&line.link)) {
                *place = Place::Udp(*address);
            }
        }
        places
    }
}

fn is_udp(link: &Link) -> bool {
    link.modbus().is_some_and(|modbus| matches!(modbus.wire, Wire::Udp(_)))
}

/// `[BUS=]REST`; the bus must be one of its kind.
fn split<'a>(
    text: &'a str,
    lines: &[Line],
    serial: bool,
) -> Result<(Option<String>, &'a str), BadInput> {
    let Some((bus, rest)) = text.split_once('=') else { return Ok((None, text)) };
    let of_kind = |line: &&Line| line.link.serial().is_some() == serial;
    if lines.iter().filter(of_kind).any(|line| line.name.as_str() == bus) {
        return Ok((Some(bus.to_owned()), rest));
    }
    let known: Vec<_> = lines.iter().filter(of_kind).map(|line| line.name.as_str()).collect();
    let kind = if serial { "a serial bus" } else { "a bus on TCP" };
    Err(BadInput(format!(
        "{bus:?} is not {kind} of this file; there is {}",
        match known.len() {
            0 => "none".to_owned(),
            _ => known.join(", "),
        }
    )))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Udp(address) => write!(f, "udp {address}"),
            Self::Pty(path) => write!(f, "pty {}", path.display()),
        }
    }
}

impl Place {
    /// The link that reaches it, instead of the one in the configuration.
    pub(super) fn link(&self, like: &Link) -> Link {
        let Some(modbus) = like.modbus() else { return like.clone() };
        let wire = match (self, &modbus.wire) {
            (Self::Pty(path), Wire::Serial(line)) => {
                Wire::Serial(SerialLine { port: path.clone(), ..line.clone() })
            }
            (Self::Tcp(address), _) => {
                let (host, port) = (address.ip().to_string(), address.port());
                return Link::modbus_tcp(host, port).with_framing(modbus.framing);
            }
            (Self::Udp(address), _) => {
                Wire::Udp(Endpoint { host: address.ip().to_string(), port: address.port() })
            }
            (Self::Pty(_), other) => other.clone(),
        };
        Link::Modbus(ModbusLink { wire, framing: modbus.framing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::south::simulator::{Start, World};

    const PLAN: &str = "
gateway: { name: g }
buses:
  hall: { modbus-tcp: { host: h } }
  yard: { modbus-tcp: { host: i } }
  line: { modbus-rtu: { port: /dev/x, baud: 9600 } }
";

    fn places(listen: &[&str], pty: &[&str]) -> Result<Vec<String>, String> {
        let plan = crate::config::parse(PLAN, "test").unwrap().plan;
        let world = World::of(&plan, Start { seed: 1, epoch_s: 0 });
        let owned =
            |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let wanted = Wanted::read(&owned(listen), &owned(pty), &world.lines);
        let places = wanted.map_err(|error| error.to_string())?.places(&world.lines);
        Ok(places.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_bus_gets_a_place_of_its_kind() {
        let free = places(&[], &["/tmp/l"]).unwrap();
        assert_eq!(free, ["tcp 127.0.0.1:0", "tcp 127.0.0.1:0", "pty /tmp/l"]);
        let given = places(&["127.0.0.1:5020"], &["line=/tmp/l"]).unwrap();
        assert_eq!(given, ["tcp 127.0.0.1:5020", "tcp 127.0.0.1:5021", "pty /tmp/l"]);
        let named = places(&["yard=[::1]:7", "127.0.0.1:9"], &["/tmp/l"]).unwrap();
        assert_eq!(named[..2], ["tcp 127.0.0.1:9", "tcp [::1]:7"]);
        for (listen, pty, word) in [
            ("5020", "/tmp/l", "127.0.0.1:5020"),
            ("line=127.0.0.1:1", "/tmp/l", "hall, yard"),
            ("127.0.0.1:1", "hall=/tmp/l", "there is line"),
        ] {
            let said = places(&[listen], &[pty]).unwrap_err();
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn the_links_lead_to_the_places() {
        let plan = crate::config::parse(PLAN, "test").unwrap().plan;
        let tcp = Place::Tcp("127.0.0.1:5020".parse().unwrap());
        assert_eq!(tcp.link(&plan.buses[0].link), Link::modbus_tcp("127.0.0.1", 5020));
        let pty = Place::Pty("/tmp/l".into()).link(&plan.buses[2].link);
        let line = pty.serial().unwrap();
        assert_eq!((line.baud, line.port.to_str()), (9600, Some("/tmp/l")));
    }
}
