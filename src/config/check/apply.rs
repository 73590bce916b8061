//! What becomes of a profile on a device: the device's own keys lie over it, key by key.

use std::time::Duration;

use super::profile::Profile;
use super::tag::{Draft, EXCLUSIVE, TABLES};
use super::vocabulary::Vocabulary;
use crate::config::keys;
use crate::config::problem::{Complaint, Findings, Origin, Spot, closest};
use crate::config::profile::{Profiles, Source};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::Name;

/// Written instead of a tag to leave it out.
const OFF: &str = "off";

/// A device with its profile, if it has one.
pub(super) struct Applied<'a> {
    /// Everything but the tags, the profile's beneath the device's own.
    pub settings: Section<'a>,
    pub words: Vocabulary<'a>,
    base: Base<'a>,
    /// The device itself says how often it is read, which wins over the groups.
    has_own_every: bool,
    own_tags: Vec<(Name, Field<'a>)>,
}

enum Base<'a> {
    None,
    /// It is named, but it can't be used, which has been said.
    Unknown,
    Profile {
        profile: Box<Profile<'a>>,
        /// Those that are read.
        groups: Vec<Name>,
    },
}

/// Lays a device's section over its profile.
pub(super) fn apply<'a>(
    own: Section<'a>,
    profiles: &'a Profiles,
    on_sensor: bool,
    out: &mut Findings,
) -> Applied<'a> {
    let has_own_every = own.has("every");
    let own_tags = own.get("tags").map(|tags| tags.named(out)).unwrap_or_default();
    let mut words = Vocabulary::default();
    let (mut base, mut settings) = (Base::None, own);
    if settings.has("profile") {
        base = Base::Unknown;
        let source = settings.scalar("profile", out, |name| profiles.find(name));
        // A sensor has no registers, which was said; a word about each tag of the profile adds nothing.
        let source = source.filter(|_| !on_sensor);
        if let Some(profile) = source.and_then(|source| read(source, &settings.spot, out)) {
            words.parameters = parameters(&settings, &profile, out);
            words.labels.clone_from(&profile.labels);
            let groups = groups(&settings, &profile, out);
            settings = settings.over(&profile.device, &[]);
            base = Base::Profile { profile: Box::new(profile), groups };
        }
    } else {
        settings.refuse(&["groups", "parameters"], "belongs to a profile, and none is named", out);
        settings.missing("tags", out);
    }
    Applied { settings, words, base, has_own_every, own_tags }
}

fn read<'a>(source: &'a Source, device: &Spot, out: &mut Findings) -> Option<Profile<'a>> {
    let origin = Origin { file: source.file.clone(), user: Some(device.path.clone()) };
    match &source.tree {
        Ok(tree) => Some(Profile::read(&Field::root_of(tree, origin), &source.name, out)),
        Err(error) => {
            let spot = Spot { origin: Some(origin.into()), ..Spot::at(error.at) };
            out.error(&spot, error.message.as_str());
            None
        }
    }
}

/// The profile's, with what the device says.
fn parameters<'a>(
    device: &Section<'a>,
    profile: &Profile<'a>,
    out: &mut Findings,
) -> Vec<(&'a str, i64)> {
    let own = device.get("parameters").map(|field| field.entries(out)).unwrap_or_default();
    let known = || profile.parameters.iter().map(|(name, _)| *name);
    for (name, field) in &own {
        if !known().any(|known| known == *name) {
            let complaint = Complaint::new("the profile has no such parameter");
            out.error(&field.key_spot(), one_of(complaint, name, known()));
        }
    }
    let value = |(name, parameter): &(&'a str, crate::config::profile::Parameter)| {
        let written = own.iter().find(|(own, _)| own == name).and_then(|(_, field)| {
            let range = i128::from(parameter.min)..=i128::from(parameter.max);
            field.scalar(out, values::integer(range))
        });
        (*name, written.unwrap_or(parameter.default))
    };
    profile.parameters.iter().map(value).collect()
}

/// Those that the device names, or the default ones.
fn groups(device: &Section<'_>, profile: &Profile<'_>, out: &mut Findings) -> Vec<Name> {
    let Some(field) = device.get("groups") else {
        let default = profile.groups.iter().filter(|group| group.is_default);
        return default.map(|group| group.name.clone()).collect();
    };
    let find = |text: &str| match profile.groups.iter().find(|g| g.name.as_str() == text) {
        Some(group) => Ok(group.name.clone()),
        None => {
            let complaint = Complaint::new(format!("the profile has no group {}", quoted(text)));
            Err(one_of(complaint, text, profile.groups.iter().map(|g| g.name.as_str())))
        }
    };
    field.items().iter().filter_map(|item| item.scalar(out, find)).collect()
}

fn one_of<'k>(
    complaint: Complaint,
    wrong: &str,
    known: impl Iterator<Item = &'k str> + Clone,
) -> Complaint {
    match closest(wrong, known.clone()) {
        Some(close) => complaint.hint(format!("did you mean {close}?")),
        None => {
            let known: Vec<_> = known.collect();
            if known.is_empty() {
                return complaint.hint("it has none");
            }
            complaint.hint(format!("it has {}", known.join(", ")))
        }
    }
}

impl<'a> Applied<'a> {
    /// The tags of the device: those of the profile's groups with what the device says about them,
    /// then its own. `every` is that of the settings.
    pub(super) fn drafts(&self, every: Duration, out: &mut Findings) -> Vec<Draft<'a>> {
        let Base::Profile { profile, groups } = &self.base else {
            return self.without_profile(every, out);
        };
        let mut own = self.own_tags.clone();
        let mut drafts = Vec::new();
        for group in profile.groups.iter().filter(|group| groups.contains(&group.name)) {
            let every = if self.has_own_every { every } else { group.every.unwrap_or(every) };
            for (name, base) in &group.tags {
                let at = own.iter().position(|(known, _)| known == name);
                let over = at.map(|at| own.swap_remove(at).1);
                drafts.extend(draft(name, over.as_ref(), base, every, out));
            }
        }
        // In the order of the file again.
        for (name, field) in &self.own_tags {
            if !own.iter().any(|(left, _)| left == name) {
                continue;
            }
            if let Some((group, base)) = profile.tag(name) {
                // Who names a tag of a group that is not read wants that tag.
                let every = if self.has_own_every { every } else { group.every.unwrap_or(every) };
                drafts.extend(draft(name, Some(field), base, every, out));
            } else if let Some(complaint) = slip(name, field, profile) {
                out.error(&field.key_spot(), complaint);
            } else {
                let section = field.section(&keys::TAG, out);
                drafts.push(Draft { name: name.clone(), section, every });
            }
        }
        drafts
    }

    fn without_profile(&self, every: Duration, out: &mut Findings) -> Vec<Draft<'a>> {
        let mut drafts = Vec::with_capacity(self.own_tags.len());
        for (name, field) in &self.own_tags {
            // Of a profile that is not known, nobody can tell what is left over.
            if matches!(self.base, Base::Unknown) && !has_table(field) {
                continue;
            }
            let section = field.section(&keys::TAG, out);
            drafts.push(Draft { name: name.clone(), section, every });
        }
        drafts
    }
}

/// A tag of the profile, unless the device leaves it out.
fn draft<'a>(
    name: &Name,
    own: Option<&Field<'a>>,
    base: &Field<'a>,
    every: Duration,
    out: &mut Findings,
) -> Option<Draft<'a>> {
    if own.is_some_and(|own| own.text() == Some(OFF)) {
        return None;
    }
    let base = base.section(&keys::TAG, out);
    let section = match own {
        Some(own) => own.section(&keys::TAG, out).over(&base, &EXCLUSIVE),
        None => base,
    };
    Some(Draft { name: name.clone(), section, every })
}

/// A tag without a table was meant for one of the profile.
fn slip(name: &Name, field: &Field<'_>, profile: &Profile<'_>) -> Option<Complaint> {
    if field.text() != Some(OFF) && has_table(field) {
        return None;
    }
    let known = profile.groups.iter().flat_map(|group| &group.tags).map(|(name, _)| name.as_str());
    let complaint = Complaint::new("the profile has no such tag");
    Some(match closest(name.as_str(), known) {
        Some(close) => complaint.hint(format!("did you mean {close}?")),
        None => complaint.hint("a tag of your own needs its table and address, as in holding: 0"),
    })
}

fn has_table(field: &Field<'_>) -> bool {
    field.has_any(&TABLES.map(|(key, _)| key))
}
