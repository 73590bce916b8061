//! Commands: from a `.../set` message to a write on a bus, and the answer back.
//!
//! Everything is checked before a bus sees it: the tag is writable, the message is not retained,
//! not expired, a value of the tag's type and within its limits. Every request gets exactly one
//! answer, and every refusal is counted under its reason. Nothing is kept across a restart, so a
//! command is never replayed.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::doors::Doors;
use super::locks::lock;
use crate::broker::Publish;
use crate::codec::json::{self as payload, SetPayload};
use crate::config::{Plan, WriteRule};
use crate::model::{
    Clock, Coding, Command, Mono, Name, Origin, Outcome, Qos, Refusal, Set, SetRequest, TopicName,
    Value, Wall,
};

/// Requests that may wait to be checked.
pub const INBOX_MAX: usize = 256;

/// A writable tag.
#[derive(Debug, Clone)]
struct Target {
    bus: Name,
    device: Name,
    tag: Name,
    coding: Coding,
    rule: WriteRule,
}

/// Checks requests and hands them to the buses.
pub struct Commands {
    clock: Arc<dyn Clock>,
    doors: Arc<Doors>,
    targets: Mutex<HashMap<String, Target>>,
    tally: Arc<Tally>,
}

/// What became of all commands since the start.
#[derive(Default)]
struct Tally {
    received: AtomicU64,
    done: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Tally {
    fn refuse(&self, refusal: &Refusal) {
        *lock(&self.refused).entry(refusal.code()).or_default() += 1;
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct CommandStatus {
    pub received: u64,
    pub done: u64,
    pub refused: BTreeMap<&'static str, u64>,
}

impl Commands {
    pub fn new(clock: Arc<dyn Clock>, doors: Arc<Doors>) -> Self {
        Self { clock, doors, targets: Mutex::default(), tally: Arc::default() }
    }

    /// Takes the writable tags of a new plan.
    pub fn set_plan(&self, plan: &Plan) {
        let targets = plan
            .tags()
            .filter_map(|(bus, device, tag)| {
                let rule = tag.write.clone()?;
                let registers = tag.registers()?;
                let target = Target {
                    bus: bus.name.clone(),
                    device: device.name.clone(),
                    tag: tag.name.clone(),
                    coding: registers.coding.clone(),
                    rule,
                };
                Some((format!("{}/set", tag.topic), target))
            })
            .collect();
        *lock(&self.targets) = targets;
    }

    /// Serves requests until told to stop.
    pub async fn run(&self, inbox: &mut mpsc::Receiver<SetRequest>, stop: CancellationToken) {
        loop {
            let request = tokio::select! {
                request = inbox.recv() => request,
                () = stop.cancelled() => None,
            };
            let Some(request) = request else { return };
            self.serve(request);
        }
    }

    pub fn status(&self) -> CommandStatus {
        CommandStatus {
            received: self.tally.received.load(Ordering::Relaxed),
            done: self.tally.done.load(Ordering::Relaxed),
            refused: lock(&self.tally.refused).clone(),
        }
    }

    fn serve(&self, request: SetRequest) {
        self.tally.received.fetch_add(1, Ordering::Relaxed);
        let checked = self.check(&request);
        let answer = self.answer_to(request);
        let (target, value, expires) = match checked {
            Ok(checked) => checked,
            Err(refusal) => return answer(Outcome::Refused(refusal)),
        };
        let Some(port) = self.doors.bus(&target.bus) else {
            return answer(Outcome::Refused(Refusal::LinkDown));
        };
        port.try_send(Command {
            device: target.device,
            sets: vec![Set { tag: target.tag, value }],
            expires,
            reply: Box::new(move |outcomes| {
                if let Some(outcome) = outcomes.into_iter().next() {
                    answer(outcome);
                }
            }),
        });
    }

    fn check(&self, request: &SetRequest) -> Result<(Target, Value, Mono), Refusal> {
        let targets = lock(&self.targets);
        let target = targets.get(request.topic.as_str()).ok_or(Refusal::UnknownTag)?;
        if request.retain {
            return Err(Refusal::Retained);
        }
        let set = payload::parse_set(&request.payload).map_err(Refusal::BadPayload)?;
        let expires = self.expiry(request, &set, target.rule.expires);
        if expires <= self.clock.mono() {
            return Err(Refusal::Expired);
        }
        let value = payload::coerce(&target.coding, set.value).map_err(Refusal::BadPayload)?;
        target.rule.check(&target.coding, &value)?;
        Ok((target.clone(), value, expires))
    }

    /// The earliest of: the message's own expiry, the time stamp in the payload plus its time to
    /// live, and the tag's own time after reception when the sender said nothing.
    fn expiry(&self, request: &SetRequest, set: &SetPayload, default: Duration) -> Mono {
        let sent = match set.ts {
            // Wall to monotonic time through the present offset; a sender's clock that is ahead
            // of ours does not make a command live longer than its time to live.
            Some(Wall(ts)) => {
                let age = self.clock.wall().0.saturating_sub(ts).max(0);
                Mono(self.clock.mono().0.saturating_sub(age))
            }
            None => request.at,
        };
        let own = sent + set.ttl.unwrap_or(default);
        request.expires.map_or(own, |expires| expires.min(own))
    }

    /// The one answer of a request: counted, logged, and sent back the way the request came.
    fn answer_to(&self, request: SetRequest) -> Box<dyn FnOnce(Outcome) + Send> {
        let tally = Arc::clone(&self.tally);
        let doors = Arc::clone(&self.doors);
        let clock = Arc::clone(&self.clock);
        Box::new(move |outcome| {
            let mut body = Vec::with_capacity(128);
            match &outcome {
                Outcome::Done { read_back } => {
                    tally.done.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(topic = %request.topic, value = %read_back, from = ?request.origin, "command carried out");
                    body.extend_from_slice(b"{\"ok\":true,\"v\":");
                    payload::put_value(&mut body, read_back);
                }
                Outcome::Acknowledged | Outcome::Broadcast => {
                    tally.done.fetch_add(1, Ordering::Relaxed);
                    body.extend_from_slice(b"{\"ok\":true,\"verified\":false");
                }
                Outcome::Refused(refusal) => {
                    tally.refuse(refusal);
                    tracing::info!(topic = %request.topic, %refusal, from = ?request.origin, "command refused");
                    body.extend_from_slice(b"{\"ok\":false,\"code\":");
                    payload::put_text(&mut body, refusal.code());
                    body.extend_from_slice(b",\"reason\":");
                    payload::put_text(&mut body, &refusal.to_string());
                }
            }
            body.extend_from_slice(format!(",\"ts\":{}}}", clock.wall().0).as_bytes());
            reply(&doors, request, body);
        })
    }
}

fn reply(doors: &Doors, request: SetRequest, body: Vec<u8>) {
    let (topic, correlation) = match request.reply_to {
        Some((topic, data)) => (topic, Some(data)),
        // A set topic has at least four bytes to spare below the protocol's limit only if it is
        // not of the very longest kind; then there is no place for an answer.
        None => match TopicName::new(&format!("{}/result", request.topic)) {
            Ok(topic) => (topic, None),
            Err(_) => return,
        },
    };
    match request.origin {
        Origin::Lan(_) | Origin::Local | Origin::Safe => {
            if let Some(broker) = doors.broker() {
                broker.publish(Publish {
                    topic,
                    payload: body.into(),
                    qos: Qos::AtLeastOnce,
                    retain: false,
                    correlation,
                    expiry: None,
                });
            }
        }
        Origin::Uplink(name) => {
            if let Some(uplink) = doors.uplink(&name) {
                uplink.reply(topic, body);
            }
        }
    }
}
