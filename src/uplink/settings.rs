//! From the plan to the client's options: credentials, certificates, limits.
//!
//! Files are read anew for every connection, so a renewed certificate or password needs no
//! restart, and one that is missing is a state that ends as soon as it appears. Secrets live from
//! here to the CONNECT packet and are never printed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::client::{Hello, Secure, Target, Version};
use crate::config::{MqttVersion, Secret, UplinkPlan};
use crate::tls::{self, TlsError};

/// Longest text MQTT can carry.
const TEXT_BYTES_MAX: usize = 65_535;
/// The protocol has 16 bits for seconds, and 0 would mean none.
const KEEP_ALIVE_SECONDS: (u64, u64) = (1, 65_535);

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

/// Everything a connection needs. Reads files: not for an async task.
pub fn dial(plan: &UplinkPlan, places: &SecretPlaces) -> Result<(Target, Hello), SettingsError> {
    let host = plan.host.trim_matches(['[', ']']);
    let password = plan.password.as_ref().map(|secret| places.read(secret)).transpose()?;
    let login = match (&plan.username, password) {
        (Some(username), password) => Some((username.clone(), password.unwrap_or_default())),
        (None, Some(_)) => return Err(SettingsError::PasswordAlone),
        (None, None) => None,
    };
    let tls = plan.tls.as_ref().map(tls::client_config).transpose()?;
    let seconds = plan.keep_alive.as_secs().clamp(KEEP_ALIVE_SECONDS.0, KEEP_ALIVE_SECONDS.1);
    short("client id", &plan.client_id)?;
    if let Some((username, password)) = &login {
        short("username", username)?;
        short("password", password)?;
    }
    let target = Target {
        host: host.to_owned(),
        port: plan.port,
        tls: tls.map(|config| Secure { config: Arc::new(config), name: host.to_owned() }),
    };
    let hello = Hello {
        version: match plan.mqtt {
            MqttVersion::V311 => Version::V4,
            MqttVersion::V5 => Version::V5,
        },
        client_id: plan.client_id.clone(),
        keep_alive: u16::try_from(seconds).unwrap_or(u16::MAX),
        login,
        will: None,
    };
    Ok((target, hello))
}

/// A longer text would be cut in the packet without a word.
fn short(what: &'static str, text: &str) -> Result<(), SettingsError> {
    if text.len() > TEXT_BYTES_MAX { Err(SettingsError::TooLong(what)) } else { Ok(()) }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(path).map_err(|source| SettingsError::Read { what, path: path.into(), source })
}
