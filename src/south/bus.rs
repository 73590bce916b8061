//! A bus as the rest of the gateway sees it: a port to talk to and a runner to supervise.
//!
//! A TCP bus is a task of the caller's runtime; a serial one is an OS thread with its own
//! current-thread runtime, because only a thread can keep the silences between frames accurately.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::connect::Connector;
use super::engine::Engine;
use super::sensor::SensorRunner;
use super::status::BusStatus;
use super::trace::{Framing, Page, Tap};
use crate::codec::sensor::PatternError;
use crate::config::{BusPlan, Link};
use crate::model::{Blame, Clock, Command, Refusal, Retry, Sink, Wall};

/// Commands that may wait for a bus.
pub const COMMANDS_MAX: usize = 64;

/// What a bus needs from outside.
pub struct BusContext {
    pub sink: Arc<dyn Sink>,
    pub clock: Arc<dyn Clock>,
    /// What [`Sink::learned`] was told in earlier lives.
    pub facts: Vec<(String, String)>,
}

/// The way to a running bus; cheap to clone.
#[derive(Clone)]
pub struct BusPort {
    commands: mpsc::Sender<Command>,
    status: Arc<Mutex<BusStatus>>,
    tap: Tap,
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

    pub fn status(&self) -> BusStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last exchanges from number `since` on, timed by `wall`, the time now.
    pub fn trace(&self, since: u64, wall: Wall) -> Page {
        self.tap.page(self.status().link, since, wall)
    }
}

/// Why a bus ended without being stopped.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("the thread of bus {bus} could not be started")]
    Thread {
        bus: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the thread of bus {bus} ended unexpectedly")]
    ThreadDied { bus: String },
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
}

enum Work {
    Modbus(Box<(Engine, Connector)>),
    /// An error only if a pattern passed the configuration and can't be used all the same.
    Sensor(Box<Result<SensorRunner, PatternError>>),
}

/// A bus that is not running yet.
pub fn bus(plan: BusPlan, context: BusContext) -> (BusPort, BusRunner) {
    let own_thread = plan.link.serial().is_some();
    let name = plan.name.to_string();
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let status = Arc::new(Mutex::new(BusStatus::new(&plan)));
    let devices = plan.devices.iter().map(|device| device.name.to_string()).collect();
    let tap = Tap::new(Framing::of(&plan.link), devices, plan.trace_bytes);
    let port = BusPort { commands: sender, status: Arc::clone(&status), tap: tap.clone() };
    let work = match plan.link.clone() {
        Link::Modbus(link) => {
            let timeout = plan.devices.iter().map(|device| device.timeout).max();
            let connector = Connector::new(&link, plan.pause, timeout.unwrap_or_default());
            Work::Modbus(Box::new((Engine::new(plan, context, commands, status, tap), connector)))
        }
        Link::Sensor(link) => {
            Work::Sensor(Box::new(SensorRunner::new(plan, link, context, commands, status, tap)))
        }
    };
    (port, BusRunner { name, work, own_thread })
}

impl Work {
    async fn run(self, bus: String, stop: CancellationToken) -> Result<(), BusError> {
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
}

impl BusRunner {
    /// Returns `Ok` when stopped. A broken link or a silent device is no error: both are retried
    /// here, for ever.
    pub async fn run(self, stop: CancellationToken) -> Result<(), BusError> {
        let Self { name: bus, work, own_thread } = self;
        if !own_thread {
            return work.run(bus, stop).await;
        }
        let (done, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(thread_name(&bus));
        let name = bus.clone();
        let on_thread = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = match runtime {
                Ok(runtime) => runtime.block_on(work.run(name, stop)),
                Err(source) => Err(BusError::Thread { bus: name, source }),
            };
            let _ = done.send(result);
        };
        thread.spawn(on_thread).map_err(|source| BusError::Thread { bus: bus.clone(), source })?;
        ended.await.unwrap_or(Err(BusError::ThreadDied { bus }))
    }
}

/// The kernel keeps 15 bytes of a thread's name.
fn thread_name(bus: &str) -> String {
    let mut name = String::from("bus-");
    name.extend(bus.chars().filter(char::is_ascii).take(11));
    name
}
