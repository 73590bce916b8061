//! A register list as a spreadsheet gives it: a header, then one tag per row.
//!
//! Separated by comma, semicolon or tab, whichever the header has most of; cells in quotes may hold
//! anything. Cells are read as the configuration reads the key of their column, so a problem names
//! the row and the column and says what it would say there.

use super::super::defaults::TAGS_MAX;
use super::super::kinds;
use super::super::problem::{Complaint, Findings, Problems, Spot, closest};
use super::super::raw::{FILE_BYTES_MAX, Node, Place};
use super::super::values::quoted;
use super::draft::{Draft, Group, Imported, Tag, map, scalar};
use super::sheet::{Cell, NO_END, NO_END_HINT, delimiter, rows};

/// Columns by the key they hold, and what else they are called.
const COLUMNS: [(&str, &[&str]); 22] = [
    ("name", &["tag", "signal", "tag name", "variable"]),
    ("group", &[]),
    ("table", &["register type", "area", "object type", "memory"]),
    ("address", &["register", "reg", "addr"]),
    ("type", &["datatype", "data type", "format", "data format"]),
    ("order", &["byte order", "word order", "endianness"]),
    ("scale", &["factor", "multiplier", "gain", "resolution"]),
    ("offset", &[]),
    ("scale-register", &["sf", "scale register"]),
    ("unit", &["units", "engineering unit"]),
    ("count", &[]),
    ("labels", &["enum", "values", "states"]),
    ("not-available", &["nan", "invalid"]),
    ("every", &["interval", "poll"]),
    ("class", &[]),
    ("publish", &[]),
    ("topic", &[]),
    ("write", &["access", "rw", "r/w"]),
    ("min", &["minimum"]),
    ("max", &["maximum"]),
    ("step", &[]),
    ("about", &["description", "comment", "label", "notes"]),
];

/// Columns whose numbers may have a decimal comma.
const DECIMALS: [&str; 5] = ["scale", "offset", "min", "max", "step"];

const TABLES: [(&str, &[&str]); 4] = [
    ("holding", &["holding register", "holding registers", "hr", "4x", "fc3", "fc03"]),
    ("input", &["input register", "input registers", "ir", "3x", "fc4", "fc04"]),
    ("coil", &["coils", "0x", "fc1", "fc01", "digital output"]),
    ("discrete", &["discrete input", "discrete inputs", "di", "1x", "fc2", "fc02"]),
];

/// Makes the profile `name` of a list; `file` is how problems call it.
pub fn csv(text: &str, name: &str, file: &str) -> Result<Imported, Problems> {
    let mut out = Findings::new(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > FILE_BYTES_MAX {
        out.error(&Spot::default(), format!("has more than {FILE_BYTES_MAX} bytes"));
        return Err(Problems(out.into_problems()));
    }
    let delimiter = delimiter(text);
    let mut rows = match rows(text, delimiter) {
        Ok(rows) => rows,
        Err(quote) => {
            out.error(&Spot::at(quote), Complaint::new(NO_END).hint(NO_END_HINT));
            return Err(Problems(out.into_problems()));
        }
    };
    if rows.is_empty() {
        out.error(&Spot::default(), Complaint::new("is empty").hint("write a header and rows"));
        return Err(Problems(out.into_problems()));
    }
    let columns = header(&rows.remove(0), &mut out);
    if rows.len() > TAGS_MAX {
        out.error(&Spot::default(), format!("{} rows are more than {TAGS_MAX}", rows.len()));
        return Err(Problems(out.into_problems()));
    }
    let mut draft = Draft {
        name: name.to_owned(),
        title: name.to_owned(),
        kind: "other".to_owned(),
        source: format!("register list {file}"),
        ..Draft::default()
    };
    for row in &rows {
        let Row { group, tag } = row_of(row, &columns, delimiter, &mut out);
        let group = if group.is_empty() { "main".to_owned() } else { group };
        match draft.groups.iter_mut().find(|known| known.name == group) {
            Some(known) => known.tags.push(tag),
            None => draft.groups.push(Group {
                name: group,
                is_default: true,
                tags: vec![tag],
                ..Group::default()
            }),
        }
    }
    draft.finish(out)
}

/// The key of each column; `None` for those that say nothing here.
fn header(cells: &[Cell], out: &mut Findings) -> Vec<Option<&'static str>> {
    let mut columns: Vec<Option<&'static str>> = Vec::with_capacity(cells.len());
    for cell in cells {
        let word = cell.text.to_lowercase();
        let found = COLUMNS
            .iter()
            .find(|(key, others)| *key == word || others.contains(&word.as_str()))
            .map(|(key, _)| *key);
        let spot = Spot::at(cell.at);
        match found {
            Some(key) if columns.contains(&Some(key)) => {
                out.error(&spot, format!("a second column {key}"));
                columns.push(None);
            }
            Some(key) => columns.push(Some(key)),
            None => {
                if !word.is_empty() {
                    let complaint =
                        Complaint::new(format!("the column {} is not used", quoted(&cell.text)));
                    let known = COLUMNS.iter().map(|(key, _)| *key);
                    let complaint = match closest(&word, known) {
                        Some(close) => complaint.hint(format!("did you mean {close}?")),
                        None => complaint,
                    };
                    out.warning(&spot, complaint);
                }
                columns.push(None);
            }
        }
    }
    let at = cells.first().map_or(Place::default(), |cell| cell.at);
    for key in ["name", "address"] {
        if !columns.contains(&Some(key)) {
            let complaint = Complaint::new(format!("there is no column {key}"));
            out.error(&Spot::at(at), complaint.hint("the first row names the columns"));
        }
    }
    columns
}

struct Row {
    group: String,
    tag: Tag,
}

fn row_of(
    cells: &[Cell],
    columns: &[Option<&'static str>],
    delimiter: char,
    out: &mut Findings,
) -> Row {
    let start = cells.first().map_or(Place::default(), |cell| cell.at);
    let find = |key: &str| {
        let at = columns.iter().position(|column| *column == Some(key))?;
        cells.get(at).filter(|cell| !cell.text.is_empty())
    };
    let name = find("name").map(|cell| cell.text.as_str()).unwrap_or_default();
    let mut tag = Tag { name: tag_name(name), at: start, ..Tag::default() };
    // What is wrong here is stood in for, so that the rest of the row is looked at.
    let stand_in = |at: Place| ("holding".to_owned(), scalar(at, "0"));
    if name.is_empty() {
        out.error(&Spot::at(start), "this row has no name");
        tag.name = format!("row_{}", start.line);
    }
    if let Some(cell) = find("address") {
        match place_of(find("table"), cell) {
            Ok((table, address)) => tag.keys.push((table, scalar(cell.at, address))),
            Err((at, complaint)) => {
                out.error(&Spot::at(at), complaint);
                tag.keys.push(stand_in(at));
            }
        }
    } else {
        out.error(&Spot::at(start), "this row has no address");
        tag.keys.push(stand_in(start));
    }
    for key in [
        "type",
        "order",
        "scale",
        "offset",
        "scale-register",
        "unit",
        "count",
        "not-available",
        "every",
        "class",
        "publish",
        "topic",
    ] {
        let Some(cell) = find(key) else { continue };
        let text = match key {
            "type" => kinds::translated(&cell.text).unwrap_or(&cell.text).to_owned(),
            _ => decimal(key, cell, delimiter, out),
        };
        tag.keys.push((key.to_owned(), scalar(cell.at, text)));
    }
    if let Some(cell) = find("labels") {
        match labels(cell) {
            Ok(labels) => tag.keys.push(("labels".to_owned(), labels)),
            Err(complaint) => out.error(&Spot::at(cell.at), complaint),
        }
    }
    if let Some(cell) = find("write") {
        let word = cell.text.to_lowercase();
        match word.as_str() {
            "true" | "yes" | "rw" | "r/w" | "w" | "wo" | "read/write" | "x" => {
                let limit =
                    |key: &str, cell: &Cell| scalar(cell.at, decimal(key, cell, delimiter, out));
                tag.keys.push(("write".to_owned(), write(cell, find, limit)));
            }
            "false" | "no" | "r" | "ro" | "read" | "read only" | "-" => {}
            _ => {
                let complaint = Complaint::new(format!("{} is unknown", quoted(&cell.text)));
                out.error(&Spot::at(cell.at), complaint.hint("write rw or r"));
            }
        }
    }
    tag.comment = find("about").map(|cell| cell.text.clone()).unwrap_or_default();
    Row { group: find("group").map(|cell| tag_name(&cell.text)).unwrap_or_default(), tag }
}

/// A name without what a name can't hold.
fn tag_name(text: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = text.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    name.trim_matches('_').to_owned()
}

/// Table and address on the wire. Without a table the number itself says it, as manuals write it:
/// 40001 is holding 0.
fn place_of(table: Option<&Cell>, address: &Cell) -> Result<(String, String), (Place, Complaint)> {
    if let Some(cell) = table {
        let word = cell.text.to_lowercase();
        let found =
            TABLES.iter().find(|(key, others)| *key == word || others.contains(&word.as_str()));
        return match found {
            Some((key, _)) => Ok(((*key).to_owned(), address.text.clone())),
            None => {
                let complaint = Complaint::new(format!("{} is no table", quoted(&cell.text)));
                Err((cell.at, complaint.hint("write holding, input, coil or discrete")))
            }
        };
    }
    let digits = &address.text;
    let reference = digits.parse::<u32>().ok().filter(|_| matches!(digits.len(), 5 | 6));
    let base = if digits.len() == 6 { 100_000 } else { 10_000 };
    let found = reference.and_then(|reference| {
        let table = match reference / base {
            0 => "coil",
            1 => "discrete",
            3 => "input",
            4 => "holding",
            _ => return None,
        };
        Some((table.to_owned(), (reference % base).checked_sub(1)?.to_string()))
    });
    found.ok_or_else(|| {
        let complaint = Complaint::new(format!("{} says no table", quoted(digits)));
        (address.at, complaint.hint("add a column table, or write 40001 for holding 0"))
    })
}

/// A decimal comma becomes a point. Where commas separate no decimals, "1,000" may be a thousand: a
/// spreadsheet that writes decimals with a comma separates its cells with semicolons.
fn decimal(key: &str, cell: &Cell, delimiter: char, out: &mut Findings) -> String {
    let text = &cell.text;
    if !DECIMALS.contains(&key) || text.contains('.') || text.matches(',').count() != 1 {
        return text.clone();
    }
    let with_point = text.replace(',', ".");
    if delimiter != ';' && is_in_thousands(text) {
        let complaint = Complaint::new(format!("{} may be a thousand or one", quoted(text)));
        let hint = format!("write {with_point} or {}", text.replace(',', ""));
        out.error(&Spot::at(cell.at), complaint.hint(hint));
    }
    with_point
}

/// One to three digits, not only a zero, a comma, three digits.
fn is_in_thousands(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['-', '+']);
    unsigned.split_once(',').is_some_and(|(whole, rest)| {
        rest.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0')
    })
}

/// `0=off | 1=on`, also with `:` and `;` or `,`.
fn labels(cell: &Cell) -> Result<Node, Complaint> {
    let parts = cell.text.split(['|', ';', ',', '\n']).map(str::trim).filter(|p| !p.is_empty());
    let pairs: Option<Vec<_>> = parts
        .map(|part| {
            let (code, text) = part.split_once(['=', ':'])?;
            Some((code.trim().to_owned(), scalar(cell.at, text.trim())))
        })
        .collect();
    let pairs = pairs.ok_or_else(|| {
        Complaint::new(format!("{} is no list of labels", quoted(&cell.text)))
            .hint("write 0=off | 1=on")
    })?;
    Ok(map(cell.at, pairs))
}

fn write<'c>(
    cell: &Cell,
    find: impl Fn(&str) -> Option<&'c Cell>,
    mut limit: impl FnMut(&str, &Cell) -> Node,
) -> Node {
    let limits = ["min", "max", "step"].into_iter();
    let limits = limits.filter_map(|key| Some((key.to_owned(), limit(key, find(key)?))));
    let limits: Vec<_> = limits.collect();
    if limits.is_empty() { scalar(cell.at, "true") } else { map(cell.at, limits) }
}
