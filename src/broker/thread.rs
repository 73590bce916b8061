//! The broker's own thread: one runtime for the router and every connection that is not encrypted.
//!
//! A message goes from one connection over the router to another. On threads that share their work
//! each of these steps may wake a thread, which costs more than the step itself; here it is an entry
//! in a queue. What takes long goes elsewhere: TLS to the gateway's workers, passwords and files to
//! threads that may block.

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::error::BrokerError;

/// Runs the broker on its thread; ends it where it next waits if nobody waits for it any more.
pub async fn run<F>(broker: F) -> Result<(), BrokerError>
where
    F: Future<Output = Result<(), BrokerError>> + Send + 'static,
{
    let abandoned = CancellationToken::new();
    let _guard = abandoned.clone().drop_guard();
    let (done, ended) = oneshot::channel();
    let work = move || {
        let end = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let end = runtime.block_on(abandoned.run_until_cancelled(broker));
                // Its sockets are closed with this; passwords and files are not waited for.
                runtime.shutdown_background();
                end.unwrap_or(Ok(()))
            }
            Err(source) => Err(BrokerError::Thread { source }),
        };
        let _ = done.send(end);
    };
    let thread = std::thread::Builder::new().name("broker".to_owned()).spawn(work);
    thread.map_err(|source| BrokerError::Thread { source })?;
    ended.await.unwrap_or(Err(BrokerError::Stopped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broker_that_panics_is_one_that_stopped() {
        let end = run(async { panic!("on purpose") }).await;
        assert!(matches!(end, Err(BrokerError::Stopped)), "{end:?}");
    }

    #[tokio::test]
    async fn a_broker_that_nobody_waits_for_ends() {
        let (alive, gone) = oneshot::channel::<()>();
        let broker = async move {
            let _alive = alive;
            std::future::pending().await
        };
        let mut running = tokio::task::JoinSet::new();
        running.spawn(run(broker));
        tokio::task::yield_now().await;
        running.shutdown().await;
        let gone = tokio::time::timeout(std::time::Duration::from_secs(10), gone).await;
        assert!(gone.expect("it ends").is_err());
    }
}
