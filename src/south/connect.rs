//! Getting a line up: a TCP connection or an opened serial port, with a guard on it.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use super::line::{Line, Pace};
use super::port;
use super::trace::Tap;
use crate::config::wire::LineTime;
use crate::config::{ModbusLink, SerialLine, Wire};

/// The longest wait for a TCP connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time a serial port is only listened to after it was opened.
const LISTEN_MAX: Duration = Duration::from_secs(5);
/// Of one answer.
const REGISTERS_MAX: u16 = 125;

/// Where a line comes from.
pub(crate) enum Connector {
    Tcp {
        host: String,
        port: u16,
        pause: Duration,
    },
    /// To be used on the line's own thread.
    Serial {
        line: SerialLine,
        pause: Duration,
        listen: Duration,
    },
}

impl Connector {
    /// `timeout` is the longest one of the devices.
    pub(crate) fn new(link: &ModbusLink, pause: Duration, timeout: Duration) -> Self {
        match &link.wire {
            Wire::Tcp(to) => Self::Tcp { host: to.host.clone(), port: to.port, pause },
            Wire::Serial(line) => {
                let frame = LineTime::serial(line, Duration::ZERO).read_registers(REGISTERS_MAX);
                let listen = (timeout + frame).min(LISTEN_MAX);
                Self::Serial { line: line.clone(), pause, listen }
            }
        }
    }

    /// `tap` sees every byte of the line.
    pub(crate) async fn connect(&mut self, tap: Tap) -> io::Result<Line> {
        match self {
            Self::Tcp { host, port, pause } => {
                let stream = tcp(host, *port).await?;
                Ok(Line::tcp(stream, fastrand::u16(1..), Pace::Task(*pause), tap))
            }
            Self::Serial { line, pause, listen } => {
                let silence = LineTime::serial(line, Duration::ZERO).silence();
                let stream = port::open(line)?;
                // Before the port was closed a request may have been sent, by an earlier life of this
                // bus: its answer could pass as the answer to our first. It becomes stale input.
                tokio::time::sleep(*listen).await;
                Ok(Line::serial(stream, Pace::Thread(silence + *pause), tap))
            }
        }
    }
}

/// A connection, or why there is none and what to do.
pub(crate) async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port)))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
        .and_then(|connected| connected)
        .map_err(|error| explain(&error, host, port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn explain(error: &io::Error, host: &str, port: u16) -> io::Error {
    let said = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{host}:{port} connection refused: nothing listens on this port")
        }
        io::ErrorKind::TimedOut => {
            format!("{host}:{port} does not answer; check the address, the cable, the power")
        }
        _ if error.to_string().contains("lookup address") => {
            format!("the name {host} has no address; check it, or write the address itself")
        }
        _ => format!("{host}:{port} {error}"),
    };
    io::Error::new(error.kind(), said)
}
