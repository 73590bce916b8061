//! The mapping of the draft: every tag from its register to its topic; CSV out and in.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::draft::{BODY_BYTES_MAX, off};
use crate::config::edit::{self, Edit, Value};
use crate::config::mapping::{self, CellProblem, Import};
use crate::config::{Severity, file};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem, Query, rows_of_page};
use crate::web::refusal::{Finding, of_edit};

/// Rows of a page, unless fewer are asked for.
const ROWS_MAX: usize = 5_000;

pub fn routes() -> Routes {
    routes!(rows)
        .merge(routes!(export))
        .merge(routes!(import))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only tags of this device.
    device: Option<String>,
    /// The rows after this one, as the page before said in `next`.
    after: Option<String>,
    /// Rows at most, 1 to 5,000.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Rows {
    rows: Vec<Row>,
    /// What to ask for after this page; `null` if there is no more.
    next: Option<String>,
}

/// A tag of the draft, with what it inherits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MappingRow)]
struct Row {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    row: mapping::Row,
    problems: Vec<Finding>,
}

/// All tags of the draft, also while it has problems.
#[utoipa::path(get, path = "/mapping", tag = "configuration", params(Wanted),
    security(("session" = ["operator"])), responses((status = 200, body = Rows)))]
async fn rows(State(app): State<App>, Query(wanted): Query<Wanted>) -> Result<Json<Rows>, Problem> {
    let text = app.draft().now(&app).await?.text.clone();
    let path = app.setup().status().borrow().file.clone();
    let all = off(move || {
        let tree = edit::read(&text).map_err(|refusal| of_edit(&refusal))?;
        let looked = file::look_at(&path, &text);
        Ok::<_, Problem>(mapping::rows(&tree, looked.plan.as_ref(), &looked.problems))
    });
    let key = |row: &mapping::Row| format!("{}/{}", row.device, row.tag);
    let limit = rows_of_page(wanted.limit, ROWS_MAX)?;
    let mut rows = all
        .await??
        .into_iter()
        .filter(|row| wanted.device.as_ref().is_none_or(|device| row.device == *device))
        .skip_while(|row| wanted.after.as_ref().is_some_and(|after| *after != key(row)))
        .skip(usize::from(wanted.after.is_some()));
    let page: Vec<mapping::Row> = rows.by_ref().take(limit).collect();
    let next = rows.next().and_then(|_| page.last().map(key));
    let row = |row: mapping::Row| {
        let problems = row.problems.iter().map(Finding::from).collect();
        Row { row, problems }
    };
    Ok(Json(Rows { rows: page.into_iter().map(row).collect(), next }))
}

/// The tags that are written in the draft, as CSV.
#[utoipa::path(get, path = "/mapping.csv", tag = "configuration",
    security(("session" = ["operator"])),
    responses((status = 200, body = String, content_type = "text/csv")))]
async fn export(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let text = app.draft().now(&app).await?.text.clone();
    let csv = off(move || edit::read(&text).map(|tree| mapping::export(&tree))).await?;
    let csv = csv.map_err(|refusal| of_edit(&refusal))?;
    let name =
        format!("attachment; filename=\"{}-mapping.csv\"", app.gateway().plan().gateway.name);
    let ascii = name.replace(|c: char| !c.is_ascii(), "_");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, ascii),
    ];
    Ok((headers, csv))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct How {
    /// `1`: what is right goes into the draft; else nothing is changed.
    #[param(minimum = 0, maximum = 1)]
    add: Option<u8>,
}

/// What an import does, or did.
#[derive(Debug, Serialize, ToSchema)]
struct Imported {
    rows_ok: usize,
    /// `{ line, column, message, hint }`: column 5 is E, 0 the whole row.
    #[schema(value_type = Vec<Object>)]
    errors: Vec<CellProblem>,
    /// What the right rows change in the draft.
    #[schema(value_type = Vec<Object>)]
    edits: Vec<Edit>,
    added: bool,
}

/// Reads CSV against the draft: every cell that differs is an edit.
#[utoipa::path(post, path = "/mapping/import", tag = "configuration", params(How,
        ("If-Match" = Option<String>, Header, description = "The etag of the draft that was seen, with add=1")),
    request_body(content = String, content_type = "text/csv"),
    security(("session" = ["operator"])), responses((status = 200, body = Imported)))]
async fn import(
    State(app): State<App>,
    headers: HeaderMap,
    Query(how): Query<How>,
    body: Bytes,
) -> Result<Json<Imported>, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/csv")) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let reason = "the header Content-Type has to be text/csv";
        return Err(Problem::new(status, "not-csv", "The request is not CSV", reason));
    }
    let csv = String::from_utf8(body.into()).map_err(|_| {
        Problem::refused("the table is not UTF-8 text")
            .hint("save it as \"CSV UTF-8\", as spreadsheets call it")
    })?;
    let mut draft = app.draft().now(&app).await?;
    let add = match how.add {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(Problem::refused("it is 0 or 1").field("add")),
    };
    if add {
        draft.seen(&headers)?;
    }
    let text = draft.text.clone();
    let path = app.setup().status().borrow().file.clone();
    let imported = off(move || {
        let tree = edit::read(&text).map_err(|refusal| of_edit(&refusal))?;
        Ok::<_, Problem>(read(&csv, &tree, &text, &path))
    });
    let Import { rows_ok, problems, edits } = imported.await??;
    if add && !edits.is_empty() {
        draft.edit(edits.clone()).await?;
    }
    Ok(Json(Imported { rows_ok, errors: problems, edits, added: add }))
}

/// Reads it, and lets the configuration's own checks judge what would come of it.
fn read(csv: &str, tree: &Value, text: &str, path: &std::path::Path) -> Import {
    mapping::import(csv, tree, |edits| match edit::apply(text, edits) {
        Ok(text) => {
            let problems = file::look_at(path, &text).problems;
            Ok(problems.into_iter().filter(|p| p.severity == Severity::Error).collect())
        }
        Err(refusal) => Err(CellProblem {
            line: 0,
            column: 0,
            message: format!("{}: {}", refusal.path, refusal.reason),
            hint: Some(refusal.hint.to_owned()),
        }),
    })
}
