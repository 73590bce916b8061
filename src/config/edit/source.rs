//! A text as a tree in which every node knows which bytes it takes.
//!
//! Read by the parser that is below `raw` as well, so there are no two opinions of what a text says.
//! Comments, anchors and blank lines are no nodes: they stay where they are because nobody touches
//! their bytes. Text that `raw` refuses never gets here.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use super::value::Value;
use crate::config::raw::DEPTH_MAX;

#[derive(Debug)]
pub(super) struct Node {
    /// Without anchor and tag; of a block collection from its first to its last word.
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing is written.
    Empty,
    Scalar {
        text: String,
        style: ScalarStyle,
    },
    /// Of the node with this number.
    Alias(usize),
    List {
        flow: bool,
        items: Vec<Item>,
    },
    Map {
        flow: bool,
        entries: Vec<Entry>,
    },
}

#[derive(Debug)]
pub(super) struct Item {
    /// Where its dash stands, or in a flow list its own first byte.
    pub start: usize,
    /// Behind the dash.
    pub lead: usize,
    pub value: Node,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub key: Range<usize>,
    pub name: String,
    /// Behind its colon; `None` for a key in an unusual form.
    pub lead: Option<usize>,
    pub value: Node,
}

/// The document of a text.
#[derive(Debug)]
pub(super) struct Source<'t> {
    pub text: &'t str,
    pub root: Node,
    /// Where the first entry of an empty document may stand.
    pub begin: usize,
    /// What anchors stand for, by their number.
    anchors: HashMap<usize, Value>,
}

/// The key that takes in the entries of another mapping.
pub(super) const MERGE: &str = "<<";

impl<'t> Source<'t> {
    /// `None` when a key is no word, or for what the parser does not take.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let mut options = granit_parser::options! {
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
        };
        options.set_emit_comments(false);
        let events = Parser::new_from_str_with_options(text, options);
        let mut reading = Reading { text, events, anchors: HashMap::new() };
        let mut begin = 0;
        loop {
            match reading.next()? {
                (Event::StreamStart, _) => {}
                (Event::DocumentStart(explicit, _), span) => {
                    if explicit {
                        begin = line_end(text, span.end.byte_offset()?);
                    }
                    let (event, span) = reading.next()?;
                    let start = span.start.byte_offset()?;
                    let root = reading.node(event, span, start)?;
                    return Some(Self { text, root, begin, anchors: reading.anchors });
                }
                // A text without a document, of comments at most.
                (Event::StreamEnd, _) => {
                    let root = Node { span: text.len()..text.len(), kind: Kind::Empty };
                    return Some(Self { text, root, begin: text.len(), anchors: HashMap::new() });
                }
                _ => return None,
            }
        }
    }

    /// What the text says, with what aliases and merge keys stand for.
    pub(super) fn value(&self) -> Value {
        value(&self.root, &self.anchors)
    }
}

fn value(node: &Node, anchors: &HashMap<usize, Value>) -> Value {
    match &node.kind {
        Kind::Empty => Value::Null,
        Kind::Scalar { text, style: ScalarStyle::Plain } => Value::plain(text),
        Kind::Scalar { text, .. } => Value::Text(text.clone()),
        Kind::Alias(id) => anchors.get(id).cloned().unwrap_or(Value::Null),
        Kind::List { items, .. } => {
            Value::List(items.iter().map(|item| value(&item.value, anchors)).collect())
        }
        Kind::Map { entries, .. } => {
            let mut map: Vec<(String, Value)> = Vec::with_capacity(entries.len());
            let mut merged = Vec::new();
            for entry in entries {
                let value = value(&entry.value, anchors);
                match (entry.name.as_str(), value) {
                    (MERGE, Value::List(maps)) => merged.extend(maps),
                    (MERGE, value) => merged.push(value),
                    (name, value) => map.push((name.to_owned(), value)),
                }
            }
            for (name, value) in merged.iter().flat_map(Value::entries) {
                if !map.iter().any(|(known, _)| known == name) {
                    map.push((name.clone(), value.clone()));
                }
            }
            Value::Map(map)
        }
    }
}

struct Reading<'t, E> {
    text: &'t str,
    events: E,
    anchors: HashMap<usize, Value>,
}

impl<'t, E> Reading<'t, E>
where
    E: Iterator<Item = Result<(Event<'t>, Span), granit_parser::ScanError>>,
{
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        self.events.next()?.ok()
    }

    /// The node that begins with this event; `from` is where the search for its first byte begins.
    fn node(&mut self, event: Event<'t>, span: Span, from: usize) -> Option<Node> {
        let range = span.byte_range()?;
        let (node, anchor) = match event {
            Event::Scalar(_, ScalarStyle::Plain, anchor, _) if range.is_empty() => {
                (Node { span: from..from, kind: Kind::Empty }, anchor)
            }
            Event::Scalar(text, style, anchor, _) => {
                let span = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => self.block_scalar(from, range)?,
                    _ => range,
                };
                (Node { span, kind: Kind::Scalar { text: text.into_owned(), style } }, anchor)
            }
            Event::Alias(id) => (Node { span: range, kind: Kind::Alias(id) }, 0),
            Event::SequenceStart(style, anchor, _) => {
                (self.list(style == StructureStyle::Flow, range.start, from)?, anchor)
            }
            Event::MappingStart(style, anchor, _) => {
                (self.map(style == StructureStyle::Flow, range.start)?, anchor)
            }
            _ => return None,
        };
        if anchor > 0 {
            let value = value(&node, &self.anchors);
            self.anchors.insert(anchor, value);
        }
        Some(node)
    }

    fn list(&mut self, flow: bool, start: usize, from: usize) -> Option<Node> {
        let mut items: Vec<Item> = Vec::new();
        let mut cursor = if flow { start } else { from };
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let first = items.first().map_or(start, |item| item.start);
                let span = if flow { start..span.end.byte_offset()? } else { first..cursor };
                return Some(Node { span, kind: Kind::List { flow, items } });
            }
            let (start, lead) = if flow {
                let start = span.start.byte_offset()?;
                (start, start)
            } else {
                let dash = skip(self.text, cursor);
                (self.text.get(dash..)?.starts_with('-')).then_some((dash, dash + 1))?
            };
            let value = self.node(event, span, lead)?;
            cursor = value.span.end;
            items.push(Item { start, lead, value });
        }
    }

    fn map(&mut self, flow: bool, start: usize) -> Option<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let key = span.byte_range()?;
            let name = match event {
                Event::MappingEnd => {
                    let first = entries.first().map_or(start, |entry| entry.key.start);
                    let last = entries.last().map_or(start, |entry| entry.value.span.end);
                    let span = if flow { start..key.end } else { first..last };
                    return Some(Node { span, kind: Kind::Map { flow, entries } });
                }
                Event::Scalar(name, ..) if !key.is_empty() => name.into_owned(),
                _ => return None,
            };
            let lead = self.colon(&key);
            let (event, span) = self.next()?;
            let value = self.node(event, span, lead.unwrap_or(key.end))?;
            entries.push(Entry { key, name, lead, value });
        }
    }

    /// The byte behind the colon of a key that is written as keys are.
    fn colon(&self, key: &Range<usize>) -> Option<usize> {
        let before = self.text.get(..key.start)?.trim_end_matches([' ', '\t']);
        let explicit = before.ends_with('?');
        let after = self.text.get(key.end..)?;
        let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
        let colon = key.end + blanks;
        (!explicit && self.text.get(colon..)?.starts_with(':')).then_some(colon + 1)
    }

    /// From its sign to the end of its last line with text, or beyond if it keeps empty lines.
    fn block_scalar(&self, from: usize, content: Range<usize>) -> Option<Range<usize>> {
        let head = self.text.get(from..content.start.max(from))?;
        let sign = from + head.find(['|', '>'])?;
        let keeps = self.text.get(sign..line_end(self.text, sign))?.contains('+');
        let text = self.text.get(content.clone())?;
        let end = if keeps { content.end } else { content.start + text.trim_end().len() };
        Some(sign..end.max(sign + 1))
    }
}

/// The first byte from here on that is no blank, comment, anchor or tag.
pub(super) fn skip(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(rest) = text.get(at..) {
        match rest.chars().next() {
            Some(c) if c.is_whitespace() => at += c.len_utf8(),
            Some('#') => at = line_end(text, at),
            Some('&' | '!') => at += rest.find(char::is_whitespace).unwrap_or(rest.len()),
            _ => break,
        }
    }
    at
}

/// The end of a line, before its line break.
pub(super) fn line_end(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.find('\n').unwrap_or(rest.len());
    let line = rest.get(..length).unwrap_or_default();
    from + line.strip_suffix('\r').map_or(length, str::len)
}

/// The start of a line.
pub(super) fn line_start(text: &str, from: usize) -> usize {
    let before = text.get(..from).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let bom = before.get(start..).is_some_and(|line| line.starts_with('\u{feff}'));
    start + if bom { '\u{feff}'.len_utf8() } else { 0 }
}

/// How far from the start of its line a byte is.
pub(super) fn column(text: &str, at: usize) -> usize {
    at - line_start(text, at)
}
