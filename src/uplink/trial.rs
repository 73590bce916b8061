//! A trial of an uplink from its plan alone: every step to the broker, a probe, and what to do where
//! it ends. Nothing of a running gateway is needed or changed; no last will says of it that it is gone.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::cause::{self, Cause, Ended, explain};
use super::client::{self, Client, Event, Failure, Limits, Message, Step};
use super::settings::{self, Dial};
use super::timing::Timing;
use crate::config::clouds::Service;
use crate::config::file::SecretPlaces;
use crate::config::{BrokerUrl, UplinkPlan};
use crate::model::{Qos, Wall};

/// The last level of the topic that a probe goes to, beside that of the backlog.
const PROBE: &str = "probe";

/// The steps at which a broker can refuse a certificate under another client id than its own.
const BOUND: [&str; 2] = [LOGIN, PUBLISH];
const LOGIN: &str = "login";
const PUBLISH: &str = "publish";

/// One step, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// `host:port` of the broker.
    pub broker: String,
    pub step: &'static str,
    pub ok: bool,
    pub ms: u64,
    /// What was found, or what is wrong.
    pub said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

/// There can be no trial beside a running gateway.
#[derive(Debug, thiserror::Error)]
#[error("the gateway is running, and this login is good for its client id {client_id} alone")]
pub struct Alone {
    client_id: String,
}

/// The client id for a trial beside a running gateway, whose connection one with its own would cut
/// off.
///
/// # Errors
/// Where the login is good for that one alone.
pub fn beside(plan: &UplinkPlan) -> Result<String, Alone> {
    let own = &plan.client_id;
    let id = format!("{own}-test");
    let names = |broker| plan.username.as_ref().map(|username| username.at(broker));
    let is_named = plan.brokers.iter().filter_map(names).any(|name| name.contains(own.as_str()));
    let has_certificate = plan.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    let max = plan.service.as_ref().and_then(|service| service.limits.client_id_bytes);
    let is_bound = plan.sas.is_some() || plan.service.is_some() && (is_named || has_certificate);
    match !is_bound && max.is_none_or(|max| id.len() <= max) {
        true => Ok(id),
        false => Err(Alone { client_id: own.clone() }),
    }
}

/// Tries every broker of a plan, and tells each step as soon as it is known. True if one of them took
/// the probe. `client_id` stands in the place of that of the plan.
pub async fn trial(
    plan: &UplinkPlan,
    client_id: Option<String>,
    secrets_dir: &Path,
    now: Wall,
    tell: &mut (dyn FnMut(Tried) + Send),
) -> bool {
    let mut plan = plan.clone();
    let beside = client_id.is_some();
    if let Some(client_id) = client_id {
        plan.client_id = client_id;
    }
    let is_bound = beside && plan.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    let mut good = false;
    for (number, broker) in plan.brokers.iter().enumerate() {
        let mut report = Report { broker: broker.to_string(), since: Instant::now(), tell };
        let tried = one(&plan, number, broker, secrets_dir, now, &mut report).await;
        match tried {
            Ok(()) => good = true,
            Err((step, mut ended)) => {
                if is_bound && BOUND.contains(&step) {
                    let id = &plan.client_id;
                    let hint = format!(
                        " (tried as client {id}; a broker that grants this certificate its own client \
                         id alone refuses that: ask the running gateway with fieldhold uplink \
                         status {}, or stop it first)",
                        plan.name
                    );
                    ended.reason.push_str(&hint);
                }
                report.wrong(step, ended);
            }
        }
    }
    good
}

struct Report<'a> {
    broker: String,
    since: Instant,
    tell: &'a mut (dyn FnMut(Tried) + Send),
}

impl Report<'_> {
    fn good(&mut self, step: &'static str, said: String) {
        self.line(step, said, None);
    }

    fn wrong(&mut self, step: &'static str, ended: Ended) {
        self.line(step, ended.reason, Some((ended.cause, ended.advice)));
    }

    fn line(&mut self, step: &'static str, said: String, wrong: Option<(Cause, &'static str)>) {
        let ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since = Instant::now();
        let (cause, advice) = wrong.unzip();
        let broker = self.broker.clone();
        (self.tell)(Tried { broker, step, ok: cause.is_none(), ms, said, cause, advice });
    }
}

async fn one(
    plan: &UplinkPlan,
    number: usize,
    broker: &BrokerUrl,
    secrets_dir: &Path,
    now: Wall,
    report: &mut Report<'_>,
) -> Result<(), (&'static str, Ended)> {
    let places = SecretPlaces::new(secrets_dir.to_owned());
    let mut dial =
        settings::dial(plan, &places, number, now).map_err(|e| ("settings", e.into()))?;
    // That of the gateway, which may be running.
    dial.hello.will = None;
    report.good("settings", certificates(&dial, now));
    let timing = Timing::default();
    let patience = timing.patience();
    let mut next = Step::Resolve;
    let mut done = |step: Step| {
        next = after(step, &dial);
        if step != Step::Mqtt {
            report.good(name(step), String::new());
        }
    };
    let peer = broker.to_string();
    let connected = client::connect(&dial.target, &dial.hello, patience, &mut done).await;
    let explained =
        |failure: Failure| explain(&failure, &peer, now).with_token(plan.sas.is_some(), now);
    let mut client = connected.map_err(|failure| (name(next), explained(failure)))?;
    report.good(name(Step::Mqtt), limits(client.limits()));
    let topic = probe_topic(plan);
    if let Some(why) = no_probe(plan) {
        client.goodbye().await;
        report.good(PUBLISH, format!("not tried: {why}"));
        return Ok(());
    }
    let took = probe(&mut client, &topic, now, timing.watchdog).await;
    client.goodbye().await;
    match took {
        Ok(()) => {
            report.good(PUBLISH, format!("on {topic}"));
            Ok(())
        }
        Err(Probe::Failed(failure)) => {
            let ended = explain(&failure, &peer, now);
            let reason = format!("after a probe on {topic}: {}", ended.reason);
            // A broker of 3.1.1 has no other way to say no.
            let advice = match ended.cause {
                Cause::Closed => Cause::NotTaken.advice(),
                _ => ended.advice,
            };
            Err((PUBLISH, Ended { reason, advice, ..ended }))
        }
        Err(Probe::Refused(ended)) => Err((PUBLISH, ended)),
    }
}

/// The step that a failure after this one belongs to.
fn after(step: Step, dial: &Dial) -> Step {
    let wanted = |step: &Step| match step {
        Step::Proxy => dial.target.proxy.is_some(),
        Step::Tls => dial.target.tls.is_some(),
        Step::WebSocket => dial.target.path.is_some(),
        Step::Resolve | Step::Connect | Step::Mqtt => true,
    };
    let steps = [Step::Connect, Step::Proxy, Step::Tls, Step::WebSocket, Step::Mqtt];
    steps.into_iter().find(|later| *later > step && wanted(later)).unwrap_or(Step::Mqtt)
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Resolve => "resolve",
        Step::Connect => "connect",
        Step::Proxy => "proxy",
        Step::Tls => "TLS",
        Step::WebSocket => "WebSocket",
        Step::Mqtt => LOGIN,
    }
}

/// How long certificates of this side are still valid.
fn certificates(dial: &Dial, now: Wall) -> String {
    let mut said = String::new();
    for (what, end) in &dial.certificates {
        let days = end.0.saturating_sub(now.0).div_euclid(86_400_000);
        let and = if said.is_empty() { "" } else { ", " };
        let _written = match days {
            ..0 => write!(said, "{and}{what} certificate is no longer valid"),
            days => write!(said, "{and}{what} certificate valid for {days} days"),
        };
    }
    said
}

/// Only what is less than everything.
fn limits(limits: Limits) -> String {
    let mut said = Vec::new();
    if limits.receive_maximum < Limits::NONE.receive_maximum {
        said.push(format!("at most {} messages in flight", limits.receive_maximum));
    }
    if limits.packet_bytes < Limits::NONE.packet_bytes {
        said.push(format!("packets up to {} bytes", limits.packet_bytes));
    }
    if !limits.retain {
        said.push("no retained messages".to_owned());
    }
    said.join(", ")
}

/// Why there is no topic for a probe. Who has a list of topics knows what each is for, and a probe is
/// for nothing.
fn no_probe(plan: &UplinkPlan) -> Option<String> {
    if plan.sparkplug.is_some() {
        return Some("Sparkplug has no topic for it".to_owned());
    }
    let picky = |service: &&Arc<Service>| !service.limits.topics.is_empty();
    let service = plan.service.as_ref().filter(picky)?;
    Some(format!("{} takes its own topics only", service.title))
}

fn probe_topic(plan: &UplinkPlan) -> String {
    match plan.backlog_topic.as_str().rsplit_once('/') {
        Some((above, _)) => format!("{above}/{PROBE}"),
        None => format!("{}{PROBE}", plan.prefix),
    }
}

enum Probe {
    Failed(Failure),
    Refused(Ended),
}

/// Publishes and waits for the acknowledgement.
async fn probe(
    client: &mut Client,
    topic: &str,
    now: Wall,
    patience: Duration,
) -> Result<(), Probe> {
    let payload = serde_json::json!({ "probe": true, "ts": now.0 }).to_string();
    let payload = payload.as_bytes();
    let qos = Qos::AtLeastOnce;
    let message =
        Message { topic, payload, qos, retain: false, content_type: None, correlated: None };
    let id = client.publish(message).map_err(Probe::Failed)?;
    let answered = timeout(patience, async {
        loop {
            match client.next().await.map_err(Probe::Failed)? {
                Event::Acked(of, reason) if of == id => return Ok(reason),
                _ => {}
            }
        }
    });
    match answered.await {
        Ok(Ok(reason)) if reason.is_good() => Ok(()),
        Ok(Ok(reason)) => Err(Probe::Refused(cause::refused_message(topic, &reason))),
        Ok(Err(probe)) => Err(probe),
        Err(_) => {
            let seconds = patience.as_secs();
            let reason = format!("the broker did not acknowledge the probe for {seconds} s");
            Err(Probe::Refused(Ended::new(Cause::NoAcknowledgement, reason)))
        }
    }
}
