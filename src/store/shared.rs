//! What the handles, the writer and the reader share.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;

use tokio::sync::{oneshot, watch};

use super::Options;
use super::inbox::{Arrival, Inbox, Tell};
use super::lane::Fresh;
use super::reader::Reader;
use super::salvage;
use super::state::State;
use super::window::Window;
use crate::model::{Class, Clock, Mono, Pulse};

pub struct Shared {
    /// Never held across I/O, so that nobody ever waits for the disk by taking it.
    state: Mutex<State>,
    /// Taken with the state or without it, never before it.
    inbox: Mutex<Inbox>,
    /// The thread that writes, from its first step on.
    pub writer: OnceLock<Thread>,
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
    pub flushes: Vec<oneshot::Sender<bool>>,
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
            inbox: Mutex::new(Inbox::new(&state)),
            state: Mutex::new(state),
            writer: OnceLock::new(),
            background: Condvar::new(),
            changed: watch::Sender::new(0),
            clock,
            options,
            reader,
            pulse: Pulse::default(),
        }
    }

    /// The state, with all that was appended in it.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.take_over(&mut state) {
            self.wake();
        }
        state
    }

    /// For who gives out positions of the state: until it is released, nobody else does. What is in
    /// it has to be put into the state before.
    pub fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is appended, and never waits for who has the state.
    pub fn append(&self, class: Class, items: Vec<Fresh>, tell: Option<Tell>) -> Range<u64> {
        // Once a second this asks the file system, which the others need not wait for.
        let _ = self.clock.synced();
        let now = self.clock.mono();
        let (range, is_full) = {
            let mut inbox = self.inbox();
            (inbox.push(class, items, now, tell), inbox.is_full())
        };
        let state = match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if is_full => Some(self.lock()),
            Err(TryLockError::WouldBlock) => None,
        };
        let is_writer_late = match state {
            Some(mut state) => {
                let late = self.take_over(&mut state);
                self.release(state);
                late
            }
            // Whoever has the state may have done with the inbox. The writer looks again.
            None => true,
        };
        if is_writer_late {
            self.wake();
        }
        self.announce();
        range
    }

    /// Puts into the state what was appended; says whether the writer has to be woken for it.
    pub fn take_over(&self, state: &mut State) -> bool {
        let spare = std::mem::take(&mut state.spare);
        let arrivals = self.inbox().take(spare);
        self.put(state, arrivals)
    }

    /// As [`Shared::take_over`], of what was taken out of the inbox.
    pub fn put(&self, state: &mut State, mut arrivals: Vec<Arrival>) -> bool {
        let oldest = arrivals.first().map(|arrival| arrival.at);
        if oldest.is_some() {
            state.observe_clock(&*self.clock);
        }
        arrivals.drain(..).for_each(|arrival| state.take(arrival));
        state.spare = arrivals;
        oldest.is_some_and(|oldest| sleeps_too_long(state, oldest))
    }

    pub fn announce(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
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
        let is_late = sleeps_too_long(&mut state, now);
        self.release(state);
        if is_late {
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

    /// Has the writer look at the state (again), now or when it would go to sleep.
    pub fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

/// Whether the writer sleeps beyond what is due in the state; it does not any more then.
fn sleeps_too_long(state: &mut State, now: Mono) -> bool {
    let too_long = state.due_hint(now) < state.control.wake_at;
    if too_long {
        state.control.wake_at = Mono(i64::MIN);
    }
    too_long
}
