//! Keeps the map in ARCHITECTURE.md true: layers, fences, headers, file length.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing unwrap is a failing test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up; a file imports only from layers below its own, never from a sibling.
const LAYERS: [&[&str]; 6] = [
    &["model"],
    &["config", "codec"],
    &["store", "thread", "tls", "websocket"],
    &["south", "broker", "uplink"],
    &["runtime"],
    &["web"],
];

/// The command line stands on top of everything.
const TOP: &str = "cli";

/// Crates that only one place may use.
const FENCES: [(&str, &[&str]); 12] = [
    ("tokio_modbus", &["south"]),
    ("tokio_serial", &["south"]),
    ("rumqttc", &["uplink/client", "uplink/tests"]),
    ("rmqtt_codec", &["broker"]),
    ("rusqlite", &["store", "tls"]),
    ("serde_yaml", &["config"]),
    ("granit_parser", &["config"]),
    ("clap", &["cli"]),
    ("axum", &["web"]),
    ("utoipa", &["web"]),
    ("hyper", &["web"]),
    ("rcgen", &["web/access", "broker/tests"]),
];

/// Places that know no async runtime; the file system only where named.
const PURE: [&str; 3] = ["model", "codec", "config"];
const FILE_SYSTEM: &str = "src/config/file.rs";

const LINES_MAX: usize = 700;
const MAIN_LINES_MAX: usize = 40;

struct Source {
    path: PathBuf,
    /// Top-level module, empty for lib.rs and main.rs.
    place: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(Path::new("src"), &mut found);
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn collect(dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let mut parts = path.components().skip(1);
            let first = parts.next().unwrap().as_os_str().to_string_lossy().into_owned();
            let place = if first.ends_with(".rs") { String::new() } else { first };
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path, place, text });
        }
    }
}

/// Lines of code: no comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
        .map(|(i, l)| (i + 1, l))
}

/// `tests.rs`, or a file in a folder `tests` beside the code.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

fn layer_of(place: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&place))
}

fn allowed(from: &str, to: &str) -> bool {
    if from == to || from.is_empty() || from == TOP {
        return true;
    }
    match (layer_of(from), layer_of(to)) {
        (Some(from), Some(to)) => to < from,
        _ => false,
    }
}

#[test]
fn imports_point_downwards() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in code(&source.text) {
            for part in line.split("crate::").skip(1) {
                let to: String =
                    part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !to.is_empty() && !allowed(&source.place, &to) {
                    wrong.push(format!(
                        "{}:{number}: {} uses {to}",
                        source.path.display(),
                        source.place
                    ));
                }
            }
            assert!(
                !line.trim_start().starts_with("use crate::{"),
                "{}:{number}: name the module first, so that this test can see it",
                source.path.display()
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_layer_rule_itself_refuses() {
    assert!(allowed("south", "store") && allowed("runtime", "broker") && allowed("cli", "runtime"));
    assert!(
        !allowed("south", "broker") && !allowed("model", "codec") && !allowed("codec", "config")
    );
    assert!(!allowed("store", "runtime") && !allowed("runtime", "cli"));
}

#[test]
fn crates_stay_behind_their_fence() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in code(&source.text) {
            for (name, places) in FENCES {
                let inside = |place: &&str| source.path.starts_with(Path::new("src").join(place));
                if line.contains(&format!("{name}::")) && !places.iter().any(inside) {
                    wrong.push(format!(
                        "{}:{number}: {name} belongs to {places:?}",
                        source.path.display()
                    ));
                }
            }
            if PURE.contains(&source.place.as_str()) {
                let touches_files =
                    line.contains("std::fs") && source.path != Path::new(FILE_SYSTEM);
                // A `#[cfg(test)]` file may read fixtures.
                let is_test = is_test(&source.path);
                if line.contains("tokio::") || (touches_files && !is_test) {
                    wrong.push(format!(
                        "{}:{number}: {} is pure",
                        source.path.display(),
                        source.place
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    for source in sources() {
        let name = source.path.display();
        assert!(source.text.starts_with("//!"), "{name}: begins without a //! header");
        let lines = source.text.lines().count();
        assert!(is_test(&source.path) || lines <= LINES_MAX, "{name}: {lines} lines");
        if source.path.ends_with("main.rs") {
            assert!(lines <= MAIN_LINES_MAX, "{name}: {lines} lines");
        }
    }
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    for source in sources() {
        for (number, line) in code(&source.text) {
            for word in ["#[ignore", "todo!(", "unimplemented!("] {
                assert!(!line.contains(word), "{}:{number}: {word}", source.path.display());
            }
        }
    }
}

/// The text of every source and test file.
fn everything() -> String {
    let mut all: String = sources().into_iter().map(|source| source.text).collect();
    let mut tests = Vec::new();
    collect(Path::new("tests"), &mut tests);
    all.extend(tests.into_iter().map(|source| source.text));
    for entry in fs::read_dir("tests/e2e").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "py") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    all
}

/// How peers lose, stall or corrupt data, T1 to T18: each is a test of ours that begins with its
/// number, as in `t15_...` or `test_t3_...`; one test may begin with several.
#[test]
fn every_regression_of_the_list_has_its_test() {
    let all = everything();
    let numbers: Vec<u8> = all
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("async ").unwrap_or(line);
            let name = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def test_"))?;
            Some(name.split('_').map_while(|part| part.strip_prefix('t')?.parse().ok()))
        })
        .flatten()
        .collect();
    let missing: Vec<_> = (1..=18).filter(|n| !numbers.contains(n)).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}

/// The architecture document names a test for every invariant; each must exist.
#[test]
fn every_invariant_names_a_test_that_exists() {
    let map = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let invariants = map.split("## Invariants").nth(1).expect("a section of invariants");
    let section = invariants.split("\n## ").next().unwrap();
    let all = everything();
    let mut named = 0;
    for item in section.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())) {
        let names: Vec<_> =
            item.split('`').skip(1).step_by(2).filter(|n| n.contains('_')).collect();
        assert!(!names.is_empty(), "names no test: {item}");
        for name in names {
            let test = name.rsplit("::").next().unwrap();
            let found =
                all.contains(&format!("fn {test}(")) || all.contains(&format!("def {test}("));
            assert!(found, "no test {test} for: {item}");
            named += 1;
        }
    }
    assert!(named >= 10, "only {named} invariants name a test");
}
