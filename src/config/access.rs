//! Who may use the LAN broker, and for what: users, what they are granted, and patterns of topics.
//!
//! Roles are gone by now: each user has the grants of its roles beside its own.

use std::fmt;

use crate::model::{Qos, TopicFilter};

/// What the names in a pattern are put in for.
const CLIENT: &str = "{client}";
const USER: &str = "{user}";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPlan {
    pub name: String,
    /// `None` for one who shows a certificate.
    pub password: Option<PasswordHash>,
    pub grants: Vec<Grant>,
}

/// A password as it is stored: argon2id in the PHC string format. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

/// What somebody may do; of several, each on its own is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// All that a client can do.
    Everything,
    Only(Rule),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub publish: Vec<Pattern>,
    /// Where messages may be published that stay.
    pub retain: Vec<Pattern>,
    pub subscribe: Vec<Pattern>,
    /// Highest quality of service, of what is published and of what is received.
    pub qos_max: Qos,
    /// Whether `publish` reaches the topics that set tags.
    pub commands: bool,
}

/// A topic filter that may hold `{client}` and `{user}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// Who a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    CommonName,
    AlternativeName,
}

impl Pattern {
    /// Checks a pattern; the error says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let filled = text.replace(CLIENT, "x").replace(USER, "x");
        TopicFilter::new(&filled).map_err(|error| error.to_string())?;
        if let Some((_, rest)) = filled.split_once('{') {
            let name = rest.split('}').next().unwrap_or_default();
            return Err(format!("there is no placeholder {{{name}}}, only {CLIENT} and {USER}"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The filter for one client; `None` if a name that is put in is missing or could be read as
    /// more than a part of a level: a client named `#` must not get everybody's topics.
    pub fn filter(&self, user: Option<&str>, client: &str) -> Option<TopicFilter> {
        let mut text = self.0.clone();
        for (placeholder, name) in [(CLIENT, Some(client)), (USER, user)] {
            // Looked for in the pattern: a name can't bring a placeholder along.
            if self.0.contains(placeholder) {
                let name = name.filter(|n| !n.is_empty() && !n.contains(['/', '+', '#', '{']))?;
                text = text.replace(placeholder, name);
            }
        }
        TopicFilter::new(&text).ok()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, user: Option<&str>, client: &str) -> Option<String> {
        let pattern = Pattern::new(pattern).unwrap();
        pattern.filter(user, client).map(|filter| filter.to_string())
    }

    #[test]
    fn names_are_put_in_where_they_can_do_no_harm() {
        assert_eq!(filled("a/{client}/#", None, "c1").as_deref(), Some("a/c1/#"));
        assert_eq!(filled("{user}-{client}", Some("u"), "c").as_deref(), Some("u-c"));
        assert_eq!(filled("a/#", None, "").as_deref(), Some("a/#"));
        for name in ["#", "+", "a/b", "", "{user}", "x\0"] {
            assert_eq!(filled("a/{client}", Some("u"), name), None, "{name}");
        }
        assert_eq!(filled("a/{user}", None, "c"), None, "nobody has no name");
    }

    #[test]
    fn wrong_patterns_are_explained() {
        for (text, words) in [
            ("a/{clent}", "there is no placeholder {clent}"),
            ("a#", "stands for"),
            ("", "empty"),
            ("{client}#", "stands for"),
        ] {
            let error = Pattern::new(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
