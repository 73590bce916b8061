//! Who did what over the page.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::web::App;
use crate::web::access::{PAGE_MAX, Row};
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem, Query, rows_of_page};

pub fn routes() -> Routes {
    routes!(audit)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `next` of the page before.
    after: Option<u64>,
    /// Rows of a page, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
struct Page {
    /// The newest first.
    rows: Vec<Row>,
    next: Option<u64>,
}

/// Sign-ins and changes, the newest first.
#[utoipa::path(get, path = "/audit", tag = "users", security(("session" = ["admin"])),
    params(Wanted), responses((status = 200, body = Page)))]
async fn audit(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page>, Problem> {
    let limit = rows_of_page(wanted.limit, PAGE_MAX)?;
    let rows = app.access().rows(wanted.after, limit).await?;
    let rows = rows.map_err(|error| Problem::unavailable(format!("it can't be read: {error}")))?;
    let next = rows.last().filter(|row| rows.len() == limit && row.n > 1).map(|row| row.n);
    Ok(Json(Page { rows, next }))
}
