//! What the gateway is doing, and the description of the API.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::Json;
use crate::web::routes::description;

pub fn routes() -> Routes {
    routes!(status).merge(routes!(openapi))
}

/// Everything about the gateway, as `fieldhold status --json` has it.
#[utoipa::path(get, path = "/status", tag = "status", security(("session" = ["viewer"])),
    responses((status = 200, body = Object, description = "The status")))]
async fn status(State(app): State<App>) -> Json<Value> {
    Json(serde_json::to_value(app.gateway().status()).unwrap_or_default())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "status", security(()),
    responses((status = 200, body = Object, description = "OpenAPI 3.1")))]
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], description()).into_response()
}
