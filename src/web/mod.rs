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
mod crowd;
mod described;
mod draft;
mod events;
mod hidden;
#[allow(unused_qualifications, reason = "written by the macro of the descriptions")]
mod metrics;
#[cfg(test)]
mod openapi;
mod page;
mod problem;
mod redact;
mod refusal;
mod routes;
mod server;
mod state;
pub mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::config::WebPlan;
use crate::runtime::in_full;

pub use api::demo::{Demo, DemoSwitch, DemoSwitches};
pub use routes::Need;
pub use server::WebError;
pub use state::{App, Deps};

use access::AccessAsk;
use state::Shared;

/// The name of its unit.
const UNIT: &str = "web";

/// The page, for those who ask its accounts.
#[derive(Clone)]
pub struct Web(Arc<Shared>);

/// Starts the page as a unit of the gateway. A taken port is a state of the unit, tried again.
pub fn start(deps: Deps) -> Web {
    let gateway = Arc::clone(&deps.gateway);
    let shared = Arc::new(Shared::new(deps));
    let running = Arc::clone(&shared);
    gateway.start_unit(UNIT, move |stop| run(Arc::clone(&running), stop));
    Web(shared)
}

impl Web {
    /// The page could be called once, or is not wanted.
    pub fn is_up(&self) -> bool {
        self.0.is_up()
    }

    /// What `fieldhold support` puts together.
    pub async fn support(&self) -> support::Parts {
        support::of_gateway(&self.0).await
    }

    /// What the command line asks of the accounts, be the page served or not.
    pub async fn ask(&self, ask: AccessAsk) -> Result<Value, String> {
        let access = self.0.access().await.map_err(|error| in_full(&error))?;
        access::answer(&access, ask).await
    }
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
        Some(plan) => {
            let app = App::new(Arc::clone(shared), plan).await.map_err(WebError::Access)?;
            server::serve(app, stop).await
        }
        None => {
            shared.set_up();
            stop.cancelled().await;
            Ok(())
        }
    }
}

/// As the API says spans of time.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
