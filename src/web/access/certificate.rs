//! The certificate of the page: an authority of this device, made once, and of it a certificate for
//! every name and address that the device has, made anew before it ends and when those change.
//!
//! `web/authority.pem` and `web/page.pem` in the state directory hold a key and what it is certified by;
//! each is written in one step and is for its owner alone. The authority can certify names of this
//! device only: whoever steals it can't pose as anybody else to those who installed it.
//!
//! Clocks: a device without a battery begins in the past, and one that was never told the time makes
//! no sense of "in a year". So validity begins well before now, and a certificate whose time does
//! not fit the clock any more is made anew, which needs nobody. Reads and writes files: not for an
//! async task.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

use super::names;
use crate::config::file::{self, SaveError};
use crate::config::{Identity, ServerTlsPlan};
use crate::model::{Blame, Retry, Wall};
use crate::tls;

const DIRECTORY: &str = "web";
const AUTHORITY: &str = "authority.pem";
const PAGE: &str = "page.pem";
/// Any device that runs this was made later.
const BEGINNING: (i32, u8, u8) = (2025, 1, 1);
const BEGINNING_WALL: Wall = Wall(1_735_689_600_000);
const AUTHORITY_YEARS: i32 = 20;
/// What browsers take at most is 397 days for public ones, from the first day to the last.
const VALID_BEFORE: Duration = Duration::from_secs(30 * 86_400);
const VALID_AFTER: Duration = Duration::from_secs(366 * 86_400);
/// Made anew when less is left.
const RENEW: Duration = Duration::from_secs(60 * 86_400);
/// Names that every device has.
const EVERYWHERE: [&str; 2] = ["localhost", "local"];

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("can't use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error("a certificate can't be made: {0}")]
    Make(#[from] rcgen::Error),
}

impl CertificateError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Io { .. } | Self::Save(_) => Blame::Disk,
            Self::Make(_) => Blame::Us,
        }
    }

    pub fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Small letters, the machine's own first if it has one.
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

impl Subject {
    /// This machine, and what else it may be called.
    pub fn of_this_machine(hosts: &[String]) -> Self {
        let own = names::host_name();
        let local = own.iter().map(|name| format!("{name}.local"));
        let mut all: Vec<String> = own.iter().cloned().chain(local).collect();
        all.push("localhost".to_owned());
        let mut addresses = names::addresses();
        for host in hosts {
            match host.parse::<IpAddr>() {
                Ok(address) => addresses.push(address),
                Err(_) if !all.contains(host) => all.push(host.clone()),
                Err(_) => {}
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        Self { names: all, addresses }
    }

    fn title(&self) -> &str {
        self.names.first().map_or("gateway", String::as_str)
    }

    fn alternatives(&self) -> Vec<SanType> {
        let names = self.names.iter().filter_map(|name| name.clone().try_into().ok());
        let addresses = self.addresses.iter().copied().map(SanType::IpAddress);
        names.map(SanType::DnsName).chain(addresses).collect()
    }
}

/// The files to show, made or made anew if need be; and whether they were.
pub fn ensure(
    state_dir: &Path,
    subject: &Subject,
    now: Wall,
) -> Result<(ServerTlsPlan, bool), CertificateError> {
    let directory = state_dir.join(DIRECTORY);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.map_err(|source| CertificateError::Io { path: directory.clone(), source })?;
    let (authority, new_authority) = Authority::ensure(&directory.join(AUTHORITY), subject)?;
    let path = directory.join(PAGE);
    let fits = !new_authority && fits(&path, subject, &authority, now);
    if !fits {
        file::replace(&path, &authority.certify(subject, now)?)?;
    }
    let plan = ServerTlsPlan {
        certificate: path.clone(),
        key: path,
        client_ca: None,
        identity: Identity::CommonName,
    };
    Ok((plan, !fits))
}

/// The certificate of the authority, for browsers to install; no key.
pub fn authority(state_dir: &Path) -> Option<String> {
    let text = fs::read_to_string(state_dir.join(DIRECTORY).join(AUTHORITY)).ok()?;
    certificates(&text).into_iter().next()
}

/// The certificates of a PEM file, one by one, without its keys.
fn certificates(text: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let parts = text.split(BEGIN).skip(1).filter_map(|part| part.split_once(END));
    parts.map(|(inside, _)| format!("{BEGIN}{inside}{END}\n")).collect()
}

fn fits(path: &Path, subject: &Subject, authority: &Authority, now: Wall) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let by_this = certificates(&text).last() == Some(&authority.pem);
    let Some(shown) = tls::look(path) else { return false };
    let renew = i64::try_from(RENEW.as_millis()).unwrap_or(i64::MAX);
    // With a clock that was never set, nothing can be said of an end.
    let left = shown.valid_until.0.saturating_sub(now.0) > renew;
    let in_time = !now.is_plausible() || (shown.valid_from.0 <= now.0 && left);
    by_this && in_time && shown.names == subject.names && {
        let mut addresses = shown.addresses;
        addresses.sort_unstable();
        addresses == subject.addresses
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The one that is there, or a new one if it may not certify all of these names.
    fn ensure(path: &Path, subject: &Subject) -> Result<(Self, bool), CertificateError> {
        if let Some(found) = Self::read(path, subject) {
            return Ok((found, false));
        }
        if path.exists() {
            tracing::warn!(
                file = %path.display(), names = subject.names.join(" "),
                "the device has names that its authority may not certify, or that can't be read: \
                 it has a new one, which browsers have to install again"
            );
        }
        let key = KeyPair::generate()?;
        let tag: String = key.public_key_raw().iter().rev().take(3).map(|b| format!("{b:02x}")).collect();
        let params = Self::params(&format!("Fieldhold {} {tag}", subject.title()), subject);
        let pem = params.self_signed(&key)?.pem();
        file::replace(path, &format!("{}{pem}", key.serialize_pem()))?;
        Ok((Self { pem, issuer: Issuer::new(params, key) }, true))
    }

    fn read(path: &Path, subject: &Subject) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let pem = certificates(&text).into_iter().next()?;
        let key = KeyPair::from_pem(&text).ok()?;
        let found = tls::look(path)?;
        let may = |name: &String| {
            let below = |root: &String| name == root || name.ends_with(&format!(".{root}"));
            found.permitted_names.iter().any(below)
        };
        let name = found.common_name.filter(|_| subject.names.iter().all(may))?;
        Some(Self { pem, issuer: Issuer::new(Self::params(&name, subject), key) })
    }

    fn params(name: &str, subject: &Subject) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = called(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (year, month, day) = BEGINNING;
        params.not_before = date_time_ymd(year, month, day);
        params.not_after = date_time_ymd(year + AUTHORITY_YEARS, month, day);
        let everywhere = EVERYWHERE.iter().map(|name| (*name).to_owned());
        let mut roots: Vec<String> = everywhere.collect();
        for name in &subject.names {
            if !roots.iter().any(|root| name == root || name.ends_with(&format!(".{root}"))) {
                roots.push(name.clone());
            }
        }
        let permitted_subtrees = roots.into_iter().map(GeneralSubtree::DnsName).collect();
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        params
    }

    /// A new key and its certificate, with that of the authority behind it.
    fn certify(&self, subject: &Subject, now: Wall) -> Result<String, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = called(subject.title());
        params.subject_alt_names = subject.alternatives();
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = Duration::from_millis(u64::try_from(now.max(BEGINNING_WALL).0).unwrap_or(0));
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + now.saturating_sub(VALID_BEFORE);
        params.not_after = epoch + now.saturating_add(VALID_AFTER);
        let (year, month, day) = BEGINNING;
        params.not_before = params.not_before.max(date_time_ymd(year, month, day));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(format!("{}{certificate}{}", key.serialize_pem(), self.pem))
    }
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}
