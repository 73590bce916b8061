//! What lies on the line: handed over, and not known to have arrived.
//!
//! A stream keeps its order, so the answer to one packet proves that all before it arrived. How long
//! the next answer may take depends on what has to go out before it can be given: on a line of
//! 9.6 kbit/s a message of 128 KiB takes two minutes. Places are counted in bytes since the start.

use std::collections::VecDeque;
use std::time::Duration;

pub struct Line {
    /// Bytes per second that are expected at least.
    slowest: u64,
    /// Where the packets end that will be answered, in their order.
    awaited: VecDeque<u64>,
    arrived: u64,
}

impl Line {
    pub fn new(slowest: u64) -> Self {
        Self { slowest: slowest.max(1), awaited: VecDeque::new(), arrived: 0 }
    }

    /// A packet that ends here will be answered.
    pub fn awaits(&mut self, end: u64) {
        self.awaited.push_back(end);
    }

    /// The packet that ends here was answered.
    pub fn answered(&mut self, end: u64) {
        self.arrived = self.arrived.max(end);
        while self.awaited.front().is_some_and(|end| *end <= self.arrived) {
            self.awaited.pop_front();
        }
    }

    /// How long what lies before the next answer may take to go out.
    pub fn slack(&self) -> Duration {
        let ahead = self.awaited.front().map_or(0, |end| end - self.arrived);
        Duration::from_millis(ahead.saturating_mul(1000) / self.slowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_before_the_next_answer_takes_time() {
        let mut line = Line::new(800);
        assert_eq!(line.slack(), Duration::ZERO);
        for end in [800, 8800, 9600] {
            line.awaits(end);
        }
        assert_eq!(line.slack(), Duration::from_secs(1));
        line.answered(800);
        assert_eq!(line.slack(), Duration::from_secs(10));
        line.answered(9600);
        assert_eq!(line.slack(), Duration::ZERO);
        line.answered(8800);
        line.awaits(10_400);
        assert_eq!(line.slack(), Duration::from_secs(1), "a late answer takes nothing back");
    }
}
