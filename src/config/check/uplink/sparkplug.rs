//! An uplink that is an edge node of Sparkplug: its names, and which devices and tags it reports.
//!
//! The devices are only known when the whole file is read, so they are filled in at the end.

use std::collections::HashMap;

use crate::config::clouds::Service;
use crate::config::keys;
use crate::config::plan::{BrokerUrl, DevicePlan, Gateway, Plan, Source, TagPlan, UplinkPlan};
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::section::Section;
use crate::config::sparkplug::{SparkplugDevice, SparkplugMetric, SparkplugPlan};
use crate::config::values::{self, quoted};

/// Longest group, node and host: every message carries two of them.
const ID_BYTES_MAX: usize = 256;

/// Keys about topics and payloads of our own.
const UNUSED: [(&str, &str); 8] = [
    ("receive", "an edge node takes the commands NCMD and DCMD of its tags with write:"),
    ("topic", "Sparkplug says which topics there are"),
    ("payload", "Sparkplug says what payloads look like"),
    ("home-assistant", "Sparkplug describes devices in their births"),
    ("prefix", "its topics begin with spBv1.0/ and the group"),
    ("backlog", "what waited is sent with is_historical"),
    ("notices", "they are told by the metric Notices of the node"),
    ("remote", "configure the gateway over another uplink"),
];

/// `None` if the uplink is none, or after something was reported.
pub(super) fn check(
    section: &Section<'_>,
    gateway: &Gateway,
    out: &mut Findings,
) -> Option<SparkplugPlan> {
    let field = section.get("sparkplug")?;
    for (key, hint) in UNUSED {
        if section.has(key) {
            let complaint = Complaint::new(format!("{key} has no use with sparkplug"));
            out.error(&section.spot_of(key), complaint.hint(hint));
        }
    }
    let sparkplug = field.section(&keys::SPARKPLUG, out);
    let group = sparkplug.required("group", out, group);
    let node = sparkplug.scalar("node", out, id);
    let primary_host = sparkplug.scalar("primary-host", out, id);
    let node = node.unwrap_or_else(|| gateway.name.to_string());
    Some(SparkplugPlan { group: group?, node, primary_host, devices: Vec::new() })
}

/// One level of a topic.
fn id(text: &str) -> Result<String, Complaint> {
    let text = values::text(ID_BYTES_MAX)(text)?;
    match text.chars().find(|c| matches!(c, '/' | '+' | '#')) {
        Some(c) => Err(Complaint::new(format!("{} holds {c:?}", quoted(&text)))
            .hint("it is one level of a topic, so it has no '/', '+' or '#'")),
        None => Ok(text),
    }
}

fn group(text: &str) -> Result<String, Complaint> {
    match id(text)? {
        group if group == "STATE" => {
            Err("STATE stands in topics of host applications and can't be a group".into())
        }
        group => Ok(group),
    }
}

/// Gives every edge node its devices, and looks for names that hosts may take for one.
pub(in crate::config::check) fn complete(plan: &mut Plan, uplinks: &[Spot], out: &mut Findings) {
    let mut nodes: HashMap<String, usize> = HashMap::new();
    for index in 0..plan.uplinks.len() {
        let (Some(uplink), Some(spot)) = (plan.uplinks.get(index), uplinks.get(index)) else {
            continue;
        };
        let Some(node) = &uplink.sparkplug else { continue };
        let name =
            |broker: &BrokerUrl| format!("{broker} {}/{}", node.group, node.node).to_lowercase();
        let names: Vec<String> = uplink.brokers.iter().map(name).collect();
        let is_taken = names.iter().any(|name| nodes.get(name).is_some_and(|by| *by != index));
        nodes.extend(names.into_iter().map(|name| (name, index)));
        if is_taken {
            let message = format!(
                "another uplink is the edge node {} of {} on the same broker",
                quoted(&node.node),
                quoted(&node.group)
            );
            out.error(spot, Complaint::new(message).hint("give it another node: …"));
        }
        let devices = devices(plan, uplink);
        alike(&devices, spot, out);
        births_fit(&devices, uplink.packet_bytes, spot, out);
        let service = uplink.service.clone();
        if let Some(node) = plan.uplinks.get_mut(index).and_then(|plan| plan.sparkplug.as_mut()) {
            node.devices = devices;
            subscriptions_fit(node, service.as_deref(), spot, out);
        }
    }
}

fn devices(plan: &Plan, uplink: &UplinkPlan) -> Vec<SparkplugDevice> {
    let wanted =
        |tag: &&TagPlan| uplink.send.iter().any(|filter| filter.matches(tag.topic.as_str()));
    let device = |device: &DevicePlan| SparkplugDevice {
        name: device.name.clone(),
        topic: device.topic.clone(),
        metrics: device.tags.iter().filter(wanted).map(metric).collect(),
    };
    plan.devices().map(device).filter(|device| !device.metrics.is_empty()).collect()
}

fn metric(tag: &TagPlan) -> SparkplugMetric {
    let (kind, is_list) = match &tag.source {
        Source::Registers(from) => (from.coding.value_kind(), from.coding.count > 1),
        Source::Field(from) => (from.kind, false),
    };
    SparkplugMetric {
        tag: tag.id,
        name: tag.name.clone(),
        topic: tag.topic.clone(),
        unit: tag.unit.clone(),
        kind,
        is_list,
        is_writable: tag.write.is_some(),
    }
}

/// A birth names all tags of a device in one message.
fn births_fit(devices: &[SparkplugDevice], most: usize, spot: &Spot, out: &mut Findings) {
    for device in devices.iter().filter(|device| device.birth_bytes() > most) {
        let (tags, bytes) = (device.metrics.len(), device.birth_bytes());
        let message = format!(
            "the birth of {} with {tags} tags has {bytes} bytes or more, and packet-max is {most}",
            device.name
        );
        out.error(
            spot,
            Complaint::new(message).hint("make packet-max larger, or choose fewer tags with send"),
        );
    }
}

/// Each device that takes commands is a subscription.
fn subscriptions_fit(
    node: &SparkplugPlan,
    service: Option<&Service>,
    spot: &Spot,
    out: &mut Findings,
) {
    let needs = node.subscribed().len();
    let limit = service.and_then(|service| Some((&service.title, service.limits.subscriptions?)));
    if let Some((title, most)) = limit.filter(|(_, most)| needs > *most) {
        let message = format!(
            "{title} takes at most {most} subscriptions, and this edge node needs {needs}: one for each \
             device with a tag that may be written"
        );
        let hint = "let fewer devices be written, or choose fewer with send";
        out.error(spot, Complaint::new(message).hint(hint));
    }
}

/// Sparkplug 3.0, 5.1 (case sensitivity): hosts may fold the case of names.
fn alike(devices: &[SparkplugDevice], spot: &Spot, out: &mut Findings) {
    let mut warn = |what: &str, one: &str, other: &str| {
        let message = format!(
            "the {what} {one} and {other} differ in case only: Sparkplug hosts may mix them up"
        );
        out.warning(spot, message);
    };
    let mut names: HashMap<String, &str> = HashMap::new();
    for device in devices {
        if let Some(other) = names.insert(device.name.as_str().to_lowercase(), device.name.as_str())
        {
            warn("devices", other, device.name.as_str());
        }
        let mut tags: HashMap<String, &str> = HashMap::new();
        for metric in &device.metrics {
            let name = metric.name.as_str();
            if let Some(other) = tags.insert(name.to_lowercase(), name) {
                warn(&format!("tags of {}", device.name), other, name);
            }
        }
    }
}
