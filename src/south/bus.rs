//! A bus as the rest of the gateway sees it: a port to talk to and a runner to supervise.
//!
//! A TCP bus is a task of the caller's runtime; a serial one is an OS thread with its own
//! current-thread runtime, because only a thread can keep the silences between frames accurately.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::connect::Connector;
use super::engine::Engine;
use super::status::BusStatus;
use crate::config::BusPlan;
use crate::model::{Blame, Clock, Command, Outcome, Refusal, Retry, Sink};

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
        (command.reply)(Outcome::Refused(refusal));
    }

    pub fn status(&self) -> BusStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    engine: Engine,
    connector: Connector,
    own_thread: bool,
}

/// A bus that is not running yet.
pub fn bus(plan: BusPlan, context: BusContext) -> (BusPort, BusRunner) {
    let timeout = plan.devices.iter().map(|device| device.timeout).max().unwrap_or_default();
    let connector = Connector::new(&plan.link, plan.pause, timeout);
    let own_thread = plan.link.serial().is_some();
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let status = Arc::new(Mutex::new(BusStatus::new(&plan)));
    let engine = Engine::new(plan, context, commands, Arc::clone(&status));
    (BusPort { commands: sender, status }, BusRunner { engine, connector, own_thread })
}

impl BusRunner {
    /// Returns `Ok` when stopped. A broken link or a silent device is no error: both are retried
    /// here, for ever.
    pub async fn run(self, stop: CancellationToken) -> Result<(), BusError> {
        if !self.own_thread {
            self.engine.run(self.connector, stop).await;
            return Ok(());
        }
        let bus = self.engine.name().to_owned();
        let (done, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(thread_name(&bus));
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = runtime.map(|runtime| {
                runtime.block_on(self.engine.run(self.connector, stop));
            });
            let _ = done.send(result);
        };
        thread.spawn(work).map_err(|source| BusError::Thread { bus: bus.clone(), source })?;
        match ended.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(BusError::Thread { bus, source }),
            Err(_) => Err(BusError::ThreadDied { bus }),
        }
    }
}

/// The kernel keeps 15 bytes of a thread's name.
fn thread_name(bus: &str) -> String {
    let mut name = String::from("bus-");
    name.extend(bus.chars().filter(char::is_ascii).take(11));
    name
}
