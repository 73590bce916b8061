//! The queue over time, in characters. Pure.

use super::words::{readings, span};
use crate::model::tone::{Line, Tone};
use crate::runtime::rehearsal::{Answer, Sample};

/// Lines of the picture.
const HEIGHT: u64 = 8;
/// Columns for what stands on the left.
const LABEL: usize = 8;

/// What it is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    Ascii,
    /// Eighths of a character.
    Blocks,
}

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The picture with its axes, in at most `width` columns.
pub fn lines(answer: &Answer, width: usize, marks: Marks) -> Vec<Line> {
    let columns = width.saturating_sub(LABEL + 2).max(10);
    let end = answer.samples.last().map_or(answer.outage_ms, |sample| sample.at_ms).max(1);
    let at = |column: usize| {
        let (column, columns) = (wide(column), wide(columns - 1).max(1));
        u64::try_from(u128::from(end) * u128::from(column) / u128::from(columns)).unwrap_or(end)
    };
    let heights: Vec<u64> =
        (0..columns).map(|column| waiting(&answer.samples, at(column))).collect();
    let most = answer.samples.iter().map(Sample::waiting).max().unwrap_or(0).max(1);
    let mut out = vec![Line::new(), Line::new().add(Tone::Faint, "readings that wait")];
    for row in (0..HEIGHT).rev() {
        let label = match row {
            _ if row == HEIGHT - 1 => readings(most),
            0 => "0".to_owned(),
            _ => String::new(),
        };
        let cell = |height: &u64| mark(*height, most, row, marks);
        let cells: String = heights.iter().map(cell).collect();
        let edge = if marks == Marks::Ascii { "|" } else { "│" };
        let line = Line::new().right(Tone::Faint, &label, LABEL).add(Tone::Faint, edge);
        out.push(line.text(cells.trim_end()));
    }
    let back =
        (0..columns).position(|column| at(column) >= answer.outage_ms).unwrap_or(columns - 1);
    let (dash, cross) = if marks == Marks::Ascii { ('-', '+') } else { ('─', '┴') };
    let axis: String =
        (0..columns).map(|column| if column == back { cross } else { dash }).collect();
    let corner = if marks == Marks::Ascii { "+" } else { "└" };
    out.push(Line::new().add(Tone::Faint, format!("{:LABEL$}{corner}{axis}", "")));
    out.push(Line::new().add(Tone::Faint, under(answer, end, back, columns)));
    out
}

/// What stands under the axis: the return of the link and the end.
fn under(answer: &Answer, end: u64, back: usize, columns: usize) -> String {
    let link = format!("{}: the link is back", span(answer.outage_ms));
    let last = if end > answer.outage_ms { span(end) } else { String::new() };
    let start = back.min(columns.saturating_sub(link.len()));
    let mut out = format!("{:LABEL$} {:start$}{link}", "", "");
    let room = (LABEL + 1 + columns).saturating_sub(out.chars().count() + last.len());
    if room > 1 && back + link.len() + last.len() < columns {
        out += &format!("{:room$}{last}", "");
    }
    out
}

/// One character of a column that is `height` of `most` high.
fn mark(height: u64, most: u64, row: u64, marks: Marks) -> char {
    let eighths = u128::from(height) * u128::from(HEIGHT * 8) / u128::from(most);
    let here = u64::try_from(eighths).unwrap_or(0).saturating_sub(row * 8).min(8);
    // Something that waits is never shown as nothing.
    let here = if row == 0 && height > 0 { here.max(1) } else { here };
    match marks {
        Marks::Blocks => {
            usize::try_from(here).ok().and_then(|n| EIGHTHS.get(n)).copied().unwrap_or(' ')
        }
        Marks::Ascii if here >= 4 || (row == 0 && here > 0) => '#',
        Marks::Ascii => ' ',
    }
}

/// What waits at a moment, between two that are known.
fn waiting(samples: &[Sample], at_ms: u64) -> u64 {
    let after = samples.iter().position(|sample| sample.at_ms >= at_ms);
    let Some(after) = after else { return samples.last().map_or(0, Sample::waiting) };
    let Some(next) = samples.get(after) else { return 0 };
    let Some(before) = after.checked_sub(1).and_then(|before| samples.get(before)) else {
        return next.waiting();
    };
    let whole = i128::from(next.at_ms - before.at_ms).max(1);
    let part = i128::from(at_ms.saturating_sub(before.at_ms));
    let (from, to) = (i128::from(before.waiting()), i128::from(next.waiting()));
    u64::try_from(from + (to - from) * part / whole).unwrap_or(0)
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
