//! What a cloud service takes, held against what an uplink would do.
//!
//! Each limit that is broken is said where that is written, with the service's figure. What the user
//! did not write breaks none: it follows from the service's own limits. Topics of tags are known only
//! when the whole file is read; `across` asks [`Service::refuses_topic`] for them.

use crate::config::clouds::{Login, Service, ServiceLimits};
use crate::config::home_assistant::HomeAssistantPlan;
use crate::config::plan::UplinkPlan;
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::remote::RemotePlan;
use crate::config::section::{Field, Section};
use crate::config::values::{show_duration, show_size};
use crate::model::{Form, Holds, TopicName};

/// The system property of Azure IoT Hub that names the payload's media type.
const SAYS_JSON: &str = "$.ct=application%2Fjson";

pub(super) fn check(
    service: &Service,
    section: &Section<'_>,
    plan: &UplinkPlan,
    out: &mut Findings,
) {
    let limits = &service.limits;
    let title = &service.title;
    connection(service, section, plan, out);
    login(service, section, plan, out);
    let mut most =
        |key: &str, written: u64, limit: Option<u64>, what: &str, show: fn(u64) -> String| {
            if let Some(limit) = limit.filter(|limit| written > *limit) {
                let message = format!("{title} takes {what} of at most {}", show(limit));
                let hint = format!("write at most {}", show(limit));
                out.error(&inner(section, key), Complaint::new(message).hint(hint));
            }
        };
    let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    let count = |n: u64| n.to_string();
    most(
        "client-id",
        wide(plan.client_id.len()),
        limits.client_id_bytes.map(wide),
        "client ids",
        bytes,
    );
    most(
        "packet-max",
        wide(plan.packet_bytes),
        limits.packet_bytes.map(wide),
        "packets",
        show_size,
    );
    most(
        "window.messages",
        plan.window_messages.into(),
        limits.window_messages.map(u64::from),
        "unacknowledged messages",
        count,
    );
    most(
        "window.bytes",
        wide(plan.window_bytes),
        limits.window_bytes.map(wide),
        "unacknowledged bytes",
        show_size,
    );
    let rate = |written: Option<u64>| written.unwrap_or(0);
    most(
        "rate.messages",
        rate(plan.rate.messages.map(u64::from)),
        limits.rate.messages.map(u64::from),
        "a rate of messages",
        |n| format!("{n}/s"),
    );
    most("rate.bytes", rate(plan.rate.bytes), limits.rate.bytes, "a rate of bytes", |n| {
        format!("{}/s", show_size(n))
    });
    let configured = plan.remote.iter().flat_map(RemotePlan::subscribed).count();
    let described = plan.home_assistant.iter().flat_map(HomeAssistantPlan::subscribed).count();
    let all = plan.receive.len() + plan.local.len() + configured + described;
    let what = "a number of subscriptions";
    most("receive", wide(all), limits.subscriptions.map(wide), what, count);
    wishes(service, section, plan, out);
    topics(service, section, plan, out);
}

fn bytes(n: u64) -> String {
    format!("{n} bytes")
}

/// `window.bytes`: the key in a section below this one.
fn inner(section: &Section<'_>, key: &str) -> Spot {
    let (outer, _) = key.split_once('.').unwrap_or((key, ""));
    section.spot_of(outer)
}

fn connection(service: &Service, section: &Section<'_>, plan: &UplinkPlan, out: &mut Findings) {
    let ServiceLimits { needs_tls, ports, no_websocket, keep_alive, .. } = &service.limits;
    let title = &service.title;
    let list: Vec<String> = ports.iter().map(u16::to_string).collect();
    let list = list.join(" or ");
    let open = plan.brokers.iter().any(|broker| !broker.secure);
    let is_web = plan.brokers.iter().any(|broker| broker.path.is_some());
    let other = plan.brokers.iter().find(|broker| !ports.contains(&broker.port));
    if *needs_tls && open {
        let message = format!("{title} takes connections over TLS only");
        out.error(&section.spot_of("url"), Complaint::new(message).hint("write mqtts://"));
    } else if let Some(why) = no_websocket.as_ref().filter(|_| is_web) {
        let message = format!("{title} can't be reached over WebSocket from here: {why}");
        let hint = format!("write mqtts:// with port {list}");
        out.error(&section.spot_of("url"), Complaint::new(message).hint(hint));
    } else if let Some(other) = other {
        let message = format!("{title} listens on port {list}, not on {}", other.port);
        out.warning(&section.spot_of("url"), message);
    }
    let versions = &service.limits.versions;
    if !versions.is_empty() && !versions.contains(&plan.mqtt) {
        let known: Vec<&str> = versions.iter().map(|version| version.as_str()).collect();
        let message = format!("{title} doesn't speak MQTT {}", plan.mqtt.as_str());
        let hint = format!("write mqtt: {}", known.join(" or "));
        out.error(&section.spot_of("mqtt"), Complaint::new(message).hint(hint));
    }
    if let Some(range) = keep_alive.as_ref().filter(|range| !range.contains(&plan.keep_alive)) {
        let [least, most] = [range.start(), range.end()].map(|bound| show_duration(*bound));
        let message = format!("{title} takes a keep-alive of {least} to {most}");
        out.error(&section.spot_of("keep-alive"), message);
    }
}

/// A client that the service does not know is refused at every connection.
fn login(service: &Service, section: &Section<'_>, plan: &UplinkPlan, out: &mut Findings) {
    let has_certificate = plan.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    let accepted = |login: &Login| match login {
        Login::None => true,
        Login::Password => plan.username.is_some() && plan.password.is_some(),
        Login::Token => plan.username.is_some(),
        Login::Sas => plan.sas.is_some(),
        Login::Certificate => has_certificate,
    };
    if service.limits.login.iter().any(accepted) {
        return;
    }
    let ways: Vec<&str> = service.limits.login.iter().map(|login| way(*login)).collect();
    let message = format!("{} knows nobody without credentials", service.title);
    out.error(&section.spot, Complaint::new(message).hint(format!("write {}", ways.join(", or "))));
}

fn way(login: Login) -> &'static str {
    match login {
        Login::None => "nothing",
        Login::Password => "username: … and password: { file: … }",
        Login::Token => "username: with the access token",
        Login::Sas => "sas: { key: { file: … } }",
        Login::Certificate => "certificate: … and key: …",
    }
}

/// What may be asked of the service, and is granted less.
fn wishes(service: &Service, section: &Section<'_>, plan: &UplinkPlan, out: &mut Findings) {
    let limits = &service.limits;
    if let Some(local) = plan.local.iter().find(|local| local.qos > limits.qos) {
        let message = format!(
            "{} has no QoS {}, which is asked for with {}",
            service.title,
            local.qos.level(),
            local.filter
        );
        let hint = format!("write qos: {}", limits.qos.level());
        out.error(&section.spot_of("receive"), Complaint::new(message).hint(hint));
    }
    if plan.retain && !limits.retain {
        let message = format!("{} retains no messages", service.title);
        out.warning(
            &section.spot_of("retain"),
            Complaint::new(message).hint("write retain: false"),
        );
    }
}

fn topics(service: &Service, section: &Section<'_>, plan: &UplinkPlan, out: &mut Findings) {
    let mut look = |key: &str, topic: &TopicName| {
        if let Some(why) = service.refuses_topic(topic.as_str(), &plan.client_id) {
            let message = format!("the topic {topic} is not for {}: it {why}", service.title);
            out.error(&section.spot_of(key), message);
        }
    };
    look("backlog", &plan.backlog_topic);
    if let Some(topic) = &plan.notices_topic {
        look("notices", topic);
    }
    // What a service is told of a message by its topic.
    let message =
        || format!("the topic tells {} that the payload is JSON, and it is not", service.title);
    let is_json = |form: &Form| form.content_type() == "application/json";
    let is_backlog_json = is_json(&plan.backlog) && !plan.backlog_deflate;
    let many = plan.backlog.holds() == Holds::Many;
    if many && !is_backlog_json && plan.backlog_topic.as_str().contains(SAYS_JSON) {
        let hint = "write backlog.topic without $.ct and $.ce";
        out.warning(&section.spot_of("backlog"), Complaint::new(message()).hint(hint));
    }
    let topic = section.get("topic").and_then(Field::text);
    if topic.is_some_and(|topic| topic.contains(SAYS_JSON))
        && !(is_json(&plan.live) && (many || is_backlog_json))
    {
        let hint = "write topic without $.ct and $.ce";
        out.warning(&section.spot_of("payload"), Complaint::new(message()).hint(hint));
    }
}
