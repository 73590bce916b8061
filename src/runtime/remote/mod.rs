//! Remote configuration: signed messages from an uplink become changes of the configuration.
//!
//! A message is believed for its signature alone, whatever broker it came through; it is for us, now,
//! and newer than all before (`claims.rs`). The change itself is [`Setup`]'s; here is who confirms it:
//! the gateway, once the uplink that brought the message is connected with the change, may be
//! configured over it again, and its broker has acknowledged the state; or an operator, by a message.
//! Invariants:
//!
//! * A serial is used up when its change is made or can never be: what a broker repeats, be it after
//!   a rollback or a restart, changes nothing.
//! * Whatever comes, the state that is published says what runs and what became of the last message.

mod claims;
mod memory;
mod state;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::gateway::Gateway;
use super::in_full;
use super::locks::lock;
use super::setup::{Author, Proposal, Refused, Setup, SetupStatus, State, sha256, show};
use crate::codec::jws::{self, Keys, PUBLIC_KEY_BYTES};
use crate::config::RemotePlan;
use crate::model::{Name, Retry};
use crate::uplink::{ARRIVED_MAX, Arrived, RemoteDoor, Told, What};
use claims::{By, Confirm, Here, Set, Verdict};
use memory::{Last, Memory, Outcome, SeenRecord};

pub(super) const UNIT: &str = "remote configuration";
/// Longest message; an uplink takes no larger packet.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What uplinks and [`start`] have in common before either runs.
pub(super) struct Post {
    pub door: RemoteDoor,
    told: watch::Sender<Told>,
    /// Taken by the unit.
    arrivals: Mutex<Option<mpsc::Receiver<Arrived>>>,
}

impl Post {
    pub fn new() -> Self {
        let (arrived, arrivals) = mpsc::channel(ARRIVED_MAX);
        let (told, seen) = watch::channel(Told::default());
        let door = RemoteDoor { arrived, told: seen, acknowledged: Arc::default() };
        Self { door, told, arrivals: Mutex::new(Some(arrivals)) }
    }
}

/// Starts the unit; without a state directory nothing can be changed and nothing is started.
pub fn start(gateway: &Arc<Gateway>, setup: &Setup) {
    let Some(state_dir) = gateway.plan().store.path else { return };
    let Some(arrivals) = lock(&gateway.remote.arrivals).take() else { return };
    let remote = Remote {
        memory: Memory::load(&state_dir),
        state_dir,
        arrivals,
        acknowledged: gateway.remote.door.acknowledged.subscribe(),
        status: setup.status(),
        setup: setup.clone(),
        waiting: None,
        gateway: Arc::clone(gateway),
    };
    let remote = Arc::new(tokio::sync::Mutex::new(remote));
    gateway.units.start(UNIT, move |stop| {
        let remote = Arc::clone(&remote);
        async move {
            remote.lock().await.run(stop).await;
            Ok::<_, std::convert::Infallible>(())
        }
    });
}

struct Remote {
    gateway: Arc<Gateway>,
    setup: Setup,
    state_dir: PathBuf,
    arrivals: mpsc::Receiver<Arrived>,
    acknowledged: watch::Receiver<std::collections::BTreeMap<Name, u64>>,
    status: watch::Receiver<SetupStatus>,
    memory: Memory,
    waiting: Option<Waiting>,
}

/// A change that is not confirmed.
struct Waiting {
    version: u64,
    serial: u64,
    uplink: Name,
    by: By,
    /// What tells of it; its acknowledgement is the proof of being reachable.
    revision: u64,
}

/// The keys of the configuration.
struct Trusted<'a>(&'a RemotePlan);

impl Keys for Trusted<'_> {
    fn key(&self, id: &str) -> Option<[u8; PUBLIC_KEY_BYTES]> {
        self.0.keys.iter().find(|key| key.id.as_str() == id).map(|key| key.public)
    }
}

/// Who sent a message, as far as it is known.
struct Sender {
    uplink: Name,
    key: Option<String>,
    serial: Option<u64>,
}

impl Remote {
    async fn run(&mut self, stop: CancellationToken) {
        self.tell();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(arrived) = self.arrivals.recv() => self.take(arrived).await,
                Ok(()) = self.status.changed() => self.follow(),
                Ok(()) = self.acknowledged.changed() => {}
            }
            self.confirm_if_reachable().await;
            self.tell();
        }
    }

    async fn take(&mut self, Arrived { uplink, what }: Arrived) {
        let plan = self.gateway.plan().uplinks.into_iter().find(|plan| plan.name == uplink);
        // The configuration may have changed since the message came.
        let Some(plan) = plan else { return };
        let Some(remote) = plan.remote.clone() else { return };
        match what {
            What::Get => self.answer(&plan, &remote).await,
            What::Set { message, retained } => self.set(uplink, &remote, &message, retained).await,
            What::Confirm { message } => self.confirm(uplink, &remote, &message).await,
        }
    }

    async fn set(&mut self, uplink: Name, remote: &RemotePlan, message: &[u8], retained: bool) {
        let mut sender = Sender { uplink, key: None, serial: None };
        let set: Set = match read(remote, message, &mut sender) {
            Ok(set) => set,
            Err(reason) => return self.refuse(sender, reason, false),
        };
        sender.serial = Some(set.serial);
        let id = self.id();
        let groups: Vec<&str> = remote.groups.iter().map(|group| group.name.as_str()).collect();
        let seen = self.memory.seen();
        match set.judge(self.here(&id, &groups), seen.as_ref()) {
            Verdict::Take => self.propose(sender, remote, set).await,
            Verdict::Repeat => self.tell_again(),
            Verdict::Held(reason) => {
                tracing::info!(serial = set.serial, reason, "configuration held");
                self.used(&set, true);
                self.note(sender, Outcome::Held { reason });
            }
            // The broker kept it from before the newer ones; nobody has said it now.
            Verdict::Refused(_) if retained && seen.is_some_and(|s| set.serial < s.serial) => {}
            Verdict::Refused(reason) => self.refuse(sender, reason, true),
        }
    }

    async fn propose(&mut self, sender: Sender, remote: &RemotePlan, set: Set) {
        let author = Author::Remote {
            uplink: sender.uplink.to_string(),
            key: sender.key.clone().unwrap_or_default(),
            serial: set.serial,
        };
        let confirm = Some(set.within(remote.confirm));
        let proposal = Proposal { text: set.config.clone(), author, confirm };
        let made = self.setup.propose(proposal).await;
        if !made.as_ref().is_err_and(|refused| refused.retry() == Retry::Later) {
            self.used(&set, false);
        }
        let uplink = sender.uplink.clone();
        match made {
            Ok(version) => {
                let pends = |status: &SetupStatus| {
                    let running = status.running.as_ref().filter(|r| r.version == version);
                    running.is_some_and(|r| matches!(r.state, State::Pending { .. }))
                };
                if !pends(&self.status.borrow()) {
                    self.note(sender, Outcome::Stands);
                    return;
                }
                self.note(sender, Outcome::Pending);
                let revision = self.tell();
                let (serial, by) = (set.serial, set.confirm);
                self.waiting = Some(Waiting { version, serial, uplink, by, revision });
            }
            Err(Refused::Problems(problems)) => {
                let (told, more) = memory::told(&problems.0);
                let mut reason = "the configuration has problems".to_owned();
                if more > 0 {
                    reason += &format!("; {more} more are not told");
                }
                tracing::warn!(serial = set.serial, "configuration refused:\n{problems}");
                self.note(sender, Outcome::Refused { reason });
                if let Some(last) = &mut self.memory.last {
                    last.problems = told;
                }
                self.memory.save(&self.state_dir);
            }
            Err(refused) => self.refuse(sender, in_full(&refused), true),
        }
    }

    async fn confirm(&mut self, uplink: Name, remote: &RemotePlan, message: &[u8]) {
        let mut sender = Sender { uplink, key: None, serial: None };
        let confirm: Confirm = match read(remote, message, &mut sender) {
            Ok(confirm) => confirm,
            Err(reason) => return self.refuse(sender, reason, false),
        };
        sender.serial = Some(confirm.confirms);
        let id = self.id();
        let groups: Vec<&str> = remote.groups.iter().map(|group| group.name.as_str()).collect();
        if let Some(reason) = confirm.flaw(self.here(&id, &groups)) {
            return self.refuse(sender, reason, true);
        }
        let waits = self.waiting.as_ref().filter(|waiting| waiting.serial == confirm.confirms);
        let Some(version) = waits.map(|waiting| waiting.version) else {
            // Said twice, it is true the second time as well.
            if self.stands(confirm.confirms) {
                return self.tell_again();
            }
            let reason = format!("nothing of serial {} waits for a confirmation", confirm.confirms);
            return self.refuse(sender, reason, true);
        };
        self.let_stand(version).await;
    }

    async fn confirm_if_reachable(&mut self) {
        let Some(waiting) = self.waiting.as_ref().filter(|w| w.by == By::Reachable) else { return };
        let acknowledged = self.acknowledged.borrow().get(&waiting.uplink).copied();
        if acknowledged.is_some_and(|revision| revision >= waiting.revision) {
            self.let_stand(waiting.version).await;
        }
    }

    /// If it can't, the change is taken back in the end, which is told then.
    async fn let_stand(&mut self, version: u64) {
        if let Err(refused) = self.setup.confirm(version).await {
            tracing::warn!(version, reason = in_full(&refused), "configuration not confirmed");
        }
        self.follow();
    }

    /// Another version runs, or something became of the one that does.
    fn follow(&mut self) {
        let status = self.status.borrow_and_update().clone();
        let before = self.memory.clone();
        for record in status.running.iter().chain(&status.rolled_back) {
            self.memory.follow(record);
        }
        let runs = status.running.as_ref();
        let still = |waiting: &Waiting| {
            let record = runs.filter(|record| record.version == waiting.version);
            record.is_some_and(|record| matches!(record.state, State::Pending { .. }))
        };
        if self.waiting.as_ref().is_some_and(|waiting| !still(waiting)) {
            self.waiting = None;
        }
        if self.memory != before {
            self.memory.save(&self.state_dir);
        }
    }

    fn stands(&self, serial: u64) -> bool {
        let last = self.memory.last.as_ref().filter(|last| last.serial == Some(serial));
        last.is_some_and(|last| last.outcome == Outcome::Stands)
    }

    fn used(&mut self, set: &Set, held: bool) {
        let sha256 = sha256(&set.config);
        self.memory.seen = Some(SeenRecord { serial: set.serial, sha256, held });
        self.memory.save(&self.state_dir);
    }

    /// What anyone can send is told once, and not kept.
    fn refuse(&mut self, sender: Sender, reason: String, signed: bool) {
        let outcome = Outcome::Refused { reason };
        let news = self.memory.last.as_ref().is_none_or(|last| last.outcome != outcome);
        if let (true, Outcome::Refused { reason }) = (news, &outcome) {
            let (uplink, serial) = (&sender.uplink, sender.serial);
            tracing::warn!(%uplink, serial, reason, "message about the configuration refused");
        }
        if signed {
            self.note(sender, outcome);
        } else if news {
            self.memory.last = Some(self.last(sender, outcome));
        }
    }

    fn note(&mut self, sender: Sender, outcome: Outcome) {
        self.memory.last = Some(self.last(sender, outcome));
        self.memory.save(&self.state_dir);
    }

    fn last(&self, sender: Sender, outcome: Outcome) -> Last {
        let Sender { uplink, key, serial } = sender;
        let (uplink, at) = (uplink.to_string(), show(self.gateway.clock.wall()));
        Last { serial, key, uplink, at, outcome, problems: Vec::new() }
    }

    fn id(&self) -> String {
        let gateway = self.gateway.plan().gateway;
        match gateway.site {
            Some(site) => format!("{site}/{}", gateway.name),
            None => gateway.name.to_string(),
        }
    }

    fn here<'a>(&self, id: &'a str, groups: &'a [&'a str]) -> Here<'a> {
        let clock = &self.gateway.clock;
        Here { id, groups, wall: clock.wall(), synced: clock.synced() }
    }
}

/// What a message says; the sender's key is known from then on.
fn read<T: serde::de::DeserializeOwned>(
    remote: &RemotePlan,
    message: &[u8],
    sender: &mut Sender,
) -> Result<T, String> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(format!("it has more than {MESSAGE_BYTES_MAX} bytes"));
    }
    // Who publishes a file publishes the end of its line as well.
    let message = message.trim_ascii();
    let verified = jws::verify(message, &Trusted(remote)).map_err(|error| error.to_string())?;
    sender.key = Some(verified.key);
    claims::read(&verified.payload)
}
