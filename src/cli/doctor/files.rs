//! The disk, who may write where, secrets, and serial ports.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::{Finding, Patient};
use crate::config::file::SecretPlaces;
use crate::south::serial_ports;

/// With less free than this the store gives way.
const ROOM_LOW: u64 = 64 << 20;
/// Kinds of file systems that lose everything at the end.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// The state directory.
pub fn state(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(dir) = &patient.plan.store.path else {
        return vec![Finding::doubt(
            "disk",
            "nothing is kept: `store: path` is none",
            "what waits is lost by a restart; is it meant so?",
        )];
    };
    let shown = dir.display();
    // What is not there yet is made by the first start.
    let Some(place) = dir.ancestors().find(|place| place.exists()) else {
        return vec![Finding::bad("disk", format!("there is no way to {shown}"), "make it")];
    };
    let Ok(found) = statvfs(place) else {
        return vec![Finding::bad("disk", format!("{shown} can't be looked at"), "`df`, `dmesg`")];
    };
    let mut out = Vec::new();
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let next =
            "`dmesg` tells whether it failed: a worn out card does that; else mount it writable";
        return vec![Finding::bad("disk", format!("{shown} is on a read-only file system"), next)];
    }
    if access(place, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let next =
            format!("give it to the user who runs the gateway: `chown -R fieldhold: {shown}`");
        out.push(Finding::bad("permissions", format!("{shown} can't be written"), next));
    }
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let total = found.f_blocks.saturating_mul(found.f_frsize);
    let said = format!("{} MB of {} MB are free for {shown}", free >> 20, total >> 20);
    out.push(match free {
        ..ROOM_LOW => Finding::bad("disk", said, "make room: `du -xh / | sort -h | tail`"),
        _ => Finding::good("disk", said),
    });
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if let Some(kind) = kind_of(place, &mounts).filter(|kind| IN_MEMORY.contains(kind)) {
        let next = "a power cut costs all that waits; choose a place on a disk";
        out.push(Finding::doubt("disk", format!("{shown} is in memory ({kind})"), next));
    }
    if let Some(card) = card(&mounts) {
        out.push(Finding::doubt(
            "disk",
            card,
            "a disk for industrial use, or an SSD, lasts longer",
        ));
    }
    out
}

/// The kind of the file system that a place is on.
fn kind_of<'m>(place: &Path, mounts: &'m str) -> Option<&'m str> {
    let place = fs::canonicalize(place).ok()?;
    let rows = mounts.lines().filter_map(|row| {
        let mut words = row.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        place.starts_with(at).then_some((at.len(), kind))
    });
    rows.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// That the system's own disk is an SD card or its like, and what it says of its age.
fn card(mounts: &str) -> Option<String> {
    let root = mounts.lines().find(|row| row.split(' ').nth(1) == Some("/"))?;
    let device = Path::new(root.split(' ').next()?).file_name()?.to_str()?;
    let card = device.split('p').next().filter(|card| card.starts_with("mmcblk"))?;
    let told = fs::read_to_string(format!("/sys/block/{card}/device/life_time")).ok();
    // JESD84-B51: tenths of the life that is used, for two kinds of memory.
    let used = told.as_deref().and_then(|text| {
        let numbers = text.split_whitespace();
        numbers.filter_map(|n| u8::from_str_radix(n.trim_start_matches("0x"), 16).ok()).max()
    });
    match used {
        Some(used @ 8..) => Some(format!("{card} has used {} % of its life", used * 10)),
        _ => None,
    }
}

/// Files of passwords, keys and certificates.
pub fn secrets(patient: &Patient<'_>) -> Vec<Finding> {
    let directory = patient.path.parent().unwrap_or(Path::new("")).to_owned();
    let places = SecretPlaces::new(directory);
    let mut out = Vec::new();
    for name in patient.plan.secret_files() {
        let path = places.path(name);
        let shown = path.display();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let next = format!("`chown fieldhold: {shown}`, or systemd's LoadCredential=");
                let text = format!("{shown} can't be read by this user");
                out.push(Finding::bad("permissions", text, next));
            }
            Err(error) => {
                let next = "put it there; relative names start beside the configuration";
                out.push(Finding::bad("secrets", format!("{shown} can't be read: {error}"), next));
            }
            Ok(file) => {
                let is_open =
                    file.metadata().is_ok_and(|about| about.permissions().mode() & 0o004 != 0);
                if is_open && is_secret(&path) {
                    let next = format!("`chmod 600 {shown}`");
                    out.push(Finding::bad("secrets", format!("everybody may read {shown}"), next));
                }
            }
        }
    }
    if out.is_empty() {
        out.push(Finding::good("secrets", "all files that the configuration names can be read"));
    }
    out
}

/// A password or a key, but no certificate.
fn is_secret(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.contains("PRIVATE KEY-----") || !text.contains("-----BEGIN CERTIFICATE-----")
}

/// The ports of buses on serial lines.
pub fn serial(patient: &Patient<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let consoles = fs::read_to_string("/proc/consoles").unwrap_or_default();
    for bus in &patient.plan.buses {
        let Some(line) = bus.link.serial() else { continue };
        let (name, port) = (&bus.name, &line.port);
        let shown = port.display();
        let Ok(about) = fs::metadata(port) else {
            let text = format!("bus {name}: there is no port {shown}");
            out.push(Finding::bad("serial port", text, others()));
            continue;
        };
        if access(port, Access::READ_OK | Access::WRITE_OK).is_err() {
            let group = group_of(about.gid()).unwrap_or_else(|| "dialout".to_owned());
            let next =
                format!("add the user who runs the gateway: `usermod -aG {group} fieldhold`");
            let text = format!("bus {name}: this user may not use {shown}");
            out.push(Finding::bad("permissions", text, next));
            continue;
        }
        if is_console(port, &consoles) {
            let next = "take the console away from it: `raspi-config`, Interface Options, Serial Port, no login shell; \
                        elsewhere `console=` of the kernel's command line";
            let text =
                format!("bus {name}: the system has its console on {shown}, and writes there");
            out.push(Finding::bad("serial port", text, next));
            continue;
        }
        out.push(Finding::good("serial port", format!("bus {name}: {shown} is there")));
    }
    out
}

/// Whether the kernel writes to this port, and somebody may sign in there; see proc(5).
fn is_console(port: &Path, consoles: &str) -> bool {
    let port = fs::canonicalize(port).unwrap_or_default();
    let names = consoles.lines().filter_map(|line| line.split_whitespace().next());
    let mut names = names.map(std::ffi::OsStr::new);
    names.any(|name| Some(name) == port.file_name())
}

fn others() -> String {
    let ports = serial_ports();
    if ports.is_empty() {
        return "no serial port is plugged in; `dmesg` tells of adapters".to_owned();
    }
    let all: Vec<String> = ports.iter().map(|port| port.path.display().to_string()).collect();
    format!("is it one of {}?", all.join(", "))
}

fn group_of(gid: u32) -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let mut rows = groups.lines().map(|row| row.split(':'));
    rows.find_map(|mut row| {
        let (name, id) = (row.next()?, row.nth(1)?);
        (id.parse() == Ok(gid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_known_by_its_longest_mount() {
        let mounts = "/dev/mmcblk0p2 / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(kind_of(Path::new("/"), mounts), Some("ext4"));
        assert_eq!(kind_of(Path::new("/tmp"), mounts), Some("tmpfs"));
        assert_eq!(kind_of(Path::new("/not/there"), mounts), None);
        assert_eq!(card("/dev/sda1 / ext4 rw 0 0\n"), None);
        assert_eq!(group_of(0).as_deref(), Some("root"));
        let consoles = "null                 -W- (EC    a)    1:3\ntty0 -WU (E  p  ) 4:1\n";
        assert!(is_console(Path::new("/dev/null"), consoles));
        assert!(
            !is_console(Path::new("/dev/zero"), consoles) && !is_console(Path::new("/"), "x\n")
        );
    }
}
