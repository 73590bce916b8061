//! The ledger of losses: what an uplink did not get, and why.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::store::{DropRow, drop_words};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem, Query, rows_of_page};

/// Rows that the store keeps.
const KEPT: usize = 10_000;
const ROWS: usize = 100;
const ROWS_MAX: usize = 1_000;

pub fn routes() -> Routes {
    routes!(drops)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Rows older than this one, as the page before said in `next`.
    after: Option<i64>,
    /// Rows at most, 1 to 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Drops {
    /// The newest first.
    rows: Vec<Row>,
    next: Option<i64>,
}

/// A stretch of positions of one class that one uplink did not get.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DropRow)]
struct Row {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    row: DropRow,
    /// Why, in words.
    words: &'static str,
}

/// What was dropped. The store keeps the last 10,000 rows; sums are kept for ever.
#[utoipa::path(get, path = "/store/drops", tag = "north", params(Wanted),
    security(("session" = ["viewer"])),
    responses((status = 200, body = Drops)))]
async fn drops(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Drops>, Problem> {
    let limit = rows_of_page(wanted.limit.or(Some(ROWS)), ROWS_MAX)?;
    let all = app.gateway().drops(KEPT).await;
    let all = all.map_err(|error| Problem::unavailable(crate::runtime::in_full(&error)))?;
    Ok(Json(page(all, wanted.after, limit)))
}

/// A page of rows that come oldest first.
fn page(all: Vec<DropRow>, after: Option<i64>, limit: usize) -> Drops {
    let older = |row: &DropRow| after.is_none_or(|after| row.id < after);
    let mut rows: Vec<DropRow> = all.into_iter().rev().filter(older).take(limit + 1).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|row| row.id).filter(|_| more);
    // Files of an earlier version write reasons with underscores.
    let row = |row: DropRow| Row { words: drop_words(&row.reason.replace('_', "-")), row };
    Drops { rows: rows.into_iter().map(row).collect(), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_from_the_newest_to_the_oldest_and_end() {
        let row = |id| DropRow {
            id,
            reason: "ram_full".into(),
            consumer: "cloud".to_owned(),
            class: "normal",
            seq_from: 1,
            seq_to: 2,
            n: 1,
            wall_from_ms: None,
            wall_to_ms: None,
            shift_ms: None,
            epoch: None,
        };
        let all: Vec<DropRow> = (1..=5).map(row).collect();
        let ids = |after, limit| {
            let page = page(all.clone(), after, limit);
            assert!(page.rows.iter().all(|row| row.words.contains("memory")), "{page:?}");
            (page.rows.iter().map(|row| row.row.id).collect::<Vec<_>>(), page.next)
        };
        assert_eq!(ids(None, 2), (vec![5, 4], Some(4)));
        assert_eq!(ids(Some(4), 2), (vec![3, 2], Some(2)));
        assert_eq!(ids(Some(2), 2), (vec![1], None));
        assert_eq!(ids(None, 5), (vec![5, 4, 3, 2, 1], None));
    }
}
