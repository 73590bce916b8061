//! Two texts, line by line.

use std::fmt::Write;

/// Lines shown around a difference.
const AROUND: usize = 3;
/// Pairs of lines that are compared; beyond, a difference is shown as one block.
const PAIRS_MAX: usize = 4_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The differing lines with some around them, as `diff -u` shows them.
pub fn difference(old: &str, new: &str) -> String {
    let edits = edits(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
    let changed: Vec<usize> = edits
        .iter()
        .enumerate()
        .filter(|(_, edit)| !matches!(edit, Edit::Same(_)))
        .map(|(at, _)| at)
        .collect();
    let near = |at: usize| {
        let next = changed.partition_point(|changed| changed + AROUND < at);
        changed.get(next).is_some_and(|changed| *changed <= at + AROUND)
    };
    let (mut out, mut line, mut shown) = (String::new(), 1, false);
    for (at, edit) in edits.iter().enumerate() {
        let show = near(at);
        if show && !shown {
            let _ = writeln!(out, "@@ line {line} @@");
        }
        shown = show;
        let (sign, text) = match edit {
            Edit::Same(text) => (' ', text),
            Edit::Gone(text) => ('-', text),
            Edit::New(text) => ('+', text),
        };
        if show {
            let _ = writeln!(out, "{sign}{text}");
        }
        if !matches!(edit, Edit::New(_)) {
            line += 1;
        }
    }
    out
}

fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or(&[]), new.get(head..).unwrap_or(&[]));
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let middle = |lines: &[&'a str]| lines.get(..lines.len() - tail).unwrap_or(&[]).to_vec();
    let same = |lines: &[&'a str]| lines.iter().map(|line| Edit::Same(line)).collect::<Vec<_>>();
    let mut edits = same(old.get(..head).unwrap_or(&[]));
    edits.extend(between(&middle(old_rest), &middle(new_rest)));
    edits.extend(same(old.get(old.len() - tail..).unwrap_or(&[])));
    edits
}

/// By the longest common subsequence.
fn between<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let gone = |lines: &[&'a str]| lines.iter().map(|line| Edit::Gone(line)).collect::<Vec<_>>();
    let added = |lines: &[&'a str]| lines.iter().map(|line| Edit::New(line)).collect::<Vec<_>>();
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        return [gone(old), added(new)].concat();
    }
    // `common(i, j)`: how many lines old[i..] and new[j..] have in common.
    let width = new.len() + 1;
    let mut table = vec![0_u32; (old.len() + 1) * width];
    let at = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let best = if a == b {
                at(&table, i + 1, j + 1) + 1
            } else {
                at(&table, i + 1, j).max(at(&table, i, j + 1))
            };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut edits) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if a == b {
            edits.push(Edit::Same(a));
            (i, j) = (i + 1, j + 1);
        } else if at(&table, i + 1, j) >= at(&table, i, j + 1) {
            edits.push(Edit::Gone(a));
            i += 1;
        } else {
            edits.push(Edit::New(b));
            j += 1;
        }
    }
    edits.extend(gone(old.get(i..).unwrap_or(&[])));
    edits.extend(added(new.get(j..).unwrap_or(&[])));
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_changed_and_a_little_around_it() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\n";
        let new = "a\nb\nc\nd\nE\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\n";
        assert_eq!(
            difference(old, new),
            "@@ line 2 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n@@ line 12 @@\n l\n m\n n\n+o\n"
        );
    }

    proptest! {
        #[test]
        fn the_edits_lead_from_one_to_the_other(
            old in prop::collection::vec("[ab]", 0..12),
            new in prop::collection::vec("[ab]", 0..12),
        ) {
            let old: Vec<&str> = old.iter().map(String::as_str).collect();
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            let edits = edits(&old, &new);
            let left: Vec<&str> = edits.iter().filter_map(|edit| match edit {
                Edit::Same(text) | Edit::Gone(text) => Some(*text),
                Edit::New(_) => None,
            }).collect();
            let right: Vec<&str> = edits.iter().filter_map(|edit| match edit {
                Edit::Same(text) | Edit::New(text) => Some(*text),
                Edit::Gone(_) => None,
            }).collect();
            prop_assert_eq!(left, old);
            prop_assert_eq!(right, new);
        }
    }
}
