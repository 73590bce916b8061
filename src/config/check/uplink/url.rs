//! Where the brokers are: `mqtts://host:8883` or `wss://host/path`, one or several in their order.

use crate::config::check::link;
use crate::config::defaults::{
    BROKERS_MAX, MQTT_PORT, MQTTS_PORT, WEBSOCKET_PATH, WS_PORT, WSS_PORT,
};
use crate::config::plan::BrokerUrl;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::config::values::quoted;

/// Longest path of a WebSocket URL.
const PATH_BYTES_MAX: usize = 1024;

/// The key `url`; empty only after something was reported.
pub(super) fn brokers(section: &Section<'_>, out: &mut Findings) -> Vec<BrokerUrl> {
    section.missing("url", out);
    let Some(field) = section.get("url") else { return Vec::new() };
    let items = field.items();
    if items.is_empty() {
        out.error(&field.spot(), "is empty");
    }
    if items.len() > BROKERS_MAX {
        out.error(&field.key_spot(), format!("more than {BROKERS_MAX} brokers"));
    }
    items.iter().filter_map(|item| item.scalar(out, url)).collect()
}

/// The text is not quoted where it may hold a password.
fn url(text: &str) -> Result<BrokerUrl, Complaint> {
    let form = "write it as in mqtts://host:8883";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Complaint::new("the URL has no scheme").hint(form));
    };
    let (secure, websocket, default) = match scheme {
        "mqtt" => (false, false, MQTT_PORT),
        "mqtts" => (true, false, MQTTS_PORT),
        "ws" => (false, true, WS_PORT),
        "wss" => (true, true, WSS_PORT),
        "tcp" | "ssl" | "tls" => {
            let hint = if scheme == "tcp" { "write mqtt://" } else { "write mqtts://" };
            return Err(Complaint::new(format!("the scheme is {scheme}://")).hint(hint));
        }
        _ => {
            let complaint = Complaint::new(format!("the scheme {} is unknown", quoted(scheme)));
            return Err(complaint.hint("use mqtt, mqtts, ws or wss"));
        }
    };
    if rest.contains('@') {
        return Err(Complaint::new("the URL holds a user name or password")
            .hint("write username: … and password: { file: … }"));
    }
    let (place, path) = match rest.split_once('/') {
        Some((place, path)) => (place, Some(path)),
        None => (rest, None),
    };
    let path = match (websocket, path) {
        (false, None | Some("")) => None,
        (false, Some(_)) => {
            return Err(Complaint::new("an MQTT URL ends after the port").hint(form));
        }
        (true, None | Some("")) => Some(WEBSOCKET_PATH.to_owned()),
        (true, Some(path)) => Some(checked_path(path)?),
    };
    if place.contains(['?', '#']) {
        return Err(Complaint::new("an MQTT URL ends after the port").hint(form));
    }
    let (host, port) = link_port(place, default)?;
    Ok(BrokerUrl { host, port, secure, path })
}

fn checked_path(path: &str) -> Result<String, Complaint> {
    let plain = |c: char| c.is_ascii_graphic() && c != '#' && c != '"';
    if path.len() > PATH_BYTES_MAX || !path.chars().all(plain) {
        return Err("the path of the URL holds characters that must be written as %XX".into());
    }
    Ok(format!("/{path}"))
}

/// `host`, `host:port`, `[v6]:port`.
pub(super) fn link_port(place: &str, default: u16) -> Result<(String, u16), Complaint> {
    let (host, port) = match place.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    let port = match port {
        None => default,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("{} is no port", quoted(text)).into()),
        },
    };
    Ok((link::host(host)?, port))
}
