//! What a batch of packets holds on to until the router is through with it.

use tokio::sync::OwnedSemaphorePermit;

pub struct Held {
    /// One of the few batches that its connection may have waiting.
    pub _turn: Option<OwnedSemaphorePermit>,
    /// Its share of the bytes that may wait for the router.
    pub _bytes: Option<OwnedSemaphorePermit>,
}
