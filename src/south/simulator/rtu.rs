//! A slave on a line, over any byte stream, with the time its line would take.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::Devices;
use super::slave::{Tempo, serve};
use crate::config::Framing;

/// Simulated devices on a serial line.
pub struct RtuSlave {
    devices: Devices,
    framing: Framing,
    tempo: Tempo,
}

impl RtuSlave {
    pub fn new(devices: Devices) -> Self {
        Self { devices, framing: Framing::Rtu, tempo: Tempo::default() }
    }

    /// In another framing than RTU.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Answers as late as a line with 11 bits per character at this speed would deliver.
    #[must_use]
    pub fn with_speed(mut self, baud: u32, turnaround: Duration) -> Self {
        self.tempo = Tempo { character: Duration::from_secs(11) / baud.max(1), turnaround };
        self
    }

    /// Serves until stopped or until the line breaks.
    pub async fn run<T>(self, io: T, stop: CancellationToken) -> io::Result<()>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let (devices, framing) = (self.devices, self.framing);
        let script = |asked: &_| devices.respond(asked, framing);
        serve(io, framing, self.tempo, &stop, script).await
    }
}
