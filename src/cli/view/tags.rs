//! The list of tags, in as many lines as there are.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{items, number, span, text};
use crate::model::tone::{Line, Tone, cut};

/// Characters for value and unit, quality with its shape, age.
const VALUE: usize = 20;
const QUALITY: usize = 19;
const AGE: usize = 7;
/// Least and most characters for the name.
const NAME_MIN: usize = 12;
const NAME_MAX: usize = 60;
/// From this many characters for the name on, the whole topic is shown.
const NAME_TOPIC: usize = 44;
/// More digits than this of a broken number tell a person nothing.
const NUMBER: usize = 12;

/// At most `height` lines: a heading, tags, and a line that counts those left out. Where not all
/// have room every device shows some, those that are not good first.
pub fn lines(status: &Value, width: usize, height: usize) -> Vec<Line> {
    let all: Vec<_> = items(status, "/tags").collect();
    let Some(room) = height.checked_sub(1) else { return Vec::new() };
    if all.is_empty() {
        return vec![Line::new().add(Tone::Faint, "no tag was read yet")];
    }
    let chosen = if all.len() <= room { all.clone() } else { choose(&all, room.saturating_sub(1)) };
    let name = width.saturating_sub(VALUE + QUALITY + AGE + 5).clamp(NAME_MIN, NAME_MAX);
    let mut out = Vec::with_capacity(height);
    if !chosen.is_empty() {
        let heading = |line: Line, text, width| line.left(Tone::Faint, text, width);
        let line = heading(Line::new().text(" "), "tag", name).text(" ");
        let line = line.right(Tone::Faint, "last value", VALUE).text("  ");
        out.push(heading(line, "quality", QUALITY).right(Tone::Faint, "age", AGE));
    }
    out.extend(chosen.iter().map(|tag| one_tag(tag, name)));
    if chosen.len() < all.len() {
        let hidden = all.len() - chosen.len();
        let bad = count_bad(&all) - count_bad(&chosen);
        let more = Line::new().add(Tone::Faint, format!(" … and {hidden} more tags, "));
        out.push(if bad > 0 {
            more.add(Tone::Bad, format!("{bad} of them not good"))
        } else {
            more.add(Tone::Faint, "all good")
        });
    }
    out.truncate(height);
    out
}

/// So many tags, taken from the devices in turn, those that are not good before the others, and
/// shown in the order they had.
fn choose<'a>(all: &[&'a Value], room: usize) -> Vec<&'a Value> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|i| all.get(*i).is_some_and(|tag| is_good(tag)));
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, usize)> = order
        .into_iter()
        .filter_map(|i| {
            let turn = turns.entry(text(all.get(i)?, "/device")).or_insert(0);
            *turn += 1;
            Some((*turn, i))
        })
        .collect();
    ranked.sort_unstable();
    ranked.truncate(room);
    ranked.sort_unstable_by_key(|(_, i)| *i);
    ranked.into_iter().filter_map(|(_, i)| all.get(i).copied()).collect()
}

fn one_tag(tag: &Value, name_width: usize) -> Line {
    let short = format!("{}/{}", text(tag, "/device"), text(tag, "/tag"));
    let name = if name_width >= NAME_TOPIC { text(tag, "/topic") } else { &short };
    let quality = text(tag, "/quality");
    let tone = match quality.split(':').next() {
        Some("good") => Tone::Good,
        Some("uncertain") => Tone::Doubt,
        _ => Tone::Bad,
    };
    let value = match tag.pointer("/value").and_then(Value::as_str) {
        Some(value) => format!("{} {}", number_text(value), text(tag, "/unit")),
        None => "-".to_owned(),
    };
    // A value from before the fault is in brackets: it is what was, not what is.
    let value = if tone == Tone::Bad && value != "-" {
        format!("({})", value.trim_end())
    } else {
        value.trim_end().to_owned()
    };
    let age = tag.pointer("/value_age_ms").and_then(Value::as_u64);
    let age = age.unwrap_or_else(|| number(tag, "/age_ms"));
    Line::new()
        .text(" ")
        .left(Tone::Plain, name, name_width)
        .text(" ")
        .right(if tone == Tone::Bad { Tone::Faint } else { Tone::Plain }, &value, VALUE)
        .text("  ")
        .state(tone, &cut(quality, QUALITY - 2), QUALITY)
        .right(Tone::Faint, &span(age), AGE)
}

/// A number that fills the line is rounded to six digits; everything else is as it is.
fn number_text(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if value.len() > NUMBER && value.contains('.') => {
            let size = number.abs();
            match size {
                0.001..1.0 => format!("{number:.6}"),
                1.0..1000.0 => format!("{number:.4}"),
                1000.0..1e9 => format!("{number:.1}"),
                _ => format!("{number:.5e}"),
            }
        }
        _ => value.to_owned(),
    }
}

fn is_good(tag: &Value) -> bool {
    text(tag, "/quality") == "good"
}

fn count_bad(tags: &[&Value]) -> usize {
    tags.iter().filter(|tag| !is_good(tag)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_broken_numbers_that_fill_the_line_are_rounded() {
        for (value, shown) in [
            ("231.42", "231.42"),
            ("197.04861111111111", "197.0486"),
            ("53468.65234375", "53468.7"),
            ("0.0123456789012", "0.012346"),
            ("0.00000000000012858791", "1.28588e-13"),
            ("18446744073709551615", "18446744073709551615"),
            ("PO-2026-004711", "PO-2026-004711"),
        ] {
            assert_eq!(number_text(value), shown);
        }
    }
}
