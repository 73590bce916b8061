//! How many connections all buses together make to one host.
//!
//! A bus has a place while it is connected. When all places are taken, a bus that has nothing to do
//! or has had its time hangs up for the one that has waited longest. Buses of one host must share
//! a [`Quotas`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::Endpoint;

/// The limits that are in use; cheap to clone.
#[derive(Clone, Default)]
pub struct Quotas(Arc<Mutex<Known>>);

/// By host and limit.
type Known = HashMap<(String, usize), Weak<Quota>>;

/// The places of one host.
pub(super) struct Quota {
    places: Arc<Semaphore>,
    /// How many buses wait for a place.
    waiting: watch::Sender<usize>,
}

/// Held while connected.
pub(super) type Place = OwnedSemaphorePermit;

impl Quotas {
    /// The limit to this host, shared with whoever else names the same one.
    pub(super) fn to(&self, host: &Endpoint, connections: usize) -> Arc<Quota> {
        let mut quotas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        quotas.retain(|_, quota| quota.strong_count() > 0);
        let quota = quotas.entry((host.to_string(), connections)).or_default();
        quota.upgrade().unwrap_or_else(|| {
            let places = Arc::new(Semaphore::new(connections));
            let new = Arc::new(Quota { places, waiting: watch::Sender::new(0) });
            *quota = Arc::downgrade(&new);
            new
        })
    }
}

impl Quota {
    /// A place, in the order of asking.
    pub(super) async fn place(&self) -> Option<Place> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _waiting = Waiting::new(&self.waiting);
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    pub(super) fn is_wanted(&self) -> bool {
        *self.waiting.borrow() > 0
    }

    /// Ends when somebody waits for a place.
    pub(super) async fn wanted(&self) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }
}

/// Counts as long as it is there, also when the waiting is given up.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}
