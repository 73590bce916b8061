//! Uplinks: which cloud broker, as whom, what is sent and how much at once. One file per concern.

mod credentials;
mod home_assistant;
mod payload;
mod proxy;
mod receive;
mod remote;
mod service;
pub(super) mod sparkplug;
mod topics;
mod url;
mod window;

use std::sync::Arc;

use self::credentials::IDENTITY_BYTES_MAX;
use self::receive::Received;
use self::topics::Topics;
use super::link;
use crate::config::clouds;
use crate::config::defaults::{
    DEFAULT_RECONNECT_MAX, KEEP_ALIVE, KEEP_ALIVE_RANGE, RECONNECT_MAX_RANGE,
};
use crate::config::keys;
use crate::config::plan::{Gateway, MQTT_VERSIONS, MqttVersion, Policy, RatePlan, UplinkPlan};
use crate::config::problem::Findings;
use crate::config::section::Field;
use crate::config::values;
use crate::model::Name;

/// `None` only after something was reported.
pub(super) fn check(
    name: Name,
    field: &Field<'_>,
    gateway: &Gateway,
    out: &mut Findings,
) -> Option<UplinkPlan> {
    let section = field.section(&keys::UPLINK, out);
    let preset = section.scalar("preset", out, clouds::find);
    let section = match &preset {
        Some(preset) => section.filled_from(&preset.defaults(out)),
        None => section,
    };
    let limits = preset.as_ref().map(|preset| &preset.service.limits);
    let brokers = url::brokers(&section, out);
    let tls = credentials::tls(&section, &brokers, out);
    let alpn = credentials::alpn(&section, out);
    let server_name = section.scalar("server-name", out, link::host);
    let proxy = proxy::proxy(&section, out);
    let mqtt = section.scalar("mqtt", out, values::word(&MQTT_VERSIONS));
    let client_id = section.scalar("client-id", out, values::text(IDENTITY_BYTES_MAX));
    let client_id = client_id.unwrap_or_else(|| format!("{}-{name}", gateway.name));
    let username = credentials::username(&section, &client_id, out);
    let password = credentials::password(&section, &brokers, out);
    let sas = credentials::sas(&section, &brokers, out);
    let keep_alive = section.scalar("keep-alive", out, values::duration(KEEP_ALIVE_RANGE));
    let reconnect_max = section.scalar("reconnect-max", out, values::duration(RECONNECT_MAX_RANGE));
    let send = topics::send(&section, out);
    let topics = Topics::new(gateway, &name, &client_id);
    let received = section.get("receive").map(|field| receive::check(field, &topics, out));
    let Received { commands, local } = received.unwrap_or_default();
    let prefix = topics::prefix(&section, &topics, out);
    let payload = payload::check(&section, &prefix, &topics, out);
    let home_assistant = home_assistant::check(&section, &payload, &prefix, gateway, &topics, out);
    let words = [("required", Policy::Required), ("best-effort", Policy::BestEffort)];
    let policy = section.scalar("policy", out, values::word(&words));
    let remote = match section.get("remote") {
        Some(field) => Some(remote::check(field, &topics, &prefix, out)?),
        None => None,
    };
    let notices_topic = topics::notices(&section, &prefix, &topics, out);
    let (window_messages, window_bytes, packet_bytes) = window::window(&section, limits, out);
    let sparkplug = sparkplug::check(&section, gateway, out);
    let rate = clouds::rate(&section, out);
    let most = limits.map(|limits| limits.rate).unwrap_or_default();
    let rate =
        RatePlan { messages: rate.messages.or(most.messages), bytes: rate.bytes.or(most.bytes) };
    let retain = section.scalar("retain", out, values::boolean);
    if brokers.is_empty() {
        return None;
    }
    let plan = UplinkPlan {
        brokers,
        tls,
        alpn,
        server_name,
        proxy,
        mqtt: mqtt.unwrap_or(MqttVersion::V311),
        client_id,
        username,
        password,
        sas,
        keep_alive: keep_alive.unwrap_or(KEEP_ALIVE),
        reconnect_max: reconnect_max.unwrap_or(DEFAULT_RECONNECT_MAX),
        send,
        receive: commands,
        local,
        prefix,
        live: payload.live,
        live_topic: payload.live_topic,
        backlog: payload.backlog,
        backlog_topic: payload.backlog_topic?,
        backlog_deflate: payload.deflate,
        thingsboard_devices: Vec::new(),
        home_assistant,
        notices_topic: notices_topic?,
        window_messages,
        window_bytes,
        rate,
        packet_bytes,
        retain: retain.unwrap_or(true),
        service: preset.as_ref().map(|preset| Arc::new(preset.service.clone())),
        policy: policy.unwrap_or(Policy::Required),
        remote,
        sparkplug,
        name,
    };
    if let Some(service) = &plan.service {
        service::check(service, &section, &plan, out);
    }
    Some(plan)
}
