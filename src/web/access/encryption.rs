//! What connections are encrypted with, kept as new as its files, its names and its end want.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::certificate::{self, CertificateError, Subject};
use crate::config::{WebPlan, WebTls};
use crate::model::{Blame, Clock, Retry};
use crate::tls::{self, TlsError};

/// Between two looks at files, names and addresses.
const LOOK_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    #[error(transparent)]
    Files(#[from] TlsError),
    #[error(transparent)]
    Device(#[from] CertificateError),
    #[error("there is no directory to keep a certificate in")]
    Nowhere,
    #[error("the gateway is stopping")]
    Stopping,
}

impl EncryptionError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Files(_) | Self::Nowhere => Blame::Config,
            Self::Device(error) => error.blame(),
            Self::Stopping => Blame::Us,
        }
    }

    pub fn retry(&self) -> Retry {
        Retry::Later
    }
}

#[derive(Clone)]
pub struct Encryption(Option<Arc<Shown>>);

struct Shown {
    server: tls::Server,
    /// Where the device's own certificate is kept, and the names that are configured.
    device: Option<(PathBuf, Vec<String>)>,
    clock: Arc<dyn Clock>,
}

impl Encryption {
    /// Loads what the plan names, or makes it.
    pub async fn new(
        plan: &WebPlan,
        state_dir: Option<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EncryptionError> {
        let (files, device) = match (&plan.tls, state_dir) {
            (WebTls::Off, _) => return Ok(Self(None)),
            (WebTls::Files(files), _) => (Some(files.clone()), None),
            (WebTls::Device, None) => return Err(EncryptionError::Nowhere),
            (WebTls::Device, Some(dir)) => (None, Some((dir, plan.hosts.clone()))),
        };
        let loading = move || {
            let files = match (files, &device) {
                (None, Some((dir, hosts))) => {
                    certificate::ensure(dir, &Subject::of_this_machine(hosts), clock.wall())?.0
                }
                (files, _) => files.ok_or(EncryptionError::Nowhere)?,
            };
            Ok(Self(Some(Arc::new(Shown { server: tls::Server::load(files)?, device, clock }))))
        };
        crate::runtime::blocking(loading).await.map_err(|_| EncryptionError::Stopping)?
    }

    /// For the next connection; `None` if it is not encrypted.
    pub fn config(&self) -> Option<Arc<ServerConfig>> {
        self.0.as_ref().map(|shown| shown.server.config())
    }

    /// Keeps it as new as its files, and makes it anew when it is due.
    pub async fn renew(self, stop: CancellationToken) {
        let Some(shown) = self.0 else { return };
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let shown = Arc::clone(&shown);
            let _ = crate::runtime::blocking(move || shown.look()).await;
        }
    }
}

impl Shown {
    fn look(&self) {
        if let Some((dir, hosts)) = &self.device {
            let subject = Subject::of_this_machine(hosts);
            if let Err(error) = certificate::ensure(dir, &subject, self.clock.wall()) {
                tracing::warn!(%error, "the certificate of the web page can't be made anew");
            }
        }
        self.server.refresh();
    }
}
