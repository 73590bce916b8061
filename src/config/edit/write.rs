//! Values as YAML text: as plain as it can be read back, in the style of the lines around it.

use granit_parser::ScalarStyle;

use super::value::Value;

/// Longest line that a mapping or list is written on.
const WIDTH: usize = 100;

/// How new lines look in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub newline: &'static str,
    /// By how much the entries of a mapping are further in than its key.
    pub step: usize,
    /// By how much the dashes of a list are.
    pub list_step: usize,
}

/// Whether the neighbours have their entries in braces on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Flow,
    Block,
    /// There are none to go by.
    Free,
}

/// A key or text as a scalar that is read back as this text, and as nothing but a text.
pub(super) fn scalar(text: &str, in_flow: bool) -> String {
    if is_plain(text, in_flow) { text.to_owned() } else { double_quoted(text) }
}

/// A single value, in the quotes of the one it replaces.
pub(super) fn replacement(value: &Value, old: ScalarStyle, in_flow: bool) -> String {
    match (value.text(), old) {
        (Some(text), ScalarStyle::SingleQuoted) if !text.chars().any(is_special) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        (Some(text), ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) => double_quoted(&text),
        _ => flow_in(value, in_flow),
    }
}

/// On one line of its own.
pub fn flow(value: &Value) -> String {
    flow_in(value, false)
}

/// On one line.
pub(super) fn flow_in(value: &Value, in_flow: bool) -> String {
    let mut out = String::new();
    write_flow(value, in_flow, &mut out);
    out
}

fn write_flow(value: &Value, in_flow: bool, out: &mut String) {
    match value {
        Value::Null => out.push('~'),
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.text().unwrap_or_default()),
        Value::Text(text) => out.push_str(&scalar(text, in_flow)),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_flow(item, true, out);
            }
            out.push(']');
        }
        Value::Map(entries) if entries.is_empty() => out.push_str("{}"),
        Value::Map(entries) => {
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "{ " });
                out.push_str(&flow_entry(key, value));
            }
            out.push_str(" }");
        }
    }
}

/// `key: value` inside braces.
pub(super) fn flow_entry(key: &str, value: &Value) -> String {
    format!("{}: {}", word(key, true), flow_in(value, true))
}

/// A key, or a text whose type does not matter: what looks like a number needs no quotes then.
pub fn word(text: &str, in_flow: bool) -> String {
    match Value::plain(text) {
        Value::Number(_) | Value::Bool(_) => text.to_owned(),
        _ => scalar(text, in_flow),
    }
}

/// `key: value` on lines of its own, without the last line break.
pub(super) fn entry(
    name: &str,
    value: &Value,
    indent: usize,
    style: Style,
    manner: Manner,
) -> String {
    let head = format!("{}{}:", " ".repeat(indent), word(name, false));
    head + &under_key(value, indent, style, manner, name.len())
}

/// What stands behind a key's colon: the value, or the lines below.
pub(super) fn under_key(
    value: &Value,
    indent: usize,
    style: Style,
    manner: Manner,
    key_bytes: usize,
) -> String {
    if !is_collection(value) || fits(value, indent + key_bytes + 2, style) {
        return format!(" {}", flow_in(value, false));
    }
    let mut out = String::new();
    match value {
        Value::Map(entries) => {
            for (name, value) in entries {
                out += manner.newline;
                out += &entry(name, value, indent + manner.step, Style::Free, manner);
            }
        }
        Value::List(items) => {
            for value in items {
                out += manner.newline;
                out += &item(value, indent + manner.list_step, manner);
            }
        }
        _ => {}
    }
    out
}

/// `- value` on lines of its own, without the last line break.
pub(super) fn item(value: &Value, indent: usize, manner: Manner) -> String {
    let dash = format!("{}- ", " ".repeat(indent));
    match value {
        Value::Map(entries) if is_collection(value) && !fits(value, indent + 2, Style::Free) => {
            let lines = entries
                .iter()
                .map(|(name, value)| entry(name, value, indent + 2, Style::Free, manner));
            let text = lines.collect::<Vec<_>>().join(manner.newline);
            // The first key stands behind the dash.
            format!("{dash}{}", text.trim_start())
        }
        _ => dash + &flow_in(value, false),
    }
}

fn is_collection(value: &Value) -> bool {
    match value {
        Value::Map(entries) => !entries.is_empty(),
        Value::List(items) => !items.is_empty(),
        _ => false,
    }
}

/// Whether a collection is written on one line that begins at this column.
fn fits(value: &Value, column: usize, style: Style) -> bool {
    let compact = match style {
        Style::Block => matches!(value, Value::List(_)) && is_compact(value),
        Style::Flow => true,
        Style::Free => is_compact(value),
    };
    compact && column + flow_in(value, false).chars().count() <= WIDTH
}

/// Few and simple parts: lists of single values, and mappings that have one at least and no
/// mapping of mappings.
fn is_compact(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().all(|item| !is_collection(item)),
        Value::Map(entries) => {
            let single = |value: &Value| !matches!(value, Value::Map(_));
            entries.iter().any(|(_, value)| single(value))
                && entries.iter().all(|(_, value)| !is_collection(value) || is_compact(value))
        }
        _ => true,
    }
}

/// Characters that only double quotes can say.
fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// Whether a text needs no quotes: nothing in it means something else, and it does not look like
/// what JSON calls a number, a truth value or nothing.
fn is_plain(text: &str, in_flow: bool) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    let second = chars.next();
    let starts = first.is_alphanumeric()
        || matches!(first, '/' | '°' | '_' | '.' | '(' | '^' | '+' | '$' | '<' | '=' | '~')
        || (first == '-' && second.is_some_and(|c| c.is_alphanumeric() || c == '.'));
    let harmless =
        |c: char| !(is_special(c) || in_flow && matches!(c, ',' | '[' | ']' | '{' | '}' | ':'));
    let ends = text.trim_end() == text && !text.ends_with(':');
    let typed = !matches!(Value::plain(text), Value::Text(_))
        || matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "." | "<<" | "="
        );
    starts
        && ends
        && !typed
        && !text.starts_with("...")
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(harmless)
}

pub fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_special(c) => quoted += &format!("\\U{:08X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
