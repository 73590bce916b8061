//! What the hot paths cost, in instructions: `cargo bench --bench budget`, and with `-- --record` the
//! budgets of `budgets.json` are written anew.
//!
//! Callgrind counts instructions, so a figure hardly depends on what else the machine does, and a
//! change that makes a path dearer fails at once. Each case does a fixed amount of work in a process
//! of its own, and what is counted is one function of it (valgrind, --toggle-collect).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement, not a part of the gateway"
)]

mod cases;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use cases::{CASES, Case};

/// How much more than its budget a case may take, in per cent. One build differs by 0.01 from run to
/// run, since hash maps are seeded at random; two builds of the same code, with and without what was
/// kept for the next one, by up to 2, since the compiler divides it otherwise.
const MORE_MAX: u64 = 5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", name] => {
            (CASES.iter().find(|case| case.name == name).expect("a case").run)();
            ExitCode::SUCCESS
        }
        ["--record"] => judge(true),
        [] => judge(false),
        _ => {
            eprintln!("cargo bench --bench budget [-- --record]");
            ExitCode::from(2)
        }
    }
}

/// Counts every case and holds it against its budget, or makes what it took its budget.
fn judge(record: bool) -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/budget/budgets.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let budgets: BTreeMap<String, u64> = serde_json::from_str(&text).unwrap();
    let took: BTreeMap<String, u64> =
        CASES.iter().map(|case| (case.name.to_owned(), count(case))).collect();
    if record {
        std::fs::write(&file, serde_json::to_string_pretty(&took).unwrap() + "\n").unwrap();
    }
    let mut over = 0;
    for case in &CASES {
        let instructions = took[case.name];
        let per_unit = instructions / case.units;
        let budget = *budgets.get(case.name).unwrap_or(&0);
        let verdict = match instructions * 100 {
            _ if record => "recorded",
            more if more > budget * (100 + MORE_MAX) => {
                over += 1;
                "OVER its budget"
            }
            less if less < budget * (100 - MORE_MAX) => "below: record it, so that it stays so",
            _ => "held",
        };
        println!(
            "{:10} {instructions:>12} instructions, budget {budget:>12}, {per_unit:>8} per {:10} {verdict}",
            case.name, case.unit
        );
    }
    println!("budgets: {} cases, {over} over", CASES.len());
    if over == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The instructions of one case.
fn count(case: &Case) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={}", case.counted))
        .arg(std::env::current_exe().unwrap())
        .args(["run", case.name])
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", case.name);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    match count {
        Some(count) if count > 0 => count,
        _ => panic!("{}: nothing was counted in {}: {said}", case.name, case.counted),
    }
}
