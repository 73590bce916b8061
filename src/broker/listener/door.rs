//! Opening a listener: the socket, the certificate, and what is counted there.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::broker::error::BrokerError;
use crate::broker::peer::Peer;
use crate::broker::status::{Counter, Level, ListenerStatus};
use crate::config::{ListenerPlan, Place};
use crate::tls;

/// Who may write to a Unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// A listener that is open.
pub struct Door {
    pub plan: ListenerPlan,
    /// Where it is open: the port may have been the kernel's choice.
    pub at: Place,
    pub tls: Option<tls::Server>,
    /// Clients that may still come in here.
    pub places: Arc<Semaphore>,
    pub connections: Level,
    /// Turned away because as many as allowed are connected.
    pub refused: Counter,
    /// TLS or WebSocket was not agreed upon, or not in time.
    pub failed: Counter,
}

pub enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The file of a Unix socket, removed with its listener unless another one took its place.
pub struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
}

impl Door {
    /// Opens the socket; connections wait until they are accepted.
    pub async fn open(plan: ListenerPlan) -> Result<(Arc<Self>, Socket), BrokerError> {
        let tls = match plan.tls.clone() {
            None => None,
            Some(files) => {
                let loaded = tokio::task::spawn_blocking(|| tls::Server::load(files)).await;
                let failed = |source| BrokerError::Tls { listener: plan.to_string(), source };
                Some(loaded.map_err(|_| BrokerError::Stopped)?.map_err(failed)?)
            }
        };
        let failed = |source| BrokerError::Bind { listener: plan.to_string(), source };
        let (at, socket) = match &plan.place {
            Place::Address(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let at = listener.local_addr().map_err(failed)?;
                (Place::Address(at), Socket::Tcp(listener))
            }
            Place::Path(path) => (plan.place.clone(), unix(path).await.map_err(failed)?),
        };
        let places = Arc::new(Semaphore::new(plan.connections.min(Semaphore::MAX_PERMITS)));
        let door = Self {
            plan,
            at,
            tls,
            places,
            connections: Level::default(),
            refused: Counter::default(),
            failed: Counter::default(),
        };
        Ok((Arc::new(door), socket))
    }

    pub fn address(&self) -> Option<SocketAddr> {
        match self.at {
            Place::Address(address) => Some(address),
            Place::Path(_) => None,
        }
    }

    pub fn status(&self) -> ListenerStatus {
        let shown = self.tls.as_ref().map(tls::Server::shown);
        ListenerStatus {
            kind: self.plan.kind(),
            at: self.at.to_string(),
            connections: self.connections.get(),
            refused: self.refused.get(),
            handshakes_failed: self.failed.get(),
            certificate_ends_ms: shown.as_ref().and_then(|s| s.valid_until).map(|end| end.0),
            certificate_problem: shown.and_then(|s| s.problem),
        }
    }
}

impl Socket {
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Batches are written whole; waiting for more would only add latency.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Network(peer)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|cred| cred.uid());
                Ok((Stream::Unix(stream), Peer::Local { uid }))
            }
        }
    }
}

/// A socket left behind by a killed process is in the way and is removed; one that somebody
/// answers on, or a file that is no socket, is an error.
async fn unix(path: &Path) -> io::Result<Socket> {
    match std::fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is no socket"));
        }
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Err(error) => return Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    let inode = std::fs::metadata(path).ok().map(|data| data.ino());
    Ok(Socket::Unix { listener, _file: SocketFile { path: path.to_owned(), inode } })
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let now = std::fs::symlink_metadata(&self.path).ok().map(|data| data.ino());
        if self.inode.is_some() && now == self.inode {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
