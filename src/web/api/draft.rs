//! Working on the next configuration: look, edit, check, apply.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type,
};

use crate::config::edit::compare::Change;
use crate::config::edit::lines::difference;
use crate::config::edit::{self, Edit, Value};
use crate::config::{Plan, effects, file};
use crate::runtime::{Author, Proposal};
use crate::web::App;
use crate::web::access::Who;
use crate::web::described::{Routes, routes};
use crate::web::draft::{Draft, changes};
use crate::web::hidden::{mask, masked, put_back, put_back_in, shown_to};
use crate::web::problem::{Json, Problem};
use crate::web::refusal::Finding;

/// Bytes of a request with a whole configuration: its 8 MiB, escaped.
pub(super) const BODY_BYTES_MAX: usize = 20 << 20;
/// Edits of one request.
const EDITS_MAX: usize = 20_000;
/// Changes that are listed.
const CHANGES_MAX: usize = 1_000;
/// How long an applied draft may wait for its confirmation.
const CONFIRM_S: std::ops::RangeInclusive<u32> = 10..=3_600;

pub fn routes() -> Routes {
    routes!(look, put, discard)
        .merge(routes!(edits))
        .merge(routes!(apply))
        .merge(routes!(check))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// The draft, and what it would change.
#[derive(Debug, Serialize, ToSchema)]
struct Seen {
    /// Names this state, for `If-Match`.
    etag: String,
    /// Whether it differs from what runs.
    changed: bool,
    /// The file that an apply writes.
    file: String,
    /// The configuration as JSON, in the order of the file, variables as they are written; `null`
    /// for a text that is no YAML.
    #[schema(value_type = Object)]
    tree: Option<Value>,
    text: String,
    /// Against what runs: `{ kind: add | change | remove, path, before, after }`.
    #[schema(value_type = Vec<Object>)]
    changes: Vec<Change>,
    /// Changes beyond those that are listed.
    changes_left: usize,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
    /// Against what runs, line by line.
    diff: String,
    /// What an apply would do, in words; empty while there are problems.
    effects: Vec<String>,
    /// Where the draft and an edit of the file contradict each other.
    conflicts: Vec<String>,
}

/// The draft of the next configuration; without changes it is the file.
#[utoipa::path(get, path = "/draft", tag = "configuration", security(("session" = ["operator"])),
    responses((status = 200, body = Seen)))]
async fn look(State(app): State<App>, who: Who) -> Result<Json<Seen>, Problem> {
    let draft = app.draft().now(&app).await?;
    seen(&app, &who, draft).await.map(Json)
}

/// Lets go of the draft while it is looked at.
async fn seen(app: &App, who: &Who, draft: Draft<'_>) -> Result<Seen, Problem> {
    let (text, etag, conflicts) = (draft.text.clone(), draft.etag.clone(), draft.conflicts.clone());
    drop(draft);
    let running = app.setup().text().await?;
    let plan = app.gateway().plan();
    let path = app.setup().status().borrow().file.clone();
    let role = who.role;
    off(move || {
        let looked = file::look_at(&path, &text);
        let all = looked.problems.iter().map(Finding::from);
        let (problems, warnings): (Vec<_>, Vec<_>) = all.partition(Finding::is_error);
        let mut changes = changes(&running, &text);
        let left = changes.len().saturating_sub(CHANGES_MAX);
        changes.truncate(CHANGES_MAX);
        // Secrets are written and never shown.
        let values =
            |change: &mut Change| change.before.iter_mut().chain(&mut change.after).for_each(mask);
        changes.iter_mut().for_each(values);
        let sound: Option<&Plan> = looked.plan.as_ref().filter(|_| looked.is_sound());
        let effects = sound.map(|new| effects(&plan, new)).unwrap_or_default();
        Seen {
            etag,
            changed: running != text,
            file: path.display().to_string(),
            tree: edit::read(&shown_to(role, text.clone())).ok(),
            changes,
            changes_left: left,
            problems,
            warnings,
            diff: masked(&difference(&running, &text)),
            effects: if running == text { Vec::new() } else { effects },
            conflicts,
            text: shown_to(role, text),
        }
    })
    .await
}

/// Runs what takes time for large configurations away from the async threads.
pub(super) async fn off<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = crate::runtime::blocking(work).await;
    done.map_err(|_| Problem::unavailable("the gateway is stopping"))
}

#[derive(Debug, Deserialize, ToSchema)]
struct Edits {
    /// `{ op: set, path, value }`, `{ op: remove, path }` or `{ op: rename, path, to }`; a path is a
    /// list of keys, and of places in lists.
    #[schema(schema_with = edits_shape)]
    edits: Vec<Edit>,
}

/// How edits are written, for the description.
fn edits_shape() -> Array {
    let of = |kind| ObjectBuilder::new().schema_type(kind);
    let place = of(Type::Integer).minimum(Some(0)).maximum(Some(u32::MAX));
    let step = OneOfBuilder::new().item(of(Type::String)).item(place);
    let path = ArrayBuilder::new().items(step).build();
    let edit = |op: &str| {
        of(Type::Object)
            .property("op", of(Type::String).enum_values(Some([op])))
            .property("path", path.clone())
            .required("op")
            .required("path")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
    };
    let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let edit = OneOfBuilder::new()
        .item(edit("set").property("value", anything).required("value"))
        .item(edit("remove"))
        .item(edit("rename").property("to", of(Type::String)).required("to"));
    ArrayBuilder::new().items(edit).max_items(Some(EDITS_MAX)).build()
}

/// Changes the draft in place; all of the edits, or none.
#[utoipa::path(post, path = "/draft/edits", tag = "configuration", request_body = Edits,
    params(("If-Match" = String, Header, description = "The etag of the draft that was seen")),
    security(("session" = ["operator"])), responses((status = 200, body = Seen)))]
async fn edits(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
    Json(Edits { mut edits }): Json<Edits>,
) -> Result<Json<Seen>, Problem> {
    if edits.len() > EDITS_MAX {
        return Err(Problem::refused(format!("more than {EDITS_MAX} edits")).field("edits"));
    }
    let mut draft = app.draft().now(&app).await?;
    draft.seen(&headers)?;
    put_back_in(&mut edits, &draft.text)?;
    draft.edit(edits).await?;
    seen(&app, &who, draft).await.map(Json)
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ConfigurationText)]
struct Text {
    text: String,
}

/// Replaces the draft by a text. It may have problems; an apply refuses them. Where it has `•••` the
/// hash of a password is kept that was shown so.
#[utoipa::path(put, path = "/draft", tag = "configuration", request_body = Text,
    params(("If-Match" = String, Header, description = "The etag of the draft that was seen")),
    security(("session" = ["operator"])), responses((status = 200, body = Seen)))]
async fn put(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
    Json(Text { text }): Json<Text>,
) -> Result<Json<Seen>, Problem> {
    let mut draft = app.draft().now(&app).await?;
    draft.seen(&headers)?;
    let text = put_back(text, &draft.text)?;
    draft.put(text).await?;
    seen(&app, &who, draft).await.map(Json)
}

/// Forgets the draft.
#[utoipa::path(delete, path = "/draft", tag = "configuration", security(("session" = ["operator"])),
    responses((status = 204, description = "The draft is the file again")))]
async fn discard(State(app): State<App>) -> Result<StatusCode, Problem> {
    app.draft().now(&app).await?.discard().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize, ToSchema)]
struct Apply {
    /// Seconds after which it is taken back unless somebody confirms, 10 to 3600; nothing: it stands.
    #[schema(minimum = 10, maximum = 3600)]
    confirm_s: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Applied {
    version: u64,
    /// Until when it waits for its confirmation, in milliseconds of wall time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_until_ms: Option<i64>,
}

/// Lets the gateway run the draft, and writes it to the file.
#[utoipa::path(post, path = "/draft/apply", tag = "configuration", request_body = Apply,
    params(("If-Match" = String, Header, description = "The etag of the draft that was seen")),
    security(("session" = ["admin"])), responses((status = 200, body = Applied)))]
async fn apply(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
    Json(Apply { confirm_s }): Json<Apply>,
) -> Result<Json<Applied>, Problem> {
    if confirm_s.is_some_and(|seconds| !CONFIRM_S.contains(&seconds)) {
        let reason = format!("confirm_s is {} to {} seconds", CONFIRM_S.start(), CONFIRM_S.end());
        return Err(Problem::refused(reason).field("confirm_s"));
    }
    let mut draft = app.draft().now(&app).await?;
    draft.seen(&headers)?;
    draft.settled()?;
    let running = app.setup().text().await?;
    if draft.file != running {
        // The draft has the edit of the file in it. It becomes a version of its own, to go back to.
        app.setup().take_file().await?;
    }
    let confirm = confirm_s.map(|seconds| Duration::from_secs(seconds.into()));
    let text = draft.text.clone();
    let author = Author::Page { name: who.name.clone() };
    let version = app.setup().propose(Proposal { text, author, confirm }).await?;
    draft.applied().await?;
    let status = app.setup().status().borrow().clone();
    Ok(Json(Applied { version, pending_until_ms: status.until_ms }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Checked {
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// Checks a text as if it were the configuration, and changes nothing.
#[utoipa::path(post, path = "/check", tag = "configuration", request_body = Text,
    security(("session" = ["operator"])), responses((status = 200, body = Checked)))]
async fn check(
    State(app): State<App>,
    Json(Text { text }): Json<Text>,
) -> Result<Json<Checked>, Problem> {
    let path = app.setup().status().borrow().file.clone();
    let known = app.draft().now(&app).await?.text.clone();
    let looked = off(move || {
        // Where what is hidden can't be put back the mistake is told with the others.
        let text = put_back(text.clone(), &known).unwrap_or(text);
        file::look_at(&path, &text).problems
    })
    .await?;
    let all = looked.iter().map(Finding::from);
    let (problems, warnings): (Vec<_>, Vec<_>) = all.partition(Finding::is_error);
    Ok(Json(Checked { problems, warnings }))
}
