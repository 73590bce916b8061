//! A profile that is being made: what is known of it, as a tree to check and as a text to keep.

use super::super::check;
use super::super::edit::word;
use super::super::problem::{Findings, Problems};
use super::super::raw::{Content, Node, Place};

/// A finished profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of its file.
    pub text: String,
    pub tags: usize,
    /// What was left out, or should be looked at.
    pub notes: Vec<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub name: String,
    pub title: String,
    pub kind: String,
    pub source: String,
    pub groups: Vec<Group>,
    pub notes: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub name: String,
    pub about: String,
    pub is_default: bool,
    pub every: Option<&'static str>,
    pub tags: Vec<Tag>,
}

/// Keys of a tag in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Tag {
    pub name: String,
    pub at: Place,
    pub keys: Vec<(String, Node)>,
    /// What people call it.
    pub comment: String,
}

pub(super) fn scalar(at: Place, text: impl Into<String>) -> Node {
    Node { at, content: Content::Scalar(text.into()) }
}

pub(super) fn map(at: Place, pairs: Vec<(String, Node)>) -> Node {
    let pairs = pairs.into_iter().map(|(key, value)| (scalar(value.at, key), value)).collect();
    Node { at, content: Content::Map(pairs) }
}

impl Draft {
    /// Checked as any profile; `file` is how problems call what it was made from.
    pub(super) fn finish(mut self, mut out: Findings) -> Result<Imported, Problems> {
        let text = self.text();
        let notes = std::mem::take(&mut self.notes);
        let name = self.name.clone();
        let tree = self.tree();
        match check::profile(&tree, &name, &mut out) {
            Some(profile) => {
                let warnings = out.into_problems();
                let warnings = warnings.iter().map(ToString::to_string);
                let notes = notes.into_iter().chain(warnings).collect();
                Ok(Imported { text, tags: profile.device.tags.len(), notes })
            }
            None => Err(Problems(out.into_problems())),
        }
    }

    fn tree(self) -> Node {
        let at = Place::default();
        let text = |key: &str, value: String| (key.to_owned(), scalar(at, value));
        let groups = self.groups.into_iter().map(|group| {
            let tags = group.tags.into_iter();
            let tags = tags.map(|tag| (scalar(tag.at, tag.name), map(tag.at, tag.keys)));
            let tags = Node { at, content: Content::Map(tags.collect()) };
            let mut keys = vec![text("default", group.is_default.to_string())];
            if !group.about.is_empty() {
                keys.push(text("about", group.about));
            }
            if let Some(every) = group.every {
                keys.push(text("every", every.to_owned()));
            }
            keys.push(("tags".to_owned(), tags));
            (group.name, map(at, keys))
        });
        let groups = map(at, groups.collect());
        map(
            at,
            vec![
                text("profile", self.name),
                text("version", "1".to_owned()),
                text("title", self.title),
                text("kind", self.kind),
                text("source", self.source),
                ("groups".to_owned(), groups),
            ],
        )
    }

    fn text(&self) -> String {
        let mut out = format!(
            "profile: {}\nversion: 1\ntitle: {}\nkind: {}\nsource:\n  - {}\ngroups:\n",
            word(&self.name, true),
            word(&self.title, true),
            word(&self.kind, true),
            word(&self.source, true)
        );
        for group in &self.groups {
            out += &format!("  {}:\n", word(&group.name, true));
            if !group.about.is_empty() {
                out += &format!("    about: {}\n", word(&group.about, true));
            }
            if !group.is_default {
                out += "    default: false\n";
            }
            if let Some(every) = group.every {
                out += &format!("    every: {every}\n");
            }
            out += "    tags:\n";
            for tag in &group.tags {
                let keys: Vec<_> =
                    tag.keys.iter().map(|(key, node)| format!("{key}: {}", flow(node))).collect();
                out += &format!("      {}: {{ {} }}", word(&tag.name, true), keys.join(", "));
                let comment: String = tag.comment.chars().filter(|c| !c.is_control()).collect();
                if !comment.is_empty() {
                    out += &format!(" # {comment}");
                }
                out += "\n";
            }
        }
        out
    }
}

fn flow(node: &Node) -> String {
    match &node.content {
        Content::Null => "~".to_owned(),
        Content::Scalar(text) => word(text, true),
        Content::List(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Content::Map(pairs) => {
            let pair = |(key, value): &(Node, Node)| format!("{}: {}", flow(key), flow(value));
            format!("{{ {} }}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}
