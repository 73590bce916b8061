//! Uplinks: which cloud broker, as whom, what is sent and how much at once. One file per concern.

mod credentials;
mod payload;
mod receive;
pub(super) mod sparkplug;
mod topics;
mod url;
mod window;

use self::receive::Received;
use self::topics::Topics;
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
    let url = section.required("url", out, url::url);
    let tls = credentials::tls(&section, url.as_ref(), out);
    let username = section.scalar("username", out, values::text(IDENTITY_BYTES_MAX));
    let password = credentials::password(&section, url.as_ref(), out);
    let words = [("3.1.1", MqttVersion::V311), ("5", MqttVersion::V5), ("5.0", MqttVersion::V5)];
    let mqtt = section.scalar("mqtt", out, values::word(&words));
    let client_id = section.scalar("client-id", out, values::text(IDENTITY_BYTES_MAX));
    let keep_alive = section.scalar("keep-alive", out, values::duration(KEEP_ALIVE_RANGE));
    let send = topics::send(&section, out);
    let topics = Topics::new(gateway, &name);
    let received = section.get("receive").map(|field| receive::check(field, &topics, out));
    let Received { commands, local } = received.unwrap_or_default();
    let prefix = topics::prefix(&section, &topics, out);
    let payload = payload::check(&section, &prefix, &topics, out);
    let words = [("required", Policy::Required), ("best-effort", Policy::BestEffort)];
    let policy = section.scalar("policy", out, values::word(&words));
    let notices_topic = topics::notices(&section, &prefix, &topics, out);
    let (window_messages, window_bytes, packet_bytes) = window::window(&section, out);
    let sparkplug = sparkplug::check(&section, gateway, out);
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
        live: payload.live,
        live_topic: payload.live_topic,
        backlog: payload.backlog,
        backlog_topic: payload.backlog_topic?,
        backlog_deflate: payload.deflate,
        notices_topic: notices_topic?,
        window_messages,
        window_bytes,
        packet_bytes,
        policy: policy.unwrap_or(Policy::Required),
        sparkplug,
        name,
    })
}
