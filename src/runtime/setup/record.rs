//! One version of the configuration: who made it, when, what it changed, what became of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Changes;
use crate::model::Name;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts the versions of this gateway, from 1.
    pub version: u64,
    /// Of the text, in hexadecimal digits.
    pub sha256: String,
    /// Wall time in milliseconds, and whether a time source had confirmed it.
    pub at_ms: i64,
    pub clock_synced: bool,
    pub author: Author,
    /// What it changed, in words.
    pub what: String,
    #[serde(flatten)]
    pub state: State,
}

/// Who wants a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "kebab-case")]
pub enum Author {
    /// Whoever edited the file.
    File,
    /// A person at the gateway, with its own commands.
    Local,
    /// A person on the web page, under this account.
    Page { name: String },
    /// Whoever holds this key, over this uplink.
    Remote { uplink: String, key: String, serial: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    Stands,
    /// Runs, and is taken back unless it is confirmed.
    Pending {
        /// The version to go back to.
        before: u64,
    },
    RolledBack {
        reason: String,
    },
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("an edit of the file"),
            Self::Local => f.write_str("a person at the gateway"),
            Self::Page { name } => write!(f, "{name} on the page"),
            Self::Remote { uplink, key, serial } => {
                write!(f, "the key {key} over {uplink}, serial {serial}")
            }
        }
    }
}

impl State {
    pub fn is_rolled_back(&self) -> bool {
        matches!(self, Self::RolledBack { .. })
    }
}

/// The difference of two plans, in words.
pub fn in_words(changes: &Changes) -> String {
    let list = |what: &str, names: &[Name]| {
        let names: Vec<&str> = names.iter().map(Name::as_str).collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")))
    };
    let parts = [
        changes.gateway.then(|| "gateway".to_owned()),
        list("buses", &changes.buses),
        changes.broker.then(|| "broker".to_owned()),
        list("uplinks", &changes.uplinks),
        changes.web.then(|| "web".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing but words".to_owned() } else { parts.join(", ") }
}
