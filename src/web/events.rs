//! Live data for open pages: one stream of server-sent events per tab, once a second.
//!
//! One look at the gateway serves all streams: what changed since the last look is written once and
//! handed to everybody. Bounded: so many streams, and a page that is too slow is told to load anew
//! (`resync`) and never waited for. Nobody is looked for while no page is open.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::App;
use super::access::Who;
use super::problem::Problem;
use crate::model::Mono;
use crate::runtime::{Status, TagNow};
use crate::south::{DeviceState, DeviceStatus};
use crate::store::ConsumerStatus;
use crate::web::described::{Routes, routes};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Streams at a time, in all and of one account.
const STREAMS_MAX: usize = 32;
const STREAMS_OF_ONE_MAX: usize = 8;
/// Events that a page may be behind.
const BEHIND_MAX: usize = 8;
/// A comment that keeps the connection known to everything in between.
const ALIVE: Duration = Duration::from_secs(15);

pub fn routes() -> Routes {
    routes!(events)
}

/// What all streams share.
pub struct Events {
    sender: broadcast::Sender<Arc<News>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    tags: BTreeMap<String, Told>,
    streams: HashMap<String, usize>,
}

/// What all streams were told of a tag last.
#[derive(Debug, PartialEq)]
struct Told {
    at: Mono,
    v: Option<String>,
    q: String,
}

/// What one look found.
#[derive(Debug)]
struct News {
    status: String,
    /// `None` if no value changed.
    values: Option<String>,
}

/// A tag's newest value. Keys are short: there are thousands of them each second.
#[derive(Debug, Clone, Serialize)]
struct TagEvent {
    /// `device/tag`.
    k: String,
    /// The last usable value, as text.
    v: Option<String>,
    /// The quality of the newest reading.
    q: String,
    /// Milliseconds since the newest reading and since the usable one, at the time of the event.
    a: u64,
    va: Option<u64>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BEHIND_MAX), seen: Mutex::default() }
    }
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of open streams.
    pub fn streams(&self) -> usize {
        self.lock().streams.values().sum()
    }

    /// Looks once and tells all streams.
    fn look(&self, app: &App) {
        let status = app.gateway().status();
        let mut seen = self.lock();
        let values = seen.take(&status.tags);
        let news = News { status: compact(&status, app.draft().count()).to_string(), values };
        let _ = self.sender.send(Arc::new(news)); // Nobody may be listening any more.
    }

    /// A new stream with all there is; `None` if there are too many.
    fn join(app: &App, who: &Who) -> Option<Joined> {
        let status = app.gateway().status();
        let mut seen = app.events().lock();
        if seen.streams.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        let own = seen.streams.entry(who.name.clone()).or_default();
        if *own >= STREAMS_OF_ONE_MAX {
            return None;
        }
        *own += 1;
        // What others were told last stays: what is news for this one may be so for them.
        let first = News {
            status: compact(&status, app.draft().count()).to_string(),
            values: Some(everything(&status.tags)),
        };
        let receiver = app.events().sender.subscribe();
        let seat = Seat { app: app.clone(), who: who.clone() };
        Some(Joined { first, receiver, seat })
    }
}

/// All values, for a page that opens.
fn everything(tags: &[TagNow]) -> String {
    let tags: Vec<_> = tags.iter().map(TagEvent::of).collect();
    json!({ "tags": tags, "all": true }).to_string()
}

impl TagEvent {
    fn of(tag: &TagNow) -> Self {
        Self {
            k: format!("{}/{}", tag.device, tag.tag),
            v: tag.value.clone(),
            q: tag.quality.clone(),
            a: tag.age_ms,
            va: tag.value_age_ms,
        }
    }
}

impl Seen {
    /// Takes what is new; as JSON, `None` if nothing is.
    fn take(&mut self, tags: &[TagNow]) -> Option<String> {
        let mut changed = Vec::new();
        for tag in tags {
            let event = TagEvent::of(tag);
            let told = Told { at: tag.at, v: event.v.clone(), q: event.q.clone() };
            if self.tags.get(&event.k) != Some(&told) {
                self.tags.insert(event.k.clone(), told);
                changed.push(event);
            }
        }
        let mut gone = Vec::new();
        if self.tags.len() > tags.len() {
            let now: HashSet<String> = tags.iter().map(|tag| TagEvent::of(tag).k).collect();
            gone.extend(self.tags.extract_if(.., |key, _| !now.contains(key)).map(|(key, _)| key));
        }
        if changed.is_empty() && gone.is_empty() {
            return None;
        }
        Some(json!({ "tags": changed, "gone": gone }).to_string())
    }
}

struct Joined {
    first: News,
    receiver: broadcast::Receiver<Arc<News>>,
    seat: Seat,
}

/// A place among the streams; given back when it is dropped.
struct Seat {
    app: App,
    who: Who,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seen = self.app.events().lock();
        if let Some(own) = seen.streams.get_mut(&self.who.name) {
            *own -= 1;
            if *own == 0 {
                seen.streams.remove(&self.who.name);
            }
        }
    }
}

/// Looks once a second while anyone watches.
pub async fn run(app: App, stop: CancellationToken) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        if app.events().streams() > 0 {
            app.events().look(&app);
        }
    }
}

/// Values and states as they change.
#[utoipa::path(get, path = "/events", tag = "status", security(("session" = ["viewer"])),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description =
            "`status` and `values` once a second, `resync` after events were left out"),
        (status = 429, content_type = "application/problem+json", body = Problem),
    ))]
async fn events(
    State(app): State<App>,
    who: Who,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Some(joined) = Events::join(&app, &who) else {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-streams",
            "Too many pages are open",
            format!("{STREAMS_OF_ONE_MAX} of one account and {STREAMS_MAX} in all can be live"),
        )
        .hint("close other tabs of this page"));
    };
    let hello = json!({ "version": env!("CARGO_PKG_VERSION") }).to_string();
    let first = [
        Event::default().event("hello").data(hello),
        Event::default().event("status").data(joined.first.status.clone()),
        Event::default().event("values").data(joined.first.values.clone().unwrap_or_default()),
    ];
    let first = stream::iter(first.map(Ok));
    Ok(Sse::new(futures_util::StreamExt::chain(first, rest(joined)))
        .keep_alive(KeepAlive::new().interval(ALIVE)))
}

fn rest(joined: Joined) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (joined, Vec::new());
    stream::unfold(state, |(mut joined, mut ready)| async move {
        loop {
            if let Some(event) = ready.pop() {
                return Some((Ok(event), (joined, ready)));
            }
            let received = joined.receiver.recv().await;
            // There is news every second, and nobody gets any whose session has ended.
            if !joined.seat.app.access().is_still_in(&joined.seat.who) {
                return None;
            }
            match received {
                Ok(news) => {
                    let values = news.values.as_ref();
                    ready.extend(values.map(|v| Event::default().event("values").data(v)));
                    ready.push(Event::default().event("status").data(&news.status));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    ready.push(Event::default().event("resync").data("{}"));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

/// What the head of every page shows.
fn compact(status: &Status, drafted: usize) -> Value {
    let buses = status.buses.iter().map(|(name, bus)| {
        let silent = |device: &&DeviceStatus| matches!(device.state, DeviceState::Silent { .. });
        let own = json!({
            "busy": bus.utilisation, "requests": bus.requests,
            "errors": bus.devices.iter().map(|device| device.timeouts + device.bad_answers).sum::<u64>(),
            "devices": bus.devices.len(), "silent": bus.devices.iter().filter(silent).count(),
        });
        (name.clone(), together([json!(bus.state), own]))
    });
    let uplinks = status.uplinks.iter().map(|(name, uplink)| {
        let consumer = status.store.consumers.iter().find(|consumer| consumer.name == *name);
        let own = json!({
            "peer": uplink.peer, "rate": uplink.acked_rows_per_s,
            "eta_ms": uplink.eta_s.map(|s| s.saturating_mul(1000)),
            "in_flight": uplink.in_flight_messages,
        });
        let account = consumer.map(account).unwrap_or_default();
        (name.clone(), together([json!(uplink.connection), own, account]))
    });
    let configuration = &status.configuration;
    json!({
        "gateway": status.gateway,
        "units": status.units,
        "configuration": {
            "version": configuration.running.as_ref().map(|running| running.version),
            "pending_until_ms": configuration.until_ms,
            "sha256": configuration.sha256,
            "draft_changes": drafted,
        },
        "buses": serde_json::Map::from_iter(buses),
        "uplinks": serde_json::Map::from_iter(uplinks),
        "store": together([json!(status.store.health), json!({
            "bytes": status.store.disk_bytes,
            "limit": status.store.disk_bytes_allowed,
            "loss_bound_ms": status.store.loss_bound_ms,
            "violations": status.store.violations,
        })]),
        "broker": status.broker.as_ref().map(|broker| json!({ "connections": broker.connections })),
        "commands": status.commands,
    })
}

/// The members of all in one.
fn together<const N: usize>(parts: [Value; N]) -> Value {
    let members = parts.into_iter().filter_map(|part| match part {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().collect())
}

/// The equation of a consumer over all classes.
fn account(consumer: &ConsumerStatus) -> Value {
    let mut sum = [0_u64; 5];
    let mut oldest = None;
    for class in &consumer.classes {
        let terms = [class.appended, class.delivered, class.excluded, class.waiting, class.dropped];
        for (sum, term) in sum.iter_mut().zip(terms) {
            *sum += term;
        }
        oldest = oldest.max(class.oldest_ms);
    }
    let [read, delivered, excluded, waiting, dropped] = sum;
    json!({
        "read": read, "delivered": delivered, "excluded": excluded,
        "waiting": waiting, "dropped": dropped, "oldest_ms": oldest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(value: &str, at: i64) -> TagNow {
        TagNow {
            topic: "a/b".to_owned(),
            device: "meter".to_owned(),
            tag: "voltage".to_owned(),
            unit: "V".to_owned(),
            value: Some(value.to_owned()),
            quality: "good".to_owned(),
            age_ms: 100,
            value_age_ms: Some(100),
            at: Mono(at),
        }
    }

    #[test]
    fn only_what_was_read_again_or_went_is_told() {
        let mut seen = Seen::default();
        assert!(seen.take(&[tag("1", 100)]).unwrap().contains("meter/voltage"));
        assert_eq!(seen.take(&[tag("1", 100)]), None, "the same reading");
        assert!(seen.take(&[tag("1", 1100)]).is_some(), "the same value, read again");
        assert!(seen.take(&[tag("2", 1100)]).is_some(), "another value");
        assert_eq!(seen.take(&[]).unwrap(), r#"{"gone":["meter/voltage"],"tags":[]}"#);
        assert_eq!(seen.take(&[]), None);
    }

    /// A page that opens between two looks must not keep from others what it was told first.
    #[test]
    fn what_a_new_page_is_told_is_still_news_for_others() {
        let mut seen = Seen::default();
        seen.take(&[tag("1", 100)]);
        let now = [tag("2", 200)];
        assert!(everything(&now).contains(r#""v":"2""#));
        assert!(seen.take(&now).unwrap().contains(r#""v":"2""#));
    }
}
