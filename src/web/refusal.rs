//! Why a configuration is not taken, as answers of the API.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::config::edit::Refusal;
use crate::config::{self, Severity};
use crate::runtime::{HistoryError, Refused, in_full};

/// A problem of a configuration, where it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Finding {
    file: String,
    /// Counted from 1; 0 when it is about the whole file.
    line: u32,
    column: u32,
    /// Keys joined by dots, places of lists in brackets.
    path: String,
    /// `error` or `warning`.
    severity: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

impl From<&config::Problem> for Finding {
    fn from(problem: &config::Problem) -> Self {
        Self {
            file: problem.file.to_string(),
            line: problem.line,
            column: problem.column,
            path: problem.path.clone(),
            severity: match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

/// A configuration that can't be used, with everything that is wrong.
pub fn configuration(problems: &[config::Problem]) -> Problem {
    let all: Vec<Finding> = problems.iter().map(Finding::from).collect();
    let errors = all.iter().filter(|finding| finding.is_error()).count();
    let reason = match problems.iter().find(|problem| problem.severity == Severity::Error) {
        Some(first) if errors == 1 => first.to_string(),
        Some(first) => format!("{errors} problems; the first: {first}"),
        None => "it can't be used".to_owned(),
    };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "configuration", "The configuration has problems", reason)
        .hint("mend what is listed; nothing was changed")
        .with("problems", serde_json::to_value(all).unwrap_or_default())
}

/// An edit that can't be made in the text.
pub fn of_edit(refusal: &Refusal) -> Problem {
    let place = if refusal.path.is_empty() { String::new() } else { format!("{}: ", refusal.path) };
    let problem = Problem::refused(format!("{place}{}", refusal.reason)).hint(refusal.hint);
    match refusal.edit {
        Some(edit) => problem.field(format!("edits[{edit}]")),
        None => problem,
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let reason = in_full(&refused);
        match refused {
            Refused::Problems(problems) => configuration(&problems.0),
            Refused::Pending { version, .. } => {
                Self::conflict("pending", "Another change waits for its confirmation", reason)
                    .hint("confirm it or take it back first")
                    .with("version", version)
            }
            Refused::Edited { .. } => {
                Self::conflict("changed", "Somebody else changed the configuration", reason)
                    .hint("load the draft again and look at the difference")
            }
            Refused::NotPending(_) => {
                Self::conflict("not-pending", "Nothing waits for this confirmation", reason)
                    .hint("it was confirmed or taken back already; look at the history")
            }
            Refused::Nothing => Self::not_found(reason).hint("choose a version of the history"),
            Refused::History(HistoryError::Unknown(_)) => {
                Self::not_found(reason).hint("choose a version of the history")
            }
            Refused::NoState => Self::refused(reason)
                .hint("give the gateway a place to keep its state: store: { path: … } in the file"),
            Refused::Identity | Refused::Apply(_) => {
                Self::refused(reason).hint("nothing was changed; change that part and try again")
            }
            Refused::Owed(_) | Refused::Stopping => {
                Self::unavailable(reason).hint("try again in half a minute")
            }
            Refused::Save(_) | Refused::History(_) => {
                let status = StatusCode::INSUFFICIENT_STORAGE;
                Self::new(status, "disk", "The disk does not take it", reason)
                    .hint("nothing was changed; look at the room and the rights of the directory")
            }
        }
    }
}
