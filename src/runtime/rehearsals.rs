//! Rehearsals that a gateway makes of its own configuration while it works: one at a time, out of the
//! way of everything else, started by a person, ended by one or with the gateway. The last is known
//! until the next one begins.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gateway::{GRACE, Gateway};
use super::locks::lock;
use super::rehearsal::{Answer, RehearsalError, Wanted, rehearse};
use super::units::in_full;
use crate::config::Plan;

/// So many readings are gone through beside the work of a gateway, and the rest is computed.
const READINGS: u64 = 600_000;
/// Its threads come after all others of the machine.
const NICENESS: i32 = 19;
/// And rest for so long each time the store has done something.
const REST: Duration = Duration::from_micros(200);

/// The one that goes on, or the last.
#[derive(Default)]
pub(super) struct Rehearsals {
    last: Mutex<Option<Arc<Rehearsed>>>,
    running: TaskTracker,
}

/// One rehearsal.
pub struct Rehearsed {
    pub id: u64,
    pub outage: Duration,
    stop: CancellationToken,
    progress: Mutex<(f64, Option<End>)>,
}

/// How it ended.
#[derive(Debug, Clone)]
pub enum End {
    Done(Arc<Answer>),
    /// Somebody ended it.
    Stopped,
    /// There is no answer, for this reason.
    Failed(String),
}

impl Rehearsed {
    /// Which share is done, and how it ended, if it has.
    pub fn progress(&self) -> (f64, Option<End>) {
        lock(&self.progress).clone()
    }

    /// On a thread that is in nobody's way.
    fn work(&self, plan: &Plan, wanted: &Wanted) -> End {
        // Where that is not allowed it rests all the same.
        let _ = rustix::process::nice(NICENESS);
        let answer = rehearse(plan, wanted, &|share| {
            lock(&self.progress).0 = share;
            std::thread::sleep(REST);
            !self.stop.is_cancelled()
        });
        match answer {
            Ok(answer) => End::Done(Arc::new(answer)),
            Err(RehearsalError::Cancelled) => End::Stopped,
            Err(error) => End::Failed(in_full(&error)),
        }
    }

    fn ended(&self, end: End) {
        let mut progress = lock(&self.progress);
        if matches!(end, End::Done(_)) {
            progress.0 = 1.0;
        }
        progress.1 = Some(end);
    }
}

impl Rehearsals {
    pub(super) async fn stop(&self) {
        if let Some(last) = &*lock(&self.last) {
            last.stop.cancel();
        }
        self.running.close();
        let _ = tokio::time::timeout(GRACE, self.running.wait()).await;
    }
}

impl Gateway {
    /// Begins one with the configuration that runs; the one that goes on, if there is one.
    pub fn start_rehearsal(
        &self,
        outage: Duration,
        round_trip: Duration,
    ) -> Result<Arc<Rehearsed>, Arc<Rehearsed>> {
        let mut last = lock(&self.rehearsals.last);
        if let Some(last) = &*last
            && last.progress().1.is_none()
        {
            return Err(Arc::clone(last));
        }
        let rehearsed = Arc::new(Rehearsed {
            id: last.as_ref().map_or(1, |last| last.id + 1),
            outage,
            stop: CancellationToken::new(),
            progress: Mutex::new((0.0, None)),
        });
        *last = Some(Arc::clone(&rehearsed));
        drop(last);
        let plan = self.plan();
        let wanted = Wanted { round_trip, readings_max: READINGS, ..Wanted::of(outage) };
        let (begun, told) = (Arc::clone(&rehearsed), Arc::clone(&rehearsed));
        self.rehearsals.running.spawn(async move {
            let (done, ended) = oneshot::channel();
            let work = move || {
                let _ = done.send(begun.work(&plan, &wanted)); // It is waited for below.
            };
            let thread = std::thread::Builder::new().name("rehearsal".to_owned()).spawn(work);
            told.ended(match thread {
                Ok(_) => ended.await.unwrap_or(End::Failed("the rehearsal broke off".to_owned())),
                Err(error) => End::Failed(format!("the machine has no room for it: {error}")),
            });
        });
        Ok(rehearsed)
    }

    /// The one that goes on, or the last.
    pub fn last_rehearsal(&self) -> Option<Arc<Rehearsed>> {
        lock(&self.rehearsals.last).clone()
    }

    /// Ends the one that goes on; says whether there is one.
    pub fn stop_rehearsal(&self) -> bool {
        let going = self.last_rehearsal().filter(|last| last.progress().1.is_none());
        going.inspect(|last| last.stop.cancel()).is_some()
    }
}
