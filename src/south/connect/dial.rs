//! Connections that we make: to a host or its backup, plain or with TLS, and what is said when
//! there is none.
//!
//! The host that worked last is tried first, so a backup stays in use until it fails itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Stream;
use crate::config::{Endpoint, ModbusTls, TcpWire};
use crate::tls;

/// The longest wait for a TCP connection, and again for the TLS on it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Dialler {
    wire: TcpWire,
    /// The backup comes first.
    on_backup: bool,
}

impl Dialler {
    pub(super) fn new(wire: TcpWire) -> Self {
        Self { wire, on_backup: false }
    }

    /// The backup, if it is in use.
    pub(super) fn backup(&self) -> Option<&Endpoint> {
        self.wire.backup.as_ref().filter(|_| self.on_backup)
    }

    /// Nobody answers behind the host in use: the other one comes first.
    pub(super) fn distrust(&mut self) {
        self.on_backup = self.wire.backup.is_some() && !self.on_backup;
    }

    pub(super) async fn dial(&mut self) -> io::Result<Box<dyn Stream>> {
        let Some(backup) = &self.wire.backup else { return reach(&self.wire.to, &self.wire).await };
        let hosts = [&self.wire.to, backup];
        let [first, second] = if self.on_backup { [hosts[1], hosts[0]] } else { hosts };
        let failed = match reach(first, &self.wire).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        match reach(second, &self.wire).await {
            Ok(stream) => {
                self.on_backup = !self.on_backup;
                Ok(stream)
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("{failed}; {error}"))),
        }
    }
}

/// A connection without TLS.
pub(crate) async fn plain(to: &Endpoint) -> io::Result<TcpStream> {
    let connect = TcpStream::connect((to.host.as_str(), to.port));
    let stream = in_time(connect).await.map_err(|error| explain(&error, to))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn reach(to: &Endpoint, wire: &TcpWire) -> io::Result<Box<dyn Stream>> {
    let stream = plain(to).await?;
    match &wire.tls {
        None => Ok(Box::new(stream)),
        Some(tls) => encrypt(stream, to, tls).await,
    }
}

async fn encrypt(
    stream: TcpStream,
    to: &Endpoint,
    wanted: &ModbusTls,
) -> io::Result<Box<dyn Stream>> {
    let files = wanted.files.clone();
    let config = tokio::task::spawn_blocking(move || tls::client_config(&files))
        .await
        .map_err(io::Error::other)?
        .map_err(io::Error::other)?;
    let name = wanted.server_name.as_ref().unwrap_or(&to.host);
    let name = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = in_time(connector.connect(name, stream)).await.map_err(|error| {
        let said = match error.kind() {
            io::ErrorKind::TimedOut => "says nothing in TLS; is this its port for TLS?".to_owned(),
            _ => format!("TLS: {error}"),
        };
        io::Error::new(error.kind(), format!("{to} {said}"))
    })?;
    Ok(Box::new(stream))
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = tokio::time::timeout(CONNECT_TIMEOUT, work).await;
    done.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

pub(super) fn explain(error: &io::Error, to: &Endpoint) -> io::Error {
    let said = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{to} connection refused: nothing listens on this port")
        }
        io::ErrorKind::TimedOut => {
            format!("{to} does not answer; check the address, the cable, the power")
        }
        _ if error.to_string().contains("lookup address") => {
            format!("the name {} has no address; check it, or write the address itself", to.host)
        }
        _ => format!("{to} {error}"),
    };
    io::Error::new(error.kind(), said)
}
