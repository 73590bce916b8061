//! What the gateway is doing, and the description of the API.

use std::sync::LazyLock;

use axum::extract::State;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::web::App;
use crate::web::problem::Json;
use crate::web::routes::description;

/// Made once: it is large, and anybody may ask for it.
static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(description()).unwrap_or_default());

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(openapi))
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
async fn openapi() -> Json<&'static Value> {
    Json(&DESCRIPTION)
}
