//! MQTT topic names and filters, validated at birth (MQTT 5.0, 4.7).

use std::fmt;
use std::sync::Arc;

/// Longest topic the protocol can carry, in bytes (MQTT 5.0, 1.5.4).
const BYTES_MAX: usize = 65_535;

/// A topic to publish to: no wildcard, no NUL, 1 to 65,535 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

/// A filter to subscribe with: `+` for one whole level, `#` for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Arc<str>);

/// How the filters of shared subscriptions begin (MQTT 5.0, 4.8.2).
const SHARE: &str = "$share/";

/// Why a text is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("a topic can't be empty")]
    Empty,
    #[error("a topic has at most 65535 bytes")]
    TooLong,
    #[error("a topic can't hold the character NUL")]
    Nul,
    #[error("a topic name can't hold the wildcards '+' and '#'")]
    Wildcard,
    #[error("'+' stands for a whole level and '#' for all the last levels")]
    WildcardPlace,
}

fn check(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        Err(TopicError::Empty)
    } else if text.len() > BYTES_MAX {
        Err(TopicError::TooLong)
    } else if text.contains('\0') {
        Err(TopicError::Nul)
    } else {
        Ok(())
    }
}

impl TopicName {
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check(text)?;
        if text.contains(['+', '#']) {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TopicFilter {
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check(text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let whole = level.len() == 1;
            let wild_ok = match level.find(['+', '#']) {
                None => true,
                Some(_) if level == "#" => levels.peek().is_none(),
                Some(_) => whole,
            };
            if !wild_ok {
                return Err(TopicError::WildcardPlace);
            }
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this stands for a shared subscription: `$share/group/filter`.
    pub fn is_shared(&self) -> bool {
        self.0.starts_with(SHARE)
    }

    /// The filter within a shared subscription; `None` for every other filter, and if the group
    /// has no name or one with a wildcard [MQTT-4.8.2-1, -2].
    pub fn shared(&self) -> Option<Self> {
        let (group, filter) = self.0.strip_prefix(SHARE)?.split_once('/')?;
        let named = !group.is_empty() && !group.contains(['+', '#']);
        if named { Self::new(filter).ok() } else { None }
    }

    /// Whether `topic` falls under this filter, or under the one within a shared subscription.
    pub fn wants(&self, topic: &str) -> bool {
        match self.0.strip_prefix(SHARE).and_then(|rest| rest.split_once('/')) {
            Some((_, filter)) => matches(filter, topic),
            None => self.matches(topic),
        }
    }

    /// Whether `topic` falls under this filter. Topics that start with `$` are not matched by a
    /// leading wildcard [MQTT-4.7.2-1].
    pub fn matches(&self, topic: &str) -> bool {
        matches(&self.0, topic)
    }

    /// Whether there is a topic that both filters match.
    pub fn overlaps(&self, other: &Self) -> bool {
        let wild = |filter: &Self| filter.0.starts_with(['+', '#']);
        let system = |filter: &Self| filter.0.starts_with('$');
        if system(self) && wild(other) || wild(self) && system(other) {
            return false;
        }
        let (mut ours, mut theirs) = (self.0.split('/'), other.0.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
                _ => return false,
            }
        }
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match names.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_checked() {
        assert!(TopicName::new("a/b").is_ok());
        assert!(TopicName::new("/").is_ok());
        assert_eq!(TopicName::new(""), Err(TopicError::Empty));
        assert_eq!(TopicName::new("a/+"), Err(TopicError::Wildcard));
        assert_eq!(TopicName::new("a\0"), Err(TopicError::Nul));
        assert_eq!(TopicName::new(&"x".repeat(65_536)), Err(TopicError::TooLong));
        for good in ["#", "+", "a/+/b", "a/#", "/", "+/+", "/#"] {
            assert!(TopicFilter::new(good).is_ok(), "{good}");
        }
        for bad in ["a#", "a/#/b", "+a", "a+/b", "##", "#/"] {
            assert_eq!(TopicFilter::new(bad), Err(TopicError::WildcardPlace), "{bad}");
        }
    }

    #[test]
    fn filters_overlap_if_a_topic_matches_both() {
        for (a, b, want) in [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/+", "+/b", true),
            ("a/#", "a", true),
            ("a/#", "b/#", false),
            ("#", "a/b", true),
            ("a/+/c", "a/b", false),
            ("a/+/#", "a/b", true),
            ("+", "a/b", false),
            ("#", "$SYS/x", false),
            ("$SYS/#", "$SYS/+", true),
        ] {
            let [a, b] = [a, b].map(|text| TopicFilter::new(text).unwrap());
            assert_eq!((a.overlaps(&b), b.overlaps(&a)), (want, want), "{a} {b}");
        }
    }

    #[test]
    fn shared_subscriptions_are_taken_apart() {
        let shared = |text| TopicFilter::new(text).unwrap().shared().map(|f| f.to_string());
        assert_eq!(shared("$share/g/a/+/#").as_deref(), Some("a/+/#"));
        assert_eq!(shared("$share/g//a").as_deref(), Some("/a"));
        for bad in ["$share/g", "$share/g/", "$share//a", "$share/+/a", "share/g/a", "a"] {
            assert_eq!(shared(bad), None, "{bad}");
        }
        let filter = TopicFilter::new("$share/g/a/#").unwrap();
        assert!(filter.is_shared() && filter.wants("a/b") && !filter.matches("a/b"));
        assert!(!filter.wants("b"));
    }

    #[test]
    fn matching_follows_the_specification() {
        let cases = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/w", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("+", "finance", true),
            ("+", "/finance", false),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("Öl/+", "Öl/stand", true),
            ("a/b", "a/b/c", false),
        ];
        for (filter, topic, want) in cases {
            assert_eq!(TopicFilter::new(filter).unwrap().matches(topic), want, "{filter} {topic}");
        }
    }
}
