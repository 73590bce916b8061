//! Supervised units: every long-lived task has a name, a state that is shown, and a restart.
//!
//! A unit that ends with an error or a panic is started again after 1 → 60 s, for ever; it never
//! takes another unit with it. A unit that ends after being told to stop is stopped; one that does
//! not end in time is cut off, so that it is never alive beside its successor.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::locks::lock;
use crate::model::{Backoff, Clock, Mono};

const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_CAP: Duration = Duration::from_secs(60);
/// A run at least this long counts as healthy and starts the back-off over.
const HEALTHY_RUN: Duration = Duration::from_secs(60);
/// A run that is cut off ends where it next waits, so soon.
const CUT: Duration = Duration::from_secs(1);

/// What a unit is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum UnitState {
    Running,
    /// Ended against its will; tried again in a moment.
    Waiting {
        reason: String,
    },
    Stopped,
}

/// A unit's state and history.
#[derive(Debug, Clone, Serialize)]
pub struct UnitStatus {
    #[serde(flatten)]
    pub state: UnitState,
    pub restarts: u64,
}

/// One run of a unit, and what makes them: of one type for all units, so that the program has one
/// supervisor and not one for each.
type Run = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Make = Box<dyn Fn(CancellationToken) -> Run + Send>;

struct Unit {
    stop: CancellationToken,
    /// Ends the run wherever it is.
    cut: CancellationToken,
    ended: TaskTracker,
    status: Arc<Mutex<UnitStatus>>,
}

/// All units of the process, by name.
pub struct Units {
    clock: Arc<dyn Clock>,
    units: Mutex<BTreeMap<String, Unit>>,
}

impl Units {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, units: Mutex::new(BTreeMap::new()) }
    }

    /// Starts `make` as the unit `name`; called anew for every restart. The future must end soon
    /// after its token is cancelled.
    pub fn start<F, R, E>(&self, name: &str, make: F)
    where
        F: Fn(CancellationToken) -> R + Send + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        let make = move |stop| {
            let run = make(stop);
            Box::pin(async move { run.await.map_err(|error| in_full(&error)) }) as Run
        };
        self.start_one(name, Box::new(make));
    }

    fn start_one(&self, name: &str, make: Make) {
        let status = Arc::new(Mutex::new(UnitStatus { state: UnitState::Running, restarts: 0 }));
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let unit = Unit { stop, cut, ended: TaskTracker::new(), status };
        unit.ended.spawn(supervise(
            name.to_owned(),
            make,
            (unit.stop.clone(), unit.cut.clone()),
            Arc::clone(&unit.status),
            Arc::clone(&self.clock),
        ));
        unit.ended.close();
        if let Some(old) = lock(&self.units).insert(name.to_owned(), unit) {
            old.stop.cancel();
        }
    }

    /// Tells a unit to stop and waits for it, at most `grace`, then cuts it off; `false` if it had
    /// to be.
    pub async fn stop(&self, name: &str, grace: Duration) -> bool {
        let Some(unit) = lock(&self.units).remove(name) else { return true };
        unit.stop.cancel();
        if tokio::time::timeout(grace, unit.ended.wait()).await.is_ok() {
            return true;
        }
        unit.cut.cancel();
        let cut = tokio::time::timeout(CUT, unit.ended.wait()).await.is_ok();
        let how = if cut { "cut off" } else { "left behind" };
        tracing::error!(unit = name, ?grace, "did not stop in time and was {how}");
        false
    }

    /// Stops units together, all within the same `grace`.
    pub async fn stop_all(&self, names: &[String], grace: Duration) {
        for (_, unit) in lock(&self.units).iter().filter(|(name, _)| names.contains(name)) {
            unit.stop.cancel();
        }
        let end = tokio::time::Instant::now() + grace;
        for name in names {
            self.stop(name, end.saturating_duration_since(tokio::time::Instant::now())).await;
        }
    }

    /// Names of the units whose name starts with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        lock(&self.units).keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    pub fn status(&self) -> BTreeMap<String, UnitStatus> {
        lock(&self.units)
            .iter()
            .map(|(name, unit)| (name.clone(), lock(&unit.status).clone()))
            .collect()
    }
}

async fn supervise(
    name: String,
    make: Make,
    (stop, cut): (CancellationToken, CancellationToken),
    status: Arc<Mutex<UnitStatus>>,
    clock: Arc<dyn Clock>,
) {
    let mut backoff = Backoff::new(RESTART_FIRST, RESTART_CAP, fastrand::u64(..));
    loop {
        let begun: Mono = clock.mono();
        lock(&status).state = UnitState::Running;
        // A task of its own, so that a panic ends the run and not its supervisor.
        let mut run = tokio::task::JoinSet::new();
        run.spawn(make(stop.clone()));
        let joined = tokio::select! {
            joined = run.join_next() => joined,
            () = cut.cancelled() => {
                run.shutdown().await;
                break;
            }
        };
        let reason = match joined {
            Some(Ok(Ok(()))) if stop.is_cancelled() => break,
            Some(Ok(Ok(()))) => "ended without being told to".to_owned(),
            Some(Ok(Err(reason))) => reason,
            Some(Err(panic)) => format!("panicked: {panic}"),
            None => break,
        };
        if stop.is_cancelled() {
            break;
        }
        if clock.mono() - begun >= HEALTHY_RUN {
            backoff.reset();
        }
        let delay = backoff.next_delay();
        tracing::warn!(unit = name, %reason, ?delay, "unit failed, starting it again");
        {
            let mut status = lock(&status);
            status.state = UnitState::Waiting { reason };
            status.restarts += 1;
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => break,
        }
    }
    lock(&status).state = UnitState::Stopped;
}

/// An error with all its causes; each one's own text leaves its cause out.
pub fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ManualClock, Wall};
    use std::sync::atomic::{AtomicU32, Ordering};

    fn units() -> Units {
        Units::new(Arc::new(ManualClock::new(Mono(0), Wall(0))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_and_a_panicking_run_are_started_again() {
        let units = units();
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        units.start("flaky", move |stop| {
            let run = seen.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0 => Err(std::io::Error::other("first")),
                    1 => panic!("second"),
                    _ => {
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        while runs.load(Ordering::SeqCst) < 3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
        let status = units.status();
        assert_eq!(status["flaky"].state, UnitState::Running);
        assert_eq!(status["flaky"].restarts, 2);
        assert!(units.stop("flaky", Duration::from_secs(1)).await);
        assert!(units.status().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_that_ignores_stop_is_left_behind() {
        let units = units();
        units.start("deaf", |_| std::future::pending::<Result<(), std::io::Error>>());
        assert!(!units.stop("deaf", Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ignores_stop_is_not_alive_beside_its_successor() {
        let units = units();
        let (alive, seen) = (Arc::new(()), Arc::new(AtomicU32::new(0)));
        for _ in 0..2 {
            let (alive, seen) = (Arc::clone(&alive), Arc::clone(&seen));
            units.start("deaf", move |_| {
                let (alive, seen) = (Arc::clone(&alive), Arc::clone(&seen));
                async move {
                    seen.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                    drop(alive);
                    Ok::<_, std::io::Error>(())
                }
            });
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            units.stop_all(&["deaf".to_owned()], Duration::from_secs(1)).await;
        }
        assert_eq!(seen.load(Ordering::SeqCst), 2);
        assert_eq!(Arc::strong_count(&alive), 1, "nothing of them is left");
    }

    #[tokio::test(start_paused = true)]
    async fn units_that_hang_share_one_grace() {
        let units = units();
        let names = ["a", "b", "c"].map(str::to_owned);
        for name in &names {
            units.start(name, |_| std::future::pending::<Result<(), std::io::Error>>());
        }
        let begun = tokio::time::Instant::now();
        units.stop_all(&names, Duration::from_secs(10)).await;
        assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    }
}
