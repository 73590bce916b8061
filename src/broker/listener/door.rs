//! Opening a listener: the socket, the certificate, and what is counted there.
//!
//! A door stays where it is; what is asked at it may change for the next connection.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::broker::error::BrokerError;
use crate::broker::peer::Peer;
use crate::broker::status::{Counter, Level, ListenerStatus};
use crate::config::{Identity, ListenerPlan, Place};
use crate::tls;

/// Who may write to a Unix socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// A listener that is open.
pub struct Door {
    /// Where it was to be opened; names it.
    pub place: Place,
    /// Where it is open: the port may have been the kernel's choice.
    at: Place,
    settings: Mutex<Arc<Settings>>,
    /// Ends the listener and its connections.
    pub closed: CancellationToken,
    pub connections: Level,
    /// Turned away because as many as allowed are connected.
    pub refused: Counter,
    /// TLS or WebSocket was not agreed upon, or not in time.
    pub failed: Counter,
}

/// What is asked of the next connection.
pub struct Settings {
    pub plan: ListenerPlan,
    pub tls: Option<Arc<tls::Server>>,
}

/// A socket that is bound; who accepts there is another thread than the one that opened it.
pub enum Socket {
    Tcp(std::net::TcpListener),
    Unix { listener: std::os::unix::net::UnixListener, file: SocketFile },
}

/// A socket where connections are accepted.
pub enum Listening {
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
        let settings = Settings::load(plan.clone(), None).await?;
        let failed = |source| BrokerError::Bind { listener: plan.to_string(), source };
        let (at, socket) = match &plan.place {
            Place::Address(address) => {
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let at = listener.local_addr().map_err(failed)?;
                (Place::Address(at), Socket::Tcp(listener.into_std().map_err(failed)?))
            }
            Place::Path(path) => (plan.place.clone(), unix(path).await.map_err(failed)?),
        };
        let door = Self {
            place: plan.place,
            at,
            settings: Mutex::new(Arc::new(settings)),
            closed: CancellationToken::new(),
            connections: Level::default(),
            refused: Counter::default(),
            failed: Counter::default(),
        };
        Ok((Arc::new(door), socket))
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Settings>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.lock())
    }

    pub fn set(&self, settings: Settings) {
        *self.lock() = Arc::new(settings);
    }

    pub fn address(&self) -> Option<SocketAddr> {
        match self.at {
            Place::Address(address) => Some(address),
            Place::Path(_) => None,
        }
    }

    pub fn status(&self) -> ListenerStatus {
        let settings = self.settings();
        let shown = settings.tls.as_ref().map(|tls| tls.shown());
        ListenerStatus {
            kind: settings.plan.kind(),
            anonymous: settings.plan.anonymous.is_some(),
            at: self.at.to_string(),
            connections: self.connections.get(),
            refused: self.refused.get(),
            handshakes_failed: self.failed.get(),
            certificate_ends_ms: shown.as_ref().and_then(|s| s.valid_until).map(|end| end.0),
            certificate_problem: shown.and_then(|s| s.problem),
        }
    }
}

impl Settings {
    /// Reads the files; `before` are the settings that these follow, and their certificate is kept
    /// if it is the same.
    pub async fn load(plan: ListenerPlan, before: Option<&Self>) -> Result<Self, BrokerError> {
        let Some(files) = plan.tls.clone() else { return Ok(Self { plan, tls: None }) };
        let same = before.and_then(|before| before.tls.clone()).filter(|tls| *tls.plan() == files);
        let loaded = tokio::task::spawn_blocking(move || match same {
            Some(tls) => {
                tls.refresh();
                Ok(tls)
            }
            None => tls::Server::load(files).map(Arc::new),
        });
        let failed = |source| BrokerError::Tls { listener: plan.to_string(), source };
        let tls = loaded.await.map_err(|_| BrokerError::Stopped)?.map_err(failed)?;
        Ok(Self { plan, tls: Some(tls) })
    }

    /// The name in a client's certificate, where this listener looks for it.
    pub fn name_in(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        let files = self.plan.tls.as_ref()?;
        files.client_ca.as_ref()?;
        match files.identity {
            Identity::CommonName => tls::common_name(certificate),
            Identity::AlternativeName => tls::alternative_name(certificate),
        }
    }
}

impl Socket {
    /// To be called where connections are to be accepted.
    pub fn listen(self) -> io::Result<Listening> {
        Ok(match self {
            Self::Tcp(listener) => Listening::Tcp(TcpListener::from_std(listener)?),
            Self::Unix { listener, file } => {
                Listening::Unix { listener: UnixListener::from_std(listener)?, _file: file }
            }
        })
    }
}

impl Listening {
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
    let file = SocketFile { path: path.to_owned(), inode };
    Ok(Socket::Unix { listener: listener.into_std()?, file })
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let now = std::fs::symlink_metadata(&self.path).ok().map(|data| data.ino());
        if self.inode.is_some() && now == self.inode {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
