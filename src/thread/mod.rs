//! A thread of its own with a runtime of its own, for work that shared threads would disturb, or that
//! would disturb others: serial lines with their times, the LAN broker's many small steps, an uplink
//! that drains a backlog.

use std::io;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The kernel keeps no more of a thread's name.
const NAME_BYTES: usize = 15;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    #[error("the thread can't be started")]
    Start(#[source] io::Error),
    #[error("the thread stopped unexpectedly")]
    Died,
}

/// Runs work on a thread of this name; ends it where it next waits if nobody waits for it any more.
pub async fn run<T: Send + 'static>(
    name: &str,
    work: impl AsyncFnOnce() -> T + Send + 'static,
) -> Result<T, ThreadError> {
    let abandoned = CancellationToken::new();
    let _guard = abandoned.clone().drop_guard();
    let (done, ended) = oneshot::channel();
    let work = move || {
        let end = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let end = runtime.block_on(abandoned.run_until_cancelled(work()));
                // Its sockets are closed with this; what may block is not waited for.
                runtime.shutdown_background();
                end.ok_or(ThreadError::Died)
            }
            Err(error) => Err(ThreadError::Start(error)),
        };
        let _ = done.send(end); // Nobody may be waiting any more.
    };
    let name = name.chars().filter(char::is_ascii).take(NAME_BYTES).collect();
    std::thread::Builder::new().name(name).spawn(work).map_err(ThreadError::Start)?;
    ended.await.unwrap_or(Err(ThreadError::Died))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_out_is_given_back_and_a_panic_is_an_error() {
        assert_eq!(run("t", async || 7).await.unwrap(), 7);
        let end = run::<()>("t", async || panic!("on purpose")).await;
        assert!(matches!(end, Err(ThreadError::Died)), "{end:?}");
    }

    #[tokio::test]
    async fn a_name_may_be_long_and_of_any_script() {
        let name = run("uplink-größer-als-erlaubt", async || {
            std::thread::current().name().map(str::to_owned)
        });
        assert_eq!(name.await.unwrap().as_deref(), Some("uplink-grer-als"));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        let (alive, gone) = oneshot::channel::<()>();
        let work = async move || {
            let _alive = alive;
            std::future::pending::<()>().await;
        };
        let mut running = tokio::task::JoinSet::new();
        running.spawn(run("t", work));
        tokio::task::yield_now().await;
        running.shutdown().await;
        let gone = tokio::time::timeout(std::time::Duration::from_secs(10), gone).await;
        assert!(gone.expect("it ends").is_err());
    }
}
