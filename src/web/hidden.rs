//! Hashes of passwords in a configuration: not shown to who may not apply one, and not lost when
//! such a text comes back.
//!
//! In the place of a hash stands a [`MASK`]. A text that is given back has it where it was shown, and
//! gets the hash that the draft has at the same place. Where that can't be told the text is refused:
//! nobody loses a password by editing something else.

use super::access::Role;
use super::problem::Problem;
use crate::config::edit::{self, Edit, Step, Value, show_path};

/// The beginning of what a password's hash looks like.
const HASH: &str = "$argon2";
const MASK: &str = "•••";

/// A text without the hashes of passwords.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, hash)) = rest.split_once(HASH) {
        out.push_str(before);
        out.push_str(MASK);
        let end = hash.find(|c| !is_of_hash(c)).unwrap_or(hash.len());
        // A comma is between its numbers; one at its end is of the list that it stands in.
        let length = hash.get(..end).unwrap_or_default().trim_end_matches(',').len();
        rest = hash.get(length..).unwrap_or_default();
    }
    out + rest
}

fn is_of_hash(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '$' | '=' | ',' | '+' | '/' | '.' | '-' | '_')
}

pub fn mask(value: &mut Value) {
    match value {
        Value::Text(text) => *text = masked(text),
        Value::List(items) => items.iter_mut().for_each(mask),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| mask(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A configuration as this role sees it.
pub fn shown_to(role: Role, text: String) -> String {
    if role >= Role::Admin { text } else { masked(&text) }
}

/// A text with the hashes that were hidden of `known`.
pub fn put_back(text: String, known: &str) -> Result<String, Problem> {
    if !text.contains(MASK) {
        return Ok(text);
    }
    let tree = |text: &str| edit::read(text).map_err(|_| no_place("the text as a whole"));
    let (mut new, old) = (tree(&text)?, tree(known)?);
    let mut edits = Vec::new();
    fill(&mut new, &mut Vec::new(), &old, &mut edits)?;
    let text = edit::apply(&text, &edits).map_err(|refusal| no_place(&refusal.path))?;
    in_comments(&text, known)
}

/// The same for changes of single entries.
pub fn put_back_in(edits: &mut [Edit], known: &str) -> Result<(), Problem> {
    for edit in edits {
        if let Edit::Set { path, value } = edit
            && has_mask(value)
        {
            let old = edit::read(known).map_err(|_| no_place(&show_path(path)))?;
            fill(value, &mut path.clone(), &old, &mut Vec::new())?;
        }
    }
    Ok(())
}

fn has_mask(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.contains(MASK),
        Value::List(items) => items.iter().any(has_mask),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_mask(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Fills in what `old` has at the same place, and notes it.
fn fill(
    value: &mut Value,
    path: &mut Vec<Step>,
    old: &Value,
    filled: &mut Vec<Edit>,
) -> Result<(), Problem> {
    match value {
        Value::Text(text) if text.contains(MASK) => {
            let known = old.at(path).filter(|known| shows_as(known, text));
            let known = known.ok_or_else(|| no_place(&show_path(path)))?;
            *value = known.clone();
            filled.push(Edit::Set { path: path.clone(), value: known.clone() });
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push(Step::Index(index));
                fill(item, path, old, filled)?;
                path.pop();
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                path.push(Step::Key(key.clone()));
                fill(value, path, old, filled)?;
                path.pop();
            }
        }
        Value::Text(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn shows_as(known: &Value, shown: &str) -> bool {
    matches!(known, Value::Text(text) if masked(text) == shown)
}

/// Hashes in comments: a line gets back the one line that was shown so.
fn in_comments(text: &str, known: &str) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if !line.contains(MASK) {
            out.push_str(line);
            continue;
        }
        let shown_so = |known: &&str| masked(known).trim_end() == line.trim_end();
        let mut lines = known.lines().filter(shown_so);
        let first = lines.next().ok_or_else(|| no_place(line.trim()))?;
        if lines.any(|other| other != first) {
            return Err(no_place(line.trim()));
        }
        out.push_str(first.trim_end());
        out.push_str(line.get(line.trim_end().len()..).unwrap_or_default());
    }
    Ok(out)
}

fn no_place(place: &str) -> Problem {
    Problem::refused(format!("the password that is hidden here can't be put back: {place}"))
        .hint("leave what is shown as ••• where it was, or give a new password there")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "gateway: { name: g }\nbroker:\n  users:\n    anna:\n      \
        password: \"$argon2id$v=19$m=8,t=2,p=1$c2Fs$aGFz\" # hers\n    bob: { password: $argon2id$v=19$m=1$eHk$enp6, roles: [read] }\n\
        # old: $argon2id$v=19$m=1$b2xk$b2xk\n";

    #[test]
    fn hashes_of_passwords_are_not_shown() {
        let text = "users: { a: { password: \"$argon2id$v=19$m=8,t=2,p=1$c2FsdA$aGF/+A\" } }\n+ x: $argon2i$y, z\n$argon2";
        assert_eq!(masked(text), "users: { a: { password: \"•••\" } }\n+ x: •••, z\n•••");
        assert_eq!(shown_to(Role::Admin, text.to_owned()), text);
        assert!(!shown_to(Role::Operator, text.to_owned()).contains(HASH));
    }

    #[test]
    fn a_text_that_comes_back_has_its_hashes_again() {
        let shown = masked(KNOWN);
        assert!(!shown.contains(HASH));
        assert_eq!(put_back(shown.clone(), KNOWN).unwrap(), KNOWN);
        let edited = shown.replace("roles: [read]", "roles: [write]").replace("name: g", "name: h");
        let wanted = KNOWN.replace("roles: [read]", "roles: [write]").replace("name: g", "name: h");
        assert_eq!(put_back(edited, KNOWN).unwrap(), wanted);
    }

    #[test]
    fn a_text_that_would_lose_one_is_refused() {
        let shown = masked(KNOWN);
        for (from, to) in [
            ("anna", "carla"),
            ("\"•••\"", "\"x•••\""),
            ("# old: •••", "# older: •••"),
            ("gateway: {", "gateway: ["),
        ] {
            let edited = shown.replace(from, to);
            assert_ne!(edited, shown);
            assert!(put_back(edited, KNOWN).is_err(), "{from} → {to}");
        }
    }

    #[test]
    fn an_edit_of_an_entry_keeps_the_hash_that_it_does_not_know() {
        let path = || ["broker", "users", "bob"].map(|key| Step::Key(key.to_owned())).to_vec();
        let mut value = edit::read(KNOWN).unwrap().at(&path()).unwrap().clone();
        let known = value.clone();
        mask(&mut value);
        let mut edits = [Edit::Set { path: path(), value: value.clone() }];
        put_back_in(&mut edits, KNOWN).unwrap();
        assert_eq!(edits, [Edit::Set { path: path(), value: known }]);
        let elsewhere = ["broker", "users", "eve"].map(|key| Step::Key(key.to_owned())).to_vec();
        assert!(put_back_in(&mut [Edit::Set { path: elsewhere, value }], KNOWN).is_err());
    }
}
