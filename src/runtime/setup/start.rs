//! What a start finds: the file, the history, and perhaps a version that was never confirmed.
//!
//! Called with the store's lock held, so nobody else is using the state directory. A start never
//! fails here: what can't be put right is said, and the gateway runs.

use std::path::{Path, PathBuf};

use super::history::History;
use super::record::{Author, Record, State};
use super::sha256;
use crate::config::{Loaded, Plan, file};
use crate::model::Clock;
use crate::runtime::in_full;

/// What runs, and what stands in the way of going back from it.
#[derive(Debug)]
pub struct Found {
    pub(super) path: PathBuf,
    /// `None` without a state directory, or while it can't be used.
    pub(super) history: Option<History>,
    pub(super) text: String,
    /// The number of the version that runs.
    pub(super) version: Option<u64>,
    /// The file still has the version that was not confirmed, and could not be written.
    pub(super) owed: Option<Owed>,
}

/// A rollback whose file is not written yet.
#[derive(Debug)]
pub(super) struct Owed {
    pub version: u64,
    pub sha256: String,
    pub reason: String,
}

const ENDED: &str = "the gateway ended before it was confirmed";

impl Found {
    /// Goes back from a version that was not confirmed; what to run is in the answer.
    pub fn look(path: &Path, loaded: Loaded, clock: &dyn Clock) -> (Self, Plan) {
        let history = loaded.plan.store.path.as_deref().map(History::open);
        let history = history.and_then(|opened| {
            opened
                .inspect_err(|error| {
                    let error = in_full(error);
                    tracing::error!(error, "there is no history of the configuration");
                })
                .ok()
        });
        let mut found =
            Self { path: path.to_owned(), history, text: String::new(), version: None, owed: None };
        let loaded = found.go_back(loaded);
        found.text = loaded.text;
        found.record(clock);
        (found, loaded.plan)
    }

    fn go_back(&mut self, loaded: Loaded) -> Loaded {
        let Some(history) = &mut self.history else { return loaded };
        let Some(pending) = history.current().cloned() else { return loaded };
        let State::Pending { before } = pending.state else { return loaded };
        let version = pending.version;
        if sha256(&loaded.text) != pending.sha256 {
            let old = history.records().iter().find(|record| record.version == before);
            let untouched = old.is_some_and(|old| old.sha256 == sha256(&loaded.text));
            let reason = if untouched {
                ENDED.to_owned()
            } else {
                format!("{ENDED}, and someone edited the file: the edit runs")
            };
            tracing::warn!(version, reason, "configuration rolled back");
            note(history, version, State::RolledBack { reason });
            return loaded;
        }
        let back = history.text(before).map_err(|error| in_full(&error)).and_then(|text| {
            file::parse_as(&self.path, &text).map_err(|problems| problems.to_string())
        });
        match back {
            Ok(back) => {
                let reason = ENDED.to_owned();
                match file::replace(&self.path, &back.text) {
                    Ok(()) => {
                        tracing::warn!(version, before, reason, "configuration rolled back");
                        note(history, version, State::RolledBack { reason });
                    }
                    Err(error) => {
                        let error = in_full(&error);
                        tracing::error!(
                            version,
                            before,
                            error,
                            "configuration rolled back, but its file can't be written; trying again"
                        );
                        self.owed = Some(Owed { version, sha256: pending.sha256, reason });
                    }
                }
                back
            }
            Err(error) => {
                tracing::error!(
                    version,
                    before,
                    error,
                    "can't go back from a configuration that was not confirmed: it stays"
                );
                note(history, version, State::Stands);
                loaded
            }
        }
    }

    /// What runs is in the history, be it that someone edited the file.
    fn record(&mut self, clock: &dyn Clock) {
        let sha256 = sha256(&self.text);
        let owed = self.owed.as_ref().map(|owed| owed.version);
        let Some(history) = &mut self.history else { return };
        let runs = match owed {
            Some(version) => history.before(version),
            None => history.current(),
        };
        if let Some(known) = runs.filter(|known| known.sha256 == sha256) {
            self.version = Some(known.version);
            return;
        }
        let what = if runs.is_none() { "the first start" } else { "found at the start" };
        let record = Record {
            version: 0,
            sha256,
            at_ms: clock.wall().0,
            clock_synced: clock.synced(),
            author: Author::File,
            what: what.to_owned(),
            state: State::Stands,
        };
        match history.add(record, &self.text) {
            Ok(version) => self.version = Some(version),
            Err(error) => {
                let error = in_full(&error);
                tracing::error!(error, "the configuration can't be kept in the history");
            }
        }
    }
}

fn note(history: &mut History, version: u64, state: State) {
    if let Err(error) = history.mark(version, state) {
        let error = in_full(&error);
        tracing::error!(version, error, "what became of a configuration can't be noted");
    }
}
