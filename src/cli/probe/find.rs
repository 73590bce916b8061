//! Find by value, for a person: what the display shows, and which tag would show it.

use std::process::ExitCode;

use crate::codec::find::{Match, Shown, find};
use crate::codec::side_by_side::Item;
use crate::config::paste;
use crate::model::Table;

/// Matches that are listed.
const LISTED_MAX: usize = 40;

/// Lists the matches, the likeliest first.
pub(super) fn show(
    table: Table,
    items: &[Item],
    wanted: &Shown,
    tolerance: Option<f64>,
) -> ExitCode {
    let tolerance = tolerance.unwrap_or_else(|| wanted.tolerance());
    let words: Vec<Option<u16>> = items.iter().map(|(_, item)| item.ok()).collect();
    let matches = find(&words, wanted.value, tolerance);
    if matches.is_empty() {
        let read = words.iter().flatten().count();
        println!(
            "no register of the {read} that could be read shows {} (± {tolerance}) in any type, order or scale",
            wanted.text
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
        let doubt = if found.may_be_chance() { "  (may be chance)" } else { "" };
        format!("{tag:<width$}  # {}{doubt}", found.shown())
    };
    tags.iter().zip(listed()).map(line).collect()
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
}
