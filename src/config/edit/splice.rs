//! Small changes as replacements of bytes.
//!
//! Changes that have nothing to do with each other are made against one reading of the text, so
//! that a table of thousands of rows is not read thousands of times. Whatever goes wrong here gives
//! no text, or one that says something else, and both are seen by the caller.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::source::{Entry, Item, Kind, Node, Source, column, line_end, line_start, skip};
use super::value::{Step, Value};
use super::wanted::Small;
use super::write::{self, Manner, Style};

/// The text after all of the changes.
pub(super) fn all(text: &str, changes: &[Small]) -> Option<String> {
    let mut text = text.to_owned();
    let mut rest = changes;
    while !rest.is_empty() {
        let source = Source::read(&text)?;
        let mut round = Round::new(&source);
        let made = rest.iter().take_while(|change| round.make(change)).count();
        if round.failed || made == 0 {
            return None;
        }
        let new = round.text();
        rest = rest.get(made..)?;
        text = new;
    }
    Some(text)
}

/// Bytes, and what takes their place.
type Splices = Vec<(Range<usize>, String)>;

/// Changes that are made against one reading.
struct Round<'s> {
    source: &'s Source<'s>,
    manner: Manner,
    /// By where they begin: their end, their order and what takes their place.
    splices: BTreeMap<(usize, usize, usize), String>,
    /// Paths whose nodes are not as they were read, and all paths above them.
    touched: HashSet<Vec<Step>>,
    above: HashSet<Vec<Step>>,
    /// Entries that left a mapping.
    removed: HashMap<Vec<Step>, usize>,
    failed: bool,
}

/// A node with what is around it.
#[derive(Clone, Copy)]
struct Place<'n> {
    node: &'n Node,
    /// Behind the colon or the dash.
    lead: usize,
    /// The column of the key or dash that it belongs to; `None` for the root.
    indent: Option<usize>,
    in_flow: bool,
    owner: Owner<'n>,
}

#[derive(Clone, Copy)]
enum Owner<'n> {
    Root,
    Entry { siblings: &'n [Entry], index: usize },
    Item { siblings: &'n [Item], index: usize },
}

impl<'s> Round<'s> {
    fn new(source: &'s Source<'s>) -> Self {
        Self {
            source,
            manner: manner(source),
            splices: BTreeMap::new(),
            touched: HashSet::new(),
            above: HashSet::new(),
            removed: HashMap::new(),
            failed: false,
        }
    }

    /// Whether the change is made; `false` as well when it has to wait for the next reading.
    fn make(&mut self, change: &Small) -> bool {
        let path = change.path();
        let known = (0..=path.len()).filter_map(|length| path.get(..length));
        if known.into_iter().any(|part| self.touched.contains(part)) || self.above.contains(path) {
            return false;
        }
        let before = self.splices.len();
        match self.splices_of(change) {
            Some((touched, splices)) => {
                if splices.iter().any(|(range, _)| self.overlaps(range)) {
                    return false;
                }
                for (range, text) in splices {
                    let order = self.splices.len();
                    self.splices.insert((range.start, range.end, order), text);
                }
                for length in 0..touched.len() {
                    self.above.extend(touched.get(..length).map(<[Step]>::to_vec));
                }
                self.touched.insert(touched);
                true
            }
            // Perhaps it is only the changes before that stand in the way.
            None => {
                self.failed = before == 0;
                false
            }
        }
    }

    /// Whether a replacement of these bytes would meet another one; insertions at one place do not.
    fn overlaps(&self, range: &Range<usize>) -> bool {
        let hits = |start: usize, end: usize| start < range.end && range.start < end;
        let from_here = self.splices.range((range.start, 0, 0)..(range.end, 0, 0));
        let mut before = self.splices.range(..(range.start, 0, 0)).rev();
        // Replacements don't overlap each other, so the nearest one is enough.
        let nearest = before.find(|((start, end, _), _)| start < end);
        from_here.chain(nearest).any(|((start, end, _), _)| hits(*start, *end))
    }

    fn text(&self) -> String {
        let old = self.source.text;
        let mut new = String::with_capacity(old.len() + 64 * self.splices.len());
        let mut at = 0;
        for ((start, end, _), text) in &self.splices {
            new.push_str(old.get(at..*start).unwrap_or_default());
            new.push_str(text);
            at = *end;
        }
        new + old.get(at..).unwrap_or_default()
    }

    /// The replacements that make a change, and the path whose node they change.
    fn splices_of(&mut self, change: &Small) -> Option<(Vec<Step>, Splices)> {
        let path = change.path();
        let (place, depth) = self.find(path);
        let rest = path.get(depth..)?;
        let here = path.get(..depth)?.to_vec();
        match change {
            Small::Put { value, .. } => match rest.split_first() {
                None => Some((here, self.replace(place, value)?)),
                Some((step, deeper)) => {
                    let value = nested(deeper, value);
                    self.add(place, here, step, &value)
                }
            },
            Small::Insert { value, .. } => {
                let (index, list) = (path.last()?.index()?, path.get(..path.len() - 1)?);
                let (place, depth) = self.find(list);
                if depth != list.len() {
                    return None;
                }
                Some((list.to_vec(), self.insert_item(place, index, value)?))
            }
            Small::Remove { .. } if rest.is_empty() => self.remove(place, path),
            Small::Rename { to, .. } if rest.is_empty() => {
                let Owner::Entry { siblings, index } = place.owner else { return None };
                let key = siblings.get(index)?.key.clone();
                Some((here, vec![(key, write::word(to, place.in_flow))]))
            }
            Small::Remove { .. } | Small::Rename { .. } => None,
        }
    }

    /// The deepest node on a path that is there, and how many steps lead to it.
    fn find(&self, path: &[Step]) -> (Place<'s>, usize) {
        let text = self.source.text;
        let mut place = Place {
            node: &self.source.root,
            lead: self.source.begin,
            indent: None,
            in_flow: false,
            owner: Owner::Root,
        };
        for (depth, step) in path.iter().enumerate() {
            let next = match &place.node.kind {
                Kind::Map { flow, entries } => {
                    let key = step.key();
                    let index = entries.iter().position(|entry| entry.name == *key);
                    index.and_then(|index| {
                        let entry = entries.get(index)?;
                        Some(Place {
                            node: &entry.value,
                            lead: entry.lead?,
                            indent: Some(column(text, entry.key.start)),
                            in_flow: place.in_flow || *flow,
                            owner: Owner::Entry { siblings: entries, index },
                        })
                    })
                }
                Kind::List { flow, items } => step.index().and_then(|index| {
                    let item = items.get(index)?;
                    Some(Place {
                        node: &item.value,
                        lead: item.lead,
                        indent: Some(column(text, item.start)),
                        in_flow: place.in_flow || *flow,
                        owner: Owner::Item { siblings: items, index },
                    })
                }),
                _ => None,
            };
            match next {
                Some(next) => place = next,
                None => return (place, depth),
            }
        }
        (place, path.len())
    }

    /// Puts another value in the place of a node.
    fn replace(&self, place: Place<'s>, value: &Value) -> Option<Splices> {
        let (text, node) = (self.source.text, place.node);
        let inline = match value {
            Value::Map(entries) if !entries.is_empty() && !place.in_flow => None,
            Value::List(items) if !items.is_empty() && !place.in_flow => None,
            _ => Some(()),
        };
        let indent = place.indent?;
        let lines = match (inline, place.owner) {
            (Some(()), _) => None,
            (None, Owner::Entry { .. }) => {
                let style = style(place.owner);
                let lines =
                    write::under_key(value, indent, style, self.manner, self.key_bytes(place));
                lines.starts_with(self.manner.newline).then_some(lines)
            }
            // Of an item only what fits behind its dash is written here.
            (None, Owner::Item { .. }) => {
                let lines = write::item(value, indent, self.manner);
                lines.contains(self.manner.newline).then_some(lines)
            }
            (None, Owner::Root) => return None,
        };
        let Some(lines) = lines else {
            let words = match &node.kind {
                Kind::Scalar { style, .. } => write::replacement(value, *style, place.in_flow),
                _ => write::flow_in(value, place.in_flow),
            };
            return Some(match &node.kind {
                Kind::Alias(_) => return None,
                Kind::Empty => vec![(place.lead..place.lead, format!(" {words}"))],
                Kind::List { flow: false, .. } | Kind::Map { flow: false, .. }
                    if line_start(text, node.span.start) > place.lead =>
                {
                    let below = line_end(text, place.lead)..line_end(text, node.span.end);
                    vec![(place.lead..place.lead, format!(" {words}")), (below, String::new())]
                }
                _ => vec![(node.span.clone(), words)],
            });
        };
        if let Owner::Item { .. } = place.owner {
            // The dash stays where it is.
            let lines = lines.trim_start().strip_prefix("- ")?.to_owned();
            return match &node.kind {
                Kind::Alias(_) => None,
                Kind::Empty => Some(vec![(place.lead..place.lead, format!(" {lines}"))]),
                _ => Some(vec![(node.span.clone(), lines)]),
            };
        }
        Some(match &node.kind {
            Kind::Alias(_) => return None,
            Kind::Empty => {
                let end = line_end(text, place.lead);
                vec![(end..end, lines)]
            }
            Kind::List { flow: false, .. } | Kind::Map { flow: false, .. } => {
                vec![(line_end(text, place.lead)..line_end(text, node.span.end), lines)]
            }
            _ => {
                let end = line_end(text, node.span.end);
                vec![(place.lead..node.span.end, String::new()), (end..end, lines)]
            }
        })
    }

    fn key_bytes(&self, place: Place<'s>) -> usize {
        match place.owner {
            Owner::Entry { siblings, index } => siblings.get(index).map_or(0, |e| e.name.len()),
            _ => 0,
        }
    }

    /// Adds an entry to the mapping, or an item to the list, that a path leads to.
    fn add(
        &self,
        place: Place<'s>,
        here: Vec<Step>,
        step: &Step,
        value: &Value,
    ) -> Option<(Vec<Step>, Splices)> {
        let text = self.source.text;
        let with = |here: &[Step]| [here, std::slice::from_ref(step)].concat();
        match &place.node.kind {
            Kind::Map { flow, entries } => match entries.last() {
                Some(last) if *flow => {
                    let words = write::flow_entry(&step.key(), value);
                    let splices = self.behind_in_flow(last.key.start, &last.value, &words);
                    Some((with(&here), splices))
                }
                Some(last) => {
                    let ordinary = entries.iter().find(|entry| entry.lead.is_some())?;
                    let indent = column(text, ordinary.key.start);
                    let lines = write::entry(
                        &step.key(),
                        value,
                        indent,
                        style_of(entries, entries.len()),
                        self.manner,
                    );
                    Some((with(&here), vec![self.behind(last.value.span.end, &lines)]))
                }
                None => {
                    let map = Value::Map(vec![(step.key().into_owned(), value.clone())]);
                    Some((here, self.replace(place, &map)?))
                }
            },
            Kind::List { items, .. } => {
                let index = step.index().filter(|index| *index == items.len())?;
                Some((here, self.insert_item(place, index, value)?))
            }
            Kind::Empty => {
                let map = Value::Map(vec![(step.key().into_owned(), value.clone())]);
                match place.owner {
                    Owner::Root => {
                        let lines = write::entry(&step.key(), value, 0, Style::Block, self.manner);
                        Some((here, vec![self.behind(self.source.begin, &lines)]))
                    }
                    _ => Some((here, self.replace(place, &map)?)),
                }
            }
            Kind::Scalar { .. } | Kind::Alias(_) => None,
        }
    }

    /// Lines of their own behind the line that ends or goes on here.
    fn behind(&self, end: usize, lines: &str) -> (Range<usize>, String) {
        let (text, newline) = (self.source.text, self.manner.newline);
        let before = text.get(..end).unwrap_or_default();
        if before.is_empty() || before == "\u{feff}" || before.ends_with('\n') {
            return (end..end, format!("{lines}{newline}"));
        }
        let end = line_end(text, end);
        (end..end, format!("{newline}{lines}"))
    }

    /// An entry or item behind the last one in braces or brackets.
    fn behind_in_flow(&self, start: usize, last: &Node, words: &str) -> Splices {
        let text = self.source.text;
        let end = last.span.end;
        let next = skip(text, end);
        let comma = text.get(next..).is_some_and(|rest| rest.starts_with(','));
        let behind = if comma { next + 1 } else { end };
        let margin = text.get(line_start(text, start)..start).unwrap_or_default();
        let line = behind..line_end(text, behind);
        let rest = text.get(line.clone()).unwrap_or_default().trim_start();
        let is_own_line = margin.trim().is_empty() && (rest.is_empty() || rest.starts_with('#'));
        match (is_own_line, comma) {
            (true, true) => {
                vec![(line.end..line.end, format!("{}{margin}{words},", self.manner.newline))]
            }
            (true, false) => vec![
                (end..end, ",".to_owned()),
                (line.end..line.end, format!("{}{margin}{words}", self.manner.newline)),
            ],
            (false, true) => vec![(behind..behind, format!(" {words},"))],
            (false, false) => vec![(end..end, format!(", {words}"))],
        }
    }

    fn insert_item(&self, place: Place<'s>, index: usize, value: &Value) -> Option<Splices> {
        let text = self.source.text;
        let Kind::List { flow, items } = &place.node.kind else { return None };
        if *flow {
            let words = write::flow_in(value, true);
            return Some(match (items.get(index), items.last()) {
                (Some(next), _) => vec![(next.start..next.start, format!("{words}, "))],
                (None, Some(last)) => {
                    return Some(self.behind_in_flow(last.start, &last.value, &words));
                }
                (None, None) => vec![(place.node.span.clone(), format!("[{words}]"))],
            });
        }
        let indent = column(text, items.first()?.start);
        let lines = write::item(value, indent, self.manner);
        match index.checked_sub(1).map(|before| items.get(before)) {
            Some(before) => Some(vec![self.behind(before?.value.span.end, &lines)]),
            None => {
                let first = items.first()?.start;
                let words = lines.trim_start();
                let gap = format!("{}{}", self.manner.newline, " ".repeat(indent));
                Some(vec![(first..first, format!("{words}{gap}"))])
            }
        }
    }

    fn remove(&mut self, place: Place<'s>, path: &[Step]) -> Option<(Vec<Step>, Splices)> {
        let above = path.get(..path.len().checked_sub(1)?)?;
        let (parent, _) = self.find(above);
        let (count, flow) = match &parent.node.kind {
            Kind::Map { flow, entries } => (entries.len(), *flow),
            Kind::List { flow, items } => (items.len(), *flow),
            _ => return None,
        };
        let gone = self.removed.get(above).copied().unwrap_or(0) + 1;
        if gone == count {
            if gone > 1 {
                return None; // Only a new reading shows what is left.
            }
            let empty = match parent.node.kind {
                Kind::Map { .. } => Value::Map(Vec::new()),
                _ => Value::List(Vec::new()),
            };
            return match parent.owner {
                Owner::Root => Some((above.to_vec(), vec![(self.lines_of(place)?, String::new())])),
                _ => Some((above.to_vec(), self.replace(parent, &empty)?)),
            };
        }
        let range = if flow { self.in_flow(place)? } else { self.lines_of(place)? };
        self.removed.insert(above.to_vec(), gone);
        Some((path.to_vec(), vec![(range, String::new())]))
    }

    /// Start of the entry or item, start of the next one, and end of the one before.
    fn bounds(place: Place<'s>) -> Option<(usize, Option<usize>, Option<usize>)> {
        Some(match place.owner {
            Owner::Entry { siblings, index } => (
                siblings.get(index)?.key.start,
                siblings.get(index + 1).map(|next| next.key.start),
                index.checked_sub(1).and_then(|i| siblings.get(i)).map(|e| e.value.span.end),
            ),
            Owner::Item { siblings, index } => (
                siblings.get(index)?.start,
                siblings.get(index + 1).map(|next| next.start),
                index.checked_sub(1).and_then(|i| siblings.get(i)).map(|e| e.value.span.end),
            ),
            Owner::Root => return None,
        })
    }

    /// All lines of an entry or item, or its bytes where it shares its first line.
    fn lines_of(&self, place: Place<'s>) -> Option<Range<usize>> {
        let text = self.source.text;
        let (start, next, _) = Self::bounds(place)?;
        let end = place.node.span.end;
        let line = line_start(text, start);
        if !text.get(line..start)?.trim().is_empty() {
            // The first key behind a dash: the next one moves up, unless a comment would go.
            let next = next?;
            return (!text.get(end..next)?.contains('#')).then_some(start..next);
        }
        if text.get(..end)?.ends_with('\n') && end > start {
            return Some(line..end);
        }
        let end = line_end(text, end);
        let rest = text.get(end..)?;
        let newline =
            if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
        if newline == 0 && line > 0 {
            let before = text.get(..line)?;
            let cut =
                if before.ends_with("\r\n") { 2 } else { usize::from(before.ends_with('\n')) };
            return Some(line - cut..end);
        }
        Some(line..end + newline)
    }

    /// An entry or item in braces or brackets, with one comma.
    fn in_flow(&self, place: Place<'s>) -> Option<Range<usize>> {
        let text = self.source.text;
        let (start, next, before) = Self::bounds(place)?;
        if let Some(next) = next {
            return Some(start..next);
        }
        let line = line_start(text, start);
        if line > 0 && text.get(line..start)?.trim().is_empty() {
            // On a line of its own; the comma before may stay.
            let end = line_end(text, place.node.span.end);
            let closes = text.get(place.node.span.end..end)?;
            let code = closes.split(" #").next().unwrap_or_default();
            if code.trim().trim_start_matches(',').trim().is_empty() {
                return self.lines_of(place);
            }
        }
        Some(before?..place.node.span.end)
    }
}

/// The value with the keys that lead to it.
fn nested(path: &[Step], value: &Value) -> Value {
    path.iter()
        .rev()
        .fold(value.clone(), |value, step| Value::Map(vec![(step.key().into_owned(), value)]))
}

fn style(owner: Owner<'_>) -> Style {
    match owner {
        Owner::Entry { siblings, index } => style_of(siblings, index),
        Owner::Item { .. } | Owner::Root => Style::Free,
    }
}

/// What the nearest of the other entries that is a mapping looks like.
fn style_of(entries: &[Entry], except: usize) -> Style {
    let others = entries.iter().enumerate().rev().filter(|(index, _)| *index != except);
    let looks = others.filter_map(|(_, entry)| match &entry.value.kind {
        Kind::Map { flow: true, entries } if entries.is_empty() => None,
        Kind::Map { flow: true, .. } => Some(Style::Flow),
        Kind::Map { flow: false, .. } => Some(Style::Block),
        _ => None,
    });
    looks.into_iter().next().unwrap_or(Style::Free)
}

/// Line breaks and indentation as the text has them first.
fn manner(source: &Source<'_>) -> Manner {
    let text = source.text;
    let newline = match text.find('\n') {
        Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => "\r\n",
        _ => "\n",
    };
    let (mut step, mut list_step) = (None, None);
    look(text, &source.root, &mut step, &mut list_step);
    let step = step.unwrap_or(2);
    Manner { newline, step, list_step: list_step.unwrap_or(step) }
}

fn look(text: &str, node: &Node, step: &mut Option<usize>, list_step: &mut Option<usize>) {
    let Kind::Map { flow: false, entries } = &node.kind else { return };
    for entry in entries {
        let own = column(text, entry.key.start);
        match &entry.value.kind {
            Kind::Map { flow: false, entries } => {
                if let Some(first) = entries.first() {
                    *step = step.or(column(text, first.key.start).checked_sub(own));
                }
            }
            Kind::List { flow: false, items } => {
                if let Some(first) = items.first() {
                    *list_step = list_step.or(column(text, first.start).checked_sub(own));
                }
            }
            _ => {}
        }
        if step.is_some() && list_step.is_some() {
            return;
        }
        look(text, &entry.value, step, list_step);
    }
}
