//! A Modbus TCP server in front of simulated devices.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Devices;

/// Masters served at once; further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// A server that is bound and not running yet.
pub struct TcpServer {
    listener: TcpListener,
    devices: Devices,
}

impl TcpServer {
    /// Port 0 takes a free one.
    pub async fn bind(address: impl ToSocketAddrs, devices: Devices) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, devices })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until stopped; connections end with it.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    let (stream, _) = accepted?;
                    connections.spawn(serve(stream, self.devices.clone()));
                }
            }
        }
    }
}

async fn serve(mut stream: TcpStream, devices: Devices) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0_u8; 7];
        stream.read_exact(&mut header).await?;
        let [t0, t1, 0, 0, l1, l0, unit] = header else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let length = u16::from_be_bytes([l1, l0]);
        let Some(length) = length.checked_sub(1).filter(|length| (1..=253).contains(length)) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut pdu = vec![0; usize::from(length)];
        stream.read_exact(&mut pdu).await?;
        let answer = devices.bank().answer(unit, &pdu);
        if let Some(answer) = answer {
            let [l1, l0] = u16::try_from(answer.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
            let mut frame = vec![t0, t1, 0, 0, l1, l0, unit];
            frame.extend(answer);
            stream.write_all(&frame).await?;
        }
    }
}
