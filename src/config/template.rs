//! Topic templates: text with placeholders such as `{device}`.

use super::problem::{Complaint, closest};
use super::values::quoted;
use crate::model::TopicName;

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
