//! What the server face of a bus says about itself.

use serde::Serialize;

use crate::config::SharePlan;

/// State and counters since the bus was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShareStatus {
    pub listen: String,
    pub mode: &'static str,
    pub state: FaceState,
    /// Connected now.
    pub clients: usize,
    /// Connections that were closed at once: not on the list, or too many.
    pub clients_refused: u64,
    pub requests: u64,
    /// Answered from what was polled.
    pub hits: u64,
    /// Not answered, since what was polled is too old or was never read.
    pub stale: u64,
    /// Reads that were asked of the line.
    pub passed: u64,
    pub writes: u64,
    /// Writes that are not allowed.
    pub writes_refused: u64,
    /// Answered "busy": too many waited, or for too long.
    pub busy: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum FaceState {
    Starting,
    Listening,
    /// The address can't be listened on; it is tried again.
    Down {
        reason: String,
    },
}

impl ShareStatus {
    pub(super) fn new(plan: &SharePlan) -> Self {
        Self {
            listen: plan.listen.to_string(),
            mode: plan.mode.as_str(),
            state: FaceState::Starting,
            clients: 0,
            clients_refused: 0,
            requests: 0,
            hits: 0,
            stale: 0,
            passed: 0,
            writes: 0,
            writes_refused: 0,
            busy: 0,
        }
    }
}
