//! The clock, the memory, and the process that runs.

use std::fs;

use super::{Finding, Patient};
use crate::codec::registers::utc;
use crate::model::Wall;

/// With less the system ends processes when it is busy.
const MEMORY_LOW: u64 = 48 << 20;

pub fn clock(now: Wall, synced: bool) -> Finding {
    let reads = utc(now.0).unwrap_or_else(|| "a time before 1970".to_owned());
    if !now.is_plausible() {
        return Finding::bad(
            "clock",
            format!("is not set: it reads {reads}; certificates seem to be not valid yet"),
            "connect a time server (`timedatectl`), or set it: `sudo date -s '2026-01-31 12:00'`",
        );
    }
    if !synced {
        return Finding::doubt(
            "clock",
            format!("reads {reads}, and no time source has confirmed it since the machine started"),
            "is a time server reachable? `timedatectl timesync-status`, or `chronyc sources`",
        );
    }
    Finding::good("clock", format!("reads {reads}, confirmed by a time source"))
}

pub fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let (Some(total), Some(free)) = (field(&text, "MemTotal:"), field(&text, "MemAvailable:"))
    else {
        return Finding::doubt("memory", "can't be looked at", "is /proc mounted?");
    };
    let said = format!("{} MB of {} MB are free", free >> 20, total >> 20);
    match free {
        ..MEMORY_LOW => Finding::bad(
            "memory",
            said,
            "something else takes it (`top`); the system may end the gateway for it",
        ),
        _ => Finding::good("memory", said),
    }
}

/// `MemTotal:       12345 kB`, in bytes.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether the gateway runs, and as what.
pub fn process(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(status) = &patient.running else {
        return vec![Finding::doubt(
            "gateway",
            "is not running with this configuration's state directory",
            "`systemctl status fieldhold`, `journalctl -u fieldhold`; `fieldhold run FILE` starts it",
        )];
    };
    let text =
        |at: &str| status.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default();
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), text("/gateway/version"));
    let mut found = vec![match ours == theirs {
        true => Finding::good("gateway", format!("{} is running", text("/gateway/name"))),
        false => Finding::doubt(
            "version",
            format!("version {theirs} is running, and this is {ours}"),
            "restart it to run the installed one: `systemctl restart fieldhold`",
        ),
    }];
    let units = status.pointer("/units").and_then(serde_json::Value::as_object);
    for (name, unit) in units.into_iter().flatten() {
        let of = |key: &str| unit.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        if of("state") == "waiting" {
            let text = format!("{name} is down: {}", of("reason"));
            found.push(Finding::bad("gateway", text, "it is tried again until it works"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Level;

    #[test]
    fn a_clock_is_unset_unconfirmed_or_right() {
        let at = |wall, synced| clock(Wall(wall), synced);
        let unset = at(5_000, false);
        assert_eq!(unset.level, Level::Bad);
        assert!(unset.text.contains("1970-01-01"), "{unset:?}");
        assert_eq!(at(1_800_000_000_000, false).level, Level::Doubt);
        assert_eq!(at(1_800_000_000_000, true).level, Level::Good);
    }

    #[test]
    fn figures_of_the_kernel_are_read() {
        assert_eq!(field("MemTotal:  12 kB\n", "MemTotal:"), Some(12_288));
        assert_eq!(field("MemTotal:  x\n", "MemTotal:"), None);
        assert_eq!(memory().about, "memory");
    }
}
