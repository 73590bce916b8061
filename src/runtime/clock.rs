//! The one real clock: the kernel's monotonic and wall clocks.
//!
//! Monotonic time is the kernel's, not the process's, so that readings of an earlier run in the
//! same boot keep a common scale with ours.

use rustix::time::{ClockId, clock_gettime};

use crate::model::{Clock, Mono, Wall};

/// Wall clocks before this moment (2025-01-01) belong to a machine that has not been told the time.
const PLAUSIBLE_WALL: Wall = Wall(1_735_689_600_000);

#[derive(Debug)]
pub struct SystemClock {
    boot_id: String,
}

impl SystemClock {
    /// Reads the kernel's boot id; without `/proc` every start counts as a boot of its own, which
    /// is safe: monotonic times are then never compared between runs.
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_else(|_| format!("process-{}", fastrand::u64(..)));
        Self { boot_id }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> Mono {
        Mono(millis(ClockId::Monotonic))
    }

    fn wall(&self) -> Wall {
        Wall(millis(ClockId::Realtime))
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }

    fn synced(&self) -> bool {
        std::path::Path::new("/run/systemd/timesync/synchronized").exists()
            || self.wall() > PLAUSIBLE_WALL
    }
}

fn millis(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}
