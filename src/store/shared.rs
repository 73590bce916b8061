//! What the handles, the writer and the reader share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use super::Options;
use super::reader::Reader;
use super::salvage;
use super::state::State;
use super::window::Window;
use crate::model::{Clock, Mono, Pulse};

pub struct Shared {
    /// Never held across I/O, so that nobody ever waits for the disk by taking it.
    state: Mutex<State>,
    /// Wakes the writer before its time.
    pub wake: Condvar,
    /// Wakes what works in the background.
    pub background: Condvar,
    pub changed: watch::Sender<u64>,
    pub clock: Arc<dyn Clock>,
    pub options: Options,
    pub reader: Reader,
    /// Of the writer, which turns at least once a second.
    pub pulse: Pulse,
}

/// How the writer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Orderly,
    /// As if the process were killed; for tests.
    #[cfg(test)]
    Crash,
}

/// Requests to the writer.
#[derive(Debug)]
pub struct Control {
    pub stop: Option<Stop>,
    /// Who wants to know when everything so far is written.
    pub flushes: Vec<oneshot::Sender<()>>,
    /// Who wants to know when nothing is left to do at this moment of the clock, and until when.
    pub idle: Vec<oneshot::Sender<Mono>>,
    /// The reader found the file to be bad.
    pub poisoned: Option<String>,
    /// What was salvaged, to be written when nothing else is due.
    pub requeue: Option<salvage::Request>,
    /// Until when the writer sleeps; far in the past while it does not.
    pub wake_at: Mono,
    /// A test that breaks the accounts on purpose.
    #[cfg(test)]
    pub violations_expected: bool,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            stop: None,
            flushes: Vec::new(),
            idle: Vec::new(),
            poisoned: None,
            requeue: None,
            wake_at: Mono(i64::MIN),
            #[cfg(test)]
            violations_expected: false,
        }
    }
}

impl Shared {
    pub fn new(mut state: State, clock: Arc<dyn Clock>, options: Options, reader: Reader) -> Self {
        state.window = Window::new(options.commit);
        // In memory there is nothing to be written.
        state.write_behind = options.write_behind || options.dir.is_none();
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            background: Condvar::new(),
            changed: watch::Sender::new(0),
            clock,
            options,
            reader,
            pulse: Pulse::default(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn announce(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The state, with the clocks looked at.
    pub fn lock_observed(&self) -> MutexGuard<'_, State> {
        // Once a second this asks the file system, which the others need not wait for.
        let _ = self.clock.synced();
        let mut state = self.lock();
        state.observe_clock(&*self.clock);
        state
    }

    /// Lets others have the state, and then frees what has left it.
    pub fn release(&self, mut state: MutexGuard<'_, State>) {
        let gone = std::mem::take(&mut state.gone);
        drop(state);
        drop(gone);
    }

    /// Like [`Shared::release`]; and sees to it that the writer is awake in time for what is in the
    /// state now.
    pub fn release_in_time(&self, mut state: MutexGuard<'_, State>, now: Mono) {
        let sleeps_too_long = state.due_hint(now) < state.control.wake_at;
        if sleeps_too_long {
            state.control.wake_at = Mono(i64::MIN);
        }
        self.release(state);
        if sleeps_too_long {
            self.wake();
        }
    }

    /// Every test of anything that uses a store is one of its accounts.
    #[cfg(test)]
    pub fn check_accounts(&self) {
        let state = self.lock();
        if !std::thread::panicking() && !state.control.violations_expected {
            assert_eq!(state.violations, [""; 0]);
            assert_eq!(state.contradictions(), [""; 0]);
        }
    }

    /// Tells the writer that there is a request.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}
