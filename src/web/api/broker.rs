//! The LAN broker: who is connected and subscribes, what is published and retained, and messages as
//! they pass.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::broker::{Listening, Overheard, PASSWORD_BYTES_MAX, hash_password};
use crate::model::TopicFilter;
use crate::runtime::BrokerAsk;
use crate::web::App;
use crate::web::access::Who;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem, Query};

/// A comment that keeps a stream known to everything in between.
const ALIVE: Duration = Duration::from_secs(15);
/// Messages of one event, and how long they are collected for it: a browser takes a few events a
/// second well, and hundreds badly.
const BATCH_MAX: usize = 100;
const BATCH_TIME: Duration = Duration::from_millis(250);

pub fn routes() -> Routes {
    routes!(clients)
        .merge(routes!(subscriptions))
        .merge(routes!(topics))
        .merge(routes!(retained, remove))
        .merge(routes!(kick))
        .merge(routes!(listen))
        .merge(routes!(password))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only what this topic filter matches.
    filter: Option<String>,
    /// What the page before said in `next`.
    after: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Removed {
    /// Those that this topic filter matches.
    filter: String,
    /// What the page before said in `next`.
    after: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BrokerPage)]
struct Page {
    /// As `fieldhold broker … --json` has them.
    #[schema(value_type = Vec<Object>)]
    rows: Value,
    /// What to ask for after this page; `null` if there is no more. A page may be empty and not the
    /// last one.
    next: Option<String>,
}

async fn ask(app: &App, ask: BrokerAsk) -> Result<Value, Problem> {
    app.gateway().ask_broker(ask).await.map_err(Problem::refused)
}

async fn list(app: &App, asked: BrokerAsk) -> Result<Json<Page>, Problem> {
    let mut page = ask(app, asked).await?;
    let rows = page.get_mut("rows").map(Value::take).unwrap_or_else(|| json!([]));
    let next = match page.get("next") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    Ok(Json(Page { rows, next }))
}

/// Clients with a connection or a session.
#[utoipa::path(get, path = "/broker/clients", tag = "broker", params(Wanted),
    security(("session" = ["viewer"])),
    responses((status = 200, body = Page)))]
async fn clients(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page>, Problem> {
    list(&app, BrokerAsk::Clients { after: wanted.after }).await
}

/// Who subscribes to what.
#[utoipa::path(get, path = "/broker/subscriptions", tag = "broker", params(Wanted),
    security(("session" = ["viewer"])),
    responses((status = 200, body = Page)))]
async fn subscriptions(
    State(app): State<App>,
    Query(Wanted { filter, after }): Query<Wanted>,
) -> Result<Json<Page>, Problem> {
    let after = after.map(|after| serde_json::from_str(&after)).transpose();
    let after =
        after.map_err(|_| Problem::refused("no page said this in `next`").field("after"))?;
    list(&app, BrokerAsk::Subscriptions { filter, after }).await
}

/// Topics that were lately published to.
#[utoipa::path(get, path = "/broker/topics", tag = "broker", params(Wanted),
    security(("session" = ["viewer"])),
    responses((status = 200, body = Page)))]
async fn topics(
    State(app): State<App>,
    Query(Wanted { filter, after }): Query<Wanted>,
) -> Result<Json<Page>, Problem> {
    list(&app, BrokerAsk::Topics { filter, after }).await
}

/// Retained messages.
#[utoipa::path(get, path = "/broker/retained", tag = "broker", params(Wanted),
    security(("session" = ["viewer"])),
    responses((status = 200, body = Page)))]
async fn retained(
    State(app): State<App>,
    Query(Wanted { filter, after }): Query<Wanted>,
) -> Result<Json<Page>, Problem> {
    list(&app, BrokerAsk::Retained { filter, after }).await
}

/// Removes the retained messages that a filter matches, a page at a time; those of the gateway's own
/// tags stay.
#[utoipa::path(delete, path = "/broker/retained", tag = "broker", params(Removed),
    security(("session" = ["operator"])),
    responses((status = 200, body = Page)))]
async fn remove(
    State(app): State<App>,
    Query(Removed { filter, after }): Query<Removed>,
) -> Result<Json<Page>, Problem> {
    list(&app, BrokerAsk::RemoveRetained { filter, after }).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Kick {
    client: String,
    /// Ends its session as well.
    #[serde(default)]
    session: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Kicked {
    was_connected: bool,
    session_kept: bool,
}

/// Disconnects a client, which may come back.
#[utoipa::path(post, path = "/broker/kick", tag = "broker", security(("session" = ["operator"])),
    request_body = Kick,
    responses((status = 200, body = Kicked)))]
async fn kick(State(app): State<App>, Json(kick): Json<Kick>) -> Result<Json<Kicked>, Problem> {
    let Kick { client, session } = kick;
    let said = ask(&app, BrokerAsk::Kick { client, session }).await?;
    let is = |key: &str| said.get(key).and_then(Value::as_bool).unwrap_or(false);
    let (was_connected, session_kept) = (is("was_connected"), is("session_kept"));
    Ok(Json(Kicked { was_connected, session_kept }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Hashed {
    /// What stands in the configuration: the password can't be made of it.
    hash: String,
}

/// The line that a password is in the configuration. Nothing is kept.
#[utoipa::path(post, path = "/broker/password", tag = "broker",
    security(("session" = ["operator"])), request_body = Password,
    responses((status = 200, body = Hashed)))]
async fn password(Json(ask): Json<Password>) -> Result<Json<Hashed>, Problem> {
    if ask.password.len() > PASSWORD_BYTES_MAX {
        let why = format!("a password has at most {PASSWORD_BYTES_MAX} bytes");
        return Err(Problem::refused(why).field("password"));
    }
    // Hashing is meant to be work.
    let hash = crate::runtime::blocking(move || hash_password(ask.password.as_bytes())).await;
    let hash = hash.map_err(|_| Problem::unavailable("hashing broke off"))?;
    let hash = hash.map_err(|error| Problem::refused(error.to_string()).field("password"))?;
    Ok(Json(Hashed { hash }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Topics to listen to, as in `plant1/#`.
    filter: String,
}

/// Messages on the LAN broker as they pass.
#[utoipa::path(get, path = "/broker/listen", tag = "broker", params(Filter),
    security(("session" = ["operator"])),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description =
            "`messages` with rows, and how many were left out since the event before")))]
async fn listen(
    State(app): State<App>,
    who: Who,
    Query(wanted): Query<Filter>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let filter = TopicFilter::new(&wanted.filter)
        .map_err(|error| Problem::refused(error.to_string()).field("filter"))?;
    let listening = app.gateway().listen(filter).await.map_err(Problem::unavailable)?;
    let hello = Event::default().event("hello").data("{}");
    let first = stream::once(std::future::ready(Ok(hello)));
    let rest = stream::unfold((app, who, listening), |(app, who, mut listening)| async move {
        let event = event(&app, &mut listening).await?;
        // Nobody gets any whose session has ended.
        let goes_on = app.access().is_still_in(&who);
        goes_on.then_some((Ok(event), (app, who, listening)))
    });
    let all = futures_util::StreamExt::chain(first, rest);
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// What came within a moment of the next message.
async fn event(app: &App, listening: &mut Listening) -> Option<Event> {
    let mut rows = vec![row(app, &listening.next().await?)];
    let until = tokio::time::Instant::now() + BATCH_TIME;
    while rows.len() < BATCH_MAX {
        match tokio::time::timeout_at(until, listening.next()).await {
            Ok(Some(message)) => rows.push(row(app, &message)),
            Ok(None) | Err(_) => break,
        }
    }
    let data = json!({ "rows": rows, "missed": listening.missed() });
    Some(Event::default().event("messages").data(data.to_string()))
}

/// The payload as text where it is text, else as hexadecimal digits.
fn row(app: &App, message: &Overheard) -> Value {
    let is_cut = message.is_cut();
    let text = match std::str::from_utf8(&message.payload) {
        Ok(text) => Some(text),
        // Cut within a character.
        Err(error) if is_cut && error.error_len().is_none() => {
            let whole = message.payload.get(..error.valid_up_to());
            whole.and_then(|whole| std::str::from_utf8(whole).ok())
        }
        Err(_) => None,
    };
    let hex = || message.payload.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({
        "at_wall_ms": app.clock().wall().0,
        "topic": message.topic.as_str(),
        "qos": message.qos.level(),
        "retain": message.retain,
        "by": message.by.as_deref(),
        "bytes": message.bytes,
        "payload": text,
        "payload_hex": text.is_none().then(hex),
        "is_cut": is_cut,
    })
}
