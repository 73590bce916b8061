//! Whatever the bytes are, the answer is a plan or problems, never a panic.

use proptest::prelude::*;

use super::*;

const SEEDS: [&str; 3] = [
    include_str!("../../../configs/demo.yaml"),
    include_str!("../../../configs/reference.yaml"),
    include_str!("../../../configs/examples/modbus-tcp.yaml"),
];

/// What people and editors really put into such files.
const SPLINTERS: [&str; 30] = [
    "\t",
    "\n",
    "  ",
    ":",
    "- ",
    "#",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: *a",
    "~",
    "!!int",
    "|",
    ">",
    "%",
    "0x",
    "-1",
    "99999999999999999999999999",
    "1e999",
    ".nan",
    "ü",
    "\u{feff}",
    "\0",
    "{site",
    "/+/#",
];

/// An answer must be well-formed: an error among the problems, every one readable.
fn answer(text: &str) {
    match parse(text, "t") {
        Ok(loaded) => {
            assert!(loaded.warnings.iter().all(|p| p.severity == Severity::Warning));
        }
        Err(Problems(problems)) => {
            assert!(problems.iter().any(|p| p.severity == Severity::Error), "{problems:?}");
            assert!(problems.len() <= PROBLEMS_MAX);
            assert!(problems.iter().all(|p| !p.to_string().contains('\n')), "{problems:?}");
        }
    }
}

/// A cut anywhere in a text, at a character's edge.
fn cut(text: &str, at: usize) -> (&str, &str) {
    let mut at = at % (text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text.split_at(at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        answer(&text);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        answer(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn splinters_anywhere(
        seed in 0..SEEDS.len(),
        edits in proptest::collection::vec((any::<usize>(), 0..SPLINTERS.len(), 0..12_usize), 1..4),
    ) {
        let mut text = SEEDS[seed].to_owned();
        for (at, splinter, removed) in edits {
            let (before, after) = cut(&text, at);
            let rest: String = after.chars().skip(removed).collect();
            text = format!("{before}{}{rest}", SPLINTERS[splinter]);
        }
        answer(&text);
    }

    #[test]
    fn cut_off_anywhere(seed in 0..SEEDS.len(), at in any::<usize>()) {
        answer(cut(SEEDS[seed], at).0);
    }

    /// One value replaced by another one of the file: right YAML, wrong meaning.
    #[test]
    fn values_swapped(seed in 0..SEEDS.len(), from in any::<usize>(), to in any::<usize>()) {
        let lines: Vec<&str> = SEEDS[seed].lines().filter(|l| l.contains(": ")).collect();
        let value = |line: &str| line.split_once(": ").map_or("", |(_, v)| v).to_owned();
        let (from, to) = (lines[from % lines.len()], lines[to % lines.len()]);
        let key = to.split_once(": ").map_or("", |(key, _)| key);
        answer(&SEEDS[seed].replace(to, &format!("{key}: {}", value(from))));
    }
}
