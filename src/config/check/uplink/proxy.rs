//! The HTTP proxy on the way to a broker: `http://host:3128`, with a password in a file.

use super::IDENTITY_BYTES_MAX;
use super::credentials::secret;
use super::url::link_port;
use crate::config::defaults::PROXY_PORT;
use crate::config::keys;
use crate::config::plan::ProxyPlan;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::config::values::{self, quoted};

pub(super) fn proxy(section: &Section<'_>, out: &mut Findings) -> Option<ProxyPlan> {
    let field = section.get("proxy")?;
    if !field.is_mapping() {
        let (host, port) = field.scalar(out, url)?;
        return Some(ProxyPlan { host, port, username: None, password: None });
    }
    let proxy = field.section(&keys::PROXY, out);
    let url = proxy.required("url", out, url);
    let username = proxy.scalar("username", out, values::text(IDENTITY_BYTES_MAX));
    let password = proxy.get("password").and_then(|field| secret(field, "a password", out));
    if proxy.has("password") && !proxy.has("username") {
        out.error(&proxy.spot_of("password"), "a password needs a username");
    }
    if username.as_ref().is_some_and(|name| name.contains(':')) {
        // RFC 7617: what is behind it would be taken for a part of the password.
        out.error(&proxy.spot_of("username"), "a proxy takes no user name with a ':'");
    }
    let (host, port) = url?;
    Some(ProxyPlan { host, port, username, password })
}

fn url(text: &str) -> Result<(String, u16), Complaint> {
    let form = "write it as in http://proxy:3128";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Complaint::new("the URL has no scheme").hint(form));
    };
    if scheme != "http" {
        let complaint = Complaint::new(format!("the scheme {} is unknown", quoted(scheme)));
        return Err(complaint.hint(form));
    }
    if rest.contains('@') {
        return Err(Complaint::new("the URL holds a user name or password")
            .hint("write proxy: { url: …, username: …, password: { file: … } }"));
    }
    link_port(rest.strip_suffix('/').unwrap_or(rest), PROXY_PORT)
}
