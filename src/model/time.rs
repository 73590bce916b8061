//! Time as an input. A gateway without a clock battery boots in 1970, so readings carry monotonic
//! time; wall time is computed when it is shown or sent.

use std::ops::{Add, Sub};
use std::sync::Mutex;
use std::time::Duration;

/// Milliseconds of the kernel's monotonic clock since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mono(pub i64);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Wall(pub i64);

/// Wall clocks before this moment (2025-01-01) belong to a machine that has not been told the time.
const PLAUSIBLE: Wall = Wall(1_735_689_600_000);

impl Wall {
    /// Whether a clock that says so may have been set at all.
    pub fn is_plausible(self) -> bool {
        self >= PLAUSIBLE
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The time from `rhs` to `self`, zero if `rhs` is later.
impl Sub for Mono {
    type Output = Duration;
    fn sub(self, rhs: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(rhs.0)).unwrap_or(0))
    }
}

/// Where time comes from. The one real implementation is `runtime::clock`.
pub trait Clock: Send + Sync {
    /// Monotonic time, the same for all processes of one kernel boot.
    fn mono(&self) -> Mono;
    /// What the wall clock says now; may step.
    fn wall(&self) -> Wall;
    /// Names this kernel boot; monotonic times of different boots don't compare.
    fn boot_id(&self) -> &str;
    /// Whether a time source has confirmed the wall clock since this kernel booted.
    fn synced(&self) -> bool;
}

/// A clock for tests, moved by hand.
pub struct ManualClock {
    now: Mutex<(Mono, Wall)>,
    boot_id: String,
}

impl ManualClock {
    pub fn new(mono: Mono, wall: Wall) -> Self {
        Self { now: Mutex::new((mono, wall)), boot_id: "test-boot".to_owned() }
    }

    /// A clock of another boot of the kernel.
    pub fn in_boot(mono: Mono, wall: Wall, boot_id: &str) -> Self {
        Self { now: Mutex::new((mono, wall)), boot_id: boot_id.to_owned() }
    }

    /// Lets both clocks run on by `by`.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        let wall = Wall(now.1.0 + i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        *now = (now.0 + by, wall);
    }

    /// Sets the wall clock, as a time server or a person would; monotonic time is untouched.
    pub fn set_wall(&self, wall: Wall) {
        self.lock().1 = wall;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Mono, Wall)> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn mono(&self) -> Mono {
        self.lock().0
    }
    fn wall(&self) -> Wall {
        self.lock().1
    }
    fn boot_id(&self) -> &str {
        &self.boot_id
    }
    fn synced(&self) -> bool {
        true
    }
}
