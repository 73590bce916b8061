//! The web page. It is on unless it is switched off; a gateway that keeps nothing has no place for
//! its accounts and therefore none.

use std::path::PathBuf;

use crate::config::access::Identity;
use crate::config::broker::ServerTlsPlan;
use crate::config::check::files::PATH_BYTES_MAX;
use crate::config::defaults::{
    HOST_BYTES_MAX, WEB_CONNECTIONS, WEB_CONNECTIONS_RANGE, WEB_HOSTS_MAX, WEB_LISTEN,
};
use crate::config::keys;
use crate::config::plan::StorePlan;
use crate::config::problem::{Complaint, Findings, TlsUser};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::config::web::{WebPlan, WebTls};

/// Words for no page; `off` is a truth value to some who write YAML.
const OFF: [&str; 2] = ["off", "false"];

/// `None` when there is to be no page.
pub(super) fn check(root: &Section<'_>, store: &StorePlan, out: &mut Findings) -> Option<WebPlan> {
    let written = root.get("web");
    if let Some(text) = written.and_then(Field::text) {
        let field = written?;
        if !OFF.contains(&text) {
            let complaint = Complaint::new(format!("{} is unknown", quoted(text)));
            out.error(&field.spot(), complaint.hint("write off, or web: { listen: … }"));
        }
        return None;
    }
    let section = root.section("web", &keys::WEB, out);
    if store.path.is_none() {
        if let Some(field) = written {
            let complaint = Complaint::new("the page keeps its accounts in the store's directory");
            let hint = "give the store a path, or write web: off";
            out.error(&field.key_spot(), complaint.hint(hint));
        }
        return None;
    }
    let listen = section.scalar("listen", out, values::socket_address);
    let listen = listen.or_else(|| WEB_LISTEN.parse().ok())?;
    let tls = tls(&section, out);
    if tls == WebTls::Off && !listen.ip().is_loopback() {
        let message = format!("passwords go to {listen} in clear text");
        let hint = "leave tls away, or listen on 127.0.0.1 behind a proxy that has TLS";
        out.warning(&section.spot_of("tls"), Complaint::new(message).hint(hint));
    }
    let connections = section.scalar("connections", out, values::integer(WEB_CONNECTIONS_RANGE));
    Some(WebPlan {
        listen,
        tls,
        hosts: hosts(&section, out),
        connections: connections.unwrap_or(WEB_CONNECTIONS),
    })
}

fn tls(section: &Section<'_>, out: &mut Findings) -> WebTls {
    let Some(field) = section.get("tls") else { return WebTls::Device };
    if field.text().is_some() {
        let words = [("device", WebTls::Device), ("off", WebTls::Off), ("false", WebTls::Off)];
        return field.scalar(out, values::word(&words)).unwrap_or(WebTls::Device);
    }
    let files = field.section(&keys::WEB_TLS, out);
    let path = |key: &str, out: &mut Findings| {
        files.required(key, out, values::text(PATH_BYTES_MAX)).map(PathBuf::from)
    };
    let (certificate, key) = (path("certificate", out), path("key", out));
    let Some((certificate, key)) = certificate.zip(key) else { return WebTls::Device };
    out.note_tls_files(
        TlsUser::Web,
        ["certificate", "key", "certificate"].map(|key| files.spot_of(key)),
    );
    let identity = Identity::CommonName;
    WebTls::Files(ServerTlsPlan { certificate, key, client_ca: None, identity })
}

fn hosts(section: &Section<'_>, out: &mut Findings) -> Vec<String> {
    let Some(field) = section.get("hosts") else { return Vec::new() };
    let items = field.items();
    if items.len() > WEB_HOSTS_MAX {
        out.error(&field.key_spot(), format!("more than {WEB_HOSTS_MAX} names"));
    }
    items.iter().filter_map(|item| item.scalar(out, host)).collect()
}

/// A name or an address as it stands in a URL, without port; small letters, as they are compared.
fn host(text: &str) -> Result<String, Complaint> {
    let host = values::text(HOST_BYTES_MAX)(text)?.to_ascii_lowercase();
    let wrong = || Complaint::new(format!("{} is no name of a host", quoted(text)));
    let hint = "write it as in gateway.plant.lan, without https:// and without the port";
    if host == "*" || host.starts_with("*.") {
        return Err(wrong().hint("write each name: a page of anybody's could have any other"));
    }
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !is_address && !host.chars().all(plain) {
        return Err(wrong().hint(hint));
    }
    Ok(host)
}
