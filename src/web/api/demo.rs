//! The demonstration's wire to its cloud, which a person may cut and mend to see an outage.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::web::problem::{Json, Problem};
use crate::web::{App, Demo};

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(wire, switch))
}

/// The wire between the gateway and the demonstration's cloud.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Wire {
    connected: bool,
}

/// Whether the demonstration's wire is whole.
#[utoipa::path(get, path = "/demo/uplink", tag = "demo", security(("session" = ["viewer"])),
    responses((status = 200, body = Wire), (status = 404, description = "No demonstration")))]
async fn wire(State(app): State<App>) -> Result<Json<Wire>, Problem> {
    let demo = demo(&app)?;
    Ok(Json(Wire { connected: *demo.wire.borrow() }))
}

/// Cuts or mends it.
#[utoipa::path(post, path = "/demo/uplink", tag = "demo", request_body = Wire,
    security(("session" = ["operator"])),
    responses((status = 200, body = Wire), (status = 404, description = "No demonstration")))]
async fn switch(State(app): State<App>, Json(wanted): Json<Wire>) -> Result<Json<Wire>, Problem> {
    demo(&app)?.wire.send_replace(wanted.connected);
    Ok(Json(wanted))
}

fn demo(app: &App) -> Result<&Demo, Problem> {
    app.demonstration().ok_or_else(|| {
        Problem::not_found("this gateway is no demonstration")
            .hint("`fieldhold demo` starts one with a wire that can be cut")
    })
}
