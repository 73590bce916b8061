//! Reading the tree: sections with known keys, named entries, lists, single values.
//!
//! Every reader reports what it does not like and lets its caller go on with `None`, so that one
//! pass finds all problems. A section that is written but empty (`broker:`) is a section without
//! keys; a single value that is empty is a problem.

use std::rc::Rc;

use super::keys::Shape;
use super::problem::{Complaint, Findings, Origin, Spot, closest};
use super::raw::{Content, Node, Place};
use crate::model::Name;

/// Longest piece of a wrong value that a message quotes, in characters.
const QUOTED_MAX: usize = 60;

/// A value together with the key that leads to it.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub node: &'a Node,
    /// Where its key stands.
    pub key_at: Place,
    pub path: Rc<str>,
    /// `None` for the file that is checked.
    origin: Option<Rc<Origin>>,
    /// The same section elsewhere: what is not written in this one counts as it stands there.
    under: Option<Rc<Field<'a>>>,
}

/// A mapping whose keys are known.
pub(super) struct Section<'a> {
    shape: &'static Shape,
    pub spot: Spot,
    fields: Vec<(&'a str, Field<'a>)>,
    /// What is known to stand there in a wrong form: its absence is not reported as well.
    excused: Excused,
}

enum Excused {
    /// These keys, which were misspelt.
    Keys(Vec<&'static str>),
    /// All: it is no mapping, or it is written in the manner of another system.
    All,
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, key_at: node.at, path: "".into(), origin: None, under: None }
    }

    /// The root of another file.
    pub(super) fn root_of(node: &'a Node, origin: Origin) -> Self {
        Self { origin: Some(Rc::new(origin)), ..Self::root(node) }
    }

    /// The place of the value.
    pub(super) fn spot(&self) -> Spot {
        self.spot_at(self.node.at)
    }

    /// The place of the key.
    pub(super) fn key_spot(&self) -> Spot {
        self.spot_at(self.key_at)
    }

    fn spot_at(&self, at: Place) -> Spot {
        Spot { at, path: self.path.clone(), origin: self.origin.clone() }
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.content, Content::Map(_))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.content, Content::Null)
    }

    /// Whether it is a mapping with one of these keys.
    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        let Content::Map(pairs) = &self.node.content else { return false };
        pairs.iter().any(
            |(key, _)| matches!(&key.content, Content::Scalar(key) if keys.contains(&key.as_str())),
        )
    }

    /// The text of a single value.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.node.content {
            Content::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// A single value, as `parse` understands it.
    pub(super) fn scalar<T>(
        &self,
        out: &mut Findings,
        parse: impl FnOnce(&'a str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let Some(text) = self.text() else {
            let what = self.node.content.describe();
            out.error(&self.spot(), format!("expected a single value, found {what}"));
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(complaint) => {
                out.error(&self.spot(), complaint);
                None
            }
        }
    }

    /// The items of a list; a single value counts as a list of one.
    pub(super) fn items(&self) -> Vec<Self> {
        match &self.node.content {
            Content::Null => Vec::new(),
            Content::List(list) => {
                let item = |(i, node): (usize, &'a Node)| Self {
                    node,
                    key_at: node.at,
                    path: format!("{}[{i}]", self.path).into(),
                    origin: self.origin.clone(),
                    under: None,
                };
                list.iter().enumerate().map(item).collect()
            }
            Content::Scalar(_) | Content::Map(_) => vec![self.clone()],
        }
    }

    /// The entries of a mapping with free keys, each key once; repetitions are reported.
    pub(super) fn entries(&self, out: &mut Findings) -> Vec<(&'a str, Field<'a>)> {
        let pairs = match &self.node.content {
            Content::Map(pairs) => pairs.as_slice(),
            Content::Null => &[],
            Content::Scalar(_) | Content::List(_) => {
                let what = self.node.content.describe();
                out.error(&self.spot(), format!("expected a mapping, found {what}"));
                return Vec::new();
            }
        };
        let mut entries: Vec<(&'a str, Field<'a>)> = Vec::with_capacity(pairs.len());
        let mut first = std::collections::HashMap::with_capacity(pairs.len());
        for (key, node) in pairs {
            let Content::Scalar(name) = &key.content else {
                let what = key.content.describe();
                out.error(&self.spot_at(key.at), format!("a key must be a word, not {what}"));
                continue;
            };
            let path = join(&self.path, name);
            let origin = self.origin.clone();
            let field = Self { node, key_at: key.at, path, origin, under: None };
            match first.insert(name.as_str(), key.at.line) {
                None => entries.push((name, field)),
                Some(line) => {
                    first.insert(name, line);
                    out.error(&field.key_spot(), format!("is written twice, first in line {line}"));
                }
            }
        }
        entries
    }

    /// The entries of a mapping whose keys are names of things; wrong names are left out.
    pub(super) fn named(&self, out: &mut Findings) -> Vec<(Name, Field<'a>)> {
        let mut named = Vec::new();
        for (key, field) in self.entries(out) {
            match Name::new(key) {
                Ok(name) => named.push((name, field)),
                Err(error) => out.error(&field.key_spot(), error.to_string()),
            }
        }
        named
    }

    /// A mapping with the keys of `shape`; any other key is reported here, all of them at once.
    pub(super) fn section(&self, shape: &'static Shape, out: &mut Findings) -> Section<'a> {
        let errors = out.errors();
        let mut fields = self.entries(out);
        let mut excused = Excused::Keys(Vec::new());
        if out.errors() > errors && !self.is_mapping() {
            excused = Excused::All;
        }
        fields.retain(|(key, field)| {
            #[cfg(test)]
            out.met.insert((shape.name, (*key).to_owned()));
            if shape.keys.contains(key) {
                return true;
            }
            out.error(&field.key_spot(), unknown_key(shape, key, &mut excused));
            false
        });
        let section = Section { shape, spot: self.key_spot(), fields, excused };
        match &self.under {
            Some(under) => section.filled_from(&under.section(shape, out)),
            None => section,
        }
    }
}

fn unknown_key(shape: &Shape, key: &str, excused: &mut Excused) -> Complaint {
    if let Some((_, why)) = shape.refused.iter().find(|(refused, _)| *refused == key) {
        *excused = Excused::All;
        return Complaint::new(*why);
    }
    let complaint = Complaint::new("this key is unknown");
    let Some(close) = closest(key, shape.keys.iter().copied()) else {
        return complaint.hint(format!("known here: {}", shape.keys.join(", ")));
    };
    if let Excused::Keys(keys) = excused {
        keys.push(close);
    }
    complaint.hint(format!("did you mean {close}?"))
}

fn join(path: &str, key: &str) -> Rc<str> {
    let key = quotable(key);
    if path.is_empty() { key.into() } else { format!("{path}.{key}").into() }
}

/// A text short and plain enough to stand in a message.
pub(super) fn quotable(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED_MAX).is_some() {
        short.push('…');
    }
    short
}

impl<'a> Section<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Field<'a>> {
        debug_assert!(self.shape.keys.contains(&key), "{key} is missing in {}", self.shape.name);
        self.fields.iter().find(|(k, _)| *k == key).map(|(_, field)| field)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// This section with what `base` says where this one says nothing. Of each of `groups`, keys
    /// that exclude each other, the base's count only if this one has none.
    #[must_use]
    pub(super) fn over(mut self, base: &Self, groups: &[&[&str]]) -> Self {
        let settled = |key: &str| {
            let group = groups.iter().find(|group| group.contains(&key));
            group.map_or_else(|| self.has(key), |group| group.iter().any(|key| self.has(key)))
        };
        let missing: Vec<_> =
            base.fields.iter().filter(|(key, _)| !settled(key)).cloned().collect();
        self.fields.extend(missing);
        match (&mut self.excused, &base.excused) {
            (Excused::Keys(keys), Excused::Keys(more)) => keys.extend(more),
            (excused, _) => *excused = Excused::All,
        }
        self
    }

    /// As [`Section::over`], and so for the sections below as well.
    #[must_use]
    pub(super) fn filled_from(mut self, base: &Self) -> Self {
        for (key, field) in &mut self.fields {
            let below =
                base.fields.iter().find(|(known, _)| *known == *key).map(|(_, below)| below);
            field.under = below
                .filter(|below| field.is_mapping() && below.is_mapping())
                .map(|below| Rc::new(below.clone()));
        }
        self.over(base, &[])
    }

    /// Whether the key stands in this file, and not only in what lies under it.
    pub(super) fn is_own(&self, key: &str) -> bool {
        self.get(key).is_some_and(|field| {
            let elsewhere = |field: &Field<'_>| field.origin.is_some();
            elsewhere(field) == self.spot.origin.is_some()
        })
    }

    /// Whether one of these keys is missing without anything having been said about it.
    pub(super) fn lacks(&self, keys: &[&str]) -> bool {
        let excused = |key: &&str| match &self.excused {
            Excused::Keys(keys) => keys.contains(key),
            Excused::All => true,
        };
        !keys.iter().any(|key| self.has(key) || excused(key))
    }

    /// Path and key as a spot, for a key that is not there.
    pub(super) fn spot_of(&self, key: &str) -> Spot {
        match self.get(key) {
            Some(field) => field.spot(),
            None => Spot { path: join(&self.spot.path, key), ..self.spot.clone() },
        }
    }

    pub(super) fn scalar<T>(
        &self,
        key: &str,
        out: &mut Findings,
        parse: impl FnOnce(&'a str) -> Result<T, Complaint>,
    ) -> Option<T> {
        self.get(key)?.scalar(out, parse)
    }

    /// Like [`Section::scalar`], but its absence is a problem.
    pub(super) fn required<T>(
        &self,
        key: &str,
        out: &mut Findings,
        parse: impl FnOnce(&'a str) -> Result<T, Complaint>,
    ) -> Option<T> {
        self.missing(key, out);
        self.scalar(key, out, parse)
    }

    /// Reports that a key must be written, if it is not.
    pub(super) fn missing(&self, key: &str, out: &mut Findings) {
        if self.lacks(&[key]) {
            out.error(&self.spot, format!("the key {key} is missing"));
        }
    }

    /// Reports keys that may not stand here, though they are known elsewhere.
    pub(super) fn refuse(&self, keys: &[&str], why: &str, out: &mut Findings) {
        for key in keys {
            if let Some(field) = self.get(key) {
                out.error(&field.key_spot(), why);
            }
        }
    }

    /// A section below this one; an absent one is like an empty one.
    pub(super) fn section(
        &self,
        key: &str,
        shape: &'static Shape,
        out: &mut Findings,
    ) -> Section<'a> {
        match self.get(key) {
            Some(field) => field.section(shape, out),
            None => {
                let excused = Excused::Keys(Vec::new());
                Section { shape, spot: self.spot_of(key), fields: Vec::new(), excused }
            }
        }
    }
}
