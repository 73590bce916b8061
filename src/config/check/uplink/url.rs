//! Where a broker is: `mqtt://host:1883` or `mqtts://host:8883`.

use crate::config::check::link;
use crate::config::defaults::{MQTT_PORT, MQTTS_PORT};
use crate::config::problem::Complaint;
use crate::config::values::quoted;

/// What a URL says.
pub(super) struct Url {
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

/// `mqtt://host:1883` or `mqtts://host:8883`. The text is not quoted where it may hold a password.
pub(super) fn url(text: &str) -> Result<Url, Complaint> {
    let form = "write it as in mqtts://host:8883";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Complaint::new("the URL has no scheme").hint(form));
    };
    let tls = match scheme {
        "mqtt" | "tcp" => false,
        "mqtts" | "ssl" | "tls" => true,
        "ws" | "wss" => return Err("MQTT over WebSocket comes in a later version".into()),
        _ => {
            let complaint = Complaint::new(format!("the scheme {} is unknown", quoted(scheme)));
            return Err(complaint.hint("use mqtt or mqtts"));
        }
    };
    if scheme != "mqtt" && scheme != "mqtts" {
        let hint = if tls { "write mqtts://" } else { "write mqtt://" };
        return Err(Complaint::new(format!("the scheme is {scheme}://")).hint(hint));
    }
    if rest.contains('@') {
        return Err(Complaint::new("the URL holds a user name or password")
            .hint("write username: … and password: { file: … }"));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(Complaint::new("an MQTT URL ends after the port").hint(form));
    }
    let (host, port) = match rest.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let default = if tls { MQTTS_PORT } else { MQTT_PORT };
    let port = match port {
        None => default,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("{} is no port", quoted(text)).into()),
        },
    };
    Ok(Url { host: link::host(host)?, port, tls })
}
