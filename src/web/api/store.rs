//! The ledger of losses: what an uplink did not get, and why.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::store::{DropRow, Inspector, database, drop_words};
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
    let file = app.state_dir().map(|dir| database(dir)).filter(|file| file.exists());
    // The newest are not in the file yet, or not as they are now.
    let newest = app.gateway().store_status().drops;
    let rows = crate::runtime::blocking(move || {
        let old = match file {
            Some(file) => Inspector::open(&file)?.drops(KEPT)?,
            None => Vec::new(),
        };
        let all: BTreeMap<i64, DropRow> =
            old.into_iter().chain(newest).map(|row| (row.id, row)).collect();
        Ok::<_, crate::store::StoreError>(all)
    });
    let rows = rows.await.map_err(|_| Problem::unavailable("looking broke off"))?;
    let all = rows.map_err(|error| Problem::unavailable(crate::runtime::in_full(&error)))?;
    let limit = rows_of_page(wanted.limit.or(Some(ROWS)), ROWS_MAX)?;
    Ok(Json(page(all, wanted.after, limit)))
}

fn page(all: BTreeMap<i64, DropRow>, after: Option<i64>, limit: usize) -> Drops {
    let older = |(id, _): &(i64, DropRow)| after.is_none_or(|after| *id < after);
    let mut rows: Vec<(i64, DropRow)> =
        all.into_iter().rev().filter(older).take(limit + 1).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|(id, _)| *id).filter(|_| more);
    // Files of an earlier version write reasons with underscores.
    let row =
        |(_, row): (i64, DropRow)| Row { words: drop_words(&row.reason.replace('_', "-")), row };
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
        let all: BTreeMap<i64, DropRow> = (1..=5).map(|id| (id, row(id))).collect();
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
