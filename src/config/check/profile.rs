//! Reading a profile: its head, and where its parameters, labels and tags stand.

use std::collections::HashMap;
use std::time::Duration;

use super::device::{Inherited, Places, Scope};
use super::settings::Settings;
use super::tag::{self, Draft};
use super::vocabulary::Vocabulary;

use super::{across, default_template, link, placeholder_name, unnamed};
use crate::config::defaults::{BAUD_RANGE, EVERY, EVERY_RANGE, UNIT_TCP};
use crate::config::keys;
use crate::config::plan::DevicePlan;
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::profile::{self, Factory, Head, KINDS, Parameter, Profiles};
use crate::config::raw::Node;
use crate::config::section::{Field, Section};
use crate::config::values;
use crate::model::Name;

/// Longest text of a head, in bytes.
const TEXT_BYTES_MAX: usize = 1_000;
const NOTES_BYTES_MAX: usize = 10_000;
/// Models, sources, parameters and named labels, each; tags have a bound of their own.
const ENTRIES_MAX: usize = 500;
const VERSION_MAX: i128 = 1_000_000;

/// A profile whose tags are not yet checked: what they mean depends on the device.
pub(super) struct Profile<'a> {
    /// `None` if something in it is wrong.
    pub head: Option<Head>,
    pub device: Section<'a>,
    pub parameters: Vec<(&'a str, Parameter)>,
    pub labels: Vec<(&'a str, Field<'a>)>,
    pub groups: Vec<Group<'a>>,
}

pub(super) struct Group<'a> {
    pub name: Name,
    pub about: String,
    pub is_default: bool,
    pub every: Option<Duration>,
    pub tags: Vec<(Name, Field<'a>)>,
}

impl<'a> Profile<'a> {
    /// `stem`: the name that the file has.
    pub(super) fn read(root: &Field<'a>, stem: &str, out: &mut Findings) -> Self {
        let section = root.section(&keys::PROFILE, out);
        let head = head(&section, stem, out);
        let device = section.section("device", &keys::DEVICE, out);
        device.refuse(&keys::OF_THE_PLACE, "every device says this for itself", out);
        let parameters = entries(&section, "parameters", out);
        let parameters = parameters
            .iter()
            .filter_map(|(name, field)| Some((*name, parameter(name, field, out)?)));
        let parameters = parameters.collect();
        let labels = entries(&section, "labels", out);
        section.missing("groups", out);
        let groups = match section.get("groups") {
            Some(field) => groups(field, out),
            None => Vec::new(),
        };
        Self { head, device, parameters, labels, groups }
    }

    /// The base of a tag, wherever it stands.
    pub(super) fn tag(&self, name: &Name) -> Option<(&Group<'a>, &Field<'a>)> {
        self.groups.iter().find_map(|group| {
            let tag = group.tags.iter().find(|(known, _)| known == name);
            tag.map(|(_, field)| (group, field))
        })
    }
}

fn head(section: &Section<'_>, stem: &str, out: &mut Findings) -> Option<Head> {
    let line = values::text(TEXT_BYTES_MAX);
    let name = section.required("profile", out, |text| {
        let name = values::name(text)?;
        if text == stem {
            return Ok(name);
        }
        let complaint =
            Complaint::new(format!("the file is called {stem}{}", profile::FILE_SUFFIX));
        Err(complaint.hint("a profile is found by the name of its file, so both must be the same"))
    });
    let version = section.required("version", out, values::integer::<u32>(1..=VERSION_MAX));
    let title = section.required("title", out, &line);
    let vendor = section.scalar("vendor", out, &line);
    let models = texts(section, "models", out);
    let kind = section.required("kind", out, values::word(&KINDS));
    section.missing("source", out);
    let source = texts(section, "source", out);
    if section.has("source") && source.is_empty() {
        let complaint = Complaint::new("names no source");
        out.error(&section.spot_of("source"), complaint.hint("write the manual and its edition"));
    }
    let notes = section.scalar("notes", out, notes);
    let serial = section.has("serial").then(|| {
        let serial = section.section("serial", &keys::PROFILE_SERIAL, out);
        Factory {
            baud: serial.scalar("baud", out, values::integer(BAUD_RANGE)),
            parity: serial.scalar("parity", out, values::word(&link::PARITIES)),
            stop_bits: serial.scalar("stop-bits", out, values::integer(1..=2)),
            unit: serial.scalar("unit", out, values::integer(1..=247)),
        }
    });
    let (name, version, title, kind) = (name?, version?, title?, kind?);
    Some(Head { name, version, title, vendor, models, kind, source, notes, serial })
}

/// Several lines are fine here.
fn notes(text: &str) -> Result<String, Complaint> {
    let lines = text.trim_end();
    values::text(NOTES_BYTES_MAX)(&lines.replace('\n', " ")).map(|_| lines.to_owned())
}

fn texts(section: &Section<'_>, key: &str, out: &mut Findings) -> Vec<String> {
    let Some(field) = section.get(key) else { return Vec::new() };
    let items = field.items();
    bounded(key, items.len(), field, out);
    items.iter().filter_map(|item| item.scalar(out, values::text(TEXT_BYTES_MAX))).collect()
}

fn entries<'a>(section: &Section<'a>, key: &str, out: &mut Findings) -> Vec<(&'a str, Field<'a>)> {
    let Some(field) = section.get(key) else { return Vec::new() };
    let mut entries = field.entries(out);
    bounded(key, entries.len(), field, out);
    entries.retain(|(name, field)| {
        let wrong = match Name::new(name) {
            Ok(_) if name.starts_with(char::is_alphabetic) => return true,
            Ok(_) => "a name here begins with a letter".to_owned(),
            Err(error) => error.to_string(),
        };
        out.error(&field.key_spot(), wrong);
        false
    });
    entries
}

fn bounded(what: &str, found: usize, field: &Field<'_>, out: &mut Findings) {
    if found > ENTRIES_MAX {
        out.error(&field.key_spot(), format!("{found} {what} are more than {ENTRIES_MAX}"));
    }
}

fn parameter(name: &str, field: &Field<'_>, out: &mut Findings) -> Option<Parameter> {
    let section = field.section(&keys::PARAMETER, out);
    let whole = values::integer::<i64>(i64::MIN.into()..=i64::MAX.into());
    let default = section.required("default", out, &whole);
    let min = section.required("min", out, &whole);
    let max = section.required("max", out, &whole);
    let about = section.scalar("about", out, values::text(TEXT_BYTES_MAX)).unwrap_or_default();
    let (default, min, max) = (default?, min?, max?);
    if min > max {
        out.error(&section.spot_of("min"), format!("min {min} is above max {max}"));
        return None;
    }
    if !(min..=max).contains(&default) {
        let complaint =
            values::out_of_range(&default.to_string(), &min.to_string(), &max.to_string());
        out.error(&section.spot_of("default"), complaint);
        return None;
    }
    Some(Parameter { name: name.to_owned(), default, min, max, about })
}

fn groups<'a>(field: &Field<'a>, out: &mut Findings) -> Vec<Group<'a>> {
    let mut seen: HashMap<Name, Spot> = HashMap::new();
    let errors = out.errors();
    let mut groups = Vec::new();
    for (name, field) in field.named(out) {
        let section = field.section(&keys::GROUP, out);
        section.missing("tags", out);
        let tags = section.get("tags").map(|tags| tags.named(out)).unwrap_or_default();
        for (tag, field) in &tags {
            if let Some(first) = seen.insert(tag.clone(), field.key_spot()) {
                let message = format!("is also a tag of another group, in {}", first.line());
                out.error(&field.key_spot(), message);
            }
        }
        groups.push(Group {
            name,
            about: section.scalar("about", out, values::text(TEXT_BYTES_MAX)).unwrap_or_default(),
            is_default: section.scalar("default", out, values::boolean).unwrap_or(true),
            every: section.scalar("every", out, values::duration(EVERY_RANGE)),
            tags,
        });
    }
    if groups.is_empty() && out.errors() == errors {
        out.error(&field.key_spot(), "there is no group");
    }
    groups
}

/// A profile on its own: every tag of every group, with the parameters at their defaults, and once
/// more at either end of their ranges.
pub(in crate::config) fn profile(
    root: &Node,
    stem: &str,
    out: &mut Findings,
) -> Option<profile::Profile> {
    let root = Field::root(root);
    let read = Profile::read(&root, stem, out);
    let (device, _) = all_tags(&read, |parameter| parameter.default, out);
    for end in [|p: &Parameter| p.min, |p: &Parameter| p.max] {
        if out.errors() == 0 && read.parameters.iter().any(|(_, p)| end(p) != p.default) {
            at_an_end(&read, end, out);
        }
    }
    if out.errors() > 0 {
        return None;
    }
    let mut next = 0;
    let groups = read.groups.into_iter().map(|group| {
        let first = next;
        next += group.tags.len();
        profile::Group {
            name: group.name,
            about: group.about,
            is_default: group.is_default,
            every: group.every,
            tags: (first..next).collect(),
        }
    });
    let groups = groups.collect();
    let parameters = read.parameters.into_iter().map(|(_, parameter)| parameter).collect();
    Some(profile::Profile { head: read.head?, parameters, groups, device })
}

/// What is wrong only there is said once, with the values that make it wrong.
fn at_an_end(read: &Profile<'_>, end: fn(&Parameter) -> i64, out: &mut Findings) {
    let mut there = out.fresh();
    all_tags(read, end, &mut there);
    let values = read.parameters.iter().map(|(name, p)| format!("{name} = {}", end(p)));
    let values = values.collect::<Vec<_>>().join(", ");
    out.take_errors(there, &format!("with {values}: "));
}

/// The device that has all of them.
fn all_tags(
    read: &Profile<'_>,
    value: impl Fn(&Parameter) -> i64,
    out: &mut Findings,
) -> (DevicePlan, Places) {
    let (gateway, template) = (unnamed(), default_template());
    let profiles = Profiles::default();
    let scope = Scope { gateway: &gateway, template: &template, limits: None, profiles: &profiles };
    let name = placeholder_name();
    let parameters = read.parameters.iter().map(|(name, p)| (*name, value(p)));
    let words = Vocabulary { parameters: parameters.collect(), labels: read.labels.clone() };
    let settings = Settings::of(&read.device, out);
    let inherited = Inherited {
        sensor: None,
        sound: true,
        scope: &scope,
        bus: None,
        device: &name,
        settings: &settings,
        words: &words,
        broadcast: false,
    };
    let mut places = Places::default();
    let mut tags = Vec::new();
    for group in &read.groups {
        let every = group.every.or(settings.every).unwrap_or(EVERY);
        for (tag, field) in &group.tags {
            let section = field.section(&keys::TAG, out);
            let draft = Draft { name: tag.clone(), section, every };
            if let Some((tag, spots)) = tag::check(draft, &inherited, out) {
                places.tags.insert((name.clone(), tag.name.clone()), spots);
                tags.push(tag);
            }
        }
    }
    let device = settings.device(name, UNIT_TCP, false, tags);
    across::overlaps(&device, &places, out);
    (device, places)
}
