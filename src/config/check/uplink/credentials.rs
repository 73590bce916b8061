//! As whom an uplink connects: certificates and a password, always in files.

use std::path::PathBuf;

use super::url::Url;
use crate::config::check::files;
use crate::config::keys;
use crate::config::plan::{Secret, TlsPlan};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::config::values;

pub(super) fn tls(section: &Section<'_>, url: Option<&Url>, out: &mut Findings) -> Option<TlsPlan> {
    let plan = files::tls(section, out);
    if url.is_some_and(|url| !url.tls) {
        if let Some(key) = ["ca", "certificate", "key"].into_iter().find(|key| section.has(key)) {
            let complaint = Complaint::new(format!("{key} has no use without TLS"));
            out.error(&section.spot_of(key), complaint.hint("write url: mqtts://…"));
        }
        return None;
    }
    Some(plan)
}

/// Only ever a file; what else stands there is not repeated in a message.
pub(super) fn password(
    section: &Section<'_>,
    url: Option<&Url>,
    out: &mut Findings,
) -> Option<Secret> {
    let field = section.get("password")?;
    if !section.has("username") {
        // [MQTT-3.1.2-22] of MQTT 3.1.1.
        out.error(&field.key_spot(), "a password needs a username");
    }
    if !field.is_mapping() {
        let complaint = Complaint::new("a password never stands in the configuration");
        out.error(&field.spot(), complaint.hint("write password: { file: … }"));
        return None;
    }
    if let Some(url) = url
        && !url.tls
        && !is_local(&url.host)
    {
        let message = "the password is sent to the broker unencrypted";
        out.warning(&field.key_spot(), Complaint::new(message).hint("use mqtts://"));
    }
    let secret = field.section(&keys::PASSWORD, out);
    let file = secret.required("file", out, values::text(files::PATH_BYTES_MAX))?;
    Some(Secret { file: PathBuf::from(file) })
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}
