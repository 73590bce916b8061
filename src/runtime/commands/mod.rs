//! Commands: from a `.../set` message to a write on a bus, and the answer back.
//!
//! Everything is checked before a bus sees it: the tags are writable, the message is not retained,
//! not expired, every value of its tag's type and within its rule, and not too soon. Every request
//! gets exactly one answer, every outcome is counted and recorded. Nothing is kept across a restart
//! but the record, so a command is never replayed.

mod by_hand;
mod check;
mod record;
mod reply;
mod targets;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::doors::Doors;
use super::live::Board;
use super::locks::lock;
use crate::config::Plan;
use crate::model::{
    Clock, Command, Mono, Name, Origin, Outcome, Refusal, Set, SetRequest, TopicName, Value,
};
use crate::store::Store;

pub use by_hand::NoAnswer;

use check::{Checked, Denied};
use record::Recorder;
use targets::{Target, Targets};
use turns::{Key, SafeStatus, Turns};

/// Requests that may wait to be checked.
pub const INBOX_MAX: usize = 256;

/// How long a safe value may wait for its bus.
const SAFE_EXPIRES: Duration = Duration::from_secs(10);

/// Checks requests and hands them to the buses.
pub struct Commands {
    desk: Arc<Desk>,
}

/// What the answers need too, which come from the buses.
struct Desk {
    clock: Arc<dyn Clock>,
    doors: Arc<Doors>,
    recorder: Recorder,
    targets: Mutex<Arc<Targets>>,
    turns: Mutex<Turns>,
    tally: Tally,
    /// A safe value may be due at another time than before.
    turned: Notify,
}

/// What became of all commands since the start.
#[derive(Default)]
struct Tally {
    received: AtomicU64,
    done: AtomicU64,
    safe: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct CommandStatus {
    pub received: u64,
    pub done: u64,
    pub refused: BTreeMap<&'static str, u64>,
    /// Safe values written because nobody commanded a tag for too long.
    pub safe_values: u64,
    /// Tags whose safe value is armed or was written.
    pub safe: Vec<SafeStatus>,
}

impl Commands {
    pub fn new(clock: Arc<dyn Clock>, doors: Arc<Doors>, board: Arc<Board>, store: Store) -> Self {
        let recorder = Recorder::new(Arc::clone(&clock), board, store);
        let desk = Desk {
            clock,
            doors,
            recorder,
            targets: Mutex::default(),
            turns: Mutex::default(),
            tally: Tally::default(),
            turned: Notify::new(),
        };
        Self { desk: Arc::new(desk) }
    }

    /// Takes the writable tags of a new plan.
    pub fn set_plan(&self, plan: &Plan) {
        let targets = Arc::new(Targets::of(plan));
        let rules = targets.all().map(|target| (target.key(), &target.rule));
        lock(&self.desk.turns).set_rules(rules, self.desk.clock.mono());
        *lock(&self.desk.targets) = targets;
        self.desk.turned.notify_one();
    }

    /// Serves requests and writes safe values until told to stop.
    pub async fn run(&self, inbox: &mut mpsc::Receiver<SetRequest>, stop: CancellationToken) {
        loop {
            let due = lock(&self.desk.turns).next_due();
            let wait = due.map(|due| due - self.desk.clock.mono());
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                request = inbox.recv() => match request {
                    Some(request) => self.desk.serve(request),
                    None => return,
                },
                () = self.desk.turned.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {
                    self.desk.write_safe_values();
                }
            }
        }
    }

    pub fn status(&self) -> CommandStatus {
        let tally = &self.desk.tally;
        CommandStatus {
            received: tally.received.load(Ordering::Relaxed),
            done: tally.done.load(Ordering::Relaxed),
            refused: lock(&tally.refused).clone(),
            safe_values: tally.safe.load(Ordering::Relaxed),
            safe: lock(&self.desk.turns).status(self.desk.clock.mono()),
        }
    }
}

impl Desk {
    fn serve(self: &Arc<Self>, request: SetRequest) {
        self.tally.received.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.mono();
        let targets = Arc::clone(&lock(&self.targets));
        let checked = check::check(&request, &targets, &lock(&self.turns), &*self.clock);
        let Checked { sets, expires, several } = match checked {
            Ok(checked) => checked,
            Err(denied) => return self.deny(request, denied),
        };
        {
            let mut turns = lock(&self.turns);
            sets.iter().for_each(|(target, _)| turns.accepted(&target.key(), now));
        }
        let desk = Arc::clone(self);
        let for_bus: Vec<_> = sets
            .iter()
            .map(|(target, value)| Set { tag: target.tag.clone(), value: value.clone() })
            .collect();
        let Some((first, _)) = sets.first() else { return };
        let (bus, device) = (first.bus.clone(), first.device.clone());
        let before = self.recorder.before(&sets);
        let reply = Box::new(move |outcomes: Vec<Outcome>| {
            desk.ended(&sets, &outcomes, now);
            desk.recorder.commanded(&request, &sets, &before, &outcomes);
            desk.answer(request, &sets, &outcomes, several);
        });
        self.hand_over(&bus, Command { device, sets: for_bus, expires, reply });
    }

    fn hand_over(&self, bus: &Name, command: Command) {
        match self.doors.bus(bus) {
            Some(port) => port.try_send(command),
            None => command.refuse(&Refusal::LinkDown),
        }
    }

    /// A request that no bus hears of.
    fn deny(&self, request: SetRequest, denied: Denied) {
        tracing::info!(topic = %request.topic, refusal = %denied.refusal, from = %request.origin, "command refused");
        *lock(&self.tally.refused).entry(denied.refusal.code()).or_default() += 1;
        self.recorder.denied(&request, &denied);
        let (code, now) = (denied.refusal.code(), self.clock.wall());
        let body = if denied.tags.is_empty() {
            reply::one(&Outcome::Refused(denied.refusal), None, now)
        } else {
            let answers: Vec<_> = denied
                .tags
                .iter()
                .map(|(tag, outcome)| reply::Answer { tag, outcome, asked: None })
                .collect();
            reply::many(&answers, now)
        };
        reply::send(&self.doors, request, code, body);
    }

    fn ended(&self, sets: &[(Arc<Target>, Value)], outcomes: &[Outcome], accepted: Mono) {
        let now = self.clock.mono();
        let mut turns = lock(&self.turns);
        for ((target, _), outcome) in sets.iter().zip(outcomes) {
            turns.ended(&target.key(), accepted, outcome, now);
        }
        drop(turns);
        self.turned.notify_one();
        match reply::first_refusal(outcomes.iter()) {
            Some(refusal) => {
                *lock(&self.tally.refused).entry(refusal.code()).or_default() += 1;
            }
            None => drop(self.tally.done.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The one answer of a request that went to a bus: logged, and sent the way it came.
    fn answer(
        &self,
        request: SetRequest,
        sets: &[(Arc<Target>, Value)],
        outcomes: &[Outcome],
        several: bool,
    ) {
        let refusal = reply::first_refusal(outcomes.iter());
        let code =
            refusal.map_or_else(|| outcomes.first().map_or("done", Outcome::code), Refusal::code);
        match refusal {
            None => {
                tracing::info!(topic = %request.topic, from = %request.origin, "command {code}");
            }
            Some(_) if request.origin == Origin::Safe => {}
            Some(refusal) => {
                tracing::info!(topic = %request.topic, %refusal, from = %request.origin, "command refused");
            }
        }
        let body = match (sets, outcomes) {
            ([(_, asked)], [outcome]) if !several => {
                reply::one(outcome, Some(asked), self.clock.wall())
            }
            _ => {
                let answer =
                    |((target, asked), outcome): (&'_ (Arc<Target>, Value), &'_ Outcome)| {
                        (target.tag.to_string(), asked.clone(), outcome.clone())
                    };
                let all: Vec<_> = sets.iter().zip(outcomes).map(answer).collect();
                let answers: Vec<_> = all
                    .iter()
                    .map(|(tag, asked, outcome)| reply::Answer { tag, outcome, asked: Some(asked) })
                    .collect();
                reply::many(&answers, self.clock.wall())
            }
        };
        reply::send(&self.doors, request, code, body);
    }

    /// Writes the safe values that are due. Each is a command of the gateway's own: checked by the
    /// bus, read back, answered on the tag's result topic and recorded like any other.
    fn write_safe_values(self: &Arc<Self>) {
        let now = self.clock.mono();
        let due = lock(&self.turns).take_due(now);
        let targets = Arc::clone(&lock(&self.targets));
        for (key, tries) in due {
            let Some(target) = targets.get(&key) else { continue };
            let Some(safe) = &target.rule.safe else { continue };
            let (tag, after) = (format!("{}.{}", key.0, key.1), safe.after);
            if tries == 0 {
                tracing::warn!(tag, value = %safe.value, ?after, "no command for too long: writing the safe value");
            }
            self.write_safe_value((key, tries), target.clone(), safe.value.clone(), now);
        }
    }

    fn write_safe_value(
        self: &Arc<Self>,
        (key, tries): (Key, u32),
        target: Arc<Target>,
        value: Value,
        now: Mono,
    ) {
        let Ok(topic) = TopicName::new(&format!("{}/set", target.topic)) else {
            return;
        };
        let request = SetRequest {
            origin: Origin::Safe,
            topic,
            payload: Vec::new(),
            retain: false,
            expires: None,
            at: now,
            reply_to: None,
            answer: None,
        };
        let (bus, device) = (target.bus.clone(), target.device.clone());
        let set = Set { tag: target.tag.clone(), value: value.clone() };
        let sets = vec![(target, value)];
        let before = self.recorder.before(&sets);
        let desk = Arc::clone(self);
        let reply = Box::new(move |outcomes: Vec<Outcome>| {
            let Some(outcome) = outcomes.first() else { return };
            let again = lock(&desk.turns).safe_ended(&key, outcome, desk.clock.mono());
            desk.turned.notify_one();
            match outcome {
                Outcome::Refused(refusal) => {
                    // A device that stays away is said once.
                    if tries == 0 || !again {
                        let tag = format!("{}.{}", key.0, key.1);
                        tracing::error!(tag, %refusal, again, "the safe value could not be written");
                    }
                    *lock(&desk.tally.refused).entry(refusal.code()).or_default() += 1;
                }
                _ => drop(desk.tally.safe.fetch_add(1, Ordering::Relaxed)),
            }
            desk.recorder.commanded(&request, &sets, &before, &outcomes);
            desk.answer(request, &sets, &outcomes, false);
        });
        self.hand_over(
            &bus,
            Command { device, sets: vec![set], expires: now + SAFE_EXPIRES, reply },
        );
    }
}
