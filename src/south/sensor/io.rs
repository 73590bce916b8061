//! The wire to a sensor: a serial port, or the TCP port of a serial device server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_serial::{SerialPort as _, SerialStream};

use crate::config::{SensorWire, SerialLine};
use crate::south::connect::dial;
use crate::south::port;

/// An open wire.
pub(super) enum Io {
    Serial { port: SerialStream, line: SerialLine, remarks: Vec<String> },
    Tcp(TcpStream),
}

impl Io {
    pub(super) async fn open(wire: &SensorWire) -> io::Result<Self> {
        match wire {
            SensorWire::Serial(line) => {
                let port::Opened { stream, remarks } = port::open(line)?;
                Ok(Self::Serial { port: stream, line: line.clone(), remarks })
            }
            SensorWire::Tcp(to) => dial::plain(to).await.map(Self::Tcp),
        }
    }

    /// What is to be known about the port.
    pub(super) fn remarks(&self) -> &[String] {
        match self {
            Self::Serial { remarks, .. } => remarks,
            Self::Tcp(_) => &[],
        }
    }

    /// The configured baud rate; `None` on TCP, where the device server has its own.
    pub(super) fn baud(&self) -> Option<u32> {
        match self {
            Self::Serial { line, .. } => Some(line.baud),
            Self::Tcp(_) => None,
        }
    }

    /// Does nothing on TCP.
    pub(super) fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        match self {
            Self::Serial { port, .. } => port.set_baud_rate(baud).map_err(io::Error::from),
            Self::Tcp(_) => Ok(()),
        }
    }

    /// How long so many bytes are on the line at this baud rate: writing returns before they are.
    pub(super) fn on_the_line(&self, bytes: usize, baud: u32) -> Duration {
        let Self::Serial { line, .. } = self else { return Duration::ZERO };
        let parity = u32::from(line.parity != crate::config::Parity::None);
        let bits = 1 + u32::from(line.data_bits) + parity + u32::from(line.stop_bits);
        let characters = u32::try_from(bytes).unwrap_or(u32::MAX);
        Duration::from_secs(1) * characters.saturating_mul(bits) / baud.max(1)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Serial { port, .. } => Pin::new(port).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

/// Flushing a serial port would block the thread until the last bit is out, so nobody does.
impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Serial { port, .. } => Pin::new(port).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
