//! Requests that others make of a running bus, each in its turn between the polls: those that clients
//! of its server face pass through, and those that a person makes by hand.
//!
//! Both wait in short queues and share what [`Fair`] leaves them; none is ever carried out before a
//! command. A bus without a connection refuses them at once.

use std::time::Duration;

use tokio::sync::mpsc;

use super::fair::Fair;
use super::hand::Asked;
use super::schedule::Next;
use super::share::Pass;

/// One of them.
pub(crate) enum Visit {
    Pass(Pass),
    Hand(Asked),
}

/// See the module.
pub(crate) struct Visits {
    /// `None` where the bus is not shared.
    passes: Option<mpsc::Receiver<Pass>>,
    asked: mpsc::Receiver<Asked>,
    /// The oldest one, which a bus without a connection was woken for.
    first: Option<Visit>,
    fair: Fair,
    /// Whether the last one was made by hand: then clients go first.
    by_hand: bool,
}

impl Visit {
    /// While there is no line.
    pub(crate) fn refuse(self, reason: &str) {
        match self {
            Self::Pass(pass) => pass.refuse(),
            Self::Hand(asked) => asked.refuse(reason),
        }
    }
}

impl Visits {
    pub(crate) fn new(passes: Option<mpsc::Receiver<Pass>>, asked: mpsc::Receiver<Asked>) -> Self {
        Self { passes, asked, first: None, fair: Fair::new(), by_hand: false }
    }

    /// The one that goes before what the schedule wants next, if one may.
    pub(crate) fn turn(&mut self, next: &Next, now: Duration) -> Option<Visit> {
        let poll_waits = match next {
            Next::Request { .. } => true,
            Next::Wait(_) => false,
            Next::Write | Next::Plan { .. } => return None,
        };
        let passes = self.passes.as_ref().is_some_and(|passes| !passes.is_empty());
        let one_waits = self.first.is_some() || passes || !self.asked.is_empty();
        if !one_waits || !self.fair.may_pass(now, poll_waits) {
            return None;
        }
        let visit = self.first.take().or_else(|| self.waiting())?;
        self.by_hand = matches!(visit, Visit::Hand(_));
        Some(visit)
    }

    fn waiting(&mut self) -> Option<Visit> {
        let hand = |visits: &mut Self| visits.asked.try_recv().ok().map(Visit::Hand);
        let pass = |visits: &mut Self| {
            let pass = visits.passes.as_mut()?.try_recv().ok();
            pass.map(Visit::Pass)
        };
        if self.by_hand {
            return pass(self).or_else(|| hand(self));
        }
        hand(self).or_else(|| pass(self))
    }

    /// The next one, however long it takes.
    pub(crate) async fn next(&mut self) -> Visit {
        let passes = &mut self.passes;
        let pass = async {
            match passes {
                Some(passes) => passes.recv().await,
                None => None,
            }
        };
        tokio::select! {
            Some(pass) = pass => Visit::Pass(pass),
            Some(asked) = self.asked.recv() => Visit::Hand(asked),
            else => std::future::pending().await,
        }
    }

    /// Is the first to have its turn once there is a connection.
    pub(crate) fn put_back(&mut self, visit: Visit) {
        self.first = Some(visit);
    }

    /// There is no connection.
    pub(crate) fn refuse_first(&mut self, reason: &str) {
        if let Some(visit) = self.first.take() {
            visit.refuse(reason);
        }
    }

    /// One took this long.
    pub(crate) fn took(&mut self, took: Duration) {
        self.fair.passed(took);
    }
}
