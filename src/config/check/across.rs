//! What can only be seen across sections: topics that collide, registers that overlap, parts that
//! nobody uses.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::busy;
use super::device::Places;
use crate::config::plan::{BrokerUrl, DevicePlan, Plan, Registers, TagPlan, UplinkPlan};
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::remote::RemotePlan;
use crate::config::template::LiveTopic;
use crate::config::values::quoted;
use crate::model::{Form, Holds, Kind, Name, TagMeta, TopicName};

pub(super) fn check(
    plan: &Plan,
    root: &Spot,
    places: &Places,
    uplinks: &[Spot],
    out: &mut Findings,
) {
    topics(plan, places, uplinks, out);
    live_topics(plan, uplinks, out);
    from_clouds(plan, uplinks, out);
    same_client(plan, uplinks, out);
    refused_topics(plan, uplinks, out);
    line_protocol(plan, places, out);
    same_address(plan, places, out);
    for bus in &plan.buses {
        for device in &bus.devices {
            overlaps(device, places, out);
        }
        if let Some(spot) = places.buses.get(&bus.name) {
            busy::check(bus, spot, out);
        }
    }
    if plan.tags().next().is_none() && plan.uplinks.is_empty() && out.errors() == 0 {
        out.warning(root, "there is nothing to do: no device has tags and there is no uplink");
    } else if plan.broker.is_none() && plan.uplinks.is_empty() && out.errors() == 0 {
        let complaint = Complaint::new("nobody gets the readings");
        out.warning(root, complaint.hint("add the section broker or an uplink"));
    }
}

/// InfluxDB takes no field of this name, since it is that of the time, and keeps those that begin with
/// an underscore for itself.
fn line_protocol(plan: &Plan, places: &Places, out: &mut Findings) {
    let speaks =
        |uplink: &&UplinkPlan| [&uplink.live, &uplink.backlog].contains(&&Form::LineProtocol);
    let uplinks: Vec<&UplinkPlan> = plan.uplinks.iter().filter(speaks).collect();
    for (_, device, tag) in plan.tags() {
        let name = tag.name.as_str();
        let is_taken = name == "time" || name.starts_with('_');
        let is_sent = |uplink: &&&UplinkPlan| {
            uplink.send.iter().any(|filter| filter.matches(tag.topic.as_str()))
        };
        let uplink = uplinks.iter().find(is_sent).filter(|_| is_taken);
        let spot = places.tags.get(&(device.name.clone(), tag.name.clone()));
        if let (Some(uplink), Some(spot)) = (uplink, spot) {
            let message = format!(
                "uplinks.{} sends line-protocol, and InfluxDB refuses or drops a field of this name",
                uplink.name
            );
            out.warning(&spot.name, Complaint::new(message).hint("choose another name"));
        }
    }
}

/// Two tags on one topic could not be told apart, and `<topic>/set` belongs to the tag.
fn topics(plan: &Plan, places: &Places, uplinks: &[Spot], out: &mut Findings) {
    let mut taken: HashMap<&str, (&Name, &Name)> = HashMap::new();
    let spots = |device: &Name, tag: &Name| places.tags.get(&(device.clone(), tag.clone()));
    let line = |device: &Name, tag: &Name| {
        spots(device, tag).map(|spots| spots.name.line()).unwrap_or_default()
    };
    for (_, device, tag) in plan.tags() {
        let topic = tag.topic.as_str();
        let Some(here) = spots(&device.name, &tag.name) else { continue };
        if let Some((d, t)) = taken.get(topic) {
            let message = format!(
                "the topic {} is already that of devices.{d}.tags.{t} in {}",
                quoted(topic),
                line(d, t)
            );
            out.error(&here.topic, message);
            continue;
        }
        taken.insert(topic, (&device.name, &tag.name));
    }
    for (_, device, tag) in plan.tags() {
        let Some(base) = tag.topic.as_str().strip_suffix("/set") else { continue };
        if let (Some((d, t)), Some(here)) = (taken.get(base), spots(&device.name, &tag.name)) {
            let message = format!(
                "the topic {} is the one that sets devices.{d}.tags.{t} in {}",
                quoted(tag.topic.as_str()),
                line(d, t)
            );
            out.error(&here.topic, message);
        }
    }
    set_topics(plan, places, &taken, out);
    for (uplink, spot) in plan.uplinks.iter().zip(uplinks) {
        let backlog = ("backlog's", Some(uplink.backlog_topic.as_str()));
        let notices = ("notices'", uplink.notices_topic.as_ref().map(TopicName::as_str));
        let published = uplink.remote.as_ref().map(RemotePlan::published).unwrap_or_default();
        // A tag there would be set by what is meant for the configuration.
        let whole = uplink.remote.as_ref().map(|remote| remote.topic.as_str());
        let remote = published.iter().map(|topic| Some(topic.as_str())).chain([whole]);
        let remote = remote.map(|topic| ("remote configuration's", topic));
        for (whose, topic) in [backlog, notices].into_iter().chain(remote) {
            let Some(own) = topic else { continue };
            let own = own.strip_prefix(uplink.prefix.as_str()).unwrap_or(own);
            if let Some((d, t)) = taken.get(own) {
                let message = format!(
                    "the {whose} topic {} is that of devices.{d}.tags.{t} in {}",
                    quoted(own),
                    line(d, t)
                );
                out.error(spot, message);
            }
        }
        if uplink.remote.is_some() && plan.store.path.is_none() {
            let message = "remote configuration needs a state directory, to go back from a change";
            out.error(spot, Complaint::new(message).hint("write store: { path: … }"));
        }
        if uplink.notices_topic.as_ref() == Some(&uplink.backlog_topic) {
            out.error(spot, "the topics of backlog and notices are the same");
        }
    }
}

/// The topics that an uplink makes of its own pattern are topics, and where a message is of one reading
/// alone each tag has one for itself.
fn live_topics(plan: &Plan, uplinks: &[Spot], out: &mut Findings) {
    let metas = plan.metas();
    for (uplink, spot) in plan.uplinks.iter().zip(uplinks) {
        if uplink.live_topic == LiveTopic::OfTag {
            continue;
        }
        let one = [&uplink.live, &uplink.backlog].iter().any(|form| form.holds() == Holds::One);
        let mut taken: HashMap<TopicName, &TagMeta> = HashMap::new();
        let wanted = |tag: &&TagMeta| uplink.send.iter().any(|f| f.matches(tag.topic.as_str()));
        for tag in metas.iter().filter(wanted) {
            let name = format!("devices.{}.tags.{}", tag.device, tag.name);
            let topic = match uplink.live_topic.topic(&uplink.prefix, tag) {
                Ok(topic) => topic,
                Err(error) => {
                    out.error(spot, format!("its topic for {name}: {error}"));
                    break;
                }
            };
            let kept = [Some(&uplink.backlog_topic), uplink.notices_topic.as_ref()];
            if one && kept.contains(&Some(&topic)) || uplink.notices_topic.as_ref() == Some(&topic)
            {
                let message = format!("its topic for {name} is that of its backlog or notices");
                out.error(spot, message);
                break;
            }
            if one && let Some(other) = taken.insert(topic.clone(), tag) {
                let message = format!(
                    "its topic {} is that of devices.{}.tags.{} and of {name}",
                    quoted(topic.as_str()),
                    other.device,
                    other.name
                );
                out.error(spot, message);
                break;
            }
        }
    }
}

/// `<device topic>/set` takes commands for several tags of the device, and nothing else.
fn set_topics(
    plan: &Plan,
    places: &Places,
    taken: &HashMap<&str, (&Name, &Name)>,
    out: &mut Findings,
) {
    let mut devices: HashMap<&str, &Name> = HashMap::new();
    for device in plan.buses.iter().flat_map(|bus| &bus.devices) {
        let Some(topic) = &device.topic else { continue };
        let set = format!("{topic}/set");
        for own in [topic.as_str(), &set] {
            let Some((d, t)) = taken.get(own) else { continue };
            let place = places.tags.get(&((*d).clone(), (*t).clone()));
            let Some(here) = place else { continue };
            let message = format!(
                "the topic {} is where commands for several tags of devices.{} come ({set})",
                quoted(own),
                device.name
            );
            let hint = "give the tag another name or topic";
            out.error(&here.topic, Complaint::new(message).hint(hint));
        }
        if let Some(other) = devices.insert(topic.as_str(), &device.name)
            && let Some(spot) = places.devices.get(&device.name)
        {
            let message = format!(
                "commands for several tags would come on {}, as those of devices.{other} do",
                quoted(&set)
            );
            out.error(spot, Complaint::new(message).hint("change topics.tag, or a name"));
        }
    }
}

/// What clouds say here has a broker to say it on and topics of its own, and is not what this gateway
/// told them.
fn from_clouds(plan: &Plan, uplinks: &[Spot], out: &mut Findings) {
    for (uplink, spot) in plan.uplinks.iter().zip(uplinks) {
        for local in &uplink.local {
            if plan.broker.is_none() {
                let message =
                    format!("receives {} for a LAN broker, and there is none", local.filter);
                out.error(spot, Complaint::new(message).hint("add the section broker"));
                break;
            }
            let below = |topic: &TopicName| {
                let rest = topic.as_str().strip_prefix(local.under.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if let Some((_, device, tag)) = plan.tags().find(|(.., tag)| below(&tag.topic)) {
                let message = format!(
                    "receives messages under {}, where the topic of devices.{}.tags.{} is",
                    quoted(local.under.as_str()),
                    device.name,
                    tag.name
                );
                out.error(spot, Complaint::new(message).hint("give them a place of their own"));
            }
            let sent = |topic: &TopicName| {
                let is_sent = uplink.send.iter().any(|filter| filter.matches(topic.as_str()));
                is_sent && local.filter.matches(&format!("{}{topic}", uplink.prefix))
            };
            if let Some((_, device, tag)) = plan.tags().find(|(.., tag)| sent(&tag.topic)) {
                let message = format!(
                    "receives {}, to which it sends devices.{}.tags.{} itself: its readings come \
                     back to this network",
                    quoted(local.filter.as_str()),
                    device.name,
                    tag.name
                );
                out.warning(spot, Complaint::new(message).hint("choose a narrower filter"));
            }
        }
    }
}

/// Topics of tags that an uplink's service refuses: one of them is named, and how many there are.
fn refused_topics(plan: &Plan, uplinks: &[Spot], out: &mut Findings) {
    let metas = plan.metas();
    for (uplink, spot) in plan.uplinks.iter().zip(uplinks) {
        let Some(service) = uplink.service.as_ref().filter(|_| uplink.sparkplug.is_none()) else {
            continue;
        };
        let mut refused = metas.iter().filter_map(|tag| {
            if !uplink.send.iter().any(|filter| filter.matches(tag.topic.as_str())) {
                return None;
            }
            let topic = uplink.live_topic.topic(&uplink.prefix, tag).ok()?;
            let why = service.refuses_topic(topic.as_str(), &uplink.client_id)?;
            Some((tag, topic, why))
        });
        let Some((tag, topic, why)) = refused.next() else { continue };
        let others = match refused.count() {
            0 => String::new(),
            n => format!(" (and so for {n} more)"),
        };
        let message = format!(
            "the topic {topic} of devices.{}.tags.{} is not for {}: it {why}{others}",
            tag.device, tag.name, service.title
        );
        let hint = "change topic, topics.tag, prefix, or what is sent with send";
        out.error(spot, Complaint::new(message).hint(hint));
    }
}

/// A broker cuts a client off when another one comes with the same id: the two would fight.
fn same_client(plan: &Plan, uplinks: &[Spot], out: &mut Findings) {
    let mut clients: HashMap<(String, u16, &str), u32> = HashMap::new();
    for (uplink, spot) in plan.uplinks.iter().zip(uplinks) {
        let client =
            |broker: &'_ BrokerUrl| (broker.host.clone(), broker.port, uplink.client_id.as_str());
        if let Some(line) = uplink.brokers.iter().find_map(|broker| clients.get(&client(broker))) {
            let message = format!(
                "the client id {} is used at the same broker by the uplink in line {line}",
                quoted(&uplink.client_id)
            );
            out.error(spot, message);
        } else {
            clients.extend(uplink.brokers.iter().map(|broker| (client(broker), spot.at.line)));
        }
    }
}

/// One address has one listener.
fn same_address(plan: &Plan, places: &Places, out: &mut Findings) {
    let brokers = plan.broker.iter().flat_map(|broker| &broker.listeners);
    let mut taken: HashMap<SocketAddr, String> = brokers
        .filter_map(|listener| Some((listener.address()?, "broker.listeners".to_owned())))
        .collect();
    for bus in &plan.buses {
        let (Some(share), Some(spot)) = (&bus.share, places.buses.get(&bus.name)) else { continue };
        if let Some(other) = taken.get(&share.listen) {
            let message = format!("its share listens on {}, as {other} does", share.listen);
            out.error(spot, Complaint::new(message).hint("give each a port of its own"));
        } else if share.listen.port() != 0 {
            taken.insert(share.listen, format!("buses.{}", bus.name));
        }
    }
}

/// Registers that two values share by a part are almost always a slip in an address. Sharing whole
/// ones is fine: bits of a status word, a value inside a raw block.
pub(super) fn overlaps(device: &DevicePlan, places: &Places, out: &mut Findings) {
    let with_registers = |tag| Some((tag, TagPlan::registers(tag)?));
    let mut tags: Vec<(&TagPlan, &Registers)> =
        device.tags.iter().filter_map(with_registers).collect();
    tags.sort_by_key(|(_, from)| (from.table, from.address, std::cmp::Reverse(end(from))));
    let mut reach: Option<(&TagPlan, &Registers)> = None;
    for (tag, from) in tags {
        if let Some((before, reached)) = reach
            && reached.table == from.table
            && from.address > reached.address
            && u32::from(from.address) < end(reached)
        {
            let torn = end(from) > end(reached) || is_number(reached.coding.kind);
            let spots = |tag: &TagPlan| places.tags.get(&(device.name.clone(), tag.name.clone()));
            if let (true, Some(here), Some(there)) = (torn, spots(tag), spots(before)) {
                let shown = |address: u32| here.numbering.shown(address);
                let message = format!(
                    "begins at {} within {}, which takes {} to {} ({})",
                    shown(from.address.into()),
                    before.name,
                    shown(reached.address.into()),
                    shown(end(reached) - 1),
                    there.name.line()
                );
                out.warning(&here.name, Complaint::new(message).hint("check the addresses"));
            }
        }
        if reach.is_none_or(|(_, r)| r.table != from.table || end(from) > end(r)) {
            reach = Some((tag, from));
        }
    }
}

/// One past the last register.
fn end(from: &Registers) -> u32 {
    u32::from(from.address) + u32::from(from.coding.span())
}

/// Numbers whose registers mean nothing on their own.
fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::F32 | Kind::F64 | Kind::Bcd { bits: 32.. } | Kind::Mod10k { .. })
}
