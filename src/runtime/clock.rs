//! The one real clock: the kernel's monotonic and wall clocks.
//!
//! Monotonic time is the kernel's, not the process's, so that readings of an earlier run in the
//! same boot keep a common scale with ours.
//!
//! # Who says that the wall clock is right
//! The kernel knows (`adjtimex`), but no safe and well-kept crate asks it: rustix and nix lack the
//! call, clock-steering 0.2 does not show the status, and `unsafe` is not ours to write. So a time
//! source is believed by what it leaves behind:
//! * systemd-timesyncd makes a file when it has set the clock for the first time since the boot;
//! * chrony, ntpd, ntpd-rs and linuxptp tell the kernel how far TAI is from UTC once they are in
//!   step (Debian's and Fedora's chrony do by default); a kernel that nobody told says zero.
//!
//! Both hold until the next boot, and so does the answer here. A machine that has neither, such as
//! one with a battery clock in a plant without a time server, is not `synced`, ever; `store/boot.rs`
//! says what that means, and that it does no harm.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

use crate::model::{Clock, Mono, Wall};

/// What systemd-timesyncd makes after its first synchronisation.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
/// The evidence is looked for that often.
const LOOK_MS: i64 = 1_000;

#[derive(Debug)]
pub struct SystemClock {
    boot_id: String,
    /// Once there is evidence it stays.
    synced: AtomicBool,
    look_at: AtomicI64,
}

impl SystemClock {
    /// Reads the kernel's boot id; without `/proc` every start counts as a boot of its own, which
    /// is safe: monotonic times are then never compared between runs.
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_else(|_| format!("process-{}", fastrand::u64(..)));
        Self { boot_id, synced: AtomicBool::new(false), look_at: AtomicI64::new(i64::MIN) }
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
        if self.synced.load(Ordering::Relaxed) {
            return true;
        }
        let now = self.mono().0;
        if now < self.look_at.load(Ordering::Relaxed) {
            return false;
        }
        self.look_at.store(now.saturating_add(LOOK_MS), Ordering::Relaxed);
        let synced = is_evidence(Path::new(TIMESYNCD), tai_minus_utc_ms());
        self.synced.store(synced, Ordering::Relaxed);
        synced
    }
}

/// Between the two readings of the clocks time goes on, so a little more than zero is zero.
fn is_evidence(timesyncd: &Path, tai_minus_utc_ms: i64) -> bool {
    timesyncd.exists() || tai_minus_utc_ms.abs() >= 1_000
}

/// Zero too where the kernel does not know.
fn tai_minus_utc_ms() -> i64 {
    let tai = clock_gettime_dynamic(DynamicClockId::Tai).map(in_millis);
    tai.map_or(0, |tai| tai.saturating_sub(millis(ClockId::Realtime)))
}

fn millis(clock: ClockId) -> i64 {
    in_millis(clock_gettime(clock))
}

fn in_millis(now: Timespec) -> i64 {
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_source_is_known_by_what_it_leaves_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("synchronized");
        assert!(!is_evidence(&file, 0));
        assert!(!is_evidence(&file, 3), "the time between two looks");
        assert!(is_evidence(&file, 37_000));
        std::fs::File::create(&file).unwrap();
        assert!(is_evidence(&file, 0));
    }

    #[test]
    fn the_answer_is_that_of_the_evidence_and_the_clocks_go_on() {
        let clock = SystemClock::new();
        assert_eq!(clock.synced(), is_evidence(Path::new(TIMESYNCD), tai_minus_utc_ms()));
        assert!(clock.wall().is_plausible());
        let before = clock.mono();
        assert!(clock.mono() >= before);
    }
}
