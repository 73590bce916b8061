//! Connections that converters make to us.
//!
//! One is served at a time. A newer one waits until the one in use is given up, and a still newer
//! one takes its place: a converter that lost its connection dials in anew, and the old connection
//! often hears nothing of it. Who is not allowed is turned away at once and counted.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::config::ListenWire;

/// How long a converter is waited for before the bus is said to be down. It is still let in then.
const WAIT: Duration = Duration::from_secs(5);
/// Connections looked at in one go; further ones wait in the system's queue.
const ACCEPTS_MAX: usize = 64;

/// See the module.
pub(super) struct Listener {
    wire: ListenWire,
    /// Once the address was free.
    socket: Option<TcpListener>,
    newest: Option<(TcpStream, SocketAddr)>,
    peer: Option<SocketAddr>,
    refused: u64,
}

impl Listener {
    pub(super) fn new(wire: ListenWire) -> Self {
        Self { wire, socket: None, newest: None, peer: None, refused: 0 }
    }

    /// Who is connected.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Connections from addresses that are not allowed.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) async fn accept(&mut self) -> io::Result<TcpStream> {
        let at = self.wire.at;
        self.peer = None;
        if self.socket.is_none() {
            let bound = TcpListener::bind(at).await;
            let explain = |error: io::Error| {
                io::Error::new(error.kind(), format!("can't listen on {at}: {error}"))
            };
            self.socket = Some(bound.map_err(explain)?);
        }
        if tokio::time::timeout(WAIT, self.newer()).await.is_err() {
            let said = format!("no converter is connected to {at}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, said));
        }
        // Of several that wait the last is the one that is alive.
        for _ in 0..ACCEPTS_MAX {
            if self.take_one().now_or_never().is_none() {
                break;
            }
        }
        let Some((stream, peer)) = self.newest.take() else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        stream.set_nodelay(true)?;
        self.peer = Some(peer);
        Ok(stream)
    }

    /// Ends when a connection is there that is newer than the one in use.
    pub(super) async fn newer(&mut self) {
        while self.newest.is_none() {
            self.take_one().await;
        }
    }

    /// Takes a connection out of the system's queue, and keeps it if it is allowed.
    async fn take_one(&mut self) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        match socket.accept().await {
            Ok((stream, peer)) if self.is_allowed(peer) => self.newest = Some((stream, peer)),
            Ok((_, peer)) => {
                self.refused += 1;
                tracing::debug!(%peer, at = %self.wire.at, "not on the list of who may connect");
            }
            // Of this one connection, or of descriptors, which may come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }

    fn is_allowed(&self, peer: SocketAddr) -> bool {
        let allow = &self.wire.allow;
        allow.is_empty() || allow.iter().any(|network| network.contains(peer.ip()))
    }
}
