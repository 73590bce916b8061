//! Tables that come a page at a time: columns are as wide as their first page needs, and wider from
//! where a later page needs more.

use std::io::{self, IsTerminal};

use crate::cli::view::{Line, Tone, painted};

/// Space between two columns.
const GAP: &str = "  ";

pub struct Table<const N: usize> {
    heads: [&'static str; N],
    widths: [usize; N],
    is_begun: bool,
    is_terminal: bool,
}

/// What stands in one place.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
    is_right: bool,
}

impl Cell {
    /// Text of others, without what could play tricks on a terminal.
    pub fn text(text: &str) -> Self {
        let text = text.replace(char::is_control, "�");
        Self { text, tone: Tone::Plain, is_right: false }
    }

    pub fn count(n: u64) -> Self {
        Self::number(n.to_string())
    }

    /// A number in words of its own.
    pub fn number(text: String) -> Self {
        Self { text, tone: Tone::Plain, is_right: true }
    }

    /// A count of something that should not be.
    pub fn fault(count: u64) -> Self {
        let tone = if count > 0 { Tone::Doubt } else { Tone::Plain };
        Self { tone, ..Self::count(count) }
    }

    #[must_use]
    pub fn in_tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

impl<const N: usize> Table<N> {
    pub fn new(heads: [&'static str; N]) -> Self {
        let widths = heads.map(|head| head.chars().count());
        Self { heads, widths, is_begun: false, is_terminal: io::stdout().is_terminal() }
    }

    /// The lines of more rows; before the first of all the head.
    pub fn page(&mut self, rows: Vec<[Cell; N]>) -> String {
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let mut out = String::new();
        if !rows.is_empty() && !std::mem::replace(&mut self.is_begun, true) {
            let is_right = rows.first().map(|row| row.each_ref().map(|cell| cell.is_right));
            let is_right = is_right.unwrap_or([false; N]);
            let mut heads = self.heads.into_iter().zip(is_right);
            let head = std::array::from_fn(|_| {
                let (text, is_right) = heads.next().unwrap_or_default();
                Cell { text: text.to_owned(), tone: Tone::Faint, is_right }
            });
            self.line(&mut out, head);
        }
        for row in rows {
            self.line(&mut out, row);
        }
        out
    }

    fn line(&self, out: &mut String, row: [Cell; N]) {
        let mut line = Line::new();
        let mut owed = 0;
        for (at, (cell, width)) in row.into_iter().zip(self.widths).enumerate() {
            let room = width - cell.text.chars().count().min(width);
            let gap = if at > 0 { GAP } else { "" };
            let before = if cell.is_right { owed + room } else { owed };
            // Nothing is filled up behind the last column.
            owed = if cell.is_right { 0 } else { room };
            line = line.text(format!("{gap}{:before$}", "")).add(cell.tone, cell.text);
        }
        out.push_str(&if self.is_terminal { painted(&line) } else { line.to_string() });
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_grow() {
        let mut table = Table::new(["client", "in", "user"]);
        let row = |id, n: u64, user| [Cell::text(id), Cell::count(n), Cell::text(user)];
        let first = table.page(vec![row("a", 1, "x"), row("a-longer", 1000, "")]);
        assert_eq!(first, "client      in  user\na            1  x\na-longer  1000  \n");
        let second = table.page(vec![row("a-still-longer\x1b[2J", 5, "x")]);
        assert_eq!(second, "a-still-longer�[2J     5  x\n");
        assert_eq!(table.page(Vec::new()), "");
    }
}
