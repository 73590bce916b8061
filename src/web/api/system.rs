//! The machine and the process: version, times, memory, disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem};
use crate::web::{self, App};

pub fn routes() -> Routes {
    routes!(system)
}

#[derive(Debug, Serialize, ToSchema)]
pub struct System {
    version: &'static str,
    /// How the program was built, as in `x86_64 linux`.
    built_for: String,
    host: Option<String>,
    kernel: Option<String>,
    /// Since the process started.
    uptime_ms: u64,
    /// Since the machine started.
    machine_uptime_ms: Option<u64>,
    clock: Clock,
    memory: Memory,
    /// The file system of the state directory; `null` for a gateway that keeps nothing.
    disk: Option<Disk>,
    state_dir: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Clock {
    wall_ms: i64,
    /// Whether a time source has confirmed it since the machine started.
    synced: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Memory {
    /// Of this process.
    used_bytes: Option<u64>,
    /// Of the machine.
    total_bytes: Option<u64>,
    available_bytes: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Disk {
    total_bytes: u64,
    free_bytes: u64,
}

/// What the gateway runs on.
#[utoipa::path(get, path = "/system", tag = "system", security(("session" = ["viewer"])),
    responses((status = 200, body = System)))]
async fn system(State(app): State<App>) -> Result<Json<System>, Problem> {
    Ok(Json(facts(&app).await?))
}

async fn facts(app: &App) -> Result<System, Problem> {
    let uptime = app.clock().mono() - app.started();
    let (clock, dir) = (Arc::clone(app.clock()), app.state_dir().cloned());
    let look = crate::runtime::blocking(move || look(&*clock, Some(uptime), dir.as_deref()));
    look.await.map_err(|_| Problem::unavailable("looking broke off"))
}

/// Reads files. `uptime` is that of the gateway, if it is this process.
pub fn look(time: &dyn model::Clock, uptime: Option<Duration>, dir: Option<&Path>) -> System {
    let status = read("/proc/self/status");
    let machine = read("/proc/meminfo");
    System {
        version: env!("CARGO_PKG_VERSION"),
        built_for: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        host: line("/proc/sys/kernel/hostname"),
        kernel: line("/proc/sys/kernel/osrelease"),
        uptime_ms: uptime.map_or(0, web::millis),
        machine_uptime_ms: line("/proc/uptime").as_deref().and_then(seconds),
        clock: Clock { wall_ms: time.wall().0, synced: time.synced() },
        memory: Memory {
            used_bytes: kilobytes(&status, "VmRSS:"),
            total_bytes: kilobytes(&machine, "MemTotal:"),
            available_bytes: kilobytes(&machine, "MemAvailable:"),
        },
        disk: dir.and_then(disk),
        state_dir: dir.map(|dir| dir.display().to_string()),
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn line(file: &str) -> Option<String> {
    let text = read(file);
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// `VmRSS:     12345 kB`.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

/// The first number of `1234.56 7890.12`, in milliseconds.
fn seconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    let time = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    u64::try_from(time.as_millis()).ok()
}

fn disk(dir: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(dir).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { total_bytes: bytes(found.f_blocks), free_bytes: bytes(found.f_bavail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_the_kernel_are_read_as_they_are_written() {
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(kilobytes("VmRSS:\tmuch\n", "VmRSS:"), None);
        assert_eq!(seconds("1234.56 7890.12"), Some(1_234_560));
        assert_eq!(seconds("-1"), None);
        let disk = disk(Path::new("/")).unwrap();
        assert!(disk.total_bytes >= disk.free_bytes && disk.total_bytes > 0);
    }
}
