//! The listener of a bus's server face: who may connect, and how many.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::{FaceState, Pass, Shared, client};
use crate::model::Backoff;

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_secs(30);
/// After an error of the listener itself, such as no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Face {
    bus: String,
    shared: Shared,
    passes: mpsc::Sender<Pass>,
}

impl Face {
    pub(super) fn new(bus: String, shared: Shared, passes: mpsc::Sender<Pass>) -> Self {
        Self { bus, shared, passes }
    }

    /// Serves until dropped; connections end with it.
    pub(crate) async fn run(self) -> Infallible {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_CAP, fastrand::u64(..));
        loop {
            match TcpListener::bind(self.shared.plan.listen).await {
                Ok(listener) => {
                    info!(bus = %self.bus, listen = %self.shared.plan.listen, "bus is shared");
                    self.shared.status().state = FaceState::Listening;
                    return self.serve(listener).await;
                }
                Err(error) => self.went_down(&error),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    fn went_down(&self, error: &io::Error) {
        let listen = self.shared.plan.listen;
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => format!("{listen} is in use by another program"),
            io::ErrorKind::PermissionDenied => {
                format!("{listen} needs a right to listen below port 1024")
            }
            io::ErrorKind::AddrNotAvailable => format!("{listen} is no address of this machine"),
            _ => format!("{listen}: {error}"),
        };
        let new = FaceState::Down { reason: reason.clone() };
        let old = std::mem::replace(&mut self.shared.status().state, new);
        if !matches!(old, FaceState::Down { .. }) {
            warn!(bus = %self.bus, reason, "bus can't be shared, trying again for ever");
        }
    }

    async fn serve(self, listener: TcpListener) -> Infallible {
        let mut clients = JoinSet::new();
        loop {
            let (stream, peer) = tokio::select! {
                Some(_) = clients.join_next() => {
                    self.shared.status().clients = clients.len();
                    continue;
                }
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(_) => {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let plan = &self.shared.plan;
            let may = plan.allow.iter().any(|network| network.contains(peer.ip()));
            if !may || clients.len() >= plan.connections {
                self.shared.status().clients_refused += 1;
                continue;
            }
            clients.spawn(client::serve(stream, peer, self.shared.clone(), self.passes.clone()));
            self.shared.status().clients = clients.len();
        }
    }
}
