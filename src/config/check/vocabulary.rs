//! What the tags of a device may call by name: the parameters and the named labels of its profile.
//! A device without a profile has none of either.

use crate::config::problem::{Complaint, closest};
use crate::config::section::Field;
use crate::config::values::{self, quoted};

/// See the module.
#[derive(Default)]
pub(super) struct Vocabulary<'a> {
    pub parameters: Vec<(&'a str, i64)>,
    pub labels: Vec<(&'a str, Field<'a>)>,
}

impl<'a> Vocabulary<'a> {
    /// A whole number, a parameter, or a parameter and how far to go on: `base + 8192`.
    pub(super) fn number(&self, text: &str) -> Result<i128, Complaint> {
        if self.parameters.is_empty() || !text.starts_with(char::is_alphabetic) {
            return values::whole(text);
        }
        let (name, more) = match text.split_once('+') {
            Some((name, more)) => (name.trim_end(), values::whole(more.trim_start())?),
            None => (text, 0),
        };
        let known = || self.parameters.iter().map(|(name, _)| *name);
        let Some((_, value)) = self.parameters.iter().find(|(known, _)| *known == name) else {
            let complaint = Complaint::new(format!("{} is not a whole number", quoted(text)));
            return Err(match closest(name, known()) {
                Some(close) => complaint.hint(format!("did you mean the parameter {close}?")),
                None => {
                    let known: Vec<_> = known().collect();
                    complaint.hint(format!("the parameters are {}", known.join(", ")))
                }
            });
        };
        i128::from(*value)
            .checked_add(more)
            .ok_or_else(|| Complaint::new(format!("{} is too large", quoted(text))))
    }

    /// The labels of this name.
    pub(super) fn labels(&self, name: &str) -> Result<Field<'a>, Complaint> {
        if let Some((_, field)) = self.labels.iter().find(|(known, _)| *known == name) {
            return Ok(field.clone());
        }
        let known = self.labels.iter().map(|(name, _)| *name);
        let complaint = Complaint::new(format!("there are no labels {}", quoted(name)));
        Err(match closest(name, known) {
            Some(close) => complaint.hint(format!("did you mean {close}?")),
            None => complaint.hint("write { 0: stopped, 1: running }"),
        })
    }
}
