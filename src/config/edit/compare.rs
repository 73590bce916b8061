//! What differs between two configurations, entry by entry.

use serde::Serialize;

use super::{Edit, Step, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    Add,
    Change,
    Remove,
}

/// One entry or value that is not the same in both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub kind: What,
    pub path: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The differences in the order of the newer one; what is gone stands behind its neighbours.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut out = Vec::new();
    compare(Some(old), Some(new), &mut Vec::new(), &mut out);
    out
}

fn compare(old: Option<&Value>, new: Option<&Value>, path: &mut Vec<Step>, out: &mut Vec<Change>) {
    let kind = match (old, new) {
        (Some(old), Some(new)) if old.means(new) => return,
        (Some(Value::Map(olds)), Some(Value::Map(news))) => {
            let old_of = |key: &str| olds.iter().find(|(known, _)| known == key).map(|(_, v)| v);
            for (key, value) in news {
                path.push(Step::Key(key.clone()));
                compare(old_of(key), Some(value), path, out);
                path.pop();
            }
            for (key, value) in olds.iter().filter(|(key, _)| !news.iter().any(|(k, _)| k == key)) {
                path.push(Step::Key(key.clone()));
                compare(Some(value), None, path, out);
                path.pop();
            }
            return;
        }
        (Some(Value::List(olds)), Some(Value::List(news))) if olds.len() == news.len() => {
            for (index, (old, new)) in olds.iter().zip(news).enumerate() {
                path.push(Step::Index(index));
                compare(Some(old), Some(new), path, out);
                path.pop();
            }
            return;
        }
        // A section that is there and empty says as much as none.
        (Some(Value::Null), Some(Value::Map(news))) => {
            for (key, value) in news {
                path.push(Step::Key(key.clone()));
                compare(None, Some(value), path, out);
                path.pop();
            }
            return;
        }
        (Some(_), Some(_)) => What::Change,
        (None, _) => What::Add,
        (_, None) => What::Remove,
    };
    out.push(Change { kind, path: path.clone(), before: old.cloned(), after: new.cloned() });
}

/// The edits that make these changes.
pub fn edits(changes: &[Change]) -> Vec<Edit> {
    let edit = |change: &Change| {
        let path = change.path.clone();
        match &change.after {
            Some(value) => Edit::Set { path, value: value.clone() },
            None => Edit::Remove { path },
        }
    };
    changes.iter().map(edit).collect()
}

/// Where two sets of changes made from the same configuration touch the same, and differ.
pub fn conflicts(ours: &[Change], theirs: &[Change]) -> Vec<Vec<Step>> {
    let met = |our: &&Change| {
        theirs.iter().any(|their| {
            let same = our.path == their.path && our.after == their.after;
            !same && (our.path.starts_with(&their.path) || their.path.starts_with(&our.path))
        })
    };
    ours.iter().filter(met).map(|our| our.path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{apply, read};
    use super::*;

    fn between(old: &str, new: &str) -> Vec<Change> {
        changes(&read(old).unwrap(), &read(new).unwrap())
    }

    fn shown(changes: &[Change]) -> Vec<String> {
        let show = |change: &Change| serde_json::to_string(change).unwrap();
        changes.iter().map(show).collect()
    }

    const OLD: &str = "a: { x: 1, y: [1, 2] }\nb: 2 # two\nc:\n";

    #[test]
    fn tells_what_was_added_changed_and_removed() {
        let new = "a: { x: '1', y: [1, 3], z: 0x10 }\nc: { d: [] }\n";
        assert_eq!(
            shown(&between(OLD, new)),
            [
                r#"{"kind":"change","path":["a","y",1],"before":2,"after":3}"#,
                r#"{"kind":"add","path":["a","z"],"after":"0x10"}"#,
                r#"{"kind":"add","path":["c","d"],"after":[]}"#,
                r#"{"kind":"remove","path":["b"],"before":2}"#,
            ]
        );
    }

    #[test]
    fn the_changes_lead_from_one_to_the_other() {
        let new = "a: { x: 1, y: [2] }\nc: { d: { e: 1 } }\n";
        let made = apply(OLD, &edits(&between(OLD, new))).unwrap();
        assert!(read(&made).unwrap().means(&read(new).unwrap()), "{made}");
    }

    #[test]
    fn changes_of_two_meet_where_one_lies_in_the_other() {
        let ours = between(OLD, "a: { x: 5, y: [1, 2] }\nb: 2\nc:\n");
        for (theirs, meet) in [
            ("a: { x: 1, y: [1, 2] }\nb: 3\nc:\n", 0),
            ("a: { x: 1, y: [7, 2] }\nb: 2\nc:\n", 0),
            ("a: { x: 5, y: [1, 2] }\nb: 2\nc:\n", 0),
            ("a: { x: 6, y: [1, 2] }\nb: 2\nc:\n", 1),
            ("b: 2\nc:\n", 1),
        ] {
            assert_eq!(conflicts(&ours, &between(OLD, theirs)).len(), meet, "{theirs}");
        }
    }
}
