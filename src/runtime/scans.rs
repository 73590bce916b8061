//! A scan that goes on while nobody looks: one at a time, started by a person, ended by one or with
//! the gateway. What it found is known until the next one begins.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gateway::{GRACE, Gateway};
use super::locks::lock;
use super::units::in_full;
use crate::south::scan::{Event, Found, Question, Target, describe, place, scan, yaml};
use crate::thread;

/// Places that could not be reached are named up to this many.
const UNREACHABLE_MAX: usize = 50;

/// The one that goes on, or the last.
#[derive(Default)]
pub(super) struct Scans {
    last: Mutex<Option<Arc<Scan>>>,
    running: TaskTracker,
}

/// One scan.
pub struct Scan {
    pub id: u64,
    targets: Vec<Target>,
    question: Question,
    stop: CancellationToken,
    progress: Mutex<Progress>,
}

/// How far it is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub tried: usize,
    pub of: usize,
    /// What is left at most.
    pub left: Duration,
    /// What is tried now.
    pub place: String,
    pub unit: u8,
    pub found: Vec<Found>,
    /// Where nobody could be asked, and why.
    pub unreachable: Vec<(String, String)>,
    /// `None` while it goes on.
    pub end: Option<End>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Everything was tried.
    Done,
    /// Somebody ended it.
    Stopped,
    /// It could not go on.
    Failed(String),
}

impl Scan {
    pub fn progress(&self) -> Progress {
        lock(&self.progress).clone()
    }

    /// In words.
    pub fn describe(&self, found: &Found) -> String {
        describe(found, &self.targets, self.question)
    }

    /// The line or the address at which it was found.
    pub fn place(&self, target: usize) -> String {
        self.targets.get(target).map(|target| place(&target.link)).unwrap_or_default()
    }

    /// What was found, as a configuration to paste.
    pub fn yaml(&self) -> String {
        yaml(&lock(&self.progress).found, &self.targets, self.question)
    }

    fn tell(&self, event: Event) {
        let mut progress = lock(&self.progress);
        match event {
            Event::Next { target, unit, tried, of, left } => {
                (progress.tried, progress.of, progress.left) = (tried, of, left);
                (progress.place, progress.unit) = (self.place(target), unit);
            }
            Event::Found(found) => progress.found.push(found),
            Event::Unreachable { target, error } => {
                if progress.unreachable.len() < UNREACHABLE_MAX {
                    progress.unreachable.push((self.place(target), in_full(&error)));
                }
            }
        }
    }

    fn ended(&self, end: End) {
        let mut progress = lock(&self.progress);
        if end == End::Done {
            (progress.tried, progress.left) = (progress.of, Duration::ZERO);
        }
        progress.end = Some(end);
    }
}

impl Scans {
    pub(super) async fn stop(&self) {
        if let Some(scan) = &*lock(&self.last) {
            scan.stop.cancel();
        }
        self.running.close();
        let _ = tokio::time::timeout(GRACE, self.running.wait()).await;
    }
}

impl Gateway {
    /// Begins one; the id of the one that goes on, if there is one.
    pub fn start_scan(&self, targets: Vec<Target>, question: Question) -> Result<u64, u64> {
        let mut last = lock(&self.scans.last);
        if let Some(scan) = &*last
            && scan.progress().end.is_none()
        {
            return Err(scan.id);
        }
        let of = targets.iter().map(|target| target.units.len()).sum();
        let scan = Arc::new(Scan {
            id: last.as_ref().map_or(1, |last| last.id + 1),
            targets,
            question,
            stop: CancellationToken::new(),
            progress: Mutex::new(Progress { of, ..Progress::default() }),
        });
        let id = scan.id;
        *last = Some(Arc::clone(&scan));
        drop(last);
        self.scans.running.spawn(async move {
            let goes_on = Arc::clone(&scan);
            let ended = thread::run("scan", async move || {
                let Scan { targets, question, stop, .. } = &*goes_on;
                let all = self::scan(targets, *question, |event| goes_on.tell(event));
                stop.run_until_cancelled(all).await
            });
            scan.ended(match ended.await {
                Ok(Some(Ok(()))) => End::Done,
                Ok(Some(Err(error))) => End::Failed(in_full(&error)),
                Ok(None) => End::Stopped,
                Err(error) => End::Failed(in_full(&error)),
            });
        });
        Ok(id)
    }

    /// The scan of this number, if it is the last.
    pub fn scan(&self, id: u64) -> Option<Arc<Scan>> {
        lock(&self.scans.last).as_ref().filter(|scan| scan.id == id).cloned()
    }

    /// Ends it; what it found is still known.
    pub fn stop_scan(&self, id: u64) -> bool {
        let scan = self.scan(id);
        scan.inspect(|scan| scan.stop.cancel()).is_some()
    }
}
