//! Certificates made for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{Identity, ServerTlsPlan};

/// An authority with a directory for what it signs.
pub struct Authority {
    pub directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let authority =
            Self { directory: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key) };
        put(&authority.path("ca.pem"), &pem);
        authority
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key` for a common name and an alternative one.
    pub fn sign(&self, name: &str, common: &str, alternative: &str) {
        self.sign_until(name, common, alternative, 2100);
    }

    pub fn sign_until(&self, name: &str, common: &str, alternative: &str, year: i32) {
        let mut params = CertificateParams::new(vec![alternative.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        put(&self.path(&format!("{name}.pem")), &pem);
        put(&self.path(&format!("{name}.key")), &key.serialize_pem());
    }

    /// A listener's files; with `mutual` clients must show a certificate of this authority.
    pub fn server(&self, name: &str, mutual: bool) -> ServerTlsPlan {
        ServerTlsPlan {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
            client_ca: mutual.then(|| self.path("ca.pem")),
            identity: Identity::CommonName,
        }
    }

    /// A client that trusts this authority, with its own certificate if it has one.
    pub fn client(
        &self,
        name: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::from_pem_file(self.path(&format!("{name}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key")));
                builder.with_client_auth_cert(vec![chain.unwrap()], key.unwrap()).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}

/// Connects to a listener as `localhost`.
pub async fn dial(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

#[expect(clippy::disallowed_methods, reason = "the files of a test")]
pub fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
