//! How a bus reaches its devices: the wire, and how frames look on it.
//!
//! Code that needs to know one thing about a link asks for that ([`Link::serial`],
//! [`Link::is_line`]) instead of listing the variants.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::defaults::PIPELINE;
use super::plan::TlsPlan;
use super::share::Network;
use crate::model::sensor::Sensor;

/// What a bus talks through.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    Modbus(ModbusLink),
    Sensor(Box<SensorLink>),
}

/// A serial sensor that does not speak Modbus.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorLink {
    pub wire: SensorWire,
    pub sensor: Sensor,
    /// The preset it began with; its name, for people.
    pub preset: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SensorWire {
    /// A port of this machine.
    Serial(SerialLine),
    /// The TCP port of a serial device server.
    Tcp(Endpoint),
}

/// Any wire can carry any framing that the configuration lets through.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusLink {
    pub wire: Wire,
    pub framing: Framing,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Wire {
    /// A port of this machine.
    Serial(SerialLine),
    /// A connection that we make.
    Tcp(TcpWire),
    /// One datagram per frame.
    Udp(Endpoint),
    /// A connection that a converter makes to us.
    Listen(ListenWire),
}

#[derive(Debug, Clone, PartialEq)]
pub struct TcpWire {
    pub to: Endpoint,
    /// Where the same devices are reached when they are not there.
    pub backup: Option<Endpoint>,
    /// `None` for plain TCP.
    pub tls: Option<ModbusTls>,
    /// Most connections of all buses to this host together; `None` for one each.
    pub connections: Option<usize>,
    /// Most reads of one device that are in flight together; 1 for one after the other.
    pub pipeline: usize,
}

/// Modbus/TCP Security.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusTls {
    pub files: TlsPlan,
    /// The name in the device's certificate; `None` for the host's.
    pub server_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ListenWire {
    pub at: SocketAddr,
    /// Who may connect; empty for everybody.
    pub allow: Vec<Network>,
}

impl TcpWire {
    /// Plain TCP to one host.
    pub fn new(to: Endpoint) -> Self {
        Self { to, backup: None, tls: None, connections: None, pipeline: PIPELINE }
    }
}

/// How a request and its answer look on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// With a transaction id (Modbus Messaging on TCP/IP V1.0b).
    Tcp,
    /// With a CRC (Modbus over Serial Line V1.02, 2.5.1).
    Rtu,
    /// In hexadecimal characters, with an LRC (the same, 2.5.2).
    Ascii,
}

/// A name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// Settings of a serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialLine {
    pub port: PathBuf,
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    pub switching: Switching,
}

/// Who switches the transmitter of a two-wire line on to send and off to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Switching {
    /// The adapter by itself, as nearly all do.
    #[default]
    Adapter,
    /// The port's driver, by RTS: the RS-485 mode of the kernel.
    Driver(Rs485),
    /// The gateway, by RTS.
    Gateway(RtsTimes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rs485 {
    /// RTS is high while sending and low otherwise; or the other way round.
    pub rts_high: bool,
    pub delay_before: Duration,
    pub delay_after: Duration,
    /// A driver without the mode is an error, not a remark.
    pub required: bool,
}

/// How long RTS is on before the first and after the last character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtsTimes {
    pub before: Duration,
    pub after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    None,
    Even,
    Odd,
}

/// `host:port`, with brackets around an IPv6 address.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Link {
    /// Modbus TCP, as most devices on Ethernet speak it.
    pub fn modbus_tcp(host: impl Into<String>, port: u16) -> Self {
        let wire = Wire::Tcp(TcpWire::new(Endpoint { host: host.into(), port }));
        Self::Modbus(ModbusLink { wire, framing: Framing::Tcp })
    }

    /// The same wire with other frames on it, for Modbus.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        if let Self::Modbus(modbus) = &mut self {
            modbus.framing = framing;
        }
        self
    }

    /// Modbus RTU on a serial port.
    pub fn modbus_rtu(line: SerialLine) -> Self {
        Self::Modbus(ModbusLink { wire: Wire::Serial(line), framing: Framing::Rtu })
    }

    /// The port of this machine, if it is one.
    pub fn serial(&self) -> Option<&SerialLine> {
        match self {
            Self::Modbus(ModbusLink { wire: Wire::Serial(line), .. }) => Some(line),
            Self::Modbus(_) => None,
            Self::Sensor(link) => link.wire.serial(),
        }
    }

    pub fn serial_mut(&mut self) -> Option<&mut SerialLine> {
        match self {
            Self::Modbus(ModbusLink { wire: Wire::Serial(line), .. }) => Some(line),
            Self::Modbus(_) => None,
            Self::Sensor(link) => link.wire.serial_mut(),
        }
    }

    /// The files that its TLS names.
    pub(super) fn tls_mut(&mut self) -> Option<&mut TlsPlan> {
        match self {
            Self::Modbus(ModbusLink { wire: Wire::Tcp(wire), .. }) => {
                wire.tls.as_mut().map(|tls| &mut tls.files)
            }
            Self::Modbus(_) | Self::Sensor(_) => None,
        }
    }

    /// Files of a connection with TLS.
    pub fn tls(&self) -> Option<&TlsPlan> {
        match self {
            Self::Modbus(ModbusLink { wire: Wire::Tcp(wire), .. }) => {
                wire.tls.as_ref().map(|tls| &tls.files)
            }
            Self::Modbus(_) | Self::Sensor(_) => None,
        }
    }

    /// `None` for devices that don't speak Modbus.
    pub fn modbus(&self) -> Option<&ModbusLink> {
        match self {
            Self::Modbus(modbus) => Some(modbus),
            Self::Sensor(_) => None,
        }
    }

    /// `None` for Modbus.
    pub fn sensor(&self) -> Option<&SensorLink> {
        match self {
            Self::Modbus(_) => None,
            Self::Sensor(sensor) => Some(sensor),
        }
    }

    /// Whether the devices share a line, here or behind a converter: each needs a unit of its own,
    /// unit 0 is everybody, and an answer says nothing about which request it is for.
    pub fn is_line(&self) -> bool {
        match self {
            Self::Modbus(modbus) => modbus.framing != Framing::Tcp,
            Self::Sensor(_) => false,
        }
    }
}

impl ModbusLink {
    /// Most reads of one device that are in flight together.
    pub fn pipeline(&self) -> usize {
        match &self.wire {
            Wire::Tcp(wire) => wire.pipeline,
            Wire::Serial(_) | Wire::Udp(_) | Wire::Listen(_) => 1,
        }
    }
}

impl SensorWire {
    /// What two buses must not share.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Serial(line) => line.port.display().to_string(),
            Self::Tcp(to) => to.to_string(),
        }
    }

    fn serial(&self) -> Option<&SerialLine> {
        match self {
            Self::Serial(line) => Some(line),
            Self::Tcp(_) => None,
        }
    }

    fn serial_mut(&mut self) -> Option<&mut SerialLine> {
        match self {
            Self::Serial(line) => Some(line),
            Self::Tcp(_) => None,
        }
    }
}

impl Framing {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "Modbus TCP",
            Self::Rtu => "Modbus RTU",
            Self::Ascii => "Modbus ASCII",
        }
    }
}

impl Link {
    /// The key of a bus under which such a link is configured.
    pub fn key(&self) -> &'static str {
        let Some(modbus) = self.modbus() else { return "serial" };
        match (&modbus.wire, modbus.framing) {
            (Wire::Serial(_), Framing::Ascii) => "modbus-ascii",
            (Wire::Serial(_), Framing::Rtu | Framing::Tcp) => "modbus-rtu",
            (Wire::Udp(_), _) => "modbus-udp",
            (Wire::Tcp(_) | Wire::Listen(_), _) => "modbus-tcp",
        }
    }
}

/// As people say it.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modbus(modbus) => modbus.fmt(f),
            Self::Sensor(sensor) => sensor.fmt(f),
        }
    }
}

impl fmt::Display for SensorLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preset = self.preset.as_deref().unwrap_or("own frames");
        match &self.wire {
            SensorWire::Serial(line) => {
                let (port, baud, character) = (line.port.display(), line.baud, line.character());
                write!(f, "serial {preset} {port} at {baud} baud {character}")
            }
            SensorWire::Tcp(to) => write!(f, "serial {preset} over TCP {to}"),
        }
    }
}

impl fmt::Display for ModbusLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let framing = self.framing.name();
        match (&self.wire, self.framing) {
            (Wire::Serial(line), _) => {
                let (port, baud, character) = (line.port.display(), line.baud, line.character());
                write!(f, "{framing} {port} at {baud} baud {character}")
            }
            (Wire::Tcp(wire), Framing::Tcp) => write!(f, "{framing} {wire}"),
            (Wire::Tcp(wire), _) => write!(f, "{framing} over TCP {wire}"),
            (Wire::Udp(to), Framing::Tcp) => write!(f, "Modbus UDP {to}"),
            (Wire::Udp(to), _) => write!(f, "{framing} over UDP {to}"),
            (Wire::Listen(wire), Framing::Tcp) => write!(f, "{framing} dialled in at {}", wire.at),
            (Wire::Listen(wire), _) => write!(f, "{framing} over TCP dialled in at {}", wire.at),
        }
    }
}

impl fmt::Display for TcpWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to)?;
        if self.tls.is_some() {
            write!(f, " with TLS")?;
        }
        match &self.backup {
            Some(backup) => write!(f, ", backup {backup}"),
            None => Ok(()),
        }
    }
}

impl SerialLine {
    /// The settings of a character as people write them: `8E1`.
    pub fn character(&self) -> String {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        format!("{}{parity}{}", self.data_bits, self.stop_bits)
    }
}
