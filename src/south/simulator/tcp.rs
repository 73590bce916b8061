//! A server on TCP in front of simulated devices: Modbus TCP, or a converter's RTU or ASCII.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::Devices;
use super::slave::{Tempo, serve};
use crate::config::Framing;

/// Masters served at once; further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// A server that is bound and not running yet.
pub struct TcpServer {
    listener: TcpListener,
    devices: Devices,
    framing: Framing,
    tls: Option<TlsAcceptor>,
}

impl TcpServer {
    /// Port 0 takes a free one.
    pub async fn bind(address: impl ToSocketAddrs, devices: Devices) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, devices, framing: Framing::Tcp, tls: None })
    }

    /// As a converter that passes on the frames of its line.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// As a device with Modbus/TCP Security.
    #[must_use]
    pub fn with_tls(mut self, config: ServerConfig) -> Self {
        self.tls = Some(TlsAcceptor::from(Arc::new(config)));
        self
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
                    let (devices, tls) = (self.devices.clone(), self.tls.clone());
                    connections.spawn(converse(stream, tls, devices, self.framing, stop.clone()));
                }
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    devices: Devices,
    framing: Framing,
    stop: CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let script = |asked: &_| devices.respond(asked, framing);
    match tls {
        None => serve(stream, framing, Tempo::default(), &stop, script).await,
        Some(tls) => {
            let stream = tls.accept(stream).await?;
            serve(stream, framing, Tempo::default(), &stop, script).await
        }
    }
}
