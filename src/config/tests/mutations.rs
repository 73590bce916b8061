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

    /// Numbers at and beyond the ends of every type, wherever a number may stand.
    #[test]
    fn extreme_numbers(
        number in "-?(0|1|65535|65536|4294967296|18446744073709551616\
            |170141183460469231731687303715884105727|170141183460469231731687303715884105728\
            |0x[0-9A-F]{1,33}|[0-9]{1,45}(\\.[0-9]{1,40})?(e-?[0-9]{1,11})?)",
        other in "-?[0-9]{1,40}",
    ) {
        for fragment in [
            "holding: N, type: u16",
            "holding: 0, type: u64, not-available: [N, O]",
            "holding: 0, type: i64, scale: N, offset: O, write: { min: O, max: N }",
            "holding: 0, type: i64, map: { raw: [N, O], value: [O, N], clamp: true }",
            "holding: 0, type: i64, map: { raw: [O, 1], value: [0, N] }, write: { min: N, max: O }",
            "holding: 0, type: i64, labels: { N: a, O: b }, count: N, write: true",
            "holding: 0, type: f32, every: Ns, publish: { change: N, at-least: Od }",
            "holding: 0, type: 'text:N', publish: { change: N% }",
        ] {
            let fragment = fragment.replace('N', &number).replace('O', &other);
            if let Err(said) = tag(&fragment) {
                prop_assert!(said.starts_with("t:6:"), "{fragment}: {said}");
            }
            let rest = format!("broker: {{ limits: {{ inflight: {number}, packet-max: {other}TiB }} }}");
            answer(&format!("gateway: {{ name: g }}\n{rest}\nstore: {{ max-age: {number}d }}\n"));
        }
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
