//! The commit window: when a transaction has to begin so that it ends in time, and how much a power
//! cut would have cost at most of late.
//!
//! Pure. The bound that is told is the configured one as long as the disk keeps up with it, and what
//! was measured when it does not.

use std::time::Duration;

use crate::model::Mono;

/// The worst of about this time, up to twice as long, counts.
const MEMORY: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Default)]
pub struct Window {
    configured: Duration,
    /// Longest transaction of late.
    transaction: Worst,
    /// Longest time of late between an append and the end of the transaction that holds it.
    exposed: Worst,
}

impl Window {
    pub fn new(configured: Duration) -> Self {
        Self { configured, ..Self::default() }
    }

    /// How long what was appended may wait for its transaction to begin. A transaction may take up
    /// half of the window: where it takes longer, the bound grows.
    pub fn wait(&self) -> Duration {
        self.configured - self.transaction.get().min(self.configured / 2)
    }

    /// A transaction that began at `began` is over, and what was appended at `oldest` is in it.
    pub fn committed(&mut self, began: Mono, oldest: Option<Mono>, now: Mono) {
        self.transaction.note(now - began, now);
        if let Some(oldest) = oldest {
            self.exposed.note(now - oldest, now);
        }
    }

    pub fn configured(&self) -> Duration {
        self.configured
    }

    /// At most the readings of so long a time are lost by a power cut now, when the oldest that is
    /// not in the file was appended at `unwritten`.
    pub fn loss_bound(&self, unwritten: Option<Mono>, now: Mono) -> Duration {
        let waiting = unwritten.map_or(Duration::ZERO, |since| now - since);
        self.configured.max(self.exposed.at(now)).max(waiting)
    }
}

/// The largest of what was noted lately.
#[derive(Debug, Clone, Default)]
struct Worst {
    since: Mono,
    now: Duration,
    before: Duration,
}

impl Worst {
    fn note(&mut self, value: Duration, now: Mono) {
        if now - self.since >= MEMORY {
            self.before = std::mem::take(&mut self.now);
            self.since = now;
        }
        self.now = self.now.max(value);
    }

    fn get(&self) -> Duration {
        self.now.max(self.before)
    }

    /// Without what nothing came after for too long.
    fn at(&self, now: Mono) -> Duration {
        match now - self.since {
            age if age >= MEMORY * 2 => Duration::ZERO,
            age if age >= MEMORY => self.now,
            _ => self.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_slow_disk_is_begun_with_earlier_and_the_bound_says_when_that_is_not_enough() {
        let mut window = Window::new(ms(1_000));
        let at = Mono(1_000_000);
        assert_eq!((window.wait(), window.loss_bound(None, at)), (ms(1_000), ms(1_000)));
        window.committed(at, Some(at), at + ms(20));
        assert_eq!((window.wait(), window.loss_bound(None, at)), (ms(980), ms(1_000)));
        window.committed(at, Some(Mono(at.0 - 500)), at + ms(900));
        assert_eq!(window.wait(), ms(500), "at most half of the window");
        assert_eq!(window.loss_bound(None, at), ms(1_400));
        assert_eq!(window.loss_bound(Some(at), at + ms(7_000)), ms(7_000), "the disk is away");
        // It gets better, and that is believed after a while.
        let later = at + MEMORY;
        window.committed(later, Some(later), later + ms(5));
        assert_eq!(window.loss_bound(None, later), ms(1_400));
        window.committed(later + MEMORY, None, later + MEMORY + ms(5));
        window.committed(later + MEMORY * 2, None, later + MEMORY * 2 + ms(5));
        assert_eq!(window.wait(), ms(995));
        assert_eq!(window.loss_bound(None, later + MEMORY * 2), ms(1_000));
    }
}
