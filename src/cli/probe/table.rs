//! Registers in every interpretation, side by side, in as many columns as the terminal has.
//!
//! Groups of columns stand next to each other as long as they fit and below each other where they
//! don't; each row begins with its address. Nothing is marked as the right one: what looks
//! plausible misleads, `--find` is the way.

use crate::codec::side_by_side::{self, Item, ORDERS, PAIRS, WIDE};
use crate::model::{Kind, Order, Table};

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Characters of a line.
    pub width: usize,
    /// With values of four registers.
    pub wide: bool,
}

/// Cells are no wider: of a number that has more digits only the size is shown.
const CELL_MAX: usize = 11;
const CELL_WIDE_MAX: usize = 14;
const GAP: &str = "  ";

/// One line per row; `changed` says which addresses are marked.
pub(super) fn show(
    table: Table,
    items: &[Item],
    changed: impl Fn(u16) -> bool,
    look: Look,
) -> Vec<String> {
    let addresses: Vec<String> = items
        .iter()
        .map(|(at, _)| format!("{}{at:>5}", if changed(*at) { '*' } else { ' ' }))
        .collect();
    let first = Column::new("addr", addresses);
    let groups = if table.is_bits() { vec![bits(items)] } else { registers(items, look.wide) };
    let mut lines: Vec<String> = Vec::new();
    let mut row: Vec<Column> = Vec::new();
    for group in groups {
        if !lines.is_empty() || !row.is_empty() {
            // Nothing starts anywhere: a single register, or holes all over.
            let empty = |column: &Column| column.cells.iter().all(String::is_empty);
            if group.iter().all(empty) {
                continue;
            }
        }
        let width =
            |columns: &[Column]| columns.iter().map(|c| c.width() + GAP.len()).sum::<usize>();
        let together = first.width() + width(&row) + width(&group);
        if !row.is_empty() && together > look.width {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.extend(lay_out(&first, &row));
            row.clear();
        }
        row.extend(group);
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.extend(lay_out(&first, &row));
    lines
}

struct Column {
    title: String,
    cells: Vec<String>,
    left: bool,
}

impl Column {
    fn new(title: &str, cells: Vec<String>) -> Self {
        Self { title: title.to_owned(), cells, left: false }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.chain([self.title.chars().count()]).max().unwrap_or(0)
    }

    fn line(&self, text: &str) -> String {
        let width = self.width();
        if self.left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}

fn lay_out(first: &Column, columns: &[Column]) -> Vec<String> {
    let all = || std::iter::once(first).chain(columns);
    let join = |cells: Vec<String>| cells.join(GAP).trim_end().to_owned();
    let head = join(all().map(|column| column.line(&column.title)).collect());
    let rows = (0..first.cells.len()).filter_map(|row| {
        // A row of a group that has nothing to say about it is left out.
        let says = columns.iter().any(|c| c.cells.get(row).is_some_and(|cell| !cell.is_empty()));
        let cell = |column: &Column| column.line(column.cells.get(row).map_or("", String::as_str));
        says.then(|| join(all().map(cell).collect()))
    });
    std::iter::once(head).chain(rows).collect()
}

fn bits(items: &[Item]) -> Vec<Column> {
    let bit = |(_, item): &Item| match item {
        Ok(bit) => bit.to_string(),
        Err(code) => refusal(*code),
    };
    let mut column = Column::new("bit", items.iter().map(bit).collect());
    column.left = true;
    vec![column]
}

fn refusal(code: u8) -> String {
    format!("── exception {code:02}")
}

fn registers(items: &[Item], wide: bool) -> Vec<Vec<Column>> {
    let mut single = vec![
        Column::new("hex", each(items, side_by_side::hex)),
        Column::new("u16", each(items, |word| word.to_string())),
        Column::new("i16", each(items, |word| word.cast_signed().to_string())),
        Column::new("bcd", read_at(items, Kind::Bcd { bits: 16 }, Order::Abcd, CELL_MAX)),
        Column::new("bits", each(items, side_by_side::bits)),
        Column::new("text", each(items, side_by_side::letters)),
    ];
    // What can't be read says so where its registers would stand.
    if let Some(last) = single.last_mut() {
        last.left = true;
        for (cell, (_, item)) in last.cells.iter_mut().zip(items) {
            if let Err(code) = item {
                *cell = refusal(*code);
            }
        }
    }
    let mut groups = vec![single];
    groups.extend(PAIRS.map(|(name, kind)| in_orders(items, name, kind, CELL_MAX)));
    if wide {
        groups.extend(WIDE.map(|(name, kind)| in_orders(items, name, kind, CELL_WIDE_MAX)));
    }
    groups
}

fn each(items: &[Item], show: impl Fn(u16) -> String) -> Vec<String> {
    items.iter().map(|(_, item)| item.map_or(String::new(), &show)).collect()
}

fn in_orders(items: &[Item], name: &str, kind: Kind, most: usize) -> Vec<Column> {
    let columns = ORDERS.iter().map(|(order, letters)| {
        Column::new(&format!("{name} {letters}"), read_at(items, kind, *order, most))
    });
    columns.collect()
}

/// What starts at each register, read in this way; empty where registers are missing.
fn read_at(items: &[Item], kind: Kind, order: Order, most: usize) -> Vec<String> {
    let cells = side_by_side::starting(items, kind, order, most).into_iter();
    cells.map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NARROW: Look = Look { width: 80, wide: false };

    fn items(words: &[u16]) -> Vec<Item> {
        (6..).zip(words.iter().map(|word| Ok(*word))).collect()
    }

    fn shown(words: &[u16], look: Look) -> Vec<String> {
        show(Table::Holding, &items(words), |_| false, look)
    }

    #[test]
    fn shows_every_register_with_what_starts_there() {
        let lines = shown(&[0x4367, 0x6B85], NARROW);
        assert_eq!(lines[0], "  addr   hex    u16    i16   bcd                 bits  text");
        assert_eq!(lines[1], "     6  4367  17255  17255  4367  0100 0011 0110 0111  Cg");
        assert!(lines[5].starts_with("     6") && lines[5].contains(" 231.42 "), "{lines:#?}");
        let at_last = lines.iter().skip(4).any(|line| line.starts_with("     7"));
        assert!(!at_last, "nothing of two registers starts at the last: {lines:#?}");
        let swapped = shown(&[0x6B85, 0x4367], Look { width: 200, wide: true });
        assert!(swapped[1].contains("231.42"), "{swapped:#?}");
        assert_eq!(show(Table::Coil, &items(&[1]), |_| false, NARROW)[1], "     6  1");
    }

    #[test]
    fn what_can_not_be_read_says_so_in_its_row() {
        let items = [(4, Ok(1)), (5, Err(2)), (6, Ok(3)), (9, Ok(4))];
        let lines = show(Table::Holding, &items, |at| at == 6, NARROW);
        assert!(lines[2].ends_with("── exception 02"), "{lines:#?}");
        assert!(lines[3].starts_with("*    6"), "{lines:#?}");
        // Nothing of two registers starts anywhere: the neighbours are missing.
        assert_eq!(lines.len(), 5, "{lines:#?}");
    }

    #[test]
    fn a_wider_terminal_has_more_side_by_side() {
        let words: Vec<u16> = (0..8).map(|i| 0x4300_u16.wrapping_add(i * 7919)).collect();
        for (width, tables) in [(80, 7), (120, 4), (240, 3), (500, 1)] {
            let lines = shown(&words, Look { width, wide: true });
            let heads = lines.iter().filter(|line| line.trim_start().starts_with("addr")).count();
            assert!(heads <= tables, "{heads} tables at {width}: {lines:#?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_eighty_characters(
            words in proptest::collection::vec(proptest::option::weighted(0.8, any::<u16>()), 0..30),
            wide in any::<bool>(),
        ) {
            let items: Vec<Item> = (65_500..).zip(words.iter().map(|w| w.ok_or(2))).collect();
            for line in show(Table::Input, &items, |_| true, Look { width: 80, wide }) {
                prop_assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
