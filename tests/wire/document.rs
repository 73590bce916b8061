//! Keeps `docs/mqtt-conformance.md` true: every statement of both standards stands there once, with
//! rows or tests that exist, or with a reason why there is none; and a row stands with exactly the
//! statements that it says it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::row::{self, Row};
use super::statements::{self, numbers};

const DOCUMENT: &str = "docs/mqtt-conformance.md";
const V3_TITLE: &str = "## MQTT 3.1.1\n";
const V5_TITLE: &str = "## MQTT 5.0\n";
/// A reason has a few words at least.
const REASON_MIN: usize = 12;

/// One line of a table of the document.
struct Entry {
    number: String,
    /// What stands between backticks in the last column.
    names: BTreeSet<String>,
    /// The last column without the names.
    words: String,
}

fn entries(table: &str) -> Vec<Entry> {
    let lines = table.lines().filter(|line| line.starts_with("| MQTT-"));
    let entry = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 3, "three columns: {line}");
        assert!(cells[1].len() > 10, "what it says: {line}");
        let parts: Vec<&str> = cells[2].split('`').collect();
        assert!(parts.len() % 2 == 1, "unbalanced backticks: {line}");
        Entry {
            number: cells[0].to_owned(),
            names: parts.iter().skip(1).step_by(2).map(|name| (*name).to_owned()).collect(),
            words: parts.iter().step_by(2).copied().collect(),
        }
    };
    lines.map(entry).collect()
}

/// Every name of a test function of the tree.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for place in ["src", "tests"] {
        collect(Path::new(place), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "py") {
            found.extend(tests_in(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Functions under an attribute that makes them tests, and those that pytest takes for some.
fn tests_in(text: &str) -> Vec<String> {
    let mut is_test = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        let name = match (function, line.strip_prefix("def test_")) {
            (Some(name), _) if is_test => name.to_owned(),
            (None, Some(name)) => format!("test_{name}"),
            _ => String::new(),
        };
        found.extend(name.split_once('(').map(|(name, _)| name.to_owned()));
        is_test = match line {
            "#[test]" | "#[tokio::test]" => true,
            other => is_test && (other.starts_with("#[") || other.starts_with("//")),
        } || line.starts_with("#[tokio::test(");
    }
    found
}

fn check(table: &str, all: &[String], rows: &[Row], functions: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let entries = entries(table);
    let listed: Vec<&String> = entries.iter().map(|entry| &entry.number).collect();
    for number in all {
        let count = listed.iter().filter(|listed| **listed == number).count();
        if count != 1 {
            wrong.push(format!("{number} stands there {count} times"));
        }
    }
    for number in listed.iter().filter(|number| !all.contains(number)) {
        wrong.push(format!("{number} is no statement of this standard"));
    }
    let mut shown: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        for rule in &row.rules {
            shown.entry(rule).or_default().insert(row.name.clone());
        }
    }
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    for Entry { number, names: said, words } in &entries {
        let rows = shown.remove(number.as_str()).unwrap_or_default();
        for missing in rows.difference(said) {
            wrong.push(format!("{number} does not name the row `{missing}`"));
        }
        for name in said.difference(&rows).filter(|name| !functions.contains(*name)) {
            let known = if names.contains(name.as_str()) { "does not claim it" } else { "is none" };
            wrong.push(format!("{number}: `{name}` {known}"));
        }
        if said.is_empty() && words.len() < REASON_MIN {
            wrong.push(format!("{number} has neither a row nor a reason"));
        }
    }
    wrong.extend(shown.keys().map(|number| format!("rows claim {number}, which is not listed")));
    wrong
}

#[test]
fn every_statement_stands_in_the_document_with_its_rows() {
    let text = fs::read_to_string(DOCUMENT).unwrap();
    let (_, v5) = text.split_once(V5_TITLE).expect(V5_TITLE);
    let (v5, v3) = v5.split_once(V3_TITLE).expect(V3_TITLE);
    let functions = functions();
    let mut wrong = check(v5, &numbers(statements::V5), &row::read(row::V5), &functions);
    wrong.extend(check(v3, &numbers(statements::V3), &row::read(row::V3), &functions));
    assert!(wrong.is_empty(), "{DOCUMENT}:\n{}", wrong.join("\n"));
}

#[test]
fn only_tests_are_names_of_tests() {
    let rust = "#[test]\n// why\n#[expect(x)]\nfn one() {\nfn not_two() {\n#[tokio::test]\nasync fn three() {";
    assert_eq!(tests_in(rust), ["one", "three"]);
    assert_eq!(tests_in("def test_four(tmp):\n    x\ndef not_five():"), ["test_four"]);
}

/// The check itself finds what is wrong.
#[test]
fn what_is_missing_or_made_up_is_found() {
    let rows = row::read("case MQTT-1.0.0-1 one\nA closed\n\ncase MQTT-1.0.0-2 two\nA closed");
    let all: Vec<String> = (1..=3).map(|n| format!("MQTT-1.0.0-{n}")).collect();
    let functions = BTreeSet::from(["a_test".to_owned()]);
    let wrong = |table: &str| check(table, &all, &rows, &functions).len();
    let [one, two, three] = [
        "| MQTT-1.0.0-1 | what it says | `one` |\n",
        "| MQTT-1.0.0-2 | what it says | `two`, `a_test` |\n",
        "| MQTT-1.0.0-3 | what it says | binds clients |\n",
    ];
    assert_eq!(wrong(&format!("{one}{two}{three}")), 0);
    assert_eq!(wrong(&format!("{one}{three}")), 2, "a statement and its row are missing");
    assert_eq!(wrong(&format!("{one}{one}{two}{three}")), 2, "a statement stands there twice");
    assert_eq!(wrong(&format!("{one}{two}{}", three.replace("binds clients", "`none`"))), 1);
    assert_eq!(wrong(&format!("{one}{two}{}", three.replace("binds clients", "-"))), 1);
    assert_eq!(wrong(&format!("{one}{two}{}", three.replace("binds clients", "`one`"))), 1);
    assert_eq!(wrong(&format!("{}{two}{three}", one.replace("`one`", "for a reason"))), 1);
}
