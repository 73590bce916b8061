//! Uplinks: which cloud broker, as whom, what is sent and how much at once. One file per concern.

mod credentials;
mod proxy;
mod receive;
mod topics;
mod url;
mod window;

use self::receive::Received;
use self::topics::Topics;
use super::link;
use crate::config::defaults::{KEEP_ALIVE, KEEP_ALIVE_RANGE};
use crate::config::keys;
use crate::config::plan::{Gateway, MqttVersion, Policy, UplinkPlan};
use crate::config::problem::Findings;
use crate::config::section::Field;
use crate::config::values;
use crate::model::Name;

/// Longest user name and client id that are taken.
const IDENTITY_BYTES_MAX: usize = 256;

/// `None` only after something was reported.
pub(super) fn check(
    name: Name,
    field: &Field<'_>,
    gateway: &Gateway,
    out: &mut Findings,
) -> Option<UplinkPlan> {
    let section = field.section(&keys::UPLINK, out);
    let brokers = url::brokers(&section, out);
    let tls = credentials::tls(&section, &brokers, out);
    let alpn = credentials::alpn(&section, out);
    let server_name = section.scalar("server-name", out, link::host);
    let proxy = proxy::proxy(&section, out);
    let username = section.scalar("username", out, values::text(IDENTITY_BYTES_MAX));
    let password = credentials::password(&section, &brokers, out);
    let sas = credentials::sas(&section, out);
    let words = [("3.1.1", MqttVersion::V311), ("5", MqttVersion::V5), ("5.0", MqttVersion::V5)];
    let mqtt = section.scalar("mqtt", out, values::word(&words));
    let client_id = section.scalar("client-id", out, values::text(IDENTITY_BYTES_MAX));
    let keep_alive = section.scalar("keep-alive", out, values::duration(KEEP_ALIVE_RANGE));
    let send = topics::send(&section, out);
    let topics = Topics::new(gateway, &name);
    let received = section.get("receive").map(|field| receive::check(field, &topics, out));
    let Received { commands, local } = received.unwrap_or_default();
    let prefix = topics::prefix(&section, &topics, out);
    let (backlog_topic, backlog) = topics::backlog(&section, &prefix, &topics, out);
    let words = [("required", Policy::Required), ("best-effort", Policy::BestEffort)];
    let policy = section.scalar("policy", out, values::word(&words));
    let notices_topic = topics::notices(&section, &prefix, &topics, out);
    let (window_messages, window_bytes, packet_bytes) = window::window(&section, out);
    if brokers.is_empty() {
        return None;
    }
    Some(UplinkPlan {
        brokers,
        tls,
        alpn,
        server_name,
        proxy,
        mqtt: mqtt.unwrap_or(MqttVersion::V311),
        client_id: client_id.unwrap_or_else(|| format!("{}-{name}", gateway.name)),
        username,
        password,
        sas,
        keep_alive: keep_alive.unwrap_or(KEEP_ALIVE),
        send,
        receive: commands,
        local,
        prefix,
        backlog_topic: backlog_topic?,
        backlog,
        notices_topic: notices_topic?,
        window_messages,
        window_bytes,
        packet_bytes,
        policy: policy.unwrap_or(Policy::Required),
        name,
    })
}
