//! Bus sharing: a Modbus TCP server face of a bus, so that an old SCADA and the gateway share a line.
//!
//! `client` speaks with the clients and answers from the `cache` what may be answered so; the rest
//! waits, bounded, for `pass`, which is the engine's side: it asks the line between polls. `ask` takes
//! PDUs apart.
//!
//! Invariants: a client never gets a value that the device did not give, nor one that is too old;
//! nothing is written unless the configuration allows it; no client makes a poll wait for longer
//! than its share; a port that is taken is a state that is shown, and polling goes on.

mod ask;
mod cache;
mod client;
mod face;
mod pass;
mod status;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub(crate) use face::Face;
pub(crate) use pass::Guests;
pub use status::{FaceState, ShareStatus};

use crate::config::{BusPlan, SharePlan};
use crate::model::Clock;
use ask::{Ask, Code};
use cache::Cache;

/// Requests that may wait for the line; a further one is answered "busy" at once.
pub const WAITING_MAX: usize = 16;

/// A request on its way to the line.
pub(crate) struct Pass {
    unit: u8,
    ask: Ask,
    client: SocketAddr,
    asked: Instant,
    reply: oneshot::Sender<Result<Vec<u16>, Code>>,
}

/// What the face and the engine have in common.
#[derive(Clone)]
struct Shared {
    plan: Arc<SharePlan>,
    units: Arc<BTreeSet<u8>>,
    cache: Arc<Mutex<Cache>>,
    status: Arc<Mutex<ShareStatus>>,
    clock: Arc<dyn Clock>,
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> MutexGuard<'_, ShareStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a face and its engine are made of.
pub(crate) struct Sides {
    pub(crate) face: Face,
    pub(crate) guests: Guests,
    /// Requests of clients for the line.
    pub(crate) passes: mpsc::Receiver<Pass>,
}

/// Both sides of the face of a bus; `None` when the bus is not shared.
pub(crate) fn share(plan: &BusPlan, clock: &Arc<dyn Clock>) -> Option<Sides> {
    let share = plan.share.clone()?;
    let (sender, passes) = mpsc::channel(WAITING_MAX);
    let shared = Shared {
        units: Arc::new(plan.devices.iter().map(|device| device.unit).collect()),
        cache: Arc::default(),
        status: Arc::new(Mutex::new(ShareStatus::new(&share))),
        plan: Arc::new(share),
        clock: Arc::clone(clock),
    };
    let face = Face::new(plan.name.to_string(), shared.clone(), sender);
    Some(Sides { face, guests: Guests::new(shared), passes })
}
