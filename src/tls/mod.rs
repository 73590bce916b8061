//! TLS from PEM files: who is trusted, and what we show of ourselves.
//!
//! For connections that we make, files are read anew each time; for those made to us [`Server`] reads
//! them when they change. So a renewed certificate needs no restart, and one that is missing is a
//! state that ends as soon as it appears. Reads files: not for an async task. Knows no protocol
//! above.

mod certificate;
mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::TlsPlan;
use crate::model::Wall;

pub use certificate::{Seen, alternative_name, common_name, look};
pub use server::{Server, Shown, inspect};

/// Something that TLS needs is not there or not usable. Someone must act, and trying again helps: a
/// missing file may appear while we run.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the {what} {path} can't be read: {source}", path = path.display())]
    Read { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the {what} {path} is not a valid PEM file", path = path.display())]
    Pem { what: &'static str, path: PathBuf },
    #[error("the system has no certificate authorities; name a CA file")]
    NoSystemRoots,
    #[error("the certificate {certificate} does not belong to the key {key}", certificate = certificate.display(), key = key.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("TLS can't be set up: {0}")]
    Setup(String),
}

/// For connections that we make.
pub fn client_config(plan: &TlsPlan) -> Result<ClientConfig, TlsError> {
    let roots = match &plan.ca {
        Some(path) => roots_in(path)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoSystemRoots);
            }
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &plan.client else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("client certificate", certificate)?;
    builder.with_client_auth_cert(chain, private_key("client key", key)?).map_err(setup)
}

/// Until when what we show and whom we trust is valid: `client` the client's certificate, `ca` the
/// last of the authorities in the file. What can't be read is not in it.
pub fn expiries(plan: &TlsPlan) -> Vec<(&'static str, Wall)> {
    let client = plan.client.as_ref().and_then(|(certificate, _)| {
        let chain = certificates("client certificate", certificate).ok()?;
        Some(("client", certificate::valid_until(chain.first()?)?))
    });
    let ca = plan.ca.as_ref().and_then(|path| {
        let authorities = certificates("CA file", path).ok()?;
        Some(("ca", authorities.iter().filter_map(certificate::valid_until).max()?))
    });
    client.into_iter().chain(ca).collect()
}

/// For connections that are made to us; with `client_ca` only from those who show a certificate of
/// it.
pub fn server_config(
    certificate: &Path,
    key: &Path,
    client_ca: Option<&Path>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let builder = match client_ca {
        Some(path) => {
            let roots = Arc::new(roots_in(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.with_client_cert_verifier(verifier.build().map_err(setup)?)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = certificates("certificate", certificate)?;
    builder.with_single_cert(chain, private_key("key", key)?).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: certificate.into(), key: key.into() }
        }
        other => setup(other),
    })
}

/// Named here and not installed for the process: two parts of a program must not fight over it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn setup(error: impl std::error::Error) -> TlsError {
    TlsError::Setup(error.to_string())
}

fn roots_in(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("CA file", path)?);
    if roots.is_empty() {
        return Err(TlsError::Pem { what: "CA file", path: path.into() });
    }
    Ok(roots)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { what, path: path.into(), source })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(what, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    certificates
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| TlsError::Pem { what, path: path.into() })
}

fn private_key(what: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(what, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::Pem { what, path: path.into() })
}
