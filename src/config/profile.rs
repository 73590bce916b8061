//! Device profiles: what is known about a make of device, in one file, for many devices.
//!
//! The shipped ones are part of the program; a user's own lie in a directory and win by name. Which
//! tags a profile gives a device is decided in `check`, with the same code that reads a
//! configuration. Knows no file system: the texts come in.

mod shipped;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::shipped::SHIPPED;
use super::link::Parity;
use super::plan::DevicePlan;
use super::problem::{Complaint, Findings, Problem, Problems, Spot, closest};
use super::raw::{self, Content, Node, Place, SyntaxError};
use super::values::quoted;
use crate::model::Name;

/// A profile that passed every check, with its parameters at their defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub head: Head,
    pub parameters: Vec<Parameter>,
    pub groups: Vec<Group>,
    /// A device with the tags of all groups.
    pub device: DevicePlan,
}

/// What a profile says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub name: Name,
    pub version: u32,
    pub title: String,
    pub vendor: Option<String>,
    pub models: Vec<String>,
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// Where the facts come from.
    pub source: Vec<String>,
    pub notes: Option<String>,
    pub serial: Option<Factory>,
}

/// How the device speaks when it leaves the factory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factory {
    pub baud: Option<u32>,
    pub parity: Option<Parity>,
    pub stop_bits: Option<u8>,
    pub unit: Option<u8>,
}

/// A whole number that a device may set; addresses count from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub default: i64,
    pub min: i64,
    pub max: i64,
    pub about: String,
}

/// Tags that are read or left out together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: Name,
    pub about: String,
    /// Whether a device that names no groups has it.
    pub is_default: bool,
    pub every: Option<Duration>,
    /// Indices among the tags of [`Profile::device`].
    pub tags: Vec<usize>,
}

pub(super) const KINDS: [(&str, &str); 7] = [
    ("meter", "meter"),
    ("inverter", "inverter"),
    ("drive", "drive"),
    ("controller", "controller"),
    ("io", "io"),
    ("sensor", "sensor"),
    ("other", "other"),
];

/// Ending of a profile's file.
pub const FILE_SUFFIX: &str = ".yaml";

/// Checks the text of a profile. `stem` is its file's name without the ending, which must be the
/// profile's name; `file` is how problems call it.
pub fn check(text: &str, stem: &str, file: &str) -> Result<(Profile, Vec<Problem>), Problems> {
    let mut out = Findings::new(file);
    let profile = match raw::tree(text) {
        Ok(root) => super::check::profile(&root, stem, &mut out),
        Err(error) => {
            out.error(&Spot::at(error.at), error.message);
            None
        }
    };
    let problems = out.into_problems();
    match profile {
        Some(profile) => Ok((profile, problems)),
        None => Err(Problems(problems)),
    }
}

/// A shipped profile's text.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Where a profile of a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    pub name: String,
    /// `None` for a shipped one.
    pub file: Option<String>,
    /// A shipped one of this name, which is another one, is left aside for it.
    pub hides_shipped: bool,
}

/// A user's own profiles, as far as they are named.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// All that there are, for suggestions.
    pub names: Vec<String>,
    pub texts: BTreeMap<String, OwnText>,
    /// Why the directory that is written in the configuration can't be read.
    pub refusal: Option<Complaint>,
}

#[derive(Debug)]
pub(super) struct OwnText {
    /// How problems call the file.
    pub file: String,
    pub text: Result<String, (Place, Complaint)>,
}

/// What a configuration asks for, before it is checked.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub directory: Option<&'a str>,
    pub names: BTreeSet<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Looks only for what it needs; what stands there in a wrong form is reported by the checks.
    pub(super) fn of(root: &'a Node) -> Self {
        let mut wanted = Self::default();
        for (key, value) in pairs(root) {
            match (key, &value.content) {
                ("profiles", Content::Scalar(directory)) => wanted.directory = Some(directory),
                ("devices", _) => {
                    let keys = pairs(value).flat_map(|(_, device)| pairs(device));
                    let names = keys.filter_map(|(key, value)| match &value.content {
                        Content::Scalar(name) if key == "profile" => Some(name.as_str()),
                        _ => None,
                    });
                    // A name is never a path.
                    wanted.names.extend(names.filter(|name| Name::new(name).is_ok()));
                }
                _ => {}
            }
        }
        wanted
    }
}

fn pairs(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let pairs = match &node.content {
        Content::Map(pairs) => pairs.as_slice(),
        _ => &[],
    };
    pairs.iter().filter_map(|(key, value)| match &key.content {
        Content::Scalar(key) => Some((key.as_str(), value)),
        _ => None,
    })
}

/// The profiles that a configuration names, as trees.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    sources: Vec<Source>,
    own_names: Vec<String>,
    /// Why the directory can't be read.
    pub refusal: Option<Complaint>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Source {
    pub name: String,
    /// How problems call it.
    pub file: Arc<str>,
    pub tree: Result<Node, SyntaxError>,
    is_own: bool,
    hides_shipped: bool,
}

impl Profiles {
    /// The user's own first, by name.
    pub(super) fn gather(names: &BTreeSet<&str>, mut own: Own) -> Self {
        let mut sources = Vec::new();
        for name in names {
            let (file, text, is_own) = match (own.texts.remove(*name), shipped(name)) {
                (Some(own), _) => (own.file, own.text, true),
                (None, Some(text)) => {
                    (format!("shipped/{name}{FILE_SUFFIX}"), Ok(text.to_owned()), false)
                }
                (None, None) => continue,
            };
            let mut hides_shipped = is_own && shipped(name).is_some();
            let tree = match text {
                Ok(text) => {
                    hides_shipped &= shipped(name) != Some(text.as_str());
                    raw::tree(&text)
                }
                Err((at, complaint)) => Err(SyntaxError { at, message: complaint.message }),
            };
            let (name, file) = ((*name).to_owned(), file.into());
            sources.push(Source { name, file, tree, is_own, hides_shipped });
        }
        Self { sources, own_names: own.names, refusal: own.refusal }
    }

    pub(super) fn find(&self, name: &str) -> Result<&Source, Complaint> {
        if let Some(source) = self.sources.iter().find(|source| source.name == name) {
            return Ok(source);
        }
        let shipped = SHIPPED.iter().map(|(name, _)| *name);
        let known = shipped.chain(self.own_names.iter().map(String::as_str));
        let complaint = Complaint::new(format!("there is no profile {}", quoted(name)));
        Err(match closest(name, known) {
            Some(close) => complaint.hint(format!("did you mean {close}?")),
            None => complaint.hint("fieldhold profile list shows all"),
        })
    }

    pub(super) fn used(&self) -> Vec<Used> {
        let used = |source: &Source| Used {
            name: source.name.clone(),
            file: source.is_own.then(|| source.file.to_string()),
            hides_shipped: source.hides_shipped,
        };
        self.sources.iter().map(used).collect()
    }
}
