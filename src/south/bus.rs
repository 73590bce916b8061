//! A bus as the rest of the gateway sees it: a port to talk to and a runner to supervise.
//!
//! A TCP bus is a task of the caller's runtime; a serial one is an OS thread with its own
//! current-thread runtime, because only a thread can keep the silences between frames accurately.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connect::{Connector, Quotas};
use super::engine::Engine;
use super::hand::{Hand, hand};
use super::sensor::SensorRunner;
use super::share::{Face, Guests, ShareStatus, Sides, share};
use super::status::BusStatus;
use super::trace::{Framing, Page, Tap};
use super::visits::Visits;
use crate::codec::sensor::PatternError;
use crate::config::{BusPlan, Link};
use crate::model::{Blame, Clock, Command, Pulse, Refusal, Retry, Sink, Wall};
use crate::thread::{self, ThreadError};

/// Commands that may wait for a bus.
pub const COMMANDS_MAX: usize = 64;
/// How often a bus that has nothing to do shows that it could.
const TICK: Duration = Duration::from_secs(1);

/// What a bus needs from outside.
pub struct BusContext {
    pub sink: Arc<dyn Sink>,
    pub clock: Arc<dyn Clock>,
    /// What [`Sink::learned`] was told in earlier lives.
    pub facts: Vec<(String, String)>,
    /// The same for all buses.
    pub quotas: Quotas,
    /// When its devices are first read, unless one is to be read more often than that: others have
    /// another moment, so that not all readings of the gateway come at once, in each second again.
    pub first_read: Duration,
}

/// The way to a running bus; cheap to clone.
#[derive(Clone)]
pub struct BusPort {
    commands: mpsc::Sender<Command>,
    status: Arc<Mutex<BusStatus>>,
    tap: Tap,
    /// Of the server face, if it has one.
    share: Option<Arc<Mutex<ShareStatus>>>,
    /// `None` on a line that does not speak Modbus.
    hand: Option<Hand>,
    pulse: Arc<Pulse>,
}

impl BusPort {
    /// Hands over a command; a full queue is answered `Busy` at once.
    pub fn try_send(&self, command: Command) {
        let (command, refusal) = match self.commands.try_send(command) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(command)) => (command, Refusal::Busy),
            Err(mpsc::error::TrySendError::Closed(command)) => (command, Refusal::Stopping),
        };
        {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            *status.refused.entry(refusal.code()).or_default() += 1;
        }
        command.refuse(&refusal);
    }

    /// A port to a bus that the test plays.
    #[cfg(test)]
    pub(crate) fn stub(plan: &BusPlan) -> (Self, mpsc::Receiver<Command>) {
        let (commands, waiting) = mpsc::channel(COMMANDS_MAX);
        let status = Arc::new(Mutex::new(BusStatus::new(plan)));
        let tap = Tap::new(Framing::of(&plan.link), Vec::new(), plan.trace_bytes);
        (Self { commands, status, tap, share: None, hand: None, pulse: Arc::default() }, waiting)
    }

    pub fn status(&self) -> BusStatus {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lock = |share: &Arc<Mutex<ShareStatus>>| {
            share.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        status.share = self.share.as_ref().map(lock);
        status
    }

    /// Steps of whoever polls the bus; one at least every second, unless an exchange takes longer.
    pub fn turns(&self) -> u64 {
        self.pulse.turns()
    }

    /// Where a person asks devices of this bus.
    pub(super) fn hand(&self) -> Option<&Hand> {
        self.hand.as_ref()
    }

    /// The last exchanges from number `since` on, timed by `wall`, the time now.
    pub fn trace(&self, since: u64, wall: Wall) -> Page {
        self.tap.page(self.status().link, since, wall)
    }
}

/// Why a bus ended without being stopped.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("the bus {bus} stopped")]
    Thread {
        bus: String,
        #[source]
        source: ThreadError,
    },
    #[error("the frames of bus {bus} can't be read")]
    Pattern {
        bus: String,
        #[source]
        source: PatternError,
    },
}

impl BusError {
    pub fn blame(&self) -> Blame {
        Blame::Us
    }

    pub fn retry(&self) -> Retry {
        Retry::Later
    }
}

/// Runs the bus until it is stopped.
pub struct BusRunner {
    name: String,
    work: Work,
    own_thread: bool,
    face: Option<Face>,
    pulse: Arc<Pulse>,
}

enum Work {
    Modbus(Box<(Engine, Connector)>),
    /// An error only if a pattern passed the configuration and can't be used all the same.
    Sensor(Box<Result<SensorRunner, PatternError>>),
}

/// A bus that is not running yet.
pub fn bus(plan: BusPlan, context: BusContext) -> (BusPort, BusRunner) {
    let own_thread = plan.link.serial().is_some();
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let status = Arc::new(Mutex::new(BusStatus::new(&plan)));
    let devices = plan.devices.iter().map(|device| device.name.to_string()).collect();
    let tap = Tap::new(Framing::of(&plan.link), devices, plan.trace_bytes);
    let (name, link) = (plan.name.to_string(), plan.link.clone());
    let pulse = Arc::<Pulse>::default();
    let (work, share, face, hand) = match link {
        Link::Modbus(link) => {
            let timeout = plan.devices.iter().map(|device| device.timeout).max();
            let timeout = timeout.unwrap_or_default();
            let connector = Connector::new(&link, plan.pause, timeout, &context.quotas);
            let (hand, asked) = hand();
            let (face, guests, passes) = match share(&plan, &context.clock) {
                Some(Sides { face, guests, passes }) => (Some(face), Some(guests), Some(passes)),
                None => (None, None, None),
            };
            let shown = guests.as_ref().map(Guests::status);
            let others = (guests, Visits::new(passes, asked));
            let status = Arc::clone(&status);
            let shown_by = (status, Arc::clone(&pulse));
            let engine = Engine::new(plan, context, commands, shown_by, tap.clone(), others);
            (Work::Modbus(Box::new((engine, connector))), shown, face, Some(hand))
        }
        Link::Sensor(link) => {
            let (status, tap) = (Arc::clone(&status), tap.clone());
            let runner = SensorRunner::new(plan, link, context, commands, status, tap);
            (Work::Sensor(Box::new(runner)), None, None, None)
        }
    };
    let port = BusPort { commands: sender, status, tap, share, hand, pulse: Arc::clone(&pulse) };
    (port, BusRunner { name, work, own_thread, face, pulse })
}

impl Work {
    /// With a tick of its own, answered wherever the work waits and nowhere else.
    async fn run(
        self,
        bus: String,
        pulse: &Pulse,
        stop: CancellationToken,
    ) -> Result<(), BusError> {
        let mut every = tokio::time::interval(TICK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut work = std::pin::pin!(self.work(bus, stop));
        loop {
            tokio::select! {
                biased;
                ended = work.as_mut() => return ended,
                _ = every.tick() => pulse.tick(),
            }
        }
    }

    async fn work(self, bus: String, stop: CancellationToken) -> Result<(), BusError> {
        match self {
            Self::Modbus(work) => {
                let (engine, connector) = *work;
                engine.run(connector, stop).await;
                Ok(())
            }
            Self::Sensor(runner) => {
                let runner = (*runner).map_err(|source| BusError::Pattern { bus, source })?;
                runner.run(stop).await;
                Ok(())
            }
        }
    }

    async fn run_on_own_thread(
        self,
        bus: String,
        pulse: Arc<Pulse>,
        stop: CancellationToken,
    ) -> Result<(), BusError> {
        let name = bus.clone();
        let work = async move || self.run(name, &pulse, stop).await;
        let ended = thread::run(&format!("bus-{bus}"), work).await;
        ended.map_err(|source| BusError::Thread { bus, source })?
    }
}

impl BusRunner {
    /// Returns `Ok` when stopped. A broken link or a silent device is no error: both are retried
    /// here, for ever. The server face ends with the engine.
    pub async fn run(self, stop: CancellationToken) -> Result<(), BusError> {
        let Self { name, work, own_thread, face, pulse } = self;
        let face = async {
            match face {
                Some(face) => face.run().await,
                None => std::future::pending().await,
            }
        };
        let work = async {
            if own_thread {
                return work.run_on_own_thread(name, pulse, stop).await;
            }
            work.run(name, &pulse, stop).await
        };
        tokio::select! {
            biased;
            ended = work => ended,
            never = face => match never {},
        }
    }
}
