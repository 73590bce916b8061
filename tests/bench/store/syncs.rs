//! What the store asks to be made durable, counted by strace as calls, beside what the device was
//! asked to flush meanwhile and how often the file system's journal committed by the clock.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::wear::{self, Way};

const BAR: f64 = 1.1;

pub fn measure(seconds: u64) {
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("trace");
    let ran = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-qqq", "-e", "trace=fsync,fdatasync,statx", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["syncs-child", &seconds.to_string()])
        .stderr(Stdio::inherit())
        .output();
    let output = match ran {
        Ok(output) => output,
        Err(error) => return println!("SKIPPED: strace: {error}"),
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let Ok(cost) = serde_json::from_str::<Value>(&said) else { return print!("{said}") };
    let text = std::fs::read_to_string(&trace).unwrap();
    let within = |mark: &str| text.find(mark).unwrap();
    let measured = &text[within(wear::MARK_BEGIN)..within(wear::MARK_END)];
    let count = |call: &str| {
        measured.lines().filter(|line| line.contains(call) && !line.contains("resumed>")).count()
    };
    let (fdatasyncs, fsyncs) = (count(" fdatasync("), count(" fsync("));
    let of = |name: &str| cost[name].as_u64().unwrap();
    let (commits, flushes, journal) = (of("commits"), of("flushes"), of("journal_commits"));
    let per = |n: u64| n as f64 / commits.max(1) as f64;
    let calls = per((fdatasyncs + fsyncs) as u64);
    println!(
        "syncs in {seconds} s: {commits} commits, {fdatasyncs} fdatasync and {fsyncs} fsync by strace: {calls:.2} per commit; {flushes} flushes at the device ({:.2} per commit), {journal} commits of its journal",
        per(flushes)
    );
    println!(
        "{}",
        json!({
            "scenario": "syncs", "seconds": seconds, "commits": commits,
            "fdatasyncs": fdatasyncs, "fsyncs": fsyncs, "calls_per_commit": calls,
            "device_flushes": flushes, "journal_commits": journal, "bar": BAR,
            "held": calls <= BAR && fsyncs == 0 && commits > 0,
        })
    );
}

/// Prints what the way cost, as JSON.
pub fn child(seconds: u64) {
    let Some(cost) = wear::run(Way::Offline(Duration::from_secs(1)), seconds) else { return };
    let device = cost.device;
    println!(
        "{}",
        json!({
            "commits": cost.commits, "flushes": device.flushes,
            "journal_commits": device.journal_commits,
        })
    );
}
