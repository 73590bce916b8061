//! All profiles there are: the user's own, and the shipped ones that none of those replaces.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use crate::config::profile::{self, FILE_SUFFIX, Profile, SHIPPED};
use crate::config::{Problems, file};

pub(super) struct Entry {
    pub name: String,
    /// `shipped`, or the file.
    pub from: String,
    pub profile: Result<Profile, Problems>,
}

/// By name. A directory that does not exist has none.
pub(super) fn catalogue(directory: &Path) -> anyhow::Result<Vec<Entry>> {
    let own = match file::profile_names(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("can't read {}", directory.display()));
        }
    };
    let mut entries = Vec::new();
    for name in own {
        let path = directory.join(format!("{name}{FILE_SUFFIX}"));
        let profile = file::load_profile(&path).map(|(profile, _)| profile);
        let replaces =
            if profile::shipped(&name).is_some() { ", in place of the shipped one" } else { "" };
        let from = format!("{}{replaces}", path.display());
        entries.push(Entry { name, from, profile });
    }
    for (name, text) in SHIPPED {
        if !entries.iter().any(|entry| entry.name == *name) {
            let profile = profile::check(text, name, name).map(|(profile, _)| profile);
            entries.push(Entry { name: (*name).to_owned(), from: "shipped".to_owned(), profile });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

impl Entry {
    /// Whether each of the words stands somewhere in its head.
    pub(super) fn has(&self, words: &[String]) -> bool {
        let mut text = self.name.to_lowercase();
        if let Ok(Profile { head, .. }) = &self.profile {
            let vendor = head.vendor.as_deref().unwrap_or_default();
            let models = head.models.join(" ");
            text += &format!(" {} {} {vendor} {models}", head.kind, head.title).to_lowercase();
        }
        words.iter().all(|word| text.contains(&word.to_lowercase()))
    }
}

pub(super) fn table(entries: &[Entry]) -> String {
    let names = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for Entry { name, from, profile } in entries {
        let about = match profile {
            Ok(Profile { head, device, .. }) => format!(
                "{:<10}  {:>3} tags  v{:<2} {:<8} {}",
                head.kind,
                device.tags.len(),
                head.version,
                if from == "shipped" { "shipped" } else { "yours" },
                head.title
            ),
            Err(_) => format!("has mistakes: fieldhold profile check {from}"),
        };
        out += &format!("{name:<names$}  {about}\n");
    }
    out
}
