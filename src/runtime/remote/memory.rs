//! What is remembered of remote configuration across restarts: the newest serial, against replays,
//! and what became of the last message.
//!
//! `remote.json` beside the history. The history itself counts too: a version that it has of a
//! message was seen, even if the process ended before anything was noted here. Reads and writes
//! files: not for an async task.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::claims::Seen;
use crate::config::file;
use crate::config::{Problem, Severity};
use crate::runtime::in_full;
use crate::runtime::setup::{Author, DIRECTORY, History, Record, State};

const FILE: &str = "remote.json";
/// Problems of a configuration that are told; there may be a thousand.
const PROBLEMS_TOLD_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    pub seen: Option<SeenRecord>,
    pub last: Option<Last>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRecord {
    pub serial: u64,
    pub sha256: String,
    pub held: bool,
}

/// What became of the last message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// `None` of a message that nobody we know signed.
    pub serial: Option<u64>,
    pub key: Option<String>,
    pub uplink: String,
    pub at: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Told>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    Pending,
    Stands,
    Held { reason: String },
    Refused { reason: String },
    RolledBack { reason: String },
}

/// A problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub line: u32,
    pub column: u32,
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Memory {
    /// What was noted, and what the history knows beyond it.
    pub fn load(state_dir: &Path) -> Self {
        let noted = std::fs::read_to_string(place(state_dir)).ok();
        let mut memory: Self =
            noted.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let history = History::read(state_dir);
        for record in history.iter().flat_map(History::records) {
            let Author::Remote { serial, .. } = record.author else { continue };
            if memory.seen.as_ref().is_none_or(|seen| seen.serial < serial || seen.held) {
                let sha256 = record.sha256.clone();
                memory.seen = Some(SeenRecord { serial, sha256, held: false });
            }
            memory.follow(record);
        }
        memory
    }

    /// What became of the version that the last message made.
    pub fn follow(&mut self, record: &Record) {
        let Author::Remote { serial, .. } = record.author else { return };
        let Some(last) = self.last.as_mut().filter(|last| last.serial == Some(serial)) else {
            return;
        };
        // A message that was refused made no version; one of its serial may stand.
        if matches!(last.outcome, Outcome::Pending | Outcome::Stands) {
            last.outcome = match &record.state {
                State::Pending { .. } => Outcome::Pending,
                State::Stands => Outcome::Stands,
                State::RolledBack { reason } => Outcome::RolledBack { reason: reason.clone() },
            };
        }
    }

    pub fn save(&self, state_dir: &Path) {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        if let Err(error) = file::replace(&place(state_dir), &text) {
            let error = in_full(&error);
            tracing::error!(error, "what was seen of remote configuration can't be kept");
        }
    }

    pub fn seen(&self) -> Option<Seen> {
        let SeenRecord { serial, sha256, held } = self.seen.clone()?;
        Some(Seen { serial, sha256, held })
    }
}

fn place(state_dir: &Path) -> PathBuf {
    state_dir.join(DIRECTORY).join(FILE)
}

/// The first errors of a configuration, and the word about those left out.
pub fn told(problems: &[Problem]) -> (Vec<Told>, usize) {
    let errors: Vec<_> = problems.iter().filter(|p| p.severity == Severity::Error).collect();
    let first = errors.iter().take(PROBLEMS_TOLD_MAX).map(|problem| Told {
        line: problem.line,
        column: problem.column,
        path: problem.path.clone(),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    });
    (first.collect(), errors.len().saturating_sub(PROBLEMS_TOLD_MAX))
}
