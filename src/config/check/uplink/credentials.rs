//! As whom an uplink connects: certificates, a password or a token, always in files.

use std::path::PathBuf;

use crate::config::check::files;
use crate::config::clouds::CLIENT_ID;
use crate::config::defaults::{ALPN_BYTES_MAX, ALPN_MAX, SAS_LIFETIME, SAS_LIFETIME_RANGE};
use crate::config::keys;
use crate::config::plan::{BrokerUrl, SasPlan, Secret, TlsPlan, Username};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values;

/// What TLS is set up with, if a broker is reached over it.
pub(super) fn tls(
    section: &Section<'_>,
    brokers: &[BrokerUrl],
    out: &mut Findings,
) -> Option<TlsPlan> {
    let plan = files::tls(section, out);
    if !brokers.is_empty() && brokers.iter().all(|broker| !broker.secure) {
        let keys = ["ca", "certificate", "key", "alpn", "server-name"];
        if let Some(key) = keys.into_iter().find(|key| section.has(key)) {
            let complaint = Complaint::new(format!("{key} has no use without TLS"));
            out.error(&section.spot_of(key), complaint.hint("write url: mqtts://…"));
        }
        return None;
    }
    Some(plan)
}

/// Longest user name and client id that are taken.
pub(super) const IDENTITY_BYTES_MAX: usize = 256;

/// As it is written; a service's own has places for the host and the client id.
pub(super) fn username(
    section: &Section<'_>,
    client_id: &str,
    out: &mut Findings,
) -> Option<Username> {
    let username = section.scalar("username", out, values::text(IDENTITY_BYTES_MAX))?;
    if section.is_own("username") {
        return Some(Username::Plain(username));
    }
    let username = username.replace(CLIENT_ID, client_id);
    Some(match username.split_once("{host}") {
        Some((before, behind)) => Username::OfHost(before.to_owned(), behind.to_owned()),
        None => Username::Plain(username),
    })
}

/// Protocols that are offered in the TLS handshake, the best first.
pub(super) fn alpn(section: &Section<'_>, out: &mut Findings) -> Vec<String> {
    let Some(field) = section.get("alpn") else { return Vec::new() };
    let items = field.items();
    if items.len() > ALPN_MAX {
        out.error(&field.key_spot(), format!("more than {ALPN_MAX} protocols"));
    }
    items.iter().filter_map(|item| item.scalar(out, values::text(ALPN_BYTES_MAX))).collect()
}

/// Only ever a file; what else stands there is not repeated in a message.
pub(super) fn password(
    section: &Section<'_>,
    brokers: &[BrokerUrl],
    out: &mut Findings,
) -> Option<Secret> {
    let field = section.get("password")?;
    if !section.has("username") {
        // [MQTT-3.1.2-22] of MQTT 3.1.1.
        out.error(&field.key_spot(), "a password needs a username");
    }
    let secret = secret(field, "a password", out);
    if secret.is_some() {
        unencrypted(field, "password", brokers, out);
    }
    secret
}

/// Says that what proves who we are can be read on the way.
fn unencrypted(field: &Field<'_>, what: &str, brokers: &[BrokerUrl], out: &mut Findings) {
    if brokers.iter().any(|broker| !broker.secure && !is_local(&broker.host)) {
        let message = format!("the {what} is sent to the broker unencrypted");
        out.warning(&field.key_spot(), Complaint::new(message).hint("use mqtts://"));
    }
}

/// `{ file: … }`.
pub(super) fn secret(field: &Field<'_>, what: &str, out: &mut Findings) -> Option<Secret> {
    if !field.is_mapping() {
        let complaint = Complaint::new(format!("{what} never stands in the configuration"));
        let key = field.path.rsplit('.').next().unwrap_or_default();
        out.error(&field.spot(), complaint.hint(format!("write {key}: {{ file: … }}")));
        return None;
    }
    let secret = field.section(&keys::PASSWORD, out);
    let file = secret.required("file", out, values::text(files::PATH_BYTES_MAX))?;
    Some(Secret { file: PathBuf::from(file) })
}

/// A token that is made of a key again and again, instead of a password.
pub(super) fn sas(
    section: &Section<'_>,
    brokers: &[BrokerUrl],
    out: &mut Findings,
) -> Option<SasPlan> {
    let field = section.get("sas")?;
    unencrypted(field, "token", brokers, out);
    if section.has("password") {
        out.error(&field.key_spot(), "sas stands in the place of password");
    }
    if !section.has("username") {
        out.error(&field.key_spot(), "a token needs a username");
    }
    let sas = field.section(&keys::SAS, out);
    sas.missing("key", out);
    let key = sas.get("key").and_then(|key| secret(key, "a key", out));
    let lifetime = sas.scalar("lifetime", out, values::duration(SAS_LIFETIME_RANGE));
    let resource = sas.scalar("resource", out, values::text(files::PATH_BYTES_MAX));
    let policy = sas.scalar("policy", out, values::text(files::PATH_BYTES_MAX));
    Some(SasPlan { key: key?, lifetime: lifetime.unwrap_or(SAS_LIFETIME), resource, policy })
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
