//! The wire between the gateway and the demo's cloud, which can be cut.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Connections through the wire at a time; the demo's one uplink needs one.
const CONNECTIONS_MAX: usize = 16;

/// A TCP relay on a free loopback port.
pub struct Relay {
    listener: TcpListener,
    target: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Relay {
    pub async fn bind(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self { listener, target, whole: watch::Sender::new(true) })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The switch: `false` cuts the wire, connections in use included.
    pub fn switch(&self) -> watch::Sender<bool> {
        self.whole.clone()
    }

    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let mut pairs = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if pairs.len() < CONNECTIONS_MAX => {
                    let (near, _) = accepted?;
                    if *self.whole.borrow() {
                        pairs.spawn(pass(near, self.target, self.whole.subscribe()));
                    }
                }
                Some(_) = pairs.join_next() => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut whole: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        // Either side may end the connection as it likes; the relay adds nothing to that.
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}
