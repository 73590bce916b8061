//! The mapping as CSV (RFC 4180): out, and in again as edits.
//!
//! A column is a key of a tag, under its name; a cell is what is written there, empty for nothing.
//! What is more than a single value stands in its cell as it would on one line of the configuration:
//! `{ change: 0.5, at-least: 60s }`. An import is the difference to what an export would say now: who
//! changes nothing imports nothing, and a cell that was emptied takes its key away. Tags that a
//! profile gives stand in the profile, and rows that are missing take nothing away.

use std::collections::HashMap;

use serde::Serialize;

use super::SOURCES;
use crate::config::defaults::TAGS_MAX;
use crate::config::edit::{self, Edit, Step, Value};
use crate::config::import::sheet::{self, Cell, NO_END, NO_END_HINT};
use crate::config::problem::{Problem, Severity, closest};

/// All columns, in the order in which they are written.
pub(super) const COLUMNS: [&str; 19] = [
    "device",
    "tag",
    "table",
    "address",
    "type",
    "order",
    "scale",
    "offset",
    "map",
    "scale-register",
    "not-available",
    "labels",
    "count",
    "unit",
    "every",
    "class",
    "topic",
    "publish",
    "write",
];

/// Columns that hold numbers: a decimal comma there is a mistake, not a text.
const NUMBERS: [&str; 6] =
    ["address", "scale", "offset", "scale-register", "not-available", "count"];

/// What is wrong in a cell, a row or the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CellProblem {
    /// Counted from 1, as an editor counts lines and a spreadsheet rows.
    pub line: u32,
    /// Counted from 1: 5 is column E. 0 for the whole row.
    pub column: u32,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What an import would do.
#[derive(Debug, Default)]
pub struct Import {
    /// Rows without a problem, those included that change nothing.
    pub rows_ok: usize,
    pub problems: Vec<CellProblem>,
    /// Of the rows without a problem.
    pub edits: Vec<Edit>,
}

/// The tags that are written in a configuration.
pub fn export(tree: &Value) -> String {
    let mut out = COLUMNS.join(",");
    out += "\r\n";
    for (device, section) in tree.get("devices").map(Value::entries).unwrap_or_default() {
        for (tag, section) in section.get("tags").map(Value::entries).unwrap_or_default() {
            let cells = COLUMNS.map(|column| match column {
                "device" => said(&Value::Text(device.clone())),
                "tag" => said(&Value::Text(tag.clone())),
                column => written(section, column).as_ref().map(said).unwrap_or_default(),
            });
            out += &cells.map(|cell| quoted(&cell)).join(",");
            out += "\r\n";
        }
    }
    out
}

/// What a column says of a tag.
fn written(section: &Value, column: &str) -> Option<Value> {
    let source = || SOURCES.into_iter().find(|key| section.get(key).is_some());
    match column {
        "table" => source().map(|table| Value::Text(table.to_owned())),
        "address" => source().and_then(|table| section.get(table)).cloned(),
        key => section.get(key).cloned(),
    }
}

/// A value as a cell that [`read`] takes back, and that no spreadsheet takes for a formula.
fn said(value: &Value) -> String {
    match value {
        Value::Null => "~".to_owned(),
        Value::Text(text) => {
            let odd = text.trim() != text
                || text.is_empty()
                || text.starts_with(['{', '[', '"', '=', '+', '@', '~', '-'])
                || text.chars().any(char::is_control)
                || Value::plain(text) != *value;
            if odd { edit::quoted(text) } else { text.clone() }
        }
        single => edit::flow(single),
    }
}

fn read(cell: &Cell) -> Result<Value, String> {
    match cell.text.chars().next() {
        Some('{' | '[' | '"') => {
            let value = edit::read(&format!("x: {}", cell.text));
            let value = value.map_err(|_| "can't be understood".to_owned())?;
            Ok(value.get("x").cloned().unwrap_or(Value::Null))
        }
        _ => Ok(Value::plain(&cell.text)),
    }
}

/// A cell in quotes where it needs them.
fn quoted(cell: &str) -> String {
    if cell.contains([',', ';', '"', '\n', '\r', '\t']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}

/// One row that can be understood.
struct Wanted {
    line: u32,
    device: String,
    tag: String,
    edits: Vec<Edit>,
    /// Where each key of the tag stands.
    columns: HashMap<String, u32>,
}

/// Reads a table against the draft. `check` says what is wrong with the configuration after edits.
pub fn import(
    csv: &str,
    tree: &Value,
    check: impl Fn(&[Edit]) -> Result<Vec<Problem>, CellProblem>,
) -> Import {
    let mut out = Import::default();
    let csv = csv.strip_prefix('\u{feff}').unwrap_or(csv);
    let mut rows = match sheet::rows(csv, sheet::delimiter(csv)) {
        Ok(rows) => rows,
        Err(quote) => {
            out.problem(quote.line, quote.column, NO_END, Some(NO_END_HINT.to_owned()));
            return out;
        }
    };
    if rows.is_empty() {
        out.problem(1, 0, "the table is empty", Some("the first row names the columns".to_owned()));
        return out;
    }
    if rows.len() > TAGS_MAX {
        let message = format!("{} rows are more than {TAGS_MAX}", rows.len());
        out.problem(1, 0, message, None);
        return out;
    }
    let Some(columns) = header(&rows.remove(0), &mut out) else { return out };
    let mut wanted: Vec<Wanted> = Vec::with_capacity(rows.len());
    let mut seen: HashMap<(String, String), u32> = HashMap::new();
    for row in &rows {
        let line = row.first().map_or(0, |cell| cell.at.line);
        let before = out.problems.len();
        let Some(row) = row_of(row, &columns, tree, &mut out) else { continue };
        if let Some(first) = seen.insert((row.device.clone(), row.tag.clone()), line) {
            let message = format!("line {first} is about this tag as well");
            out.problem(line, 0, message, None);
        }
        if out.problems.len() == before {
            wanted.push(row);
        }
    }
    let edits = |rows: &[Wanted]| rows.iter().flat_map(|row| row.edits.clone()).collect::<Vec<_>>();
    match check(&edits(&wanted)) {
        Ok(problems) => {
            let found = located(&wanted, &problems);
            wanted.retain(|row| !found.iter().any(|problem| problem.line == row.line));
            out.problems.extend(found);
        }
        Err(problem) => {
            out.problems.push(problem);
            wanted.clear();
        }
    }
    out.problems.sort_by_key(|problem| (problem.line, problem.column));
    out.rows_ok = wanted.len();
    out.edits = edits(&wanted);
    out
}

impl Import {
    fn problem(
        &mut self,
        line: u32,
        column: u32,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problems.push(CellProblem { line, column, message: message.into(), hint });
    }
}

/// The key of each column; `None` if the table can't be read without it.
fn header(cells: &[Cell], out: &mut Import) -> Option<Vec<&'static str>> {
    let mut columns: Vec<&'static str> = Vec::new();
    for cell in cells {
        let word = cell.text.to_lowercase().replace(['_', ' '], "-");
        let (line, column) = (cell.at.line, cell.at.column);
        match COLUMNS.into_iter().find(|known| *known == word) {
            Some(known) if columns.contains(&known) => {
                out.problem(line, column, format!("a second column {known}"), None);
            }
            Some(known) => columns.push(known),
            None => {
                let hint = closest(&word, COLUMNS).map(|close| format!("did you mean {close}?"));
                let hint = hint.unwrap_or_else(|| format!("known are {}", COLUMNS.join(", ")));
                out.problem(
                    line,
                    column,
                    format!("there is no column {:?}", cell.text),
                    Some(hint),
                );
            }
        }
    }
    for needed in ["device", "tag"] {
        if out.problems.is_empty() && !columns.contains(&needed) {
            let hint = "the first row names the columns, as an export has them".to_owned();
            out.problem(1, 0, format!("there is no column {needed}"), Some(hint));
        }
    }
    out.problems.is_empty().then_some(columns)
}

fn row_of(
    cells: &[Cell],
    columns: &[&'static str],
    tree: &Value,
    out: &mut Import,
) -> Option<Wanted> {
    let line = cells.first().map_or(0, |cell| cell.at.line);
    let mut values: HashMap<&'static str, (Option<Value>, u32)> = HashMap::new();
    let before = out.problems.len();
    for (column, index) in columns.iter().zip(1_u32..) {
        let cell = cells.get(usize::try_from(index).unwrap_or(usize::MAX) - 1);
        let cell = cell.filter(|cell| !cell.text.is_empty());
        let value = match cell.map(read) {
            None => None,
            Some(Ok(value)) => Some(value),
            Some(Err(message)) => {
                let hint = "write it as on one line of the configuration".to_owned();
                out.problem(line, index, message, Some(hint));
                None
            }
        };
        if NUMBERS.contains(column)
            && let Some(cell) = cell
            && has_decimal_comma(&cell.text)
        {
            let hint = format!("write {}: decimals have a point", cell.text.replace(',', "."));
            out.problem(line, index, format!("{:?} has a comma", cell.text), Some(hint));
        }
        values.insert(column, (value, index));
    }
    if let Some(extra) =
        cells.get(columns.len()..).and_then(|rest| rest.iter().find(|c| !c.text.is_empty()))
    {
        let message = "this cell has no column in the first row";
        out.problem(line, extra.at.column, message, None);
    }
    let word = |column: &str| {
        let value = values.get(column).and_then(|(value, _)| value.as_ref());
        value.and_then(Value::text).map(std::borrow::Cow::into_owned)
    };
    let at = |column: &str| values.get(column).map_or(0, |(_, index)| *index);
    let (device, tag) = (word("device"), word("tag"));
    for (column, found) in [("device", &device), ("tag", &tag)] {
        if found.is_none() {
            out.problem(line, at(column), format!("this row names no {column}"), None);
        }
    }
    let (device, tag) = (device?, tag?);
    let devices = tree.get("devices").map(Value::entries).unwrap_or_default();
    if !devices.iter().any(|(name, _)| *name == device) {
        let close = closest(&device, devices.iter().map(|(name, _)| name.as_str()));
        let hint = close.map(|close| format!("did you mean {close}?"));
        let hint = hint.unwrap_or_else(|| "add the device first".to_owned());
        out.problem(line, at("device"), format!("there is no device {device:?}"), Some(hint));
    }
    let source = source_of(&values, line, out);
    if out.problems.len() > before {
        return None;
    }
    let path: Vec<Step> =
        ["devices", &device, "tags", &tag].map(|key| Step::Key(key.to_owned())).into();
    let old = tree.at(&path);
    let mut places: HashMap<String, u32> =
        values.iter().map(|(column, (_, index))| ((*column).to_owned(), *index)).collect();
    if let Some((table, _)) = &source {
        places.insert(table.clone(), at("address"));
    }
    let edits = edits_of(&path, old, source, &values, columns);
    Some(Wanted { line, device, tag, edits, columns: places })
}

type Values = HashMap<&'static str, (Option<Value>, u32)>;

/// Table and address, if both are there; one without the other is a problem.
fn source_of(values: &Values, line: u32, out: &mut Import) -> Option<(String, Value)> {
    let get = |column: &str| values.get(column).and_then(|(value, _)| value.clone());
    let at = |column: &str| values.get(column).map_or(0, |(_, index)| *index);
    match (get("table"), get("address")) {
        (None, None) => None,
        (Some(table), Some(address)) => {
            let table = table.text().unwrap_or_default().to_lowercase();
            if !SOURCES.contains(&table.as_str()) {
                let hint = closest(&table, SOURCES).map(|close| format!("did you mean {close}?"));
                let hint =
                    hint.unwrap_or_else(|| "write holding, input, coil or discrete".to_owned());
                out.problem(line, at("table"), format!("{table:?} is no table"), Some(hint));
            }
            Some((table, address))
        }
        (Some(_), None) => {
            out.problem(line, at("address"), "a table without an address", None);
            None
        }
        (None, Some(_)) => {
            let hint = "write holding, input, coil or discrete in the column table".to_owned();
            out.problem(line, at("table"), "an address without its table", Some(hint));
            None
        }
    }
}

/// What makes the tag what its row says; keys that have no column stay as they are.
fn edits_of(
    path: &[Step],
    old: Option<&Value>,
    source: Option<(String, Value)>,
    values: &Values,
    columns: &[&'static str],
) -> Vec<Edit> {
    let of_keys = columns.iter().filter(|c| !matches!(**c, "device" | "tag" | "table" | "address"));
    let of_keys = of_keys.map(|column| {
        let value = values.get(column).and_then(|(value, _)| value.clone());
        ((*column).to_owned(), value)
    });
    let has_source = columns.contains(&"table") && columns.contains(&"address");
    let table = source.as_ref().map(|(table, _)| table.clone());
    let mut wanted: Vec<(String, Option<Value>)> = Vec::new();
    wanted.extend(source.map(|(table, address)| (table, Some(address))));
    if has_source {
        let others = SOURCES.into_iter().filter(|key| table.as_deref() != Some(*key));
        wanted.extend(others.map(|key| (key.to_owned(), None)));
    }
    wanted.extend(of_keys);
    let below = |key: &str| [path, &[Step::Key(key.to_owned())]].concat();
    let Some(old) = old else {
        let known = wanted.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let value = Value::Map(known.collect());
        return match value.entries() {
            [] => Vec::new(), // A tag of a profile, as the profile has it.
            _ => vec![Edit::Set { path: path.to_vec(), value }],
        };
    };
    let edit = |(key, value): (String, Option<Value>)| match (old.get(&key), value) {
        (Some(old), Some(new)) if old.means(&new) => None,
        (_, Some(value)) => Some(Edit::Set { path: below(&key), value }),
        (Some(_), None) => Some(Edit::Remove { path: below(&key) }),
        (None, None) => None,
    };
    wanted.into_iter().filter_map(edit).collect()
}

fn has_decimal_comma(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    unsigned.split_once(',').is_some_and(|(whole, rest)| digits(whole) && digits(rest))
}

/// Problems of the configuration at the cells that they come from.
fn located(rows: &[Wanted], problems: &[Problem]) -> Vec<CellProblem> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let found = errors.filter_map(|problem| {
        let row = rows.iter().filter(|row| {
            !row.edits.is_empty() && is_below(&problem.path, &row.device, &row.tag).is_some()
        });
        // Names may have dots, so the longest one that fits is meant.
        let row = row.max_by_key(|row| row.device.len() + row.tag.len())?;
        let key = is_below(&problem.path, &row.device, &row.tag)?;
        let key = key.split(['.', '[']).next().unwrap_or_default();
        Some(CellProblem {
            line: row.line,
            column: row.columns.get(key).copied().unwrap_or(0),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        })
    });
    found.collect()
}

/// What follows the path of a tag.
fn is_below<'p>(path: &'p str, device: &str, tag: &str) -> Option<&'p str> {
    let rest = path.strip_prefix("devices.")?.strip_prefix(device)?;
    let rest = rest.strip_prefix(".tags.")?.strip_prefix(tag)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.').or(rest.strip_prefix('[')) }
}
