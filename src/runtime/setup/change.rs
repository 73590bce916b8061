//! The task that makes changes, confirms them and takes them back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::disk::Disk;
use super::history::History;
use super::record::{Author, Record, State, in_words};
use super::refused::{Refused, show};
use super::start::Found;
use super::{Ask, Proposal, SetupStatus, sha256};
use crate::config::file;
use crate::config::{self, Plan};
use crate::model::Wall;
use crate::runtime::gateway::Gateway;
use crate::runtime::locks::lock;
use crate::runtime::{blocking, in_full};

/// Between two attempts to finish a rollback that something stands in the way of.
const AGAIN: Duration = Duration::from_secs(30);

pub(super) struct Changing {
    gateway: Arc<Gateway>,
    asks: mpsc::Receiver<Ask>,
    disk: Arc<Mutex<Disk>>,
    running: Running,
    pending: Option<Pending>,
}

#[derive(Debug, Clone)]
struct Running {
    version: Option<u64>,
    text: String,
    sha256: String,
}

struct Pending {
    version: u64,
    sha256: String,
    before: Running,
    plan_before: Plan,
    deadline: Instant,
    until: Wall,
    /// Why, once what was before runs again and only the file is not written.
    taken_back: Option<String>,
}

impl Changing {
    pub(super) fn new(gateway: Arc<Gateway>, found: Found, asks: mpsc::Receiver<Ask>) -> Self {
        let sha256 = sha256(&found.text);
        let running = Running { version: found.version, text: found.text, sha256 };
        let pending = found.owed.map(|owed| Pending {
            version: owed.version,
            sha256: owed.sha256,
            before: running.clone(),
            plan_before: gateway.plan(),
            deadline: Instant::now() + AGAIN,
            until: gateway.clock.wall(),
            taken_back: Some(owed.reason),
        });
        let disk = Arc::new(Mutex::new(Disk { path: found.path, history: found.history }));
        let changes = Self { gateway, asks, disk, running, pending };
        changes.show();
        changes
    }

    pub(super) async fn run(&mut self, stop: CancellationToken) {
        loop {
            let deadline = self.pending.as_ref().map(|pending| pending.deadline);
            tokio::select! {
                () = stop.cancelled() => break,
                () = until(deadline) => {
                    let reason = "nothing confirmed it in time".to_owned();
                    self.take_back(reason).await;
                }
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => break,
                },
            }
            self.show();
        }
        if let Some(pending) = &self.pending {
            let version = pending.version;
            tracing::warn!(version, "configuration not confirmed yet: the next start goes back");
        }
    }

    /// Whoever asked may have left meanwhile.
    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Propose(proposal, answer) => {
                let made = self.propose(proposal, None).await;
                self.show();
                let _ = answer.send(made);
            }
            Ask::Confirm(version, answer) => {
                let confirmed = self.confirm(version).await;
                self.show();
                let _ = answer.send(confirmed);
            }
            Ask::RollBack(version, author, answer) => {
                let gone_back = self.roll_back(version, author).await;
                self.show();
                let _ = answer.send(gone_back);
            }
            Ask::Text(answer) => {
                let _ = answer.send(Ok(self.running.text.clone()));
            }
            Ask::Reload(answer) => {
                let taken = self.reload().await;
                self.show();
                if let Err(refused) = &taken {
                    match refused {
                        Refused::Problems(problems) => {
                            let what = "configuration not taken, nothing was changed";
                            tracing::error!("{what}:\n{problems}");
                        }
                        refused => {
                            tracing::error!(error = in_full(refused), "configuration not taken");
                        }
                    }
                }
                let _ = answer.send(taken);
            }
        }
    }

    async fn propose(
        &mut self,
        proposal: Proposal,
        as_version: Option<u64>,
    ) -> Result<u64, Refused> {
        if let Some(pending) = &self.pending {
            return Err(pending.refusal());
        }
        let Proposal { text, author, confirm } = proposal;
        let before = self.version_to_go_back_to().await?;
        let ours = self.running.sha256.clone();
        let loaded = self.on_disk(move |disk| disk.check(&text, &ours)).await??;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let plan_before = self.gateway.plan();
        if matches!(author, Author::Remote { .. }) && loaded.plan.gateway != plan_before.gateway {
            return Err(Refused::Identity);
        }
        if loaded.text == self.running.text {
            return Ok(before);
        }
        let text = loaded.text.clone();
        let staged = self.on_disk(move |disk| file::stage(&disk.path, &text)).await??;
        // From here on the disk holds all it needs, so little can go wrong after the change.
        let changes = self.gateway.apply(loaded.plan).await?;
        let mut what = in_words(&changes);
        if let Some(version) = as_version {
            what = format!("{what} (as version {version})");
        }
        let state = match confirm {
            Some(_) => State::Pending { before },
            None => State::Stands,
        };
        let record = self.record(&loaded.text, author, what, state);
        tracing::info!(author = %record.author, what = record.what, "configuration taken");
        let (text, sha256) = (loaded.text.clone(), record.sha256.clone());
        let kept = self.on_disk(move |disk| disk.keep(record, &text, staged)).await;
        let version = match kept.and_then(|kept| kept) {
            Ok(version) => version,
            Err(refused) => {
                tracing::error!(error = in_full(&refused), "configuration taken back again");
                if let Err(error) = self.gateway.apply(plan_before).await {
                    let error = in_full(&error);
                    tracing::error!(error, "what ran before can't run again: restart the gateway");
                }
                self.gateway.settle();
                return Err(refused);
            }
        };
        let running = Running { version: Some(version), text: loaded.text, sha256 };
        let before = std::mem::replace(&mut self.running, running);
        let Some(confirm) = confirm else {
            self.gateway.settle();
            return Ok(version);
        };
        let (deadline, until) = (Instant::now() + confirm, self.gateway.clock.wall());
        let until = Wall(until.0.saturating_add(i64::try_from(confirm.as_millis()).unwrap_or(0)));
        tracing::info!(version, until = show(until), "configuration waits for its confirmation");
        let sha256 = self.running.sha256.clone();
        let taken_back = None;
        self.pending =
            Some(Pending { version, sha256, before, plan_before, deadline, until, taken_back });
        Ok(version)
    }

    async fn confirm(&mut self, version: u64) -> Result<(), Refused> {
        let waits = |pending: &Pending| pending.version == version && pending.taken_back.is_none();
        if !self.pending.as_ref().is_some_and(waits) {
            return Err(Refused::NotPending(version));
        }
        self.on_disk(move |disk| {
            disk.history()?.mark(version, State::Stands).map_err(Refused::from)
        })
        .await??;
        self.pending = None;
        self.gateway.settle();
        tracing::info!(version, "configuration confirmed");
        Ok(())
    }

    async fn roll_back(&mut self, to: Option<u64>, author: Author) -> Result<u64, Refused> {
        if let Some(pending) = &self.pending {
            let before = pending.before.version;
            if to.is_some() && to != before {
                return Err(pending.refusal());
            }
            self.take_back(format!("{author} asked for it")).await;
            return match &self.pending {
                Some(pending) => Err(pending.refusal()),
                None => Ok(before.unwrap_or_default()),
            };
        }
        let runs = self.running.version.unwrap_or(u64::MAX);
        let (version, text) = self
            .on_disk(move |disk| {
                let history = disk.history()?;
                let version = match to {
                    Some(version) => version,
                    None => history.before(runs).ok_or(Refused::Nothing)?.version,
                };
                Ok::<_, Refused>((version, history.text(version)?))
            })
            .await??;
        let proposal = Proposal { text, author, confirm: None };
        self.propose(proposal, Some(version)).await
    }

    /// Runs what ran before, then writes its file, then notes it. What fails is tried again.
    async fn take_back(&mut self, reason: String) {
        let Some(mut pending) = self.pending.take() else { return };
        let version = pending.version;
        if pending.taken_back.is_none() {
            if let Err(error) = self.gateway.apply(pending.plan_before.clone()).await {
                let error = in_full(&error);
                tracing::error!(version, error, "configuration can't be rolled back, trying again");
                pending.deadline = Instant::now() + AGAIN;
                self.pending = Some(pending);
                return;
            }
            self.gateway.settle();
            self.running = pending.before.clone();
        }
        let mut reason = pending.taken_back.clone().unwrap_or(reason);
        let (ours, text) = (pending.sha256.clone(), pending.before.text.clone());
        let put_back = self.on_disk(move |disk| disk.put_back(&ours, &text)).await;
        match put_back.and_then(|put_back| put_back) {
            Ok(true) => {}
            Ok(false) => reason += ", and the file was edited meanwhile: it is left as it is",
            Err(error) => {
                let error = in_full(&error);
                tracing::error!(
                    version,
                    error,
                    "configuration rolled back, but its file can't be written; trying again"
                );
                pending.taken_back = Some(reason);
                pending.deadline = Instant::now() + AGAIN;
                self.pending = Some(pending);
                return;
            }
        }
        tracing::warn!(version, before = self.running.version, reason, "configuration rolled back");
        self.note(version, State::RolledBack { reason }).await;
    }

    /// Takes the file's new content if it is sound; otherwise says why and changes nothing. Whoever
    /// edits the file is there in person, so a change that is pending gives way.
    async fn reload(&mut self) -> Result<(), Refused> {
        let loaded = self.on_disk(|disk| config::load(&disk.path)).await?;
        let loaded = loaded.map_err(Refused::Problems)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let changes = self.gateway.apply(loaded.plan).await?;
        tracing::info!(?changes, "configuration taken");
        if loaded.text == self.running.text {
            return Ok(()); // A profile may have changed, or nothing.
        }
        if let Some(pending) = self.pending.take() {
            let (version, reason) = (pending.version, "someone edited the file instead".to_owned());
            tracing::warn!(version, reason, "configuration rolled back");
            self.note(version, State::RolledBack { reason }).await;
        }
        self.gateway.settle();
        self.running.text = loaded.text;
        self.running.sha256 = sha256(&self.running.text);
        self.running.version = None;
        let record =
            self.record(&self.running.text, Author::File, in_words(&changes), State::Stands);
        self.running.version = self.keep_running(record).await;
        Ok(())
    }

    /// What runs, as a version that a rollback can go to.
    async fn version_to_go_back_to(&mut self) -> Result<u64, Refused> {
        self.on_disk(|disk| disk.history().map(drop)).await??;
        if self.running.version.is_none() {
            let what = "what ran already".to_owned();
            let record = self.record(&self.running.text, Author::File, what, State::Stands);
            self.running.version = self.keep_running(record).await;
        }
        self.running.version.ok_or(Refused::NoState)
    }

    async fn keep_running(&self, record: Record) -> Option<u64> {
        let text = self.running.text.clone();
        let added = self.on_disk(move |disk| Ok::<_, Refused>(disk.history()?.add(record, &text)?));
        match added.await.and_then(|added| added) {
            Ok(version) => Some(version),
            Err(Refused::NoState) => None,
            Err(error) => {
                let error = in_full(&error);
                tracing::error!(error, "the configuration can't be kept in the history");
                None
            }
        }
    }

    async fn note(&self, version: u64, state: State) {
        let noted =
            self.on_disk(move |disk| disk.history()?.mark(version, state).map_err(Refused::from));
        if let Err(error) = noted.await.and_then(|noted| noted) {
            let error = in_full(&error);
            tracing::error!(version, error, "what became of a configuration can't be noted");
        }
    }

    fn record(&self, text: &str, author: Author, what: String, state: State) -> Record {
        let clock = &self.gateway.clock;
        let (at_ms, clock_synced) = (clock.wall().0, clock.synced());
        Record { version: 0, sha256: sha256(text), at_ms, clock_synced, author, what, state }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Disk) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let disk = Arc::clone(&self.disk);
        let done = blocking(move || work(&mut lock(&disk)));
        done.await.map_err(|_| Refused::Stopping)
    }

    /// Tells everyone what runs; nobody is woken if that is no news.
    fn show(&self) {
        let disk = lock(&self.disk);
        let records = disk.history.as_ref().map(History::records).unwrap_or_default();
        let of = |version| records.iter().find(|record| Some(record.version) == version);
        let running = of(self.running.version);
        let newest = records.last().filter(|newest| newest.state.is_rolled_back());
        let newer = newest.filter(|newest| running.is_none_or(|r| r.version < newest.version));
        let waits = self.pending.as_ref().filter(|pending| pending.taken_back.is_none());
        let status = SetupStatus {
            file: disk.path.clone(),
            running: running.cloned(),
            sha256: self.running.sha256.clone(),
            until_ms: waits.map(|pending| pending.until.0),
            rolled_back: newer.cloned(),
        };
        self.gateway.configuration.send_if_modified(|shown| {
            let news = *shown != status;
            *shown = status;
            news
        });
    }
}

impl Pending {
    fn refusal(&self) -> Refused {
        match &self.taken_back {
            None => Refused::Pending { version: self.version, until: self.until },
            Some(_) => Refused::Owed(self.version),
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
