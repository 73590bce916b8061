//! Topic templates: text with placeholders such as `{device}`.

use super::problem::{Complaint, closest};
use super::values::quoted;
use crate::model::{TagMeta, TopicError, TopicName};

/// What a placeholder stands for here; `None` for one that has no value in this configuration.
pub(super) type Values<'a> = [(&'static str, Option<&'a str>)];

/// A template whose placeholders are all known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    levels: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(String),
}

impl Template {
    pub(super) fn parse(text: &str, known: &[&'static str]) -> Result<Self, Complaint> {
        let levels = text.split('/').map(|level| pieces(level, known)).collect::<Result<_, _>>()?;
        Ok(Self { levels })
    }

    pub(super) fn has(&self, placeholder: &str) -> bool {
        let wanted = |piece: &Piece| matches!(piece, Piece::Placeholder(p) if p == placeholder);
        self.levels.iter().flatten().any(wanted)
    }

    /// Without the levels that hold this placeholder.
    pub(super) fn without(&self, placeholder: &str) -> Self {
        let holds = |piece: &Piece| matches!(piece, Piece::Placeholder(p) if p == placeholder);
        let levels = self.levels.iter().filter(|level| !level.iter().any(holds));
        Self { levels: levels.cloned().collect() }
    }

    /// What is left when these values are put in. A level that is nothing but a placeholder without a
    /// value is left out.
    pub(super) fn bind(&self, values: &Values<'_>) -> Result<TopicPattern, Complaint> {
        let mut parts = Vec::new();
        let mut first = true;
        for pieces in &self.levels {
            let mut level = Vec::new();
            let mut missing = None;
            for piece in pieces {
                level.push(match piece {
                    Piece::Text(text) => Part::Text(text.clone()),
                    Piece::Placeholder(p) => match (p.as_str(), value(values, p)) {
                        ("device", _) => Part::Device,
                        ("tag", _) => Part::Tag,
                        ("class", _) => Part::Class,
                        (_, Some(text)) => Part::Text(text.to_owned()),
                        (_, None) => {
                            missing = Some(p);
                            continue;
                        }
                    },
                });
            }
            match missing {
                Some(_) if pieces.len() == 1 => continue,
                Some(p) => return Err(format!("{{{p}}} has no value here").into()),
                None => {}
            }
            if !std::mem::take(&mut first) {
                parts.push(Part::Text("/".to_owned()));
            }
            parts.append(&mut level);
        }
        Ok(TopicPattern { pieces: parts })
    }

    /// The topic. A level that is nothing but a placeholder without a value is left out.
    pub(super) fn render(&self, values: &Values<'_>) -> Result<TopicName, Complaint> {
        let mut levels = Vec::with_capacity(self.levels.len());
        for pieces in &self.levels {
            if let [Piece::Placeholder(only)] = pieces.as_slice()
                && value(values, only).is_none()
            {
                continue;
            }
            let mut level = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => level.push_str(text),
                    Piece::Placeholder(p) => level.push_str(
                        value(values, p).ok_or_else(|| format!("{{{p}}} has no value here"))?,
                    ),
                }
            }
            levels.push(level);
        }
        let topic = levels.join("/");
        TopicName::new(&topic).map_err(|error| Complaint::new(error.to_string()))
    }
}

/// Where an uplink sends readings that are not in a backlog message.
///
/// Made of nothing but what the store keeps of a tag: a reading finds its topic also when the tag's
/// configuration is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveTopic {
    /// The tag's own topic.
    OfTag,
    Pattern(TopicPattern),
}

/// A template in which all is known but the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPattern {
    pieces: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Device,
    Tag,
    Class,
}

/// What a pattern leaves open.
pub(super) const OF_TAG: [&str; 3] = ["device", "tag", "class"];

impl LiveTopic {
    /// The topic of this tag's readings, with what goes before every topic.
    pub fn topic(&self, prefix: &str, tag: &TagMeta) -> Result<TopicName, TopicError> {
        let Self::Pattern(pattern) = self else {
            return TopicName::new(&format!("{prefix}{}", tag.topic));
        };
        let mut topic = prefix.to_owned();
        for part in &pattern.pieces {
            topic.push_str(match part {
                Part::Text(text) => text,
                Part::Device => tag.device.as_str(),
                Part::Tag => tag.name.as_str(),
                Part::Class => tag.class.as_str(),
            });
        }
        TopicName::new(&topic)
    }

    /// Whether two tags may have the same topic.
    pub(super) fn may_join_tags(&self) -> bool {
        let Self::Pattern(pattern) = self else { return false };
        !(pattern.pieces.contains(&Part::Device) && pattern.pieces.contains(&Part::Tag))
    }
}

fn value<'a>(values: &Values<'a>, placeholder: &str) -> Option<&'a str> {
    values.iter().find(|(name, _)| *name == placeholder).and_then(|(_, value)| *value)
}

fn pieces(level: &str, known: &[&'static str]) -> Result<Vec<Piece>, Complaint> {
    let mut pieces = Vec::new();
    let mut rest = level;
    while let Some((text, after)) = rest.split_once('{') {
        let Some((placeholder, tail)) = after.split_once('}') else {
            return Err(Complaint::new("a '{' is not closed").hint("write it as in {device}"));
        };
        if text.contains('}') {
            return Err("a '}' has no '{' before it".into());
        }
        if !known.contains(&placeholder) {
            let message = format!("the placeholder {} is unknown", quoted(placeholder));
            let hint = match closest(placeholder, known.iter().copied()) {
                Some(close) => format!("did you mean {{{close}}}?"),
                None => format!("known here: {{{}}}", known.join("}, {")),
            };
            return Err(Complaint::new(message).hint(hint));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        pieces.push(Piece::Placeholder(placeholder.to_owned()));
        rest = tail;
    }
    if rest.contains('}') {
        return Err("a '}' has no '{' before it".into());
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Name};

    const KNOWN: [&str; 3] = ["site", "device", "tag"];

    fn render(template: &str, site: Option<&str>) -> Result<String, String> {
        let values = [("site", site), ("device", Some("m1")), ("tag", Some("flow"))];
        Template::parse(template, &KNOWN)
            .and_then(|t| t.render(&values))
            .map(|topic| topic.to_string())
            .map_err(|complaint| complaint.message)
    }

    #[test]
    fn fills_in_and_leaves_out() {
        for (template, site, want) in [
            ("{site}/{device}/{tag}", Some("p1"), "p1/m1/flow"),
            ("{site}/{device}/{tag}", None, "m1/flow"),
            ("a/{device}-{tag}/v", None, "a/m1-flow/v"),
            ("plain//x", None, "plain//x"),
        ] {
            assert_eq!(render(template, site).as_deref(), Ok(want), "{template}");
        }
    }

    #[test]
    fn a_pattern_leaves_the_tag_open() {
        const OPEN: [&str; 5] = ["site", "line", "device", "tag", "class"];
        let tag = TagMeta {
            topic: TopicName::new("a/b").unwrap(),
            device: Name::new("m1").unwrap(),
            name: Name::new("flow").unwrap(),
            unit: String::new(),
            coding: String::new(),
            class: Class::Alarm,
        };
        let values = [("site", Some("p1")), ("line", None)];
        let bind = |text| Template::parse(text, &OPEN).and_then(|template| template.bind(&values));
        for (text, want) in [
            ("{site}/{line}/{device}/{tag}", "x/p1/m1/flow"),
            ("{line}/{class}-{tag}", "x/alarm-flow"),
            ("/a//{device}", "x//a//m1"),
        ] {
            let topic = LiveTopic::Pattern(bind(text).unwrap()).topic("x/", &tag).unwrap();
            assert_eq!(topic.as_str(), want, "{text}");
        }
        assert_eq!(LiveTopic::OfTag.topic("x/", &tag).unwrap().as_str(), "x/a/b");
        assert_eq!(bind("l-{line}/{tag}").unwrap_err().message, "{line} has no value here");
        let may_join = |text| LiveTopic::Pattern(bind(text).unwrap()).may_join_tags();
        assert!(may_join("{tag}") && may_join("{device}") && !may_join("{tag}/{device}"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (template, want) in [
            ("{sites}/x", "the placeholder \"sites\" is unknown"),
            ("{}", "the placeholder \"\" is unknown"),
            ("a{device", "a '{' is not closed"),
            ("{device/tag}", "a '{' is not closed"),
            ("a}b", "a '}' has no '{' before it"),
            ("x-{site}/y", "{site} has no value here"),
            ("a/+", "a topic name can't hold the wildcards '+' and '#'"),
            ("{site}", "a topic can't be empty"),
        ] {
            assert_eq!(render(template, None), Err(want.to_owned()), "{template}");
        }
    }
}
