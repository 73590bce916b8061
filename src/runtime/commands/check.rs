//! What a request asks for, or why it is not carried out. Pure: the clock is handed in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::targets::{Place, Target, Targets};
use super::turns::Turns;
use crate::codec::json as payload;
use crate::model::{Clock, Mono, Outcome, Refusal, SetRequest, Value, Wall};

/// A request that may be carried out.
pub struct Checked {
    pub sets: Vec<(Arc<Target>, Value)>,
    pub expires: Mono,
    /// Whether it came in the form for several tags, and is answered in it.
    pub several: bool,
}

/// A request that may not.
#[derive(Debug)]
pub struct Denied {
    pub refusal: Refusal,
    /// `device.tag`, if one tag is to blame.
    pub tag: Option<String>,
    /// Of a request for several tags: each with what there is against it.
    pub tags: Vec<(String, Outcome)>,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, tag: None, tags: Vec::new() }
    }
}

/// See the module.
pub fn check(
    request: &SetRequest,
    targets: &Targets,
    turns: &Turns,
    clock: &dyn Clock,
) -> Result<Checked, Denied> {
    let place = targets.at(request.topic.as_str()).ok_or(Refusal::UnknownTag)?;
    if request.retain {
        return Err(Refusal::Retained.into());
    }
    match place {
        Place::Tag(target) => {
            let by = |refusal| Denied {
                refusal,
                tag: Some(format!("{}.{}", target.device, target.tag)),
                tags: Vec::new(),
            };
            one(request, &target, turns, clock).map_err(by)
        }
        Place::Device(tags) => several(request, &tags, turns, clock),
    }
}

fn one(
    request: &SetRequest,
    target: &Arc<Target>,
    turns: &Turns,
    clock: &dyn Clock,
) -> Result<Checked, Refusal> {
    let set = payload::parse_set(&request.payload).map_err(Refusal::BadPayload)?;
    let expires = expiry(request, set.times, target.rule.expires, clock)?;
    let value = value(target, set.value, turns, clock.mono())?;
    Ok(Checked { sets: vec![(Arc::clone(target), value)], expires, several: false })
}

/// All of them, or none.
fn several(
    request: &SetRequest,
    tags: &HashMap<String, Arc<Target>>,
    turns: &Turns,
    clock: &dyn Clock,
) -> Result<Checked, Denied> {
    let wanted = payload::parse_sets(&request.payload).map_err(Refusal::BadPayload)?;
    let shortest = wanted
        .values
        .iter()
        .filter_map(|(name, _)| tags.get(name))
        .map(|target| target.rule.expires)
        .min()
        .unwrap_or_default();
    let mut sets = Vec::with_capacity(wanted.values.len());
    let mut found: Vec<(String, Result<(), Refusal>)> = Vec::with_capacity(wanted.values.len());
    let times = wanted.times;
    for (name, json) in wanted.values {
        let checked = match tags.get(&name) {
            Some(target) => value(target, json, turns, clock.mono())
                .map(|value| sets.push((Arc::clone(target), value))),
            None => Err(Refusal::UnknownTag),
        };
        found.push((name, checked));
    }
    if let Some((tag, refusal)) =
        found.iter().find_map(|(name, checked)| Some((name, checked.as_ref().err()?)))
    {
        let device = tags.values().next().map(|target| target.device.to_string());
        let (tag, refusal) = (format!("{}.{tag}", device.unwrap_or_default()), refusal.clone());
        let outcome = |checked: Result<(), Refusal>| {
            Outcome::Refused(checked.err().unwrap_or(Refusal::NotWritten))
        };
        let tags = found.into_iter().map(|(name, checked)| (name, outcome(checked))).collect();
        return Err(Denied { refusal, tag: Some(tag), tags });
    }
    let expires = expiry(request, times, shortest, clock)?;
    Ok(Checked { sets, expires, several: true })
}

fn value(
    target: &Target,
    json: serde_json::Value,
    turns: &Turns,
    now: Mono,
) -> Result<Value, Refusal> {
    let value = payload::coerce(&target.coding, json).map_err(Refusal::BadPayload)?;
    target.rule.check(&target.coding, &value)?;
    turns.may(&target.key(), now)?;
    Ok(value)
}

/// The earliest of: the message's own expiry, the time stamp in the payload plus its time to live,
/// and the tag's own time after reception when the sender said nothing.
fn expiry(
    request: &SetRequest,
    times: payload::Times,
    default: Duration,
    clock: &dyn Clock,
) -> Result<Mono, Refusal> {
    let sent = match times.ts {
        // Wall to monotonic time through the present offset; a sender's clock that is ahead of
        // ours does not make a command live longer than its time to live.
        Some(Wall(ts)) => {
            let age = clock.wall().0.saturating_sub(ts).max(0);
            Mono(clock.mono().0.saturating_sub(age))
        }
        None => request.at,
    };
    let own = sent + times.ttl.unwrap_or(default);
    let expires = request.expires.map_or(own, |expires| expires.min(own));
    if expires <= clock.mono() { Err(Refusal::Expired) } else { Ok(expires) }
}
