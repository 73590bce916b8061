//! A Modbus RTU slave over any byte stream, with the time its line would take.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::Devices;
use crate::south::guard::{crc16, frame_rtu};

/// Input kept while looking for a request; the longest has 256 bytes.
const INPUT_BYTES_MAX: usize = 512;

/// Simulated devices on a serial line.
pub struct RtuSlave {
    devices: Devices,
    /// Time one character takes on the wire; zero answers at once.
    character: Duration,
    turnaround: Duration,
}

impl RtuSlave {
    pub fn new(devices: Devices) -> Self {
        Self { devices, character: Duration::ZERO, turnaround: Duration::ZERO }
    }

    /// Answers as late as a line with 11 bits per character at this speed would deliver.
    #[must_use]
    pub fn with_speed(mut self, baud: u32, turnaround: Duration) -> Self {
        self.character = Duration::from_secs(11) / baud.max(1);
        self.turnaround = turnaround;
        self
    }

    /// Serves until stopped or until the line breaks.
    pub async fn run<T>(self, mut io: T, stop: CancellationToken) -> io::Result<()>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut input = Vec::new();
        let mut chunk = [0_u8; 256];
        loop {
            let n = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                n = io.read(&mut chunk) => n?,
            };
            if n == 0 {
                return Ok(());
            }
            input.extend_from_slice(chunk.get(..n).unwrap_or_default());
            while let Some((at, length)) = find_request(&input) {
                let frame: Vec<u8> = input.drain(..at + length).skip(at).collect();
                let [unit, pdu @ .., _, _] = frame.as_slice() else { continue };
                let answer = self.devices.bank().answer(*unit, pdu);
                let Some(answer) = answer.filter(|_| *unit != 0) else { continue };
                let answer = frame_rtu(*unit, &answer);
                let characters = u32::try_from(frame.len() + answer.len()).unwrap_or(u32::MAX);
                let wait = self.character * characters + self.turnaround;
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                io.write_all(&answer).await?;
                io.flush().await?;
            }
            let excess = input.len().saturating_sub(INPUT_BYTES_MAX);
            input.drain(..excess);
        }
    }
}

/// The first sound request frame: its place and length.
pub(crate) fn find_request(input: &[u8]) -> Option<(usize, usize)> {
    (0..input.len()).find_map(|at| {
        let rest = input.get(at..)?;
        let length = match *rest.get(1)? {
            1..=6 => 8,
            15 | 16 => 9 + usize::from(*rest.get(6)?),
            22 => 10,
            43 => 7,
            _ => return None,
        };
        let (body, crc) = rest.get(..length)?.split_last_chunk::<2>()?;
        (crc16(body).to_le_bytes() == *crc).then_some((at, length))
    })
}
