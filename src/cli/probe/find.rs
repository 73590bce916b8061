//! Find by value, for a person: what the display shows, and which tag would show it.

use std::process::ExitCode;

use super::table::Item;
use crate::cli::paste;
use crate::codec::find::{Match, find, usual_tolerance};
use crate::model::Table;

/// Matches that are listed.
const LISTED_MAX: usize = 40;
/// Matches that are this unlikely by chance are named without doubt, in bits.
const SURE: f64 = 8.0;

/// A number, as the display shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    shown: String,
    value: f64,
}

pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value != 0.0 => {
            Ok(Wanted { shown: text.to_owned(), value })
        }
        Ok(_) => {
            Err("--find 0: zeros are everywhere; wait until the display shows something".into())
        }
        Err(_) if text.contains(',') => {
            Err(format!("--find {text}: decimals are written with a point"))
        }
        Err(_) => Err(format!("--find {text}: this is not a number")),
    }
}

/// Lists the matches, the likeliest first.
pub(super) fn show(
    table: Table,
    items: &[Item],
    wanted: &Wanted,
    tolerance: Option<f64>,
) -> ExitCode {
    let tolerance = tolerance.unwrap_or_else(|| usual_tolerance(&wanted.shown, wanted.value));
    let words: Vec<Option<u16>> = items.iter().map(|(_, item)| item.ok()).collect();
    let matches = find(&words, wanted.value, tolerance);
    if matches.is_empty() {
        let read = words.iter().flatten().count();
        println!(
            "no register of the {read} that could be read shows {} (± {tolerance}) in any type, order or scale",
            wanted.shown
        );
        return ExitCode::FAILURE;
    }
    for line in lines(table, items, &matches) {
        println!("{line}");
    }
    if let Some(more) = matches.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
        println!("# and {more} more, less likely; a smaller --tolerance leaves them out");
    }
    ExitCode::SUCCESS
}

fn lines(table: Table, items: &[Item], matches: &[Match]) -> Vec<String> {
    let listed = || matches.iter().take(LISTED_MAX);
    let tags: Vec<String> = listed()
        .map(|found| {
            let address = items.get(found.at).map_or(0, |(at, _)| *at);
            let tag = paste::tag(table, address, &found.coding, found.scale);
            format!("{}_{address}: {tag}", table.name())
        })
        .collect();
    let width = tags.iter().map(String::len).max().unwrap_or(0);
    let line = |(tag, found): (&String, &Match)| {
        let doubt = if found.surprise < SURE { "  (may be chance)" } else { "" };
        format!("{tag:<width$}  # {}{doubt}", rounded(found.value))
    };
    tags.iter().zip(listed()).map(line).collect()
}

/// Without the digits that a calculation added.
fn rounded(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_tags_with_what_they_show() {
        let items: Vec<Item> = (100..).zip([0, 2314, 0x6B85, 0x4367].map(Ok)).collect();
        let matches = find(&items.iter().map(|(_, w)| w.ok()).collect::<Vec<_>>(), 231.4, 0.05);
        let lines = lines(Table::Input, &items, &matches);
        assert!(
            lines[0].starts_with("input_102: { input: 102, type: f32, order: CDAB } "),
            "{lines:#?}"
        );
        assert!(lines[0].ends_with("  # 231.42"), "{lines:#?}");
        assert!(
            lines[1].starts_with("input_101: { input: 101, type: u16, scale: 0.1 }"),
            "{lines:#?}"
        );
    }

    #[test]
    fn numbers_that_can_not_be_found_are_refused() {
        for (text, word) in
            [("0", "zeros"), ("231,4", "point"), ("much", "not a number"), ("nan", "zeros")]
        {
            assert!(wanted(text).unwrap_err().contains(word), "{text}");
        }
        assert_eq!(wanted("-12.30").unwrap().value, -12.3);
    }
}
