//! From the plan to the client's options: credentials, certificates, limits.
//!
//! Files are read anew for every connection, so a renewed certificate or password needs no
//! restart, and one that is missing is a state that ends as soon as it appears. Secrets live from
//! here to the CONNECT packet and are never printed; the client's options print them, so they are
//! never debug-printed either.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{MqttOptions, TlsConfiguration, Transport};

use super::inflight::Window;
use crate::config::{Secret, UplinkPlan};
use crate::tls::{self, TlsError};

/// Largest packet taken from the broker. A larger one ends the connection, so this is generous:
/// a retained one would come again at each subscription.
const INCOMING_BYTES_MAX: usize = 1 << 20;
/// The client's own size limit stands above ours, which is checked before the hand-over: an
/// error here would end every connection again.
const OUTGOING_SLACK: usize = 256 * 1024;
/// Longest text MQTT can carry.
const TEXT_BYTES_MAX: usize = 65_535;
/// The client takes whole seconds, at least one, and the protocol has 16 bits for them.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(65_535));

/// Something the connection needs is not there or not usable. Someone must act, and we try again:
/// a missing file may appear while we run.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the {what} {path} can't be read: {source}", path = path.display())]
    Read { what: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the {0} is not text")]
    NotText(&'static str),
    #[error("the {0} is longer than MQTT allows")]
    TooLong(&'static str),
    #[error("a password needs a username")]
    PasswordAlone,
}

/// Where secrets may lie.
#[derive(Debug, Clone)]
pub struct SecretPlaces {
    /// What systemd's `LoadCredential=` fills, if it does.
    pub credentials: Option<PathBuf>,
    /// Beside the configuration file.
    pub beside: PathBuf,
}

impl SecretPlaces {
    pub fn new(beside: PathBuf) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { credentials, beside }
    }

    fn read(&self, secret: &Secret) -> Result<String, SettingsError> {
        let credential = self.credentials.as_ref().map(|dir| dir.join(&secret.file));
        let path = match credential {
            Some(path) if secret.file.is_relative() && path.exists() => path,
            _ => self.beside.join(&secret.file),
        };
        let bytes = read("password file", &path)?;
        let text = String::from_utf8(bytes).map_err(|_| SettingsError::NotText("password"))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// Everything a fresh client needs. Reads files: not for an async task.
pub fn options(
    plan: &UplinkPlan,
    places: &SecretPlaces,
    window: Window,
) -> Result<MqttOptions, SettingsError> {
    let host = plan.host.trim_matches(['[', ']']);
    let mut options = MqttOptions::new(short("client id", &plan.client_id)?, host, plan.port);
    options
        .set_clean_session(true)
        .set_keep_alive(plan.keep_alive.clamp(KEEP_ALIVE.0, KEEP_ALIVE.1))
        .set_inflight(window.packet_ids())
        .set_max_packet_size(
            INCOMING_BYTES_MAX.max(plan.packet_bytes),
            plan.packet_bytes.saturating_add(OUTGOING_SLACK),
        );
    let password = plan.password.as_ref().map(|secret| places.read(secret)).transpose()?;
    match (&plan.username, password) {
        (Some(username), password) => {
            let password = password.unwrap_or_default();
            options.set_credentials(short("username", username)?, short("password", &password)?);
        }
        (None, Some(_)) => return Err(SettingsError::PasswordAlone),
        (None, None) => {}
    }
    if let Some(wanted) = &plan.tls {
        let config = tls::client_config(wanted)?;
        let config = TlsConfiguration::Rustls(Arc::new(config));
        options.set_transport(Transport::tls_with_config(config));
    }
    Ok(options)
}

/// The client would cut a longer text in the packet without a word.
fn short<'a>(what: &'static str, text: &'a str) -> Result<&'a str, SettingsError> {
    if text.len() > TEXT_BYTES_MAX { Err(SettingsError::TooLong(what)) } else { Ok(text) }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(path).map_err(|source| SettingsError::Read { what, path: path.into(), source })
}
