//! From the plan to the client's options: credentials, certificates, limits.
//!
//! Files are read anew for every connection, so a renewed certificate or password needs no
//! restart, and one that is missing is a state that ends as soon as it appears. Secrets live from
//! here to the CONNECT packet and are never printed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::announce;
use super::client::{Hello, Proxy, Secure, Target, Version};
use super::sas;
use crate::config::file::SecretPlaces;
use crate::config::{BrokerUrl, MqttVersion, Secret, UplinkPlan};
use crate::model::Wall;
use crate::tls::{self, TlsError};

/// Longest text MQTT can carry.
const TEXT_BYTES_MAX: usize = 65_535;
/// The protocol has 16 bits for seconds, and 0 would mean none.
const KEEP_ALIVE_SECONDS: (u64, u64) = (1, 65_535);

/// The part of a token's lifetime after which the connection is made anew.
const SAS_PARTS: (u32, u32) = (4, 5);

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
    #[error("the key file does not hold base64")]
    NotBase64,
    #[error("no broker is configured")]
    NoBroker,
}

fn read(
    places: &SecretPlaces,
    what: &'static str,
    secret: &Secret,
) -> Result<String, SettingsError> {
    let path = places.path(&secret.file);
    let bytes =
        std::fs::read(&path).map_err(|source| SettingsError::Read { what, path, source })?;
    let text = String::from_utf8(bytes).map_err(|_| SettingsError::NotText(what))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn login(
    places: &SecretPlaces,
    username: Option<String>,
    password: Option<&Secret>,
) -> Result<Option<(String, String)>, SettingsError> {
    let password = password.map(|secret| read(places, "password file", secret)).transpose()?;
    match (username, password) {
        (Some(username), password) => Ok(Some((username, password.unwrap_or_default()))),
        (None, Some(_)) => Err(SettingsError::PasswordAlone),
        (None, None) => Ok(None),
    }
}

/// Everything a connection needs.
pub struct Dial {
    pub target: Target,
    pub hello: Hello,
    /// How long the login is good; then the connection has to be made anew.
    pub good_for: Option<Duration>,
    /// Until when which certificate of this side is valid.
    pub certificates: Vec<(&'static str, Wall)>,
}

/// For the broker of this number. Reads files: not for an async task.
pub fn dial(
    plan: &UplinkPlan,
    places: &SecretPlaces,
    broker: usize,
    now: Wall,
) -> Result<Dial, SettingsError> {
    let broker = plan.brokers.get(broker).ok_or(SettingsError::NoBroker)?;
    let username = plan.username.as_ref().map(|username| username.at(broker));
    let mut login = login(places, username, plan.password.as_ref())?;
    let mut good_for = None;
    if let (Some(sas), Some((_, password))) = (&plan.sas, &mut login) {
        let key = read(places, "key file", &sas.key)?;
        let of_device = format!("{}/devices/{}", broker.host, plan.client_id);
        let resource = sas.resource.as_ref().unwrap_or(&of_device);
        *password = sas::token(resource, sas.policy.as_deref(), &key, now, sas.lifetime)
            .ok_or(SettingsError::NotBase64)?;
        good_for = Some(sas.lifetime / SAS_PARTS.1 * SAS_PARTS.0);
    }
    short("client id", &plan.client_id)?;
    if let Some((username, password)) = &login {
        short("username", username)?;
        short("password", password)?;
    }
    let seconds = plan.keep_alive.as_secs().clamp(KEEP_ALIVE_SECONDS.0, KEEP_ALIVE_SECONDS.1);
    let hello = Hello {
        version: match plan.mqtt {
            MqttVersion::V311 => Version::V4,
            MqttVersion::V5 => Version::V5,
        },
        client_id: plan.client_id.clone(),
        keep_alive: u16::try_from(seconds).unwrap_or(u16::MAX),
        login,
        will: plan.home_assistant.as_ref().map(announce::will),
    };
    let target = target(plan, places, broker)?;
    let certificates = plan.tls.as_ref().map(tls::expiries).unwrap_or_default();
    Ok(Dial { target, hello, good_for, certificates })
}

fn target(
    plan: &UplinkPlan,
    places: &SecretPlaces,
    broker: &BrokerUrl,
) -> Result<Target, SettingsError> {
    let proxy = match &plan.proxy {
        Some(proxy) => Some(Proxy {
            host: proxy.host.clone(),
            port: proxy.port,
            login: login(places, proxy.username.clone(), proxy.password.as_ref())?,
        }),
        None => None,
    };
    let tls = match plan.tls.as_ref().filter(|_| broker.secure) {
        Some(wanted) => {
            let mut config = tls::client_config(wanted)?;
            let of_service = plan.service.as_ref().and_then(|service| service.alpn(broker));
            let of_service = of_service.filter(|_| plan.alpn.is_empty());
            let offered = plan.alpn.iter().map(String::as_str).chain(of_service);
            config.alpn_protocols = offered.map(|name| name.as_bytes().to_vec()).collect();
            let name = plan.server_name.as_ref().unwrap_or(&broker.host).clone();
            Some(Secure { config: Arc::new(config), name })
        }
        None => None,
    };
    let (host, path) = (broker.host.clone(), broker.path.clone());
    Ok(Target { host, port: broker.port, proxy, tls, path })
}

/// A longer text would be cut in the packet without a word.
fn short(what: &'static str, text: &str) -> Result<(), SettingsError> {
    if text.len() > TEXT_BYTES_MAX { Err(SettingsError::TooLong(what)) } else { Ok(()) }
}
