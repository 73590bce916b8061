//! Uplinks: which cloud broker, as whom, what is sent and how much at once.

use std::path::PathBuf;

use super::receive::{self, Received};
use super::{files, link};
use crate::config::defaults::{
    FILTERS_MAX, KEEP_ALIVE, KEEP_ALIVE_RANGE, MQTT_PORT, MQTTS_PORT, PACKET_RANGE, SEND,
    TOPIC_BACKLOG, TOPIC_NOTICES, UPLINK_PACKET_BYTES, WINDOW_BYTES, WINDOW_BYTES_RANGE,
    WINDOW_MESSAGES, WINDOW_MESSAGES_RANGE,
};
use crate::config::keys;
use crate::config::plan::{
    BacklogPayload, Gateway, MqttVersion, Policy, Secret, TlsPlan, UplinkPlan,
};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::template::Template;
use crate::config::values::{self, quoted};
use crate::model::{Name, TopicFilter, TopicName};

const PLACEHOLDERS: [&str; 3] = ["site", "gateway", "uplink"];
const CLIENT_ID_BYTES_MAX: usize = 256;

/// What a URL says.
struct Url {
    host: String,
    port: u16,
    tls: bool,
}

/// `None` only after something was reported.
pub(super) fn check(
    name: Name,
    field: &Field<'_>,
    gateway: &Gateway,
    out: &mut Findings,
) -> Option<UplinkPlan> {
    let section = field.section(&keys::UPLINK, out);
    let url = section.required("url", out, url);
    let tls = tls(&section, url.as_ref(), out);
    let username = section.scalar("username", out, values::text(CLIENT_ID_BYTES_MAX));
    let password = password(&section, url.as_ref(), out);
    let words = [("3.1.1", MqttVersion::V311), ("5", MqttVersion::V5), ("5.0", MqttVersion::V5)];
    let mqtt = section.scalar("mqtt", out, values::word(&words));
    let client_id = section.scalar("client-id", out, values::text(CLIENT_ID_BYTES_MAX));
    let keep_alive = section.scalar("keep-alive", out, values::duration(KEEP_ALIVE_RANGE));
    let send = match section.get("send") {
        Some(field) => filters(field, out),
        None => values::filter(SEND).into_iter().collect(),
    };
    let topics = [
        ("site", gateway.site.as_ref().map(Name::as_str)),
        ("gateway", Some(gateway.name.as_str())),
        ("uplink", Some(name.as_str())),
    ];
    let render = |text: &str| Template::parse(text, &PLACEHOLDERS)?.render(&topics);
    let receive = section.get("receive").map(|field| receive::check(field, &render, out));
    let Received { commands, local } = receive.unwrap_or_default();
    let prefix = match section.scalar("prefix", out, |text| render(text.trim_end_matches('/'))) {
        Some(topic) => format!("{topic}/"),
        None => String::new(),
    };
    let backlog = section.section("backlog", &keys::BACKLOG, out);
    let topic = backlog.scalar("topic", out, render);
    let topic = topic.or_else(|| render(TOPIC_BACKLOG).ok());
    let backlog_topic = topic.and_then(|topic| TopicName::new(&format!("{prefix}{topic}")).ok());
    let words = [("columnar", BacklogPayload::Columnar), ("tag", BacklogPayload::Tag)];
    let payload = backlog.scalar("payload", out, values::word(&words));
    let words = [("required", Policy::Required), ("best-effort", Policy::BestEffort)];
    let policy = section.scalar("policy", out, values::word(&words));
    let notices_topic = notices_topic(&section, &prefix, &render, out);
    let (window_messages, window_bytes, packet_bytes) = window(&section, out);
    if backlog_topic.is_none() {
        out.error(&backlog.spot, "the backlog has no valid topic");
    }
    let url = url?;
    Some(UplinkPlan {
        host: url.host,
        port: url.port,
        tls,
        mqtt: mqtt.unwrap_or(MqttVersion::V311),
        client_id: client_id.unwrap_or_else(|| format!("{}-{name}", gateway.name)),
        username,
        password,
        keep_alive: keep_alive.unwrap_or(KEEP_ALIVE),
        send,
        receive: commands,
        local,
        prefix,
        backlog_topic: backlog_topic?,
        backlog: payload.unwrap_or(BacklogPayload::Columnar),
        notices_topic: notices_topic?,
        window_messages,
        window_bytes,
        packet_bytes,
        policy: policy.unwrap_or(Policy::Required),
        name,
    })
}

/// `mqtt://host:1883` or `mqtts://host:8883`. The text is not quoted where it may hold a password.
fn url(text: &str) -> Result<Url, Complaint> {
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

fn tls(section: &Section<'_>, url: Option<&Url>, out: &mut Findings) -> Option<TlsPlan> {
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
fn password(section: &Section<'_>, url: Option<&Url>, out: &mut Findings) -> Option<Secret> {
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

fn filters(field: &Field<'_>, out: &mut Findings) -> Vec<TopicFilter> {
    let items = field.items();
    if items.len() > FILTERS_MAX {
        out.error(&field.key_spot(), format!("more than {FILTERS_MAX} filters"));
    }
    items.iter().filter_map(|item| item.scalar(out, values::filter)).collect()
}

/// Where notices go, or `notices: off`. `None` only after something was reported.
fn notices_topic(
    section: &Section<'_>,
    prefix: &str,
    render: &impl Fn(&str) -> Result<TopicName, Complaint>,
    out: &mut Findings,
) -> Option<Option<TopicName>> {
    if section.get("notices").is_some_and(|field| field.text() == Some("off")) {
        return Some(None);
    }
    let notices = section.section("notices", &keys::NOTICES, out);
    let topic = match notices.scalar("topic", out, render) {
        Some(topic) => Some(topic),
        None => render(TOPIC_NOTICES).ok(),
    };
    let topic = topic.and_then(|topic| TopicName::new(&format!("{prefix}{topic}")).ok());
    if topic.is_none() {
        out.error(&notices.spot, "the notices have no valid topic");
    }
    topic.map(Some)
}

/// Messages and bytes in flight, and the largest packet, which must fit in.
fn window(section: &Section<'_>, out: &mut Findings) -> (u16, usize, usize) {
    let window = section.section("window", &keys::WINDOW, out);
    let messages = window.scalar("messages", out, values::integer(WINDOW_MESSAGES_RANGE));
    let bytes = window.scalar("bytes", out, values::size_in_memory(WINDOW_BYTES_RANGE));
    let packet = section.scalar("packet-max", out, values::size_in_memory(PACKET_RANGE));
    let bytes = bytes.unwrap_or(WINDOW_BYTES);
    let packet = packet.unwrap_or(UPLINK_PACKET_BYTES);
    if packet > bytes {
        let spot = if window.has("bytes") {
            window.spot_of("bytes")
        } else {
            section.spot_of("packet-max")
        };
        let message = format!(
            "a packet may have {packet} bytes (packet-max), but the window only {bytes} (window.bytes)"
        );
        out.error(&spot, message);
    }
    (messages.unwrap_or(WINDOW_MESSAGES), bytes, packet)
}
