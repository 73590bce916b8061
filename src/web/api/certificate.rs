//! The certificate of the page: the device's authority for browsers, and a certificate of one's own.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::WebTls;
use crate::web::App;
use crate::web::access::{Who, authority, keep_own};
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem};

pub fn routes() -> Routes {
    routes!(certificate, upload)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Own {
    /// PEM, with those of the authorities between.
    certificate: String,
    /// PEM, without a passphrase.
    key: String,
}

/// What to write under `web: { tls: … }` in the configuration.
#[derive(Debug, Serialize, ToSchema)]
struct Kept {
    certificate: String,
    key: String,
    valid_until_wall_ms: Option<i64>,
}

/// The certificate of the device's authority, to be installed in browsers. It holds no secret.
#[utoipa::path(get, path = "/certificate", tag = "system", security(()),
    responses(
        (status = 200, content_type = "application/x-x509-ca-cert", body = String, description = "PEM"),
        (status = 404, content_type = "application/problem+json", body = Problem, description = "The page shows another certificate, or none"),
    ))]
async fn certificate(State(app): State<App>) -> Result<Response, Problem> {
    let none = || Problem::not_found("the page shows no certificate of the device's authority");
    let dir = app.state_dir().filter(|_| app.plan().tls == WebTls::Device).ok_or_else(none)?;
    let dir = dir.clone();
    let read = crate::runtime::blocking(move || authority(&dir)).await;
    let pem = read.ok().flatten().ok_or_else(none)?;
    let name = "attachment; filename=\"fieldhold-authority.crt\"";
    let kind = "application/x-x509-ca-cert";
    Ok(([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name)], pem).into_response())
}

/// Keeps a certificate of one's own on the gateway, for `web: { tls: … }` to name it.
#[utoipa::path(post, path = "/certificate", tag = "system", security(("session" = ["admin"])),
    request_body = Own,
    responses(
        (status = 200, body = Kept),
        (status = 422, content_type = "application/problem+json", body = Problem, description = "They don't belong together, or are none"),
    ))]
async fn upload(
    State(app): State<App>,
    who: Who,
    Json(own): Json<Own>,
) -> Result<Json<Kept>, Problem> {
    let nowhere = || Problem::refused("the gateway keeps nothing: its store has no path");
    let dir = app.state_dir().ok_or_else(nowhere)?.clone();
    let kept = crate::runtime::blocking(move || keep_own(&dir, &own.certificate, &own.key)).await;
    let kept = kept.map_err(|_| Problem::unavailable("the gateway is stopping"))?;
    let (file, valid_until) =
        kept.map_err(|error| Problem::refused(crate::runtime::in_full(&error)))?;
    app.access().audit(&who, "certificate-uploaded", &file.display().to_string()).await?;
    let path = file.display().to_string();
    let valid_until_wall_ms = valid_until.map(|end| end.0);
    Ok(Json(Kept { certificate: path.clone(), key: path, valid_until_wall_ms }))
}
