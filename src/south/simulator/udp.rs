//! A server on UDP in front of simulated devices: one frame per datagram, each answered on its own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{ToSocketAddrs, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Devices;
use super::slave::{Asked, Deed, answer, take};
use crate::config::Framing;

/// Longer than any frame.
const DATAGRAM_BYTES_MAX: usize = 1024;
/// Answers on their way; requests beyond are lost, as datagrams may be.
const ANSWERS_MAX: usize = 256;

/// A server that is bound and not running yet.
pub struct UdpServer {
    socket: UdpSocket,
    devices: Devices,
    framing: Framing,
}

impl UdpServer {
    /// Port 0 takes a free one.
    pub async fn bind(address: impl ToSocketAddrs, devices: Devices) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        Ok(Self { socket, devices, framing: Framing::Tcp })
    }

    /// With the frames of a line in the datagrams.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until stopped.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let socket = std::sync::Arc::new(self.socket);
        let mut answers = JoinSet::new();
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let (n, peer) = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(_) = answers.join_next() => continue,
                received = socket.recv_from(&mut datagram) => match received {
                    Ok(received) => received,
                    // Somebody who asked is gone before the answer came.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                    Err(error) => return Err(error),
                },
            };
            let mut input = datagram.get(..n).unwrap_or_default().to_vec();
            let Ok(Some(asked)) = take(self.framing, &mut input) else { continue };
            let (right, deed) = self.devices.respond(&asked, self.framing);
            if answers.len() < ANSWERS_MAX {
                let packets = packets(deed, &asked, right, self.framing);
                let socket = std::sync::Arc::clone(&socket);
                answers.spawn(async move {
                    for (after, packet) in packets {
                        tokio::time::sleep(after).await;
                        if !packet.is_empty() {
                            let _ = socket.send_to(&packet, peer).await;
                        }
                    }
                });
            }
        }
    }
}

/// The datagrams of a deed, each with the time before it.
fn packets(
    deed: Deed,
    asked: &Asked,
    right: Option<Vec<u8>>,
    framing: Framing,
) -> Vec<(Duration, Vec<u8>)> {
    let right = right.map(|pdu| answer(framing, asked, asked.unit, &pdu)).unwrap_or_default();
    let answer = deed.instead.unwrap_or(right);
    let echo = if deed.echo { asked.frame.clone() } else { Vec::new() };
    let size = deed.pieces.unwrap_or(usize::MAX).max(1);
    let pieces = answer.chunks(size).map(|piece| (Duration::ZERO, piece.to_vec()));
    let mut packets = vec![(Duration::ZERO, echo), (deed.late, deed.before)];
    packets.extend(pieces);
    packets.push((deed.pause, deed.after));
    packets
}
