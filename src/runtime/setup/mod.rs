//! The configuration that runs, and the one way to change it, whoever asks.
//!
//! A change is checked as a whole, applied, written to the file in one step and kept in the history,
//! or refused without a trace. It stands at once, or is *pending*: then it stands when it is
//! confirmed, and is taken back at its deadline, or at the next start if the process ends before.
//! Invariants:
//!
//! * One change at a time; a second one is refused while one is pending.
//! * What is not confirmed never outlives its deadline or the process.
//! * A file that someone edited is never overwritten: a change is refused while the file is not what
//!   runs, and a rollback leaves an edit where it is and says so.
//! * What a pending change took away from the store's consumers comes back with a rollback: nothing
//!   of a backlog is forgotten before a change stands.
//!
//! Knows nothing of MQTT, signatures or pages. One task does it all (`change.rs`), so that nobody who
//! stops waiting for an answer leaves a change half made.

mod change;
mod disk;
mod history;
mod record;
mod refused;
mod start;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::gateway::Gateway;

pub(super) use history::DIRECTORY;
pub use history::{History, HistoryError};
pub use record::{Author, Record, State};
pub use refused::Refused;
pub(super) use refused::show;
pub use start::Found;

/// Requests that may wait; more are refused.
const ASKS_MAX: usize = 16;
/// The name of its unit.
pub(super) const UNIT: &str = "configuration";

/// The door to it.
#[derive(Clone)]
pub struct Setup {
    asks: mpsc::Sender<Ask>,
    status: watch::Receiver<SetupStatus>,
}

/// A new configuration.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub text: String,
    pub author: Author,
    /// How long it waits for its confirmation; `None`: it stands at once.
    pub confirm: Option<Duration>,
}

/// What runs now, and what was taken back last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SetupStatus {
    pub file: PathBuf,
    /// `None` without a state directory, and while nothing could be recorded.
    pub running: Option<Record>,
    pub sha256: String,
    /// While it waits for its confirmation: until when, in wall time.
    pub until_ms: Option<i64>,
    /// The version that was taken back after the one that runs.
    pub rolled_back: Option<Record>,
}

enum Ask {
    Propose(Proposal, oneshot::Sender<Result<u64, Refused>>),
    Confirm(u64, oneshot::Sender<Result<(), Refused>>),
    RollBack(Option<u64>, Author, oneshot::Sender<Result<u64, Refused>>),
    Text(oneshot::Sender<Result<String, Refused>>),
    Reload(oneshot::Sender<Result<(), Refused>>),
}

impl Setup {
    /// Takes over what [`Found`] found, for a gateway that runs it.
    pub fn start(gateway: &Arc<Gateway>, found: Found) -> Self {
        let (asks, requests) = mpsc::channel(ASKS_MAX);
        let status = gateway.configuration.subscribe();
        let changes = change::Changing::new(Arc::clone(gateway), found, requests);
        let changes = Arc::new(tokio::sync::Mutex::new(changes));
        gateway.units.start(UNIT, move |stop| {
            let changes = Arc::clone(&changes);
            async move {
                changes.lock().await.run(stop).await;
                Ok::<_, std::convert::Infallible>(())
            }
        });
        Self { asks, status }
    }

    /// Makes a change; the version that it is.
    pub async fn propose(&self, proposal: Proposal) -> Result<u64, Refused> {
        self.ask(|answer| Ask::Propose(proposal, answer)).await
    }

    /// Lets a pending version stand.
    pub async fn confirm(&self, version: u64) -> Result<(), Refused> {
        self.ask(|answer| Ask::Confirm(version, answer)).await
    }

    /// Back to a version, or without one from the version that is pending, or to the one before that
    /// which runs; the version that runs then.
    pub async fn roll_back(&self, version: Option<u64>, author: Author) -> Result<u64, Refused> {
        self.ask(|answer| Ask::RollBack(version, author, answer)).await
    }

    /// Someone edited the file and wants it taken; what became of it stands in the log, too.
    pub async fn take_file(&self) -> Result<(), Refused> {
        self.ask(Ask::Reload).await
    }

    /// The text of the configuration that runs.
    pub async fn text(&self) -> Result<String, Refused> {
        self.ask(Ask::Text).await
    }

    /// What runs, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<SetupStatus> {
        self.status.clone()
    }

    async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Ask,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(ask(answer)).map_err(|_| Refused::Stopping)?;
        answered.await.unwrap_or(Err(Refused::Stopping))
    }
}

/// The digest of a text, in hexadecimal digits.
pub(super) fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
