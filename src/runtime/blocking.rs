//! Work that blocks, away from the async threads.

use std::sync::{Arc, Mutex};

use super::locks::lock;

/// It panicked, or the process is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work broke off")]
pub struct BrokeOff;

/// What `work` makes on a thread that may block; it goes on if nobody waits for it any more.
///
/// To tokio all of them are tasks of one type, which keeps the program smaller than a type for each.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BrokeOff> {
    let made = Arc::new(Mutex::new(None));
    let place = Arc::clone(&made);
    let work: Box<dyn FnOnce() + Send> = Box::new(move || {
        let done = work();
        *lock(&place) = Some(done);
    });
    tokio::task::spawn_blocking(work).await.map_err(|_| BrokeOff)?;
    lock(&made).take().ok_or(BrokeOff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_or_known_not_to_be() {
        assert_eq!(blocking(|| 42).await, Ok(42));
        assert_eq!(blocking(|| -> u32 { panic!("on purpose") }).await, Err(BrokeOff));
    }
}
