//! The tree → the [`Plan`], or everything that keeps it from being one.
//!
//! One pass, pure: each part reads its section and reports into [`Findings`]; what involves
//! several sections ([`across`]) is checked at the end. A value that is wrong is replaced by its
//! default so that the checks go on; the plan is only given out when nothing was wrong.

mod across;
mod apply;
mod broker;
mod bus;
mod busy;
mod device;
mod files;
mod link;
mod profile;
mod rules;
mod scale;
pub(super) mod sensor;
mod settings;
mod share;
mod store;
mod switching;
mod tag;
mod uplink;
mod vocabulary;
mod web;
mod write;

pub(super) use self::profile::profile;
use super::defaults::{TOPIC_ISA_95, TOPIC_TAG, UPLINKS_MAX};
use super::keys;
use super::plan::{Gateway, Plan};
use super::problem::{Complaint, Findings, Spot};
use super::profile::Profiles;
use super::raw::Node;
use super::section::{Field, Section};
use super::template::Template;
use super::values;
use crate::model::Name;

/// Longest path of a directory.
const PATH_BYTES_MAX: usize = 4_096;

/// The word for a topic by the levels of ISA-95.
const ISA_95: &str = "isa-95";

/// What may stand in the topic of a tag.
const TAG_PLACEHOLDERS: [&str; 9] =
    ["enterprise", "site", "area", "line", "cell", "gateway", "bus", "device", "tag"];

/// The plan as far as it can be read: with errors, what is wrong is left out or at its default.
pub(super) fn check(root: &Node, profiles: &Profiles, out: &mut Findings) -> Option<Plan> {
    let root = Field::root(root);
    if !root.is_mapping() && !root.is_null() {
        let message = format!("expected a mapping, found {}", root.node.content.describe());
        out.error(
            &root.spot(),
            Complaint::new(message).hint("a configuration starts with gateway:"),
        );
        return None;
    }
    let root = root.section(&keys::ROOT, out);
    let gateway = gateway(&root, out);
    let template = tag_template(&root, out);
    let broker = broker::check(&root, out);
    let mut buses = bus::check(&root, out);
    let places = {
        let scope = device::Scope {
            gateway: &gateway,
            template: &template,
            limits: broker.as_ref().map(|b| &b.limits),
            profiles,
        };
        device::check(&root, &scope, &mut buses, out)
    };
    if let Some(complaint) = &profiles.refusal {
        out.error(&root.spot_of("profiles"), complaint.clone());
    }
    root.scalar("profiles", out, values::text(PATH_BYTES_MAX));
    let uplinks = uplinks(&root, &gateway, out);
    let store = store::check(&root, out);
    let web = web::check(&root, &store, out);

    let mut plan = Plan {
        gateway,
        buses: buses.all.into_iter().map(|bus| bus.plan).collect(),
        broker,
        uplinks: uplinks.iter().map(|(uplink, _)| uplink.clone()).collect(),
        store,
        web,
    };
    plan.describe_devices();
    let uplink_spots: Vec<Spot> = uplinks.into_iter().map(|(_, spot)| spot).collect();
    uplink::sparkplug::complete(&mut plan, &uplink_spots, out);
    across::check(&plan, &root.spot, &places, &uplink_spots, out);
    Some(plan)
}

/// A missing or wrong name is replaced by one that no file can have, for the topics to go on with.
fn gateway(root: &Section<'_>, out: &mut Findings) -> Gateway {
    if root.lacks(&["gateway"]) {
        let complaint =
            Complaint::new("the section gateway is missing").hint("write gateway: { name: … }");
        out.error(&root.spot, complaint);
    }
    let section = root.section("gateway", &keys::GATEWAY, out);
    let name = if root.has("gateway") { section.required("name", out, values::name) } else { None };
    let mut place = |key| section.scalar(key, out, values::name);
    Gateway {
        enterprise: place("enterprise"),
        site: place("site"),
        area: place("area"),
        line: place("line"),
        cell: place("cell"),
        name: name.unwrap_or_else(placeholder_name),
    }
}

/// A gateway of which nothing is known.
fn unnamed() -> Gateway {
    Gateway {
        name: placeholder_name(),
        enterprise: None,
        site: None,
        area: None,
        line: None,
        cell: None,
    }
}

/// Stands in for a name that could not be read.
#[expect(clippy::expect_used, reason = "a constant that the tests read")]
fn placeholder_name() -> Name {
    Name::new("unnamed").expect("a valid name")
}

fn tag_template(root: &Section<'_>, out: &mut Findings) -> Template {
    let topics = root.section("topics", &keys::TOPICS, out);
    let written = topics.scalar("tag", out, |text| {
        let text = if text == ISA_95 { TOPIC_ISA_95 } else { text };
        let template = Template::parse(text, &TAG_PLACEHOLDERS)?;
        if template.has("tag") {
            return Ok(template);
        }
        Err(Complaint::new("names no {tag}, so all tags of a device would share one topic"))
    });
    written.unwrap_or_else(default_template)
}

#[expect(clippy::expect_used, reason = "a constant that the tests read")]
fn default_template() -> Template {
    Template::parse(TOPIC_TAG, &TAG_PLACEHOLDERS).expect("a valid template")
}

fn uplinks(
    root: &Section<'_>,
    gateway: &Gateway,
    out: &mut Findings,
) -> Vec<(super::plan::UplinkPlan, Spot)> {
    let Some(field) = root.get("uplinks") else {
        return Vec::new();
    };
    let named = field.named(out);
    too_many("uplinks", named.len(), UPLINKS_MAX, &field.key_spot(), out);
    let mut uplinks = Vec::new();
    for (name, field) in named {
        if let Some(uplink) = uplink::check(name, &field, gateway, out) {
            uplinks.push((uplink, field.key_spot()));
        }
    }
    uplinks
}

/// Reports more of something than a gateway takes.
fn too_many(what: &str, found: usize, max: usize, spot: &Spot, out: &mut Findings) {
    if found > max {
        out.error(spot, format!("{found} {what} are more than the {max} of one gateway"));
    }
}
