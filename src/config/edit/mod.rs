//! Changes to the text of a configuration, in place: what nobody touched stays byte for byte.
//!
//! Comments, order, quotes, blank lines and line ends are the user's. A change replaces the bytes of
//! the node it is about ([`splice`]), found by the parser that reads the configuration as well
//! ([`source`]). Nobody has to believe that: the new text is read again and must say exactly what was
//! wanted ([`wanted`]), or the change is refused and nothing happens. What can't be told from what
//! else depends on it, such as an alias, is refused that way.
//!
//! Pure. Knows YAML, and nothing of what a configuration means.

pub mod compare;
pub mod lines;
mod source;
mod splice;
#[cfg(test)]
mod tests;
mod value;
mod wanted;
mod write;

use serde::{Deserialize, Serialize};

pub use value::{Step, Value, show_path};
pub(super) use write::{double_quoted as quoted, flow, word};

use super::raw;
use source::Source;

/// A change at a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Edit {
    /// Makes the value there this one, whether there was one or not. Of a mapping only those
    /// entries are touched that differ.
    Set {
        path: Vec<Step>,
        value: Value,
    },
    Remove {
        path: Vec<Step>,
    },
    /// Gives the key at the end of the path another name.
    Rename {
        path: Vec<Step>,
        to: String,
    },
}

/// Why a change is not made. The text is what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Which of the changes, counted from 0; `None` for the text as a whole.
    pub edit: Option<usize>,
    pub path: String,
    pub reason: String,
    pub hint: &'static str,
}

const MEND: &str = "mend the text first";
const BY_HAND: &str = "change it in the text";

impl Edit {
    pub fn path(&self) -> &[Step] {
        match self {
            Self::Set { path, .. } | Self::Remove { path } | Self::Rename { path, .. } => path,
        }
    }

    fn refusal(&self, reason: impl Into<String>, hint: &'static str) -> Refusal {
        Refusal { edit: None, path: show_path(self.path()), reason: reason.into(), hint }
    }
}

/// The configuration as the text has it, before variables and profiles are filled in.
pub fn read(text: &str) -> Result<Value, Refusal> {
    meaning(text)?;
    Ok(Source::read(text).ok_or_else(odd_key)?.value())
}

/// Makes all of the changes, one after the other, or none.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, Refusal> {
    let before = meaning(text)?;
    carry_out(text, &before, edits, 0)
}

/// Together where that works; else in two halves, down to the change that can't be made.
fn carry_out(text: &str, before: &Value, edits: &[Edit], first: usize) -> Result<String, Refusal> {
    let at = |index: usize| move |refusal| Refusal { edit: Some(first + index), ..refusal };
    let mut wanted = before.clone();
    let mut steps = Vec::with_capacity(edits.len());
    for (index, edit) in edits.iter().enumerate() {
        wanted::check(&wanted, edit).map_err(at(index))?;
        for step in wanted::smallest(&wanted, edit) {
            wanted::apply(&mut wanted, &step);
            steps.push(step);
        }
    }
    if steps.is_empty() {
        return Ok(text.to_owned());
    }
    let new = splice::all(text, &steps);
    if let Some(new) = new.filter(|new| meaning(new).is_ok_and(|says| is_same(&says, &wanted))) {
        return Ok(new);
    }
    match edits {
        [] => Ok(text.to_owned()),
        [edit] => Err(at(0)(edit.refusal(
            "this can't be changed without changing something else as well: an anchor, an alias, \
             a merge key or a form that is read but not written here",
            BY_HAND,
        ))),
        _ => {
            let (one, other) = edits.split_at(edits.len() / 2);
            let text = carry_out(text, before, one, first)?;
            let before = meaning(&text)?;
            carry_out(&text, &before, other, first + one.len())
        }
    }
}

/// A text without any entry says as much as one of nothing.
fn is_same(says: &Value, wanted: &Value) -> bool {
    let nothing = |value: &Value| *value == Value::Null || *value == Value::Map(Vec::new());
    says.means(wanted) || nothing(says) && nothing(wanted)
}

/// What the configuration reads.
fn meaning(text: &str) -> Result<Value, Refusal> {
    let tree = raw::tree(text).map_err(|error| Refusal {
        edit: None,
        path: String::new(),
        reason: format!(
            "the text is no YAML: line {}, column {}: {}",
            error.at.line, error.at.column, error.message
        ),
        hint: MEND,
    })?;
    Value::of(&tree).ok_or_else(odd_key)
}

fn odd_key() -> Refusal {
    let reason = "a key of the text is no word".to_owned();
    Refusal { edit: None, path: String::new(), reason, hint: MEND }
}
