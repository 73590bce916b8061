//! What an outage would come to: one rehearsal at a time, which goes on while nobody looks.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::config::show_duration;
use crate::runtime::rehearsal::{OUTAGE_MAX, OUTAGE_MIN, ROUND_TRIP, ROUND_TRIP_MAX};
use crate::runtime::{RehearsalEnd, Rehearsed};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem};

pub fn routes() -> Routes {
    routes!(show, start, stop)
}

/// An outage of all uplinks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RehearsalAsk {
    /// How long it lasts.
    #[schema(minimum = 10, maximum = 31_622_400)]
    outage_s: u64,
    /// From a message to its acknowledgement; 50 unless given.
    #[schema(maximum = 60_000)]
    rtt_ms: Option<u64>,
}

/// How far it is, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rehearsal)]
struct Shown {
    id: u64,
    outage_ms: u64,
    done: bool,
    /// `done`, `stopped` or `failed`; `null` while it goes on.
    end: Option<&'static str>,
    /// Why it failed.
    reason: Option<String>,
    /// Which part of it is done.
    #[schema(minimum = 0, maximum = 1)]
    share: f64,
    /// As `fieldhold rehearse --json` gives it; `null` before the end.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
struct LastRehearsal {
    /// `null` before the first.
    last: Option<Shown>,
}

/// The rehearsal that goes on, or the last.
#[utoipa::path(get, path = "/rehearsal", tag = "north", security(("session" = ["viewer"])),
    responses((status = 200, body = LastRehearsal)))]
async fn show(State(app): State<App>) -> Json<LastRehearsal> {
    Json(LastRehearsal { last: app.gateway().last_rehearsal().map(|last| shown(&last)) })
}

/// Rehearses an outage of the configuration that runs; one goes on at a time.
#[utoipa::path(post, path = "/rehearsal", tag = "north", security(("session" = ["operator"])),
    request_body = RehearsalAsk,
    responses((status = 200, body = Shown)))]
async fn start(
    State(app): State<App>,
    Json(ask): Json<RehearsalAsk>,
) -> Result<Json<Shown>, Problem> {
    let outage = Duration::from_secs(ask.outage_s);
    if !(OUTAGE_MIN..=OUTAGE_MAX).contains(&outage) {
        let (least, most) = (show_duration(OUTAGE_MIN), show_duration(OUTAGE_MAX));
        let why = format!("an outage of {least} to {most} can be rehearsed");
        return Err(Problem::refused(why).field("outage_s"));
    }
    let round_trip = ask.rtt_ms.map_or(ROUND_TRIP, Duration::from_millis);
    if round_trip > ROUND_TRIP_MAX {
        let why =
            format!("a round trip of at most {} can be rehearsed", show_duration(ROUND_TRIP_MAX));
        return Err(Problem::refused(why).field("rtt_ms"));
    }
    match app.gateway().start_rehearsal(outage, round_trip) {
        Ok(begun) => Ok(Json(shown(&begun))),
        Err(_) => {
            let problem = Problem::busy("another rehearsal goes on");
            Err(problem.hint("wait for its end, or end it"))
        }
    }
}

/// Ends the one that goes on.
#[utoipa::path(delete, path = "/rehearsal", tag = "north", security(("session" = ["operator"])),
    responses((status = 204, description = "None goes on")))]
async fn stop(State(app): State<App>) -> StatusCode {
    app.gateway().stop_rehearsal();
    StatusCode::NO_CONTENT
}

fn shown(rehearsed: &Rehearsed) -> Shown {
    let (share, end) = rehearsed.progress();
    let (word, reason, answer) = match &end {
        None => (None, None, None),
        Some(RehearsalEnd::Done(answer)) => {
            (Some("done"), None, serde_json::to_value(&**answer).ok())
        }
        Some(RehearsalEnd::Stopped) => (Some("stopped"), None, None),
        Some(RehearsalEnd::Failed(why)) => (Some("failed"), Some(why.clone()), None),
    };
    Shown {
        id: rehearsed.id,
        outage_ms: u64::try_from(rehearsed.outage.as_millis()).unwrap_or(u64::MAX),
        done: end.is_some(),
        end: word,
        reason,
        share,
        answer,
    }
}
