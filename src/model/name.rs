//! Names of buses, devices, tags and uplinks, as written in the configuration.

use std::fmt;
use std::sync::Arc;

/// A configured name: 1 to 64 characters, letters and digits of any script, `_`, `-` and `.`.
///
/// A name may stand in a topic level, a file name and a log line, so it holds no `/`, no MQTT
/// wildcard, no white space and no control character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a name can't be empty")]
    Empty,
    #[error("a name has at most 64 characters, this one has {0}")]
    TooLong(usize),
    #[error("a name can't hold {0:?}; use letters, digits, '_', '-' and '.'")]
    Character(char),
}

impl Name {
    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length == 0 {
            return Err(NameError::Empty);
        }
        if length > 64 {
            return Err(NameError::TooLong(length));
        }
        match text.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_letters_of_any_script_and_refuses_separators() {
        assert_eq!(Name::new("Ölstand_1.a-b").unwrap().as_str(), "Ölstand_1.a-b");
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new("a/b"), Err(NameError::Character('/')));
        assert_eq!(Name::new("a b"), Err(NameError::Character(' ')));
        assert_eq!(Name::new(&"x".repeat(65)), Err(NameError::TooLong(65)));
    }
}
