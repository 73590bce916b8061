//! Cloud services: what each takes, and how an uplink to it is set up unless the user says otherwise.
//!
//! The files of `configs/clouds` are part of the program. Their `uplink` section is written with the
//! keys of any uplink and lies under the user's own; their `limits` are what `check` holds against the
//! result. Knows no uplink: which limit is compared with what stands in `check/uplink`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::defaults::{
    KEEP_ALIVE_RANGE, PACKET_RANGE, RATE_BYTES_RANGE, RATE_MESSAGES_RANGE, WINDOW_BYTES_RANGE,
    WINDOW_MESSAGES_RANGE,
};
use super::keys;
use super::plan::{BrokerUrl, MQTT_VERSIONS, MqttVersion, RatePlan};
use super::problem::{Complaint, Findings, Origin};
use super::raw::{self, Node};
use super::section::{Field, Section};
use super::values::{self, quoted};
use crate::model::{Qos, TopicFilter};

macro_rules! services {
    ($($name:literal)*) => {
        /// Name and text of each.
        static SHIPPED: &[(&str, &str)] = &[$((
            $name,
            include_str!(concat!("../../configs/clouds/", $name, ".yaml")),
        )),*];
    };
}

services! {
    "aws-iot-core"
    "azure-event-grid"
    "azure-iot-hub"
    "emqx"
    "emqx-cloud"
    "hivemq-cloud"
    "home-assistant"
    "mosquitto"
    "thingsboard"
}

/// What stands for an uplink's client id in the topics and the user's name of a service.
pub const CLIENT_ID: &str = "{client-id}";
const TEXT_BYTES_MAX: usize = 1_024;

/// A service that messages can be sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: &'static str,
    pub title: String,
    pub about: String,
    /// Where its limits are published, and when that was read.
    pub source: Vec<String>,
    pub notes: Option<String>,
    pub limits: ServiceLimits,
}

/// What a service takes. `None` and empty lists: it says nothing about it, or has no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceLimits {
    pub needs_tls: bool,
    /// Of MQTT; empty for both.
    pub versions: Vec<MqttVersion>,
    pub ports: Vec<u16>,
    /// The port on which MQTT is one of several protocols, and what it is called in the handshake.
    pub alpn: Option<(u16, String)>,
    /// Why nobody with a [`Login`] known here is taken over WebSocket, where that is so.
    pub no_websocket: Option<String>,
    pub login: Vec<Login>,
    pub client_id_bytes: Option<usize>,
    /// A whole PUBLISH.
    pub packet_bytes: Option<usize>,
    pub rate: RatePlan,
    /// Unacknowledged.
    pub window_messages: Option<u16>,
    pub window_bytes: Option<usize>,
    pub subscriptions: Option<usize>,
    pub qos: Qos,
    pub retain: bool,
    /// Filters of the topics that may be published to, with [`CLIENT_ID`] in them; empty for all.
    pub topics: Vec<String>,
    pub topic_bytes: Option<usize>,
    pub topic_levels: Option<usize>,
    pub keep_alive: Option<RangeInclusive<Duration>>,
}

/// How a service knows its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It doesn't.
    None,
    /// By a user's name and a password.
    Password,
    /// By a user's name that is a secret itself.
    Token,
    /// By tokens that are made of a key.
    Sas,
    Certificate,
}

impl Service {
    /// The protocol to offer in the handshake with this broker.
    pub fn alpn(&self, broker: &BrokerUrl) -> Option<&str> {
        let (port, protocol) = self.limits.alpn.as_ref()?;
        (broker.port == *port && broker.path.is_none()).then_some(protocol)
    }

    /// Why this topic can't be published to there, in words that follow "its topic".
    pub fn refuses_topic(&self, topic: &str, client_id: &str) -> Option<String> {
        let limits = &self.limits;
        if let Some(max) = limits.topic_bytes.filter(|max| topic.len() > *max) {
            return Some(format!("has {} bytes, at most {max} are taken", topic.len()));
        }
        let levels = topic.split('/').count();
        if let Some(max) = limits.topic_levels.filter(|max| levels > *max) {
            return Some(format!("has {levels} levels, at most {max} are taken"));
        }
        let known = |filter: &String| {
            let filter = filter.replace(CLIENT_ID, client_id);
            TopicFilter::new(&filter).is_ok_and(|filter| filter.matches(topic))
        };
        if limits.topics.is_empty() || limits.topics.iter().any(known) {
            return None;
        }
        let known = limits.topics.join(" and ").replace(CLIENT_ID, client_id);
        Some(format!("is unknown there: only {known} may be published to"))
    }
}

/// All that are part of the program, by name.
pub fn services() -> impl Iterator<Item = Service> {
    SHIPPED.iter().filter_map(|(name, _)| find(name).ok()).map(|shipped| shipped.service)
}

/// One of them, with the tree that its defaults are read from.
pub(super) struct Shipped {
    pub service: Service,
    tree: Node,
    origin: Origin,
}

impl Shipped {
    /// The section that lies under the user's.
    pub(super) fn defaults(&self, out: &mut Findings) -> Section<'_> {
        let Origin { file, user } = &self.origin;
        let origin = Origin { file: file.clone(), user: user.clone() };
        let root = Field::root_of(&self.tree, origin).section(&keys::CLOUD, out);
        root.section("uplink", &keys::UPLINK, out)
    }
}

pub(super) fn find(text: &str) -> Result<Shipped, Complaint> {
    let names = || SHIPPED.iter().map(|(name, _)| *name);
    let Some((name, yaml)) = SHIPPED.iter().find(|(name, _)| *name == text) else {
        let complaint = Complaint::new(format!("there is no preset {}", quoted(text)));
        let complaint = complaint.suggest(text, names());
        return Err(match complaint.hint {
            Some(_) => complaint,
            None => complaint.hint(format!("one of {}", names().collect::<Vec<_>>().join(", "))),
        });
    };
    let broken = |why: String| Complaint::new(format!("the preset {name} can't be read: {why}"));
    let tree = raw::tree(yaml).map_err(|error| broken(error.message))?;
    let file = format!("shipped/{name}.yaml");
    let mut out = Findings::new(&file);
    let service = service(name, &Field::root(&tree), &mut out);
    let service = service.filter(|_| out.errors() == 0);
    let problems = out.into_problems();
    let problem = problems.first().map(ToString::to_string);
    let service = service.ok_or_else(|| broken(problem.unwrap_or_default()))?;
    Ok(Shipped { service, tree, origin: Origin { file: file.into(), user: None } })
}

fn service(name: &'static str, root: &Field<'_>, out: &mut Findings) -> Option<Service> {
    let section = root.section(&keys::CLOUD, out);
    section.required("service", out, |text| match text == name {
        true => Ok(()),
        false => Err(Complaint::new(format!("the file is called {name}.yaml"))),
    })?;
    let text = values::text(TEXT_BYTES_MAX);
    let title = section.required("title", out, &text)?;
    let about = section.required("about", out, &text)?;
    let source = section.get("source")?.items();
    let source = source.iter().filter_map(|item| item.scalar(out, &text)).collect();
    let notes = section.scalar("notes", out, &text);
    let limits = limits(&section.section("limits", &keys::CLOUD_LIMITS, out), out)?;
    Some(Service { name, title, about, source, notes, limits })
}

fn limits(section: &Section<'_>, out: &mut Findings) -> Option<ServiceLimits> {
    let text = values::text(TEXT_BYTES_MAX);
    let list = |key: &str| section.get(key).map(Field::items).unwrap_or_default();
    let strings = |key: &str, out: &mut Findings| -> Vec<String> {
        list(key).iter().filter_map(|item| item.scalar(out, &text)).collect()
    };
    let count = values::integer(1..=65_535);
    let size = values::size_in_memory(PACKET_RANGE);
    let needs_tls = values::word(&[("required", true), ("optional", false)]);
    let qos =
        values::word(&[("0", Qos::AtMostOnce), ("1", Qos::AtLeastOnce), ("2", Qos::ExactlyOnce)]);
    let login = values::word(&[
        ("none", Login::None),
        ("password", Login::Password),
        ("token", Login::Token),
        ("sas", Login::Sas),
        ("certificate", Login::Certificate),
    ]);
    let versions = list("versions");
    let version = values::word(&MQTT_VERSIONS);
    let ports = list("ports");
    let logins = list("login");
    let alpn = section.get("alpn").map(|field| field.section(&keys::CLOUD_ALPN, out));
    let alpn = alpn.and_then(|alpn| {
        let port = alpn.required("port", out, values::integer(1..=65_535));
        Some((port?, alpn.required("protocol", out, &text)?))
    });
    let window = section.section("window", &keys::WINDOW, out);
    let keep_alive: Vec<Duration> = list("keep-alive")
        .iter()
        .filter_map(|item| item.scalar(out, values::duration(KEEP_ALIVE_RANGE)))
        .collect();
    Some(ServiceLimits {
        needs_tls: section.required("tls", out, needs_tls)?,
        versions: versions.iter().filter_map(|item| item.scalar(out, &version)).collect(),
        ports: ports
            .iter()
            .filter_map(|item| item.scalar(out, values::integer(1..=65_535)))
            .collect(),
        alpn,
        no_websocket: section.scalar("no-websocket", out, &text),
        login: logins.iter().filter_map(|item| item.scalar(out, &login)).collect(),
        client_id_bytes: section.scalar("client-id-bytes", out, &count),
        packet_bytes: section.scalar("packet-max", out, &size),
        rate: rate(section, out),
        window_messages: window.scalar("messages", out, values::integer(WINDOW_MESSAGES_RANGE)),
        window_bytes: window.scalar("bytes", out, values::size_in_memory(WINDOW_BYTES_RANGE)),
        subscriptions: section.scalar("subscriptions", out, &count),
        qos: section.required("qos-max", out, qos)?,
        retain: section.required("retain", out, values::boolean)?,
        topics: strings("topics", out),
        topic_bytes: section.scalar("topic-bytes", out, &count),
        topic_levels: section.scalar("topic-levels", out, &count),
        keep_alive: match keep_alive.as_slice() {
            [least, most] => Some(*least..=*most),
            _ => None,
        },
    })
}

/// The section `rate`: of a service, and of an uplink.
pub(super) fn rate(section: &Section<'_>, out: &mut Findings) -> RatePlan {
    let rate = section.section("rate", &keys::RATE, out);
    let messages = values::per_second(values::integer(RATE_MESSAGES_RANGE), "100/s");
    let bytes = values::per_second(values::size(RATE_BYTES_RANGE), "512KB/s");
    RatePlan {
        messages: rate.scalar("messages", out, messages),
        bytes: rate.scalar("bytes", out, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_says_where_its_facts_are_from() {
        for (name, _) in SHIPPED {
            let shipped = find(name).unwrap_or_else(|complaint| panic!("{}", complaint.message));
            let service = shipped.service;
            assert!(!service.source.is_empty(), "{name}");
            // Each says when it was read, or that it was not; one at least was.
            let was_read = |source: &String| source.contains("read") && source.contains("2026-");
            let is_honest = |source: &String| was_read(source) || source.contains("not read");
            assert!(service.source.iter().all(is_honest), "{name}");
            assert!(service.source.iter().any(was_read), "{name}");
            assert!(!service.limits.ports.is_empty() && !service.limits.login.is_empty(), "{name}");
        }
        assert_eq!(services().count(), SHIPPED.len());
    }

    #[test]
    fn a_topic_is_refused_with_the_limit_it_breaks() {
        let refused =
            |name: &str, topic: &str| find(name).unwrap().service.refuses_topic(topic, "g1");
        assert_eq!(refused("aws-iot-core", "a/b/c/d/e/f/g/h"), None);
        assert_eq!(
            refused("aws-iot-core", "a/b/c/d/e/f/g/h/i").as_deref(),
            Some("has 9 levels, at most 8 are taken")
        );
        assert_eq!(
            refused("aws-iot-core", &"x".repeat(257)).as_deref(),
            Some("has 257 bytes, at most 256 are taken")
        );
        assert_eq!(refused("azure-iot-hub", "devices/g1/messages/events/x=y"), None);
        assert_eq!(
            refused("azure-iot-hub", "devices/g2/messages/events/").as_deref(),
            Some("is unknown there: only devices/g1/messages/events/# may be published to")
        );
    }
}
