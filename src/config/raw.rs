//! YAML text → a tree in which every key and value knows its line and column.
//!
//! This is the only file that knows the YAML library. It keeps scalars as the text that was
//! written and repeated keys as repeated pairs, so that the checks see all of them at once; what a
//! scalar means is decided by who reads it. A syntax error is the one problem that hides others.
//!
//! Nothing here panics or grows without limit, whatever the bytes are.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Spanned};

/// Largest configuration file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deepest nesting of mappings and lists; the configuration itself needs seven.
pub(super) const DEPTH_MAX: usize = 24;
/// Most keys, values, lists and mappings in one file, those that aliases repeat included.
const NODES_MAX: usize = 2_000_000;
/// Most nodes that aliases (`*name`) may repeat.
const ALIASED_MAX: usize = 100_000;

/// A position in the file, both counted from one; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Place {
    pub line: u32,
    pub column: u32,
}

/// One value with its place.
#[derive(Debug)]
pub(super) struct Node {
    pub at: Place,
    pub content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// The text as written, without quotes.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file; a repeated key stands here repeatedly.
    Map(Vec<(Node, Node)>),
}

impl Content {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Why a text is not YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub at: Place,
    pub message: String,
}

/// Reads one YAML document.
pub(super) fn tree(text: &str) -> Result<Node, SyntaxError> {
    // A byte order mark would shift the byte offsets that scalars are cut out by.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > FILE_BYTES_MAX {
        let message =
            format!("the file has {} bytes, at most {FILE_BYTES_MAX} are read", text.len());
        return Err(SyntaxError { at: Place::default(), message });
    }
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_documents: 1,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: ALIASED_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    match serde_yaml::from_str_with_options::<Spanned<Typed>>(text, options) {
        Ok(root) => Ok(root.into_node(text)),
        Err(error) => {
            let error = error.without_snippet();
            Err(SyntaxError {
                at: error.location().as_ref().map(place).unwrap_or_default(),
                message: plain_message(error),
            })
        }
    }
}

/// What exceeded a bound, or the library's message without its own mention of line and column, on
/// one line.
fn plain_message(error: &serde_yaml::Error) -> String {
    if let serde_yaml::Error::Budget { breach, .. } = error {
        return match breach {
            BudgetBreach::Documents { .. } => "a second document starts here; one is read".into(),
            BudgetBreach::Depth { .. } => format!("is nested deeper than {DEPTH_MAX}"),
            BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
                format!("more than {NODES_MAX} keys and values")
            }
            other => format!("exceeds a bound: {other:?}"),
        };
    }
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text);
    text.trim_start_matches("error: ").trim().to_owned()
}

fn place(location: &Location) -> Place {
    Place {
        line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX),
    }
}

/// What the library makes of a node before it becomes a [`Node`].
enum Typed {
    Null,
    /// A plain scalar that looked like a number or a truth value; its text, if the source can't
    /// give it, is this.
    Inferred(String),
    Text(String),
    List(Vec<Spanned<Typed>>),
    Map(Vec<(Spanned<Typed>, Spanned<Typed>)>),
}

trait IntoNode {
    fn into_node(self, source: &str) -> Node;
}

impl IntoNode for Spanned<Typed> {
    fn into_node(self, source: &str) -> Node {
        let content = match self.value {
            Typed::Null => Content::Null,
            Typed::Text(text) => Content::Scalar(text),
            Typed::Inferred(text) => {
                Content::Scalar(written(source, &self.defined).unwrap_or(text))
            }
            Typed::List(items) => {
                Content::List(items.into_iter().map(|item| item.into_node(source)).collect())
            }
            Typed::Map(pairs) => {
                let pair = |(k, v): (Self, Self)| (k.into_node(source), v.into_node(source));
                Content::Map(pairs.into_iter().map(pair).collect())
            }
        };
        Node { at: place(&self.defined), content }
    }
}

/// The scalar as it stands in the file: `0.10` and `0x0A` must not become `0.1` and `10` before
/// their reader saw them.
fn written(source: &str, location: &Location) -> Option<String> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    let text = source.get(start..start.checked_add(length)?)?.trim();
    // Anything but a bare word means that the span covers more than the scalar (a tag, quotes).
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
    (!text.is_empty() && text.chars().all(bare)).then(|| text.to_owned())
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TypedVisitor)
    }
}

struct TypedVisitor;

impl<'de> Visitor<'de> for TypedVisitor {
    type Value = Typed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Typed, E> {
        Ok(Typed::Null)
    }

    fn visit_none<E>(self) -> Result<Typed, E> {
        Ok(Typed::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, d: D) -> Result<Typed, D::Error> {
        d.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Typed, E> {
        Ok(Typed::Inferred(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Typed, E> {
        Ok(Typed::Inferred(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Typed, E> {
        Ok(Typed::Inferred(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Typed, E> {
        Ok(Typed::Inferred(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Typed, E> {
        Ok(Typed::Inferred(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Typed, E> {
        Ok(Typed::Inferred(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Typed, E> {
        Ok(Typed::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Typed, E> {
        Ok(Typed::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Typed, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Typed::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Typed, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = entries.next_entry()? {
            pairs.push(pair);
        }
        Ok(Typed::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(node: &Node) -> String {
        let at = format!("{}:{}", node.at.line, node.at.column);
        match &node.content {
            Content::Null => format!("{at} null"),
            Content::Scalar(s) => format!("{at} {s:?}"),
            Content::List(l) => {
                format!("{at} [{}]", l.iter().map(dump).collect::<Vec<_>>().join(", "))
            }
            Content::Map(m) => {
                let pairs = m.iter().map(|(k, v)| format!("{} = {}", dump(k), dump(v)));
                format!("{at} {{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn keeps_what_was_written_and_where() {
        let cases = [
            ("a: 0.10", r#"1:1 {1:1 "a" = 1:4 "0.10"}"#),
            ("a: 0x0A", r#"1:1 {1:1 "a" = 1:4 "0x0A"}"#),
            ("a: yes", r#"1:1 {1:1 "a" = 1:4 "yes"}"#),
            ("a: 007", r#"1:1 {1:1 "a" = 1:4 "007"}"#),
            ("a: .nan", r#"1:1 {1:1 "a" = 1:4 ".nan"}"#),
            ("a: 1_000 # c", r#"1:1 {1:1 "a" = 1:4 "1_000"}"#),
            ("a: 18446744073709551615", r#"1:1 {1:1 "a" = 1:4 "18446744073709551615"}"#),
            ("a: '5'", r#"1:1 {1:1 "a" = 1:4 "5"}"#),
            ("ä: ö\nb: 1", r#"1:1 {1:1 "ä" = 1:4 "ö", 2:1 "b" = 2:4 "1"}"#),
            ("\u{feff}ä: 12", r#"1:1 {1:1 "ä" = 1:4 "12"}"#),
            (
                "a:\nb: ~\nc: ''",
                r#"1:1 {1:1 "a" = 1:2 null, 2:1 "b" = 2:4 null, 3:1 "c" = 3:4 ""}"#,
            ),
            ("a: 1\na: 2", r#"1:1 {1:1 "a" = 1:4 "1", 2:1 "a" = 2:4 "2"}"#),
            ("1: {0x2: x}", r#"1:1 {1:1 "1" = 1:4 {1:5 "0x2" = 1:10 "x"}}"#),
            ("- [a, 1]\n- -2", r#"1:1 [1:3 [1:4 "a", 1:7 "1"], 2:3 "-2"]"#),
        ];
        for (text, want) in cases {
            let got = tree(text).map(|n| dump(&n)).unwrap_or_else(|e| format!("{e:?}"));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn aliases_and_merge_keys_are_followed() {
        let node = tree("a: &x {p: 10, q: 2}\nb: {<<: *x, q: 3}\nc: *x\n").unwrap();
        let text = dump(&node);
        assert!(text.contains(r#""b" = 2:4 {"#), "{text}");
        assert!(text.contains(r#""q" = 2:16 "3""#), "{text}");
        assert_eq!(text.matches(r#"1:11 "10""#).count(), 3, "{text}");
    }

    #[test]
    fn syntax_errors_have_a_place() {
        for (text, line) in
            [("a: [1, 2\nb: 3", 2), ("a: 1\n b: 2\n", 2), ("a: *nope", 1), ("a: \"x", 1)]
        {
            let error = tree(text).unwrap_err();
            assert!(error.at.line >= line, "{text:?}: {error:?}");
            assert!(!error.message.contains('\n') && !error.message.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn depth_aliases_and_size_are_bounded() {
        assert!(tree(&"[".repeat(100_000)).is_err());
        assert!(tree(&format!("{}1{}", "[".repeat(30), "]".repeat(30))).is_err());
        assert!(tree(&"- ".repeat(100_000)).is_err());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let previous = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        assert!(tree(&bomb).is_err());
        assert!(tree(&" ".repeat(FILE_BYTES_MAX + 1)).is_err());
    }
}
