//! Which of several brokers is next.
//!
//! Pure. The one that works is kept until it fails; then each is tried once in the configured order,
//! and after a round in which none worked it is time to wait.

pub struct Failover {
    count: usize,
    current: usize,
    /// Failures in a row.
    failed: usize,
}

impl Failover {
    pub fn new(count: usize) -> Self {
        Self { count: count.max(1), current: 0, failed: 0 }
    }

    pub fn current(&self) -> usize {
        self.current
    }

    /// A connection that had worked is over: the same broker is tried first.
    pub fn worked(&mut self) {
        self.failed = 0;
    }

    /// This one did not work; true after a whole round.
    pub fn failed(&mut self) -> bool {
        self.current = (self.current + 1) % self.count;
        self.failed += 1;
        self.failed.is_multiple_of(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_has_its_turn_and_the_working_one_is_kept() {
        let mut failover = Failover::new(3);
        let mut tries = Vec::new();
        for _ in 0..4 {
            tries.push((failover.current(), failover.failed()));
        }
        assert_eq!(tries, [(0, false), (1, false), (2, true), (0, false)]);
        failover.worked();
        assert_eq!(failover.current(), 1, "kept");
        assert!(!failover.failed() && !failover.failed() && failover.failed());
        assert_eq!(failover.current(), 1);
        assert!(Failover::new(1).failed(), "one alone is a round");
    }
}
