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
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
    date_time_ymd,
};

use super::names;
use crate::config::file::{self, SaveError};
use crate::config::{Identity, ServerTlsPlan};
use crate::model::{Blame, Retry, Wall};
use crate::tls;

const DIRECTORY: &str = "web";
const AUTHORITY: &str = "authority.pem";
const PAGE: &str = "page.pem";
const OWN: &str = "own.pem";
const TRIAL: &str = "own.pem.trial";
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
    #[error("{0}")]
    Own(String),
}

impl CertificateError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Io { .. } | Self::Save(_) => Blame::Disk,
            Self::Make(_) => Blame::Us,
            Self::Own(_) => Blame::Config,
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
        let tag: String =
            key.public_key_raw().iter().rev().take(3).map(|b| format!("{b:02x}")).collect();
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

/// Keeps somebody's own certificate with its key, if they belong together; where, and until when it
/// is valid.
pub fn keep_own(
    state_dir: &Path,
    certificate: &str,
    key: &str,
) -> Result<(PathBuf, Option<Wall>), CertificateError> {
    let directory = state_dir.join(DIRECTORY);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.map_err(|source| CertificateError::Io { path: directory.clone(), source })?;
    let (path, trial) = (directory.join(OWN), directory.join(TRIAL));
    file::replace(&trial, &format!("{}\n{}\n", key.trim(), certificate.trim()))?;
    let of = |file: &Path| ServerTlsPlan {
        certificate: file.to_owned(),
        key: file.to_owned(),
        client_ca: None,
        identity: Identity::CommonName,
    };
    let looked_at = tls::inspect(&of(&trial));
    let valid_until = looked_at.map_err(|wrong| {
        let _ = fs::remove_file(&trial); // It is overwritten by the next one.
        let words: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        CertificateError::Own(words.join("; "))
    })?;
    let moved = fs::rename(&trial, &path);
    moved.map_err(|source| CertificateError::Io { path: path.clone(), source })?;
    Ok((path, valid_until))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    use super::*;
    use crate::web::access::secret::Digest;

    /// 2026-11-27.
    const NOW: Wall = Wall(1_795_737_600_000);
    const DAY_MS: i64 = 86_400_000;

    fn subject() -> Subject {
        Subject {
            names: ["press-3", "press-3.local", "localhost", "gw.plant.lan"]
                .map(str::to_owned)
                .into(),
            addresses: ["10.0.0.7", "127.0.0.1", "::1", "2001:db8::7"]
                .map(|a| a.parse().unwrap())
                .into(),
        }
    }

    fn text(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(DIRECTORY).join(name)).unwrap()
    }

    /// A clock of a client that stands still.
    #[derive(Debug)]
    struct At(Wall);

    impl rustls::time_provider::TimeProvider for At {
        fn current_time(&self) -> Option<UnixTime> {
            let since = Duration::from_millis(u64::try_from(self.0.0).ok()?);
            Some(UnixTime::since_unix_epoch(since))
        }
    }

    /// Whether a client that installed the authority believes that this is `name`, at that time.
    fn believes(
        dir: &Path,
        plan: &ServerTlsPlan,
        name: &str,
        at: Wall,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        let pem = authority(dir).unwrap();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(At(at)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let config = tls::server_config(&plan.certificate, &plan.key, None).unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        while client.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut &bytes[..]).unwrap();
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut &bytes[..]).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn whoever_installed_the_authority_believes_every_name_and_address() {
        let dir = tempfile::tempdir().unwrap();
        let (plan, made) = ensure(dir.path(), &subject(), NOW).unwrap();
        assert!(made);
        for name in ["press-3", "press-3.local", "localhost", "gw.plant.lan", "10.0.0.7", "::1"] {
            assert_eq!(believes(dir.path(), &plan, name, NOW), Ok(()), "{name}");
        }
        assert!(believes(dir.path(), &plan, "press-4.local", NOW).is_err());
        assert!(believes(dir.path(), &plan, "10.0.0.8", NOW).is_err());
        for file in [AUTHORITY, PAGE] {
            let path = dir.path().join(DIRECTORY).join(file);
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        assert!(!authority(dir.path()).unwrap().contains("PRIVATE"));
    }

    #[test]
    fn openssl_finds_nothing_to_object_to() {
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &subject(), NOW).unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            io::Write::write_all(&mut fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
            path
        };
        let authority = put("ca.pem", &authority(dir.path()).unwrap());
        let page = put("leaf.pem", certificates(&text(dir.path(), PAGE)).first().unwrap());
        let at = (NOW.0 / 1_000).to_string();
        for what in [["-verify_hostname", "gw.plant.lan"], ["-verify_ip", "10.0.0.7"]] {
            let mut verify = Command::new("openssl");
            verify.args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &at]);
            let done = verify.args(what).arg("-CAfile").args([&authority, &page]).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }

    #[test]
    fn the_authority_certifies_this_device_alone() {
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &subject(), NOW).unwrap();
        let stolen =
            Authority::read(&dir.path().join(DIRECTORY).join(AUTHORITY), &subject()).unwrap();
        let other = Subject { names: vec!["bank.example".to_owned()], addresses: Vec::new() };
        let path = dir.path().join("bank.pem");
        file::replace(&path, &stolen.certify(&other, NOW).unwrap()).unwrap();
        let plan = ServerTlsPlan {
            certificate: path.clone(),
            key: path,
            client_ca: None,
            identity: Identity::CommonName,
        };
        let error = believes(dir.path(), &plan, "bank.example", NOW).unwrap_err();
        assert!(format!("{error:?}").contains("NameConstraint"), "{error:?}");
    }

    #[test]
    fn it_is_made_anew_for_new_addresses_and_before_its_end_and_the_authority_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (plan, _) = ensure(dir.path(), &subject(), NOW).unwrap();
        let first = (text(dir.path(), AUTHORITY), text(dir.path(), PAGE));
        assert!(!ensure(dir.path(), &subject(), Wall(NOW.0 + DAY_MS)).unwrap().1);
        assert_eq!(first, (text(dir.path(), AUTHORITY), text(dir.path(), PAGE)), "nothing to do");

        let mut moved = subject();
        moved.addresses[0] = "10.0.0.8".parse().unwrap();
        assert!(ensure(dir.path(), &moved, NOW).unwrap().1);
        assert_eq!(believes(dir.path(), &plan, "10.0.0.8", NOW), Ok(()));

        let mut at = NOW;
        for _ in 0..2_000 {
            at = Wall(at.0 + DAY_MS);
            ensure(dir.path(), &moved, at).unwrap();
            assert_eq!(believes(dir.path(), &plan, "press-3.local", at), Ok(()), "{at:?}");
        }
        assert_eq!(first.0, text(dir.path(), AUTHORITY));
        let shown = tls::look(&plan.certificate).unwrap();
        assert!(shown.valid_until.0 - shown.valid_from.0 <= 397 * DAY_MS);
    }

    #[test]
    fn a_clock_that_was_never_set_makes_one_that_holds_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        for at in [Wall(0), Wall(5_000), BEGINNING_WALL] {
            let (plan, _) = ensure(dir.path(), &subject(), at).unwrap();
            let shown = tls::look(&plan.certificate).unwrap();
            assert_eq!(shown.valid_from, BEGINNING_WALL);
        }
        let (plan, made) = ensure(dir.path(), &subject(), NOW).unwrap();
        assert!(made, "now the time is known");
        assert_eq!(believes(dir.path(), &plan, "localhost", NOW), Ok(()));
        assert!(!ensure(dir.path(), &subject(), Wall(0)).unwrap().1, "after a restart it is not");
        let back = Wall(NOW.0 - 40 * DAY_MS);
        assert!(ensure(dir.path(), &subject(), back).unwrap().1, "the clock was wrong before");
        assert_eq!(believes(dir.path(), &plan, "localhost", back), Ok(()));
    }

    #[test]
    fn a_new_name_makes_a_new_authority_and_damage_is_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let digest = |name| Digest::of(&text(dir.path(), name));
        ensure(dir.path(), &subject(), NOW).unwrap();
        let before = digest(AUTHORITY);
        let mut renamed = subject();
        renamed.names.push("other.plant.lan".to_owned());
        let (plan, _) = ensure(dir.path(), &renamed, NOW).unwrap();
        assert!(before != digest(AUTHORITY));
        assert_eq!(believes(dir.path(), &plan, "other.plant.lan", NOW), Ok(()));
        for name in [PAGE, AUTHORITY] {
            file::replace(&dir.path().join(DIRECTORY).join(name), "-----BEGIN CERTIFICATE-----\nx")
                .unwrap();
            assert!(ensure(dir.path(), &renamed, NOW).unwrap().1, "{name}");
            assert_eq!(believes(dir.path(), &plan, "localhost", NOW), Ok(()), "{name}");
        }
    }

    #[test]
    fn ones_own_certificate_is_kept_only_with_its_key() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        ensure(own.path(), &subject(), NOW).unwrap();
        ensure(other.path(), &subject(), NOW).unwrap();
        let page = text(own.path(), PAGE);
        let key = |page: &str| page.split("-----BEGIN CERT").next().unwrap().to_owned();
        let (mine, others) = (key(&page), key(&text(other.path(), PAGE)));
        let certificate = certificates(&page).remove(0);
        let dir = tempfile::tempdir().unwrap();
        let (path, until) = keep_own(dir.path(), &certificate, &mine).unwrap();
        assert!(until.is_some() && tls::server_config(&path, &path, None).is_ok());
        let kept = fs::read_to_string(&path).unwrap();
        for (certificate, key) in
            [(certificate.as_str(), others.as_str()), ("", &mine), (&certificate, ""), ("x", "y")]
        {
            let error = keep_own(dir.path(), certificate, key).unwrap_err();
            assert_eq!(error.blame(), Blame::Config, "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), kept, "the good one stays");
        assert_eq!(fs::read_dir(dir.path().join(DIRECTORY)).unwrap().count(), 1);
    }
}
