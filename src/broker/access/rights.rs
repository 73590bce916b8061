//! What one client may do: the grants of its user with the names put in.
//!
//! Denied is what nothing allows. A subscription is allowed only if every topic it could ever match
//! is: nothing has to be checked when messages are delivered.

use crate::config::{Grant, Pattern};
use crate::model::{Qos, TopicFilter};

#[derive(Debug, Clone)]
pub struct Rights {
    /// `None` allows everything.
    rules: Option<Vec<Concrete>>,
}

#[derive(Debug, Clone)]
struct Concrete {
    publish: Vec<TopicFilter>,
    retain: Vec<TopicFilter>,
    subscribe: Vec<TopicFilter>,
    qos_max: Qos,
    commands: bool,
}

/// A message as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    pub topic: &'a str,
    pub qos: Qos,
    pub retain: bool,
    /// Whether it would set a tag.
    pub is_command: bool,
}

impl Rights {
    pub fn of(grants: &[Grant], user: Option<&str>, client_id: &str) -> Self {
        let fill = |patterns: &[Pattern]| {
            patterns.iter().filter_map(|pattern| pattern.filter(user, client_id)).collect()
        };
        let rules = grants.iter().map(|grant| match grant {
            Grant::Everything => None,
            Grant::Only(rule) => Some(Concrete {
                publish: fill(&rule.publish),
                retain: fill(&rule.retain),
                subscribe: fill(&rule.subscribe),
                qos_max: rule.qos_max,
                commands: rule.commands,
            }),
        });
        // One grant of everything is enough.
        Self { rules: rules.collect() }
    }

    /// Of one who may do nothing.
    pub fn none() -> Self {
        Self { rules: Some(Vec::new()) }
    }

    pub fn may_publish(&self, message: &Publication<'_>) -> bool {
        let Some(rules) = &self.rules else { return true };
        let matches =
            |filters: &[TopicFilter]| filters.iter().any(|filter| filter.matches(message.topic));
        rules.iter().any(|rule| {
            message.qos <= rule.qos_max
                && (rule.commands || !message.is_command)
                && matches(&rule.publish)
                && (!message.retain || matches(&rule.retain))
        })
    }

    /// The highest quality of service for a subscription; `None` if it is not allowed.
    pub fn may_subscribe(&self, filter: &TopicFilter) -> Option<Qos> {
        let Some(rules) = &self.rules else { return Some(Qos::ExactlyOnce) };
        let shared = filter.shared();
        let wanted = shared.as_ref().unwrap_or(filter).as_str();
        let allowed = rules
            .iter()
            .filter(|rule| rule.subscribe.iter().any(|filter| covers(filter.as_str(), wanted)));
        allowed.map(|rule| rule.qos_max).max()
    }
}

/// Whether `wide` matches every topic that `narrow` matches.
fn covers(wide: &str, narrow: &str) -> bool {
    // A leading wildcard doesn't match topics that start with '$' [MQTT-4.7.2-1].
    if narrow.starts_with('$') && wide.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = narrow.split('/').peekable();
    for wide in wide.split('/') {
        match (wide, levels.next()) {
            ("#", _) => return true,
            // `a/#` matches `a` as well, which `a/+` does not.
            (_, None | Some("#")) => return false,
            ("+", Some(_)) => {}
            (wide, Some(narrow)) if wide == narrow => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_filter_covers_what_it_matches_in_full() {
        for (wide, narrow, want) in [
            ("#", "a/b", true),
            ("#", "#", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("a/#", "a", true),
            ("a/#", "a/#", true),
            ("a/#", "a/+/c", true),
            ("a/#", "#", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/b", "a/+", false),
            ("a/+/c", "a/b/+", false),
            ("+", "#", false),
            ("a", "a/b", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(covers(wide, narrow), want, "{wide} {narrow}");
        }
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "", "$S"])
    }

    fn filter() -> impl Strategy<Value = TopicFilter> {
        let levels = prop::collection::vec(prop_oneof![level(), Just("+")], 0..4);
        (levels, any::<bool>()).prop_filter_map("a filter", |(mut levels, rest)| {
            if rest {
                levels.push("#");
            }
            TopicFilter::new(&levels.join("/")).ok()
        })
    }

    proptest! {
        /// Nothing that a covered filter matches is outside of the one that covers it.
        #[test]
        fn covering_and_matching_agree(
            wide in filter(),
            narrow in filter(),
            topics in prop::collection::vec(prop::collection::vec(level(), 1..5), 1..40),
        ) {
            if covers(wide.as_str(), narrow.as_str()) {
                for topic in topics.iter().map(|levels| levels.join("/")) {
                    prop_assert!(
                        topic.is_empty() || !narrow.matches(&topic) || wide.matches(&topic),
                        "{} covers {} but for {}", wide, narrow, topic
                    );
                }
            }
        }
    }
}
