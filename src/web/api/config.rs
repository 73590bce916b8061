//! The configuration that runs, the versions before it, and the way back.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::draft::off;
use crate::config::edit::lines::difference;
use crate::config::file;
use crate::runtime::{Author, History, Record, Refused};
use crate::web::App;
use crate::web::access::Who;
use crate::web::described::{Routes, routes};
use crate::web::hidden::{masked, shown_to};
use crate::web::problem::{Json, Path, Problem};

pub fn routes() -> Routes {
    routes!(config)
        .merge(routes!(history))
        .merge(routes!(version))
        .merge(routes!(difference_to))
        .merge(routes!(rollback))
        .merge(routes!(confirm))
}

#[derive(Debug, Serialize, ToSchema)]
struct Running {
    text: String,
    sha256: String,
    /// `null` without a state directory.
    version: Option<u64>,
    /// Whether the file is not what runs: somebody edited it.
    file_edited: bool,
    /// While a change waits for its confirmation.
    pending: Option<Pending>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Pending {
    version: u64,
    until_wall_ms: i64,
}

/// The configuration that runs.
#[utoipa::path(get, path = "/config", tag = "configuration", security(("session" = ["operator"])),
    responses((status = 200, body = Running)))]
async fn config(State(app): State<App>, who: Who) -> Result<Json<Running>, Problem> {
    let text = app.setup().text().await?;
    let status = app.setup().status().borrow().clone();
    let path = status.file;
    let on_disk = off(move || file::read_text(&path).ok()).await?;
    let version = status.running.map(|running| running.version);
    let pending = version.zip(status.until_ms);
    Ok(Json(Running {
        file_edited: on_disk.as_deref() != Some(&text),
        text: shown_to(who.role, text),
        sha256: status.sha256,
        version,
        pending: pending.map(|(version, until_wall_ms)| Pending { version, until_wall_ms }),
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Versions {
    rows: Vec<Version>,
}

/// One version of the configuration.
#[derive(Debug, Serialize, ToSchema)]
struct Version {
    version: u64,
    at_wall_ms: i64,
    /// Whether a time source had confirmed the clock then.
    clock_synced: bool,
    author: String,
    /// What it changed.
    what: String,
    /// `stands`, `pending` or `rolled-back`.
    state: String,
    /// Why it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&Record> for Version {
    fn from(record: &Record) -> Self {
        let state = serde_json::to_value(&record.state).unwrap_or_default();
        let word = |key: &str| state.get(key).and_then(|word| word.as_str()).map(str::to_owned);
        Self {
            version: record.version,
            at_wall_ms: record.at_ms,
            clock_synced: record.clock_synced,
            author: record.author.to_string(),
            what: record.what.clone(),
            state: word("state").unwrap_or_default(),
            reason: word("reason"),
        }
    }
}

/// The versions that are kept, the newest first.
#[utoipa::path(get, path = "/config/history", tag = "configuration",
    security(("session" = ["operator"])), responses((status = 200, body = Versions)))]
async fn history(State(app): State<App>) -> Result<Json<Versions>, Problem> {
    let history = kept(&app, Ok).await?;
    Ok(Json(Versions { rows: history.records().iter().rev().map(Version::from).collect() }))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VersionText)]
struct Text {
    text: String,
}

/// The text of a version.
#[utoipa::path(get, path = "/config/history/{version}", tag = "configuration",
    params(("version" = u64, Path)), security(("session" = ["operator"])),
    responses((status = 200, body = Text)))]
async fn version(
    State(app): State<App>,
    who: Who,
    Path(version): Path<u64>,
) -> Result<Json<Text>, Problem> {
    let text = kept(&app, move |history| Ok(history.text(version)?)).await?;
    Ok(Json(Text { text: shown_to(who.role, text) }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Difference {
    diff: String,
}

/// What a version has other than what runs.
#[utoipa::path(get, path = "/config/history/{version}/diff", tag = "configuration",
    params(("version" = u64, Path)), security(("session" = ["operator"])),
    responses((status = 200, body = Difference)))]
async fn difference_to(
    State(app): State<App>,
    Path(version): Path<u64>,
) -> Result<Json<Difference>, Problem> {
    let running = app.setup().text().await?;
    let diff = kept(&app, move |history| Ok(difference(&running, &history.text(version)?))).await?;
    Ok(Json(Difference { diff: masked(&diff) }))
}

/// Looks into the history.
async fn kept<T: Send + 'static>(
    app: &App,
    look: impl FnOnce(History) -> Result<T, Refused> + Send + 'static,
) -> Result<T, Problem> {
    let state_dir = app.state_dir().cloned().ok_or(Refused::NoState)?;
    let looked = off(move || look(History::read(&state_dir).map_err(Refused::from)?)).await?;
    Ok(looked?)
}

#[derive(Debug, Default, Deserialize, ToSchema)]
struct Back {
    /// Nothing: from the version that is pending, or to the one before that which runs.
    version: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Runs {
    version: u64,
}

/// Goes back to a version.
#[utoipa::path(post, path = "/config/rollback", tag = "configuration", request_body = Back,
    security(("session" = ["admin"])), responses((status = 200, body = Runs)))]
async fn rollback(
    State(app): State<App>,
    who: Who,
    Json(Back { version }): Json<Back>,
) -> Result<Json<Runs>, Problem> {
    let author = Author::Page { name: who.name.clone() };
    let version = app.setup().roll_back(version, author).await?;
    Ok(Json(Runs { version }))
}

#[derive(Debug, Deserialize, ToSchema)]
struct Confirm {
    version: u64,
}

/// Lets a version stand that waits for its confirmation.
#[utoipa::path(post, path = "/config/confirm", tag = "configuration", request_body = Confirm,
    security(("session" = ["admin"])), responses((status = 204, description = "It stands")))]
async fn confirm(
    State(app): State<App>,
    who: Who,
    Json(Confirm { version }): Json<Confirm>,
) -> Result<StatusCode, Problem> {
    app.setup().confirm(version).await?;
    tracing::info!(version, who = who.name, "configuration confirmed on the page");
    Ok(StatusCode::NO_CONTENT)
}
