//! Edits case by case, and at random over every configuration that is shipped.

use proptest::prelude::*;

use super::*;

fn path(text: &str) -> Vec<Step> {
    let step = |word: &str| match word.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key(word.to_owned()),
    };
    text.split('/').filter(|word| !word.is_empty()).map(step).collect()
}

fn set(at: &str, json: &str) -> Edit {
    Edit::Set { path: path(at), value: serde_json::from_str(json).unwrap() }
}

fn remove(at: &str) -> Edit {
    Edit::Remove { path: path(at) }
}

fn rename(at: &str, to: &str) -> Edit {
    Edit::Rename { path: path(at), to: to.to_owned() }
}

#[track_caller]
fn check(before: &str, edits: &[Edit], after: &str) {
    assert_eq!(apply(before, edits).as_deref(), Ok(after), "{before}\n{edits:?}");
    // And the same with the line ends of Windows.
    let windows = |text: &str| text.replace('\n', "\r\n");
    if before.contains('\n') {
        assert_eq!(apply(&windows(before), edits), Ok(windows(after)), "{before}\n{edits:?}");
    }
}

#[test]
fn values_change_where_they_stand() {
    for (before, at, json, after) in [
        ("a: 1 # one\nb: 2\n", "a", "5", "a: 5 # one\nb: 2\n"),
        ("a: 1", "a", "\"x\"", "a: x"),
        ("a: '1' # q\n", "a", "\"x y\"", "a: 'x y' # q\n"),
        ("a: \"1\" # q\n", "a", "2", "a: \"2\" # q\n"),
        ("a: 'x'\n", "a", "\"it's\"", "a: 'it''s'\n"),
        ("a: # later\nb: 2\n", "a", "3", "a: 3 # later\nb: 2\n"),
        ("a:\n\nb: 2\n", "a", "\"s\"", "a: s\n\nb: 2\n"),
        ("a: one\n  two # c\nb: 2\n", "a", "1", "a: 1 # c\nb: 2\n"),
        ("a: |\n  one\n  two\n\n# c\nb: 2\n", "a", "1", "a: 1\n\n# c\nb: 2\n"),
        ("a:\n  x: 1 # cx\n  y: 2 # cy\n# c\nb: 2\n", "a", "1", "a: 1\n# c\nb: 2\n"),
        ("a: # top\n  x: 1\nb: 2\n", "a", "[1, 2]", "a: [1, 2] # top\nb: 2\n"),
        ("a: { x: 1, y: 2 } # c\n", "a/x", "7", "a: { x: 7, y: 2 } # c\n"),
        ("a: {x: 1, y: 2}\n", "a/y", "\"bit:0\"", "a: {x: 1, y: \"bit:0\"}\n"),
        ("a: [1, 2, 3]\n", "a/1", "{\"x\": 1}", "a: [1, { x: 1 }, 3]\n"),
        ("a:\n  - 1 # one\n  - 2\n", "a/0", "\"z\"", "a:\n  - z # one\n  - 2\n"),
        ("a:\n- x: 1\n  y: 2 # c\n- z\n", "a/0/y", "3", "a:\n- x: 1\n  y: 3 # c\n- z\n"),
        ("\u{feff}ä: 1\n", "ä", "\"°C\"", "\u{feff}ä: °C\n"),
        ("--- # x\na: 1\n...\n", "a", "2", "--- # x\na: 2\n...\n"),
        ("\"q k\" : 1\n", "q k", "2", "\"q k\" : 2\n"),
        ("a:\t1\n", "a", "2", "a:\t2\n"),
        ("url: mqtt://h:1 # c\n", "url", "\"mqtts://h:8883\"", "url: mqtts://h:8883 # c\n"),
    ] {
        check(before, &[set(at, json)], after);
    }
}

#[test]
fn what_is_added_looks_like_its_neighbours() {
    for (before, at, json, after) in [
        ("", "a", "1", "a: 1\n"),
        ("# only a comment", "a", "1", "# only a comment\na: 1"),
        ("--- # x\n", "a", "1", "--- # x\na: 1\n"),
        ("a: 1", "b", "2", "a: 1\nb: 2"),
        ("a: 1\n\n# end\n", "b", "2", "a: 1\nb: 2\n\n# end\n"),
        ("a:\n    x: 1 # c\n\nb: 2\n", "a/y", "2", "a:\n    x: 1 # c\n    y: 2\n\nb: 2\n"),
        (
            "a:\n    x:\n        p: 1\n",
            "a/y",
            r#"{"q": 2}"#,
            "a:\n    x:\n        p: 1\n    y:\n        q: 2\n",
        ),
        ("t: { a: 1 } # c\n", "t/b", "\"x, y\"", "t: { a: 1, b: \"x, y\" } # c\n"),
        ("t: { a: 1, } # c\n", "t/b", "2", "t: { a: 1, b: 2, } # c\n"),
        ("t: {} # c\n", "t/b", "2", "t: { b: 2 } # c\n"),
        ("t: {\n  a: 1 # one\n}\n", "t/b", "2", "t: {\n  a: 1, # one\n  b: 2\n}\n"),
        ("t: {\n  a: 1, # one\n}\n", "t/b", "2", "t: {\n  a: 1, # one\n  b: 2,\n}\n"),
        ("t: # c\nu: 1\n", "t/b/c", "2", "t: # c\n  b: { c: 2 }\nu: 1\n"),
        ("a: |\n  x\n\nb: 1\n", "c", "2", "a: |\n  x\n\nb: 1\nc: 2\n"),
        ("a: |\n  x\n", "c", "2", "a: |\n  x\nc: 2\n"),
        ("a: |+\n  x\n\n", "c", "2", "a: |+\n  x\n\nc: 2\n"),
        ("l: [1]\n", "l/1", "2", "l: [1, 2]\n"),
        ("l:\n  - 1 # c\n# d\n", "l/1", "2", "l:\n  - 1 # c\n  - 2\n# d\n"),
        ("l:\n- a: 1\n  b: 2\n", "l/0/c", "3", "l:\n- a: 1\n  b: 2\n  c: 3\n"),
        (
            "tags:\n  v1: { input: 0, type: f32 }\n  # the rest\n",
            "tags/v2",
            r#"{"input": 2, "type": "f32", "unit": "°C", "publish": {"change": 0.5, "at-least": "60s"}}"#,
            "tags:\n  v1: { input: 0, type: f32 }\n  v2: { input: 2, type: f32, unit: °C, \
             publish: { change: 0.5, at-least: 60s } }\n  # the rest\n",
        ),
        (
            "devices:\n",
            "devices/m1",
            r#"{"bus": "b", "unit": 1, "tags": {"v": {"holding": 0, "type": "u16"}}}"#,
            "devices:\n  m1:\n    bus: b\n    unit: 1\n    tags:\n      v: { holding: 0, type: u16 }\n",
        ),
        (
            "b:\n  listeners:\n    - tcp: x\n",
            "b/listeners",
            r#"[{"tcp": "x"}, {"tls": "y:1", "users": {"a": {"b": {"c": 1}}}}]"#,
            "b:\n  listeners:\n    - tcp: x\n    - tls: y:1\n      users:\n        a:\n          b: { c: 1 }\n",
        ),
    ] {
        check(before, &[set(at, json)], after);
    }
}

#[test]
fn what_is_removed_takes_its_lines_and_no_others() {
    for (before, at, after) in [
        ("a: 1 # one\n# b\nb: 2\n", "a", "# b\nb: 2\n"),
        ("a: 1\nb: 2", "b", "a: 1"),
        (
            "a:\n  x: 1\n\n  # about y\n  y: 2 # c\n\nb: 3\n",
            "a/y",
            "a:\n  x: 1\n\n  # about y\n\nb: 3\n",
        ),
        ("a: # top\n  x:\n    z: 1\nb: 3\n", "a/x", "a: {} # top\nb: 3\n"),
        ("a: 1\n", "a", ""),
        ("t: { a: 1, b: 2, c: 3 }\n", "t/a", "t: { b: 2, c: 3 }\n"),
        ("t: { a: 1, b: 2, c: 3 }\n", "t/b", "t: { a: 1, c: 3 }\n"),
        ("t: { a: 1, b: 2 } # c\n", "t/b", "t: { a: 1 } # c\n"),
        ("t: { a: 1 } # c\n", "t/a", "t: {} # c\n"),
        ("t: {\n  a: 1, # one\n  b: 2 # two\n}\n", "t/b", "t: {\n  a: 1, # one\n}\n"),
        ("l: [1, 2, 3]\n", "l/2", "l: [1, 2]\n"),
        ("l:\n  - 1\n  # two\n  - 2 # c\n", "l/0", "l:\n  # two\n  - 2 # c\n"),
        ("l:\n- a: 1\n  b: 2\n", "l/0/a", "l:\n- b: 2\n"),
        ("a: |\n  x\n\nb: 1\n", "a", "\nb: 1\n"),
    ] {
        check(before, &[remove(at)], after);
    }
}

#[test]
fn keys_get_other_names() {
    for (before, at, to, after) in [
        ("a: 1 # c\nb: 2\n", "a", "z", "z: 1 # c\nb: 2\n"),
        ("a: { b: 1 }\n", "a/b", "x y", "a: { x y: 1 }\n"),
        ("a: 1\n", "a", "b: #", "\"b: #\": 1\n"),
        ("'a b' : 1\n", "a b", "7", "7 : 1\n"),
    ] {
        check(before, &[rename(at, to)], after);
    }
}

#[test]
fn of_a_mapping_only_what_differs_is_touched() {
    let before = "m: # top\n  bus: b # on the wall\n  # its unit\n  unit: 3\n  every: 1s # slow\n";
    let same = r#"{"every": "1s", "unit": 3, "bus": "b"}"#;
    check(before, &[set("m", same)], before);
    let other = r#"{"bus": "b", "unit": 4, "order": "CDAB"}"#;
    let after = "m: # top\n  bus: b # on the wall\n  # its unit\n  unit: 4\n  order: CDAB\n";
    check(before, &[set("m", other)], after);
    let list = "l:\n  - 1 # one\n  - 2 # two\n  - 3 # three\n";
    check(list, &[set("l", "[1, 3]")], "l:\n  - 1 # one\n  - 3 # three\n");
    check(
        list,
        &[set("l", "[1, 7, 8, 3]")],
        "l:\n  - 1 # one\n  - 7 # two\n  - 8\n  - 3 # three\n",
    );
    check(
        list,
        &[set("l", "[0, 1, 2, 3]")],
        "l:\n  - 0\n  - 1 # one\n  - 2 # two\n  - 3 # three\n",
    );
}

#[test]
fn many_changes_are_made_one_after_the_other() {
    let before = "a: 1\nm: # c\n";
    let edits = [
        set("m/x", "1"),
        set("m/y", "{\"z\": {\"w\": 1}}"),
        remove("a"),
        set("m/y/z/w", "2"),
        rename("m/x", "v"),
        remove("m/y"),
        remove("m/v"),
        set("m/n", "[]"),
        set("m/n/0", "5"),
    ];
    assert_eq!(apply(before, &edits).as_deref(), Ok("m: { n: [5] } # c\n"));
}

#[test]
fn a_whole_table_is_added_at_once() {
    let before = "devices:\n  m: # meter\n    tags: # none yet\n  n: { unit: 2 } # last\n";
    let edits: Vec<Edit> = (0..5_000)
        .map(|i| set(&format!("devices/m/tags/t_{i}"), &format!("{{\"holding\": {i}}}")))
        .collect();
    let after = apply(before, &edits).unwrap();
    assert!(
        after.starts_with(
            "devices:\n  m: # meter\n    tags: # none yet\n      t_0: { holding: 0 }\n"
        )
    );
    assert!(after.ends_with("      t_4999: { holding: 4999 }\n  n: { unit: 2 } # last\n"));
    let gone: Vec<Edit> = (0..5_000).map(|i| remove(&format!("devices/m/tags/t_{i}"))).collect();
    let left = apply(&after, &gone).unwrap();
    assert_eq!(left, "devices:\n  m: # meter\n    tags: {} # none yet\n  n: { unit: 2 } # last\n");
}

#[test]
fn what_can_not_be_changed_safely_is_refused_and_changes_nothing() {
    let aliased = "a: &x { p: 1 } # c\nb: *x\nc: { <<: *x, q: 2 }\n";
    for (before, edit, said) in [
        (aliased, set("b", "2"), "an anchor"),
        (aliased, set("b/p", "2"), "an anchor"),
        (aliased, set("a/p", "2"), "an anchor"),
        (aliased, remove("c/p"), "an anchor"),
        ("? a\n: 1\nb: 2\n", set("a", "2"), "an anchor"),
        ("a: 1\n", set("a/b", "2"), "a single value stands there"),
        ("a: 1\n", remove("b"), "nothing is there"),
        ("a: 1\nb: 2\n", rename("a", "b"), "another one has that name"),
        ("a: [1]\n", set("a/3", "2"), "the list has no such place"),
        ("a: [1\n", set("a", "2"), "no YAML: line"),
        ("a: 1\n---\nb: 2\n", set("a", "2"), "a second document"),
        ("[1, 2]: 3\n", set("a", "2"), "no word"),
        ("a: 1\n", set("", "2"), "as a whole"),
    ] {
        let refusal = apply(before, &[set("zz", "1"), edit.clone()]).unwrap_err();
        assert!(refusal.reason.contains(said), "{edit:?}: {refusal:?}");
        assert!(!refusal.hint.is_empty() && refusal.edit != Some(0), "{refusal:?}");
    }
    // What has nothing to do with the alias can be changed.
    check(aliased, &[set("c/q", "3")], &aliased.replace("q: 2", "q: 3"));
    check(aliased, &[set("c/r", "3")], &aliased.replace("q: 2 }", "q: 2, r: 3 }"));
}

#[test]
fn scalars_are_read_back_as_they_were_meant() {
    for text in [
        "",
        " ",
        "a b",
        "~",
        "null",
        "true",
        "yes",
        "1",
        "0x10",
        "007",
        "1.50",
        "1e3",
        "- a",
        "-",
        "-1",
        "a: b",
        "a:b",
        "a #b",
        "a#b",
        "#a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "{a}",
        "[a]",
        "a, b",
        "a]",
        "\n",
        "a\nb",
        "\t",
        "\"",
        "'",
        "\\",
        "é",
        "°C",
        "m³/h",
        "%",
        "2%",
        "...",
        "---",
        "--- a",
        "<<",
        "=",
        "?",
        "? a",
        ": a",
        "a:",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "|",
        ">",
        "${x}/${y}",
        "x ",
        "{site}/{tag}",
        "\u{7f}",
        "😀",
        "a\u{0}b",
        "+5",
        ".5",
        ".nan",
        "12:30:00",
        "2026-01-01",
    ] {
        let json = serde_json::to_string(text).unwrap();
        for before in ["a: q\n", "a: { a: q }\n", "a: 'q'\n", "a: \"q\"\n", "a: [q]\n"] {
            let at = match before {
                "a: { a: q }\n" => "a/a",
                "a: [q]\n" => "a/0",
                _ => "a",
            };
            let after = apply(before, &[set(at, &json)]).unwrap();
            let value = read(&after).unwrap();
            assert_eq!(value.at(&path(at)), Some(&Value::Text(text.to_owned())), "{after}");
        }
        let renamed = apply("a: 1\nb: { a: 1 }\n", &[rename("a", text), rename("b/a", text)]);
        if text != "b" && text != "<<" && text.len() < 100 {
            let renamed = renamed.unwrap();
            assert!(read(&renamed).unwrap().get(text).is_some(), "{renamed}");
        }
    }
}

#[test]
fn the_tree_is_typed_as_it_is_written_and_in_order() {
    let text = "z: 1\na: 0.10\nb: 0x10\nc: '5'\nd: ~\ne:\nf: yes\ng: true\nh: 1.5\nx: &x { p: 1 }\n\
                y: { <<: *x, q: ['${v}', *x] }\n";
    assert_eq!(
        serde_json::to_string(&read(text).unwrap()).unwrap(),
        r#"{"z":1,"a":"0.10","b":"0x10","c":"5","d":null,"e":null,"f":"yes","g":true,"h":1.5,"x":{"p":1},"y":{"q":["${v}",{"p":1}],"p":1}}"#
    );
}

/// Every configuration that is shipped.
fn shipped() -> Vec<(String, String)> {
    let mut found = vec!["configs/demo.yaml".into(), "configs/reference.yaml".into()];
    let examples = std::fs::read_dir("configs/examples").unwrap();
    found.extend(examples.map(|entry| entry.unwrap().path()));
    found.retain(|path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "yaml"));
    found.sort();
    let text = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    found.iter().map(|path| (path.display().to_string(), text(path))).collect()
}

/// The paths of a value, from the top.
fn paths(value: &Value, path: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    let below: Vec<(Step, &Value)> = match value {
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect()
        }
        Value::List(items) => {
            items.iter().enumerate().map(|(index, value)| (Step::Index(index), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in below {
        path.push(step);
        out.push(path.clone());
        paths(value, path, out);
        path.pop();
    }
}

/// The first and last line of what a path leads to, its key included, told by the tree that the
/// checks read; counted from 0.
fn lines(root: &raw::Node, path: &[Step]) -> Option<(u32, u32)> {
    let (mut node, mut first) = (root, root.at.line);
    for step in path {
        match &node.content {
            raw::Content::Map(pairs) => {
                let key = step.key();
                let is = |key_node: &raw::Node| matches!(&key_node.content, raw::Content::Scalar(k) if *k == *key);
                let (key, value) = pairs.iter().find(|(key, _)| is(key))?;
                (node, first) = (value, key.at.line);
            }
            raw::Content::List(items) => {
                node = items.get(step.index()?)?;
                first = node.at.line;
            }
            _ => return None,
        }
    }
    fn last(node: &raw::Node) -> u32 {
        match &node.content {
            raw::Content::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| last(value).max(key.at.line))
                .max()
                .unwrap_or(node.at.line),
            raw::Content::List(items) => items.iter().map(last).max().unwrap_or(node.at.line),
            _ => node.at.line,
        }
    }
    Some((first - 1, last(node).max(first) - 1))
}

/// What an edit may touch: whole lines from the first to before the last one; nothing when it adds
/// lines of its own.
fn allowed(tree: &raw::Node, edit: &Edit, before: &Value) -> (u32, u32) {
    let path = edit.path();
    let mut deepest = path;
    while before.at(deepest).is_none() {
        deepest = &deepest[..deepest.len() - 1];
    }
    // What is left without entries, or begins a list's item, changes the line it hangs on.
    let whole = matches!(edit, Edit::Remove { .. }) && !path.is_empty();
    let parent = &path[..path.len().saturating_sub(usize::from(whole))];
    let only = before.at(parent).is_some_and(|parent| match parent {
        Value::Map(entries) => entries.len() == 1,
        Value::List(items) => items.len() == 1,
        _ => false,
    });
    let at = if whole && only { parent } else { deepest };
    lines(tree, at).unwrap_or((0, u32::MAX))
}

/// Values of every form, as JSON.
const VALUES: [&str; 18] = [
    "1",
    "0",
    "\"500ms\"",
    "true",
    "\"a: b\"",
    "\"{site}/x\"",
    "\"0x8000\"",
    "0.5",
    "\"it's\"",
    "null",
    "\"°C # no\"",
    "\"5\"",
    "[]",
    "{}",
    "[1, \"x\"]",
    "{\"holding\": 0, \"type\": \"u16\"}",
    "{\"a\": {\"b\": [1, {\"c\": 2}], \"d\": {\"e\": {\"f\": 1}}}}",
    "[{\"tcp\": \"0.0.0.0:1883\"}, {\"a\": {\"b\": {\"c\": 1}}}]",
];

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// A thousand random changes, one after the other: every line that the change is not about stays
/// byte for byte, what is read is what was wanted, and what is refused changes nothing.
#[test]
fn a_thousand_random_edits_keep_every_untouched_line() {
    const EDITS: usize = 1_000;
    let files = shipped();
    assert!(files.len() > 5);
    let mut random = fastrand::Rng::with_seed(20_261_127);
    let (mut made, mut refused) = (0, 0);
    let mut round = 0;
    while made < EDITS {
        let (name, original) = &files[round % files.len()];
        let windows = round % 3 == 2;
        round += 1;
        assert!(round < 10 * EDITS, "only {made} edits were possible");
        let mut text = original.clone();
        if windows {
            text = text.replace('\n', "\r\n");
        }
        for _ in 0..10 {
            let tree = raw::tree(&text).unwrap();
            let before = Value::of(&tree).unwrap();
            let mut known = Vec::new();
            paths(&before, &mut Vec::new(), &mut known);
            if known.is_empty() {
                break;
            }
            let path = random.choice(&known).unwrap().clone();
            let value = value(random.choice(&VALUES).unwrap());
            let new_key = Step::Key(format!("new_{}", random.u16(..)));
            let edit = match random.u8(..5) {
                0 | 1 => Edit::Set { path, value },
                2 => Edit::Set { path: [path, vec![new_key]].concat(), value },
                3 => Edit::Remove { path },
                _ => Edit::Rename { path, to: new_key.key().into_owned() },
            };
            let after = match apply(&text, std::slice::from_ref(&edit)) {
                Ok(after) => after,
                Err(refusal) => {
                    assert!(!refusal.reason.is_empty());
                    refused += 1;
                    continue;
                }
            };
            let (first, last) = allowed(&tree, &edit, &before);
            let old: Vec<&str> = text.split_inclusive('\n').collect();
            let head: String = old.iter().take(first as usize).copied().collect();
            let tail: String = old.iter().skip(last as usize + 1).copied().collect();
            assert!(
                after.starts_with(&head),
                "{name}: {edit:?}\n{}",
                lines::difference(&text, &after)
            );
            assert!(
                after.ends_with(&tail),
                "{name}: {edit:?}\n{}",
                lines::difference(&text, &after)
            );
            let breaks = after.matches('\n').count();
            assert_eq!(after.matches("\r\n").count(), if windows { breaks } else { 0 });
            text = after;
            made += 1;
        }
    }
    assert!(refused < made / 4, "{refused} refused, {made} made");
    println!("{made} edits made, {refused} refused");
}

proptest! {
    /// Whatever the text and the change are: no panic, and no text that says something else.
    #[test]
    fn anything_at_all_is_edited_rightly_or_refused(
        text in "([a-c]: ?|- |\\{|\\}|\\[|\\]|, ?|\\n|  |#c|&x |\\*x|'|\"|\\| ?|1|!t |\\? ){0,14}",
        key in "[a-c]",
        value in prop::sample::select(&VALUES[..]).prop_map(value),
        op in 0..3,
    ) {
        let path = vec![Step::Key(key)];
        let edit = match op {
            0 => Edit::Set { path, value: value.clone() },
            1 => Edit::Remove { path },
            _ => Edit::Rename { path, to: "z".to_owned() },
        };
        if let Ok(after) = apply(&text, std::slice::from_ref(&edit)) {
            let read_back = read(&after).unwrap();
            match &edit {
                Edit::Set { path, value } => prop_assert!(read_back.at(path).is_some_and(|now| now.means(value))),
                Edit::Remove { path } => prop_assert!(read_back.at(path).is_none()),
                Edit::Rename { to, .. } => prop_assert!(read_back.get(to).is_some()),
            }
        }
    }
}
