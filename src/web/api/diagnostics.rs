//! The support bundle, for download.

use axum::extract::State;
use axum::response::Response;

use super::trace::download;
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::Problem;
use crate::web::support;

pub fn routes() -> Routes {
    routes!(diagnostics)
}

/// What somebody who helps needs to know; passwords and keys are left out.
#[utoipa::path(get, path = "/diagnostics", tag = "system", security(("session" = ["admin"])),
    responses((status = 200, content_type = "application/gzip", body = Vec<u8>)))]
async fn diagnostics(State(app): State<App>) -> Result<Response, Problem> {
    let parts = support::of_gateway(app.shared()).await;
    let (name, now) = (app.gateway().plan().gateway.name, app.clock().wall());
    let made = crate::runtime::blocking(move || support::bundle(parts, now));
    let bytes = made.await.map_err(|_| Problem::unavailable("putting it together broke off"))?;
    Ok(download(&format!("fieldhold-{name}-diagnostics.tar.gz"), "application/gzip", bytes))
}
