//! Progress of a part that works for ever, as marks that someone else can look at.
//!
//! A part turns its pulse at every step of its own work. While it has nothing to do it turns it by
//! answering a tick where it waits; while it is *at work* ([`Pulse::work`]) a tick does not count, so
//! that work which never ends is seen. Nothing here knows the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Pulse {
    turns: AtomicU64,
    at_work: AtomicBool,
}

impl Pulse {
    /// A step of the work was done.
    pub fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// A tick, answered where the part waits.
    pub fn tick(&self) {
        if !self.at_work.load(Ordering::Relaxed) {
            self.turn();
        }
    }

    /// Until the answer is dropped, ticks do not count.
    pub fn work(&self) -> AtWork<'_> {
        self.at_work.store(true, Ordering::Relaxed);
        AtWork(self)
    }

    /// How many steps there were; it only grows.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

/// See [`Pulse::work`].
#[derive(Debug)]
pub struct AtWork<'a>(&'a Pulse);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.store(false, Ordering::Relaxed);
        self.0.turn();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_counts_only_while_there_is_nothing_to_do() {
        let pulse = Pulse::default();
        pulse.tick();
        pulse.turn();
        assert_eq!(pulse.turns(), 2);
        let work = pulse.work();
        pulse.tick();
        assert_eq!(pulse.turns(), 2, "at work");
        drop(work);
        assert_eq!(pulse.turns(), 3, "done");
        pulse.tick();
        assert_eq!(pulse.turns(), 4);
    }
}
