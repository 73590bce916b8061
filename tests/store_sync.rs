//! What the store asks of the disk, seen from outside with strace: one `fdatasync` per commit and
//! no `fsync` in the steady state (SQLite calls `fsync` unless it was built to know better: twice
//! the flushes and a third more wear), and nothing at all while consumers keep up.
//!
//! Skipped, loudly, where there is no strace.

#![allow(clippy::unwrap_used, clippy::string_slice, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fieldhold::model::{Batch, Class, ManualClock, Mono, Name, Reading, TagId, Value, Wall};
use fieldhold::store::{ConsumerSpec, Options, Policy, Settled, Store};

const DIR: &str = "FIELDHOLD_STORE_SYNC_DIR";
const COMMITS: u32 = 50;

fn batch(round: u32) -> Batch {
    let readings = (0..1_000).map(|i| {
        let value = 200.0 + f64::from((i * 37 + round * 11) % 1_000) / 10.0;
        Reading::good(TagId(i + 1), Mono(i64::from(round) * 1_000), Value::F64(value))
    });
    Batch { class: Class::Normal, readings: readings.collect() }
}

/// A step that strace sees: a look at a file that is not there.
fn mark(dir: &str, name: &str) {
    assert!(!Path::new(dir).join(name).exists());
}

#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let clock = Arc::new(ManualClock::new(Mono(0), Wall(1_700_000_000_000)));
    let options = Options {
        dir: Some(dir.clone().into()),
        commit: Duration::from_secs(1),
        write_behind: true,
        endurance_bytes: 4_000_000_000_000,
        max_bytes: Some(1 << 30),
        max_age: Duration::from_secs(86_400 * 30),
        ram_bytes: 32 << 20,
    };
    let store = Store::open(options, clock.clone()).unwrap();
    store.set_consumers(&[ConsumerSpec {
        name: Name::new("cloud").unwrap(),
        policy: Policy::Required,
    }]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.flush());
    mark(&dir, "mark-offline");
    for round in 0..COMMITS {
        store.append(batch(round));
        clock.advance(Duration::from_millis(100));
        runtime.block_on(store.flush());
    }
    mark(&dir, "mark-between");
    let cloud = store.consumer("cloud").unwrap();
    for range in cloud.position(Class::Normal).unsettled {
        cloud.settle(Class::Normal, &[range], Settled::Delivered);
    }
    runtime.block_on(store.flush());
    mark(&dir, "mark-online");
    for round in 0..COMMITS {
        let range = store.append(batch(round));
        clock.advance(Duration::from_millis(100));
        cloud.settle(Class::Normal, &[range], Settled::Delivered);
    }
    mark(&dir, "mark-end");
    store.close();
}

#[test]
fn a_commit_is_one_fdatasync_and_keeping_up_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let ran = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync,pwrite64,statx,stat,newfstatat"])
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir.path())
        .output();
    let Ok(output) = ran else {
        eprintln!("SKIPPED: strace is not installed, so the number of syncs is not checked here");
        return;
    };
    if !output.status.success() && !trace.exists() {
        eprintln!(
            "SKIPPED: strace may not trace here: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let text = std::fs::read_to_string(&trace).unwrap();
    let between = |from: &str, to: &str| {
        let start = text.find(from).unwrap();
        let end = text.find(to).unwrap();
        text[start..end].lines().filter(|line| !line.contains("resumed>")).collect::<Vec<_>>()
    };
    let count = |lines: &[&str], call: &str| lines.iter().filter(|l| l.contains(call)).count();
    let written = |lines: &[&str]| -> u64 {
        let writes = lines.iter().filter(|line| line.contains("pwrite64("));
        // pwrite64(fd</path>, "…", size, offset) = size
        writes.filter_map(|l| l.rsplit(',').nth(1)?.trim().parse::<u64>().ok()).sum()
    };

    let offline = between("mark-offline", "mark-between");
    assert_eq!(count(&offline, " fsync("), 0, "built without HAVE_FDATASYNC?");
    let syncs = count(&offline, "fdatasync(");
    let commits = COMMITS as usize;
    assert!(
        (commits..=commits + commits / 10).contains(&syncs),
        "{syncs} syncs, {commits} commits"
    );
    let per_reading = written(&offline) / u64::from(COMMITS * 1_000);
    assert!((1..=16).contains(&per_reading), "{per_reading} bytes written per reading");

    let online = between("mark-online", "mark-end");
    assert_eq!(count(&online, "fdatasync("), 0, "{online:#?}");
    assert_eq!(written(&online), 0);
}
