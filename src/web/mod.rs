//! The web page and its API: everything a browser sees of the gateway.
//!
//! ```text
//! server ─▶ access::guard (host, origin, who, role) ─▶ api/* ─▶ runtime
//!        └▶ page (files of the page, embedded)        └▶ events (one stream per open tab)
//! ```
//!
//! Stands on `runtime`, which does not know it, and shows what is there; it keeps nothing of the
//! plant itself. The page uses this API and nothing else, so whatever a person can do there a
//! script can do too. Roles of routes stand beside the routes (`api/`), as scopes of their
//! description, and nowhere else.

pub mod access;
#[allow(unused_qualifications, reason = "written by the macro of the descriptions")]
mod api;

mod draft;
mod events;
#[allow(unused_qualifications, reason = "written by the macro of the descriptions")]
mod metrics;
mod openapi;
mod page;
mod problem;
mod refusal;
mod routes;
mod server;
mod state;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::WebPlan;

pub use api::demo::{Demo, DemoSwitch, DemoSwitches};
pub use routes::{Need, description, needs};
pub use server::WebError;
pub use state::{App, Deps};

use state::Shared;

/// The name of its unit.
const UNIT: &str = "web";

/// Starts the page as a unit of the gateway. A taken port is a state of the unit, tried again.
pub fn start(deps: Deps) {
    let gateway = Arc::clone(&deps.gateway);
    let shared = Arc::new(Shared::new(deps));
    gateway.start_unit(UNIT, move |stop| run(Arc::clone(&shared), stop));
}

/// Serves as the configuration says, and anew when that changes.
async fn run(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), WebError> {
    let mut changes = shared.changes();
    while !stop.is_cancelled() {
        let plan = shared.plan();
        let other = async {
            while shared.plan() == plan {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            served = serve(&shared, plan.clone(), stop.clone()) => served?,
            () = other => {}
        }
    }
    Ok(())
}

async fn serve(
    shared: &Arc<Shared>,
    plan: Option<WebPlan>,
    stop: CancellationToken,
) -> Result<(), WebError> {
    match plan {
        Some(plan) => server::serve(App::new(Arc::clone(shared), plan), stop).await,
        None => {
            stop.cancelled().await;
            Ok(())
        }
    }
}
