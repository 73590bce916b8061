//! The switches of the demonstration: the wire to the cloud, the serial line, the device.
//!
//! Only `fieldhold demo` has them; a gateway in the field knows no such routes.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use utoipa::ToSchema;

use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Path, Problem};

/// Until a switch is where it was put; a serial line ends what it is in the middle of.
const SWITCHED: Duration = Duration::from_secs(10);

pub fn routes() -> Routes {
    routes!(switches).merge(routes!(switch))
}

/// How a page reaches the switches.
#[derive(Debug)]
pub struct Demo {
    pub wishes: mpsc::Sender<(DemoSwitch, bool)>,
    pub switches: watch::Receiver<DemoSwitches>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum DemoSwitch {
    /// The wire between the gateway and the cloud.
    Uplink,
    /// The plug of the serial line.
    Line,
    /// The power of the device on the network.
    Device,
}

/// What is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct DemoSwitches {
    pub uplink: bool,
    pub line: bool,
    pub device: bool,
}

impl DemoSwitch {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "uplink" => Some(Self::Uplink),
            "line" => Some(Self::Line),
            "device" => Some(Self::Device),
            _ => None,
        }
    }
}

impl DemoSwitches {
    pub fn all_on() -> Self {
        Self { uplink: true, line: true, device: true }
    }

    pub fn of(self, switch: DemoSwitch) -> bool {
        match switch {
            DemoSwitch::Uplink => self.uplink,
            DemoSwitch::Line => self.line,
            DemoSwitch::Device => self.device,
        }
    }

    pub fn put(&mut self, switch: DemoSwitch, connected: bool) {
        match switch {
            DemoSwitch::Uplink => self.uplink = connected,
            DemoSwitch::Line => self.line = connected,
            DemoSwitch::Device => self.device = connected,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SwitchWanted)]
struct Wanted {
    connected: bool,
}

/// How the switches of the demonstration are.
#[utoipa::path(get, path = "/demo", tag = "demo", security(("session" = ["viewer"])),
    responses((status = 200, body = DemoSwitches)))]
async fn switches(State(app): State<App>) -> Result<Json<DemoSwitches>, Problem> {
    let demo = app.demonstration().ok_or_else(none)?;
    Ok(Json(*demo.switches.borrow()))
}

/// Cuts or mends one of them; answers once that is done.
#[utoipa::path(post, path = "/demo/{switch}", tag = "demo", request_body = Wanted,
    params(("switch" = inline(DemoSwitch), Path, description = "Which")),
    security(("session" = ["operator"])),
    responses((status = 200, body = DemoSwitches)))]
async fn switch(
    State(app): State<App>,
    Path(switch): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<DemoSwitches>, Problem> {
    let demo = app.demonstration().ok_or_else(none)?;
    let switch = DemoSwitch::from_word(&switch).ok_or_else(|| {
        Problem::not_found("there is no such switch").hint("uplink, line or device")
    })?;
    let stuck =
        || Problem::unavailable("the demonstration does not take this now").hint("try again");
    let done = async {
        demo.wishes.send((switch, wanted.connected)).await.map_err(|_| stuck())?;
        let mut now = demo.switches.clone();
        let now = now.wait_for(|now| now.of(switch) == wanted.connected).await;
        now.map(|now| Json(*now)).map_err(|_| stuck())
    };
    tokio::time::timeout(SWITCHED, done).await.map_err(|_| stuck())?
}

fn none() -> Problem {
    Problem::not_found("this gateway is no demonstration").hint("`fieldhold demo` has switches")
}
