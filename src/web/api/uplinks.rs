//! Uplinks: what waited over the last day, a trial of every step, and the next attempt at once.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::runtime::{TREND_EVERY, TrendPoint};
use crate::uplink::Tried;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Path, Problem};
use crate::web::{self, App};

pub fn routes() -> Routes {
    routes!(history).merge(routes!(test)).merge(routes!(retry))
}

#[derive(Debug, Serialize, ToSchema)]
struct History {
    every_ms: u64,
    /// Oldest first; those of a day at most, from the start of the gateway on.
    #[schema(value_type = Vec<Object>)]
    points: Vec<TrendPoint>,
}

/// How much waited for an uplink, was delivered and dropped: a point a minute.
#[utoipa::path(get, path = "/uplinks/{name}/history", tag = "north",
    security(("session" = ["viewer"])),
    params(("name" = String, Path, description = "The uplink")),
    responses((status = 200, body = History)))]
async fn history(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<History>, Problem> {
    let points = app.gateway().trend(&name);
    // One that was just added has no point yet.
    if points.is_none() && !app.gateway().plan().uplinks.iter().any(|u| u.name.as_str() == name) {
        return Err(no_uplink());
    }
    let every_ms = web::millis(TREND_EVERY);
    Ok(Json(History { every_ms, points: points.unwrap_or_default() }))
}

fn no_uplink() -> Problem {
    Problem::not_found("there is no uplink of this name in the configuration that runs")
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UplinkTested)]
struct Tested {
    /// The client id that stood in for the uplink's own, whose connection would be cut off.
    client_id: String,
    /// Whether a broker took the probe.
    good: bool,
    steps: Vec<Step>,
}

/// A step on the way to a broker, and how it went.
#[derive(Debug, Serialize, ToSchema)]
struct Step {
    broker: String,
    step: &'static str,
    ok: bool,
    ms: u64,
    /// What was found, or what is wrong.
    said: String,
    /// What to do next.
    advice: Option<&'static str>,
}

/// Tries every step to the brokers of an uplink, beside its own connection.
#[utoipa::path(post, path = "/uplinks/{name}/test", tag = "north",
    security(("session" = ["operator"])),
    params(("name" = String, Path, description = "The uplink")),
    responses((status = 200, body = Tested)))]
async fn test(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Tested>, Problem> {
    let tried = app.gateway().try_uplink(&name).await.ok_or_else(no_uplink)?;
    let trial = tried.map_err(|alone| {
        Problem::conflict("alone", "This uplink can't be tried beside itself", alone.to_string())
            .hint("its own state says how far it comes; try it now, and look there")
    })?;
    let step = |tried: Tried| Step {
        broker: tried.broker,
        step: tried.step,
        ok: tried.ok,
        ms: tried.ms,
        said: tried.said,
        advice: tried.advice,
    };
    Ok(Json(Tested {
        client_id: trial.client_id,
        good: trial.good,
        steps: trial.steps.into_iter().map(step).collect(),
    }))
}

/// Ends the wait for the next attempt to connect.
#[utoipa::path(post, path = "/uplinks/{name}/retry", tag = "north",
    security(("session" = ["operator"])),
    params(("name" = String, Path, description = "The uplink")),
    responses((status = 204, description = "It tries now, unless it is connected")))]
async fn retry(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    match app.gateway().retry_uplink(&name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_uplink()),
    }
}
