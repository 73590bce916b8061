//! How long a scan waits for an answer. Pure.
//!
//! Nothing is known at first, so the wait is long; what answers have taken shortens it, since a
//! scan is almost all waiting for devices that are not there. A longer wait is never learned.

use std::time::Duration;

/// A wait is no shorter, whatever was learned: devices on one line differ.
const LEAST: Duration = Duration::from_millis(100);
/// And no shorter than so many times the slowest answer.
const TIMES: u32 = 4;

/// See the module.
#[derive(Debug, Clone)]
pub struct Patience {
    longest: Duration,
    slowest: Option<Duration>,
}

impl Patience {
    /// `longest` is the wait as long as nobody has answered.
    pub fn new(longest: Duration) -> Self {
        Self { longest, slowest: None }
    }

    /// Someone answered, `took` after the request and beyond what the frames take on the wire.
    pub fn answered(&mut self, took: Duration) {
        self.slowest = Some(self.slowest.map_or(took, |slowest| slowest.max(took)));
    }

    /// The wait for an answer whose frames take `wire`.
    pub fn wait(&self, wire: Duration) -> Duration {
        let learned = self.slowest.map(|slowest| (slowest * TIMES).max(LEAST));
        wire + learned.map_or(self.longest, |learned| learned.min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_long_as_the_slowest_so_far_makes_sensible() {
        let ms = Duration::from_millis;
        let mut patience = Patience::new(ms(500));
        assert_eq!(patience.wait(ms(20)), ms(520));
        patience.answered(ms(3));
        assert_eq!(patience.wait(ms(20)), ms(120));
        patience.answered(ms(60));
        assert_eq!(patience.wait(ms(20)), ms(260));
        patience.answered(ms(10));
        assert_eq!(patience.wait(ms(20)), ms(260), "a quick one teaches nothing new");
        patience.answered(ms(400));
        assert_eq!(patience.wait(ms(20)), ms(520), "never longer");
    }
}
