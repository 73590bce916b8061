//! A table as a spreadsheet writes it (RFC 4180): cells with their places, whatever separates them.

use super::super::raw::Place;

/// What is said of a quote that never ends.
pub(in crate::config) const NO_END: &str = "a quote begins here and never ends";
pub(in crate::config) const NO_END_HINT: &str =
    "leave it out, or write it twice within a cell in quotes";

#[derive(Debug)]
pub(in crate::config) struct Cell {
    pub text: String,
    pub at: Place,
}

/// What the header has most of.
pub(in crate::config) fn delimiter(text: &str) -> char {
    let head = text.lines().next().unwrap_or_default();
    let found = |c: &char| head.matches(*c).count();
    [',', ';', '\t'].into_iter().max_by_key(found).filter(|c| found(c) > 0).unwrap_or(',')
}

/// The rows that are not empty, with rows counted as lines of the spreadsheet; or where a quote begins
/// that never ends, behind which nobody can tell cells apart.
pub(in crate::config) fn rows(text: &str, delimiter: char) -> Result<Vec<Vec<Cell>>, Place> {
    let mut rows = Vec::new();
    let mut row: Vec<Cell> = Vec::new();
    let (mut line, mut cell, mut in_quotes) = (1_u32, String::new(), false);
    let (mut start, mut quote) = (line, Place::default());
    let mut chars = text.chars().peekable();
    let place = |line: u32, row: &[Cell]| Place {
        line,
        column: u32::try_from(row.len()).unwrap_or(u32::MAX).saturating_add(1),
    };
    let mut end_row = |row: &mut Vec<Cell>| {
        let row = std::mem::take(row);
        if row.iter().any(|cell| !cell.text.is_empty()) {
            rows.push(row);
        }
    };
    loop {
        let next = chars.next();
        match next {
            Some('"') if in_quotes => {
                if chars.next_if_eq(&'"').is_some() {
                    cell.push('"');
                } else {
                    in_quotes = false;
                }
            }
            Some(c) if in_quotes => {
                line += u32::from(c == '\n');
                cell.push(c);
            }
            Some('"') if cell.trim().is_empty() => {
                cell.clear();
                in_quotes = true;
                quote = place(line, &row);
            }
            None if in_quotes => return Err(quote),
            Some(c) if c != delimiter && c != '\n' => cell.push(c),
            ended => {
                let text = std::mem::take(&mut cell).trim().to_owned();
                let at = place(start, &row);
                row.push(Cell { text, at });
                if ended != Some(delimiter) {
                    end_row(&mut row);
                    line += 1;
                    start = line;
                }
                if ended.is_none() {
                    return Ok(rows);
                }
            }
        }
    }
}
