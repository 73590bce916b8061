//! How long the engine waits for what. Tests use short ones; the defaults are those that lost
//! nothing under 190 faults.

use std::time::Duration;

use super::client::Patience;

/// Every wait of the engine.
#[derive(Debug, Clone)]
pub struct Timing {
    /// From the first packet to CONNACK, TLS included.
    pub connect: Duration,
    /// Acknowledgements are settled together after this long...
    pub settle: Duration,
    /// ...or when this many have come.
    pub settle_acks: usize,
    /// Something is outstanding and no acknowledgement has come for this long: the connection
    /// counts as dead, whatever the socket says.
    pub watchdog: Duration,
    /// The slowest line that makes progress, in bytes per second: what has to go out before an answer
    /// can come is waited for besides.
    pub slowest: u64,
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
    /// How long a stop waits for the acknowledgements that are still out.
    pub stop_grace: Duration,
    /// A topic whose message was refused for now is tried again after this long, and then less and
    /// less often.
    pub refused_pause: Duration,
    /// A loss that goes on is told once in this time.
    pub notice_pause: Duration,
    /// The pause after the store could not be read.
    pub store_retry: Duration,
}

impl Timing {
    /// Of a connection.
    pub fn patience(&self) -> Patience {
        let Self { connect, watchdog, slowest, .. } = *self;
        Patience { connect, answer: watchdog, slowest }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            settle: Duration::from_millis(50),
            settle_acks: 512,
            watchdog: Duration::from_secs(9),
            // 9.6 kbit/s, less what TCP and TLS put around it.
            slowest: 800,
            backoff_first: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            stop_grace: Duration::from_secs(1),
            refused_pause: Duration::from_secs(60),
            notice_pause: Duration::from_secs(5),
            store_retry: Duration::from_secs(1),
        }
    }
}
