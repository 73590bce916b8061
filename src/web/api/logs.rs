//! The newest lines of the log.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::runtime::LogLine;
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Query};

pub fn routes() -> Routes {
    routes!(logs)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Lines from this number on, as the page before said in `next`.
    since: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogPage)]
struct Page {
    next: u64,
    /// Lines from the number asked for on that are no longer kept.
    lost: u64,
    rows: Vec<Line>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Line {
    number: u64,
    at_wall_ms: i64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    level: &'static str,
    /// Which part of the gateway says it.
    target: String,
    text: String,
}

/// Lines of the log, oldest first; the last 2,000 are kept.
#[utoipa::path(get, path = "/logs", tag = "system", params(Since),
    security(("session" = ["viewer"])),
    responses((status = 200, body = Page)))]
async fn logs(State(app): State<App>, Query(since): Query<Since>) -> Json<Page> {
    let page = app.logs().since(since.since.unwrap_or(0));
    let row = |line: LogLine| Line {
        number: line.number,
        at_wall_ms: line.at_wall_ms,
        level: line.level,
        target: line.target,
        text: line.text,
    };
    Json(Page { next: page.next, lost: page.lost, rows: page.lines.into_iter().map(row).collect() })
}
