//! When a value is published.

use std::time::Duration;

use crate::config::defaults::{AT_LEAST, AT_LEAST_RANGE, AT_MOST_EVERY_RANGE};
use crate::config::keys;
use crate::config::kinds::{self, Family};
use crate::config::plan::{Deadband, PublishRule};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::config::values;
use crate::model::Coding;

/// `publish: always` (the default), `publish: changes`, or a mapping.
/// `is_number`: a single number, which changes by an amount.
pub(super) fn publish(section: &Section<'_>, is_number: bool, out: &mut Findings) -> PublishRule {
    let Some(field) = section.get("publish") else {
        return PublishRule::Always;
    };
    let any_change = PublishRule::OnChange {
        change: Deadband::Absolute(0.0),
        at_least: AT_LEAST,
        at_most_every: Duration::ZERO,
    };
    if field.text().is_some() {
        let words = [("always", PublishRule::Always), ("changes", any_change)];
        return field.scalar(out, values::word(&words)).unwrap_or(PublishRule::Always);
    }
    let rule = field.section(&keys::PUBLISH, out);
    let change = rule.scalar("change", out, |text| deadband(text, is_number));
    let at_least = rule.scalar("at-least", out, values::duration(AT_LEAST_RANGE));
    let at_most = rule.scalar("at-most-every", out, values::duration(AT_MOST_EVERY_RANGE));
    let (at_least, at_most_every) = (at_least.unwrap_or(AT_LEAST), at_most.unwrap_or_default());
    if at_most_every > at_least {
        let message = format!("is longer than at-least, {}", values::show_duration(at_least));
        out.error(&rule.spot_of("at-most-every"), message);
    }
    let change = change.unwrap_or(Deadband::Absolute(0.0));
    PublishRule::OnChange { change, at_least, at_most_every }
}

/// `0.1` in engineering units or `5%` of the last published value.
fn deadband(text: &str, is_number: bool) -> Result<Deadband, Complaint> {
    let (number, percent) = match text.strip_suffix('%') {
        Some(rest) => (rest.trim_end(), true),
        None => (text, false),
    };
    let value =
        values::number(number).map_err(|complaint| complaint.hint("write it as in 0.1 or 5%"))?;
    if value < 0.0 {
        return Err("a change is never negative".into());
    }
    if percent && value > 100.0 {
        return Err(values::out_of_range(text, "0%", "100%"));
    }
    if value > 0.0 && !is_number {
        return Err(
            Complaint::new("only single numbers change by an amount").hint("write change: 0")
        );
    }
    Ok(if percent { Deadband::Percent(value) } else { Deadband::Absolute(value) })
}

/// Whether the values are single numbers to calculate with.
pub(super) fn is_number(coding: &Coding) -> bool {
    let number = matches!(kinds::family(coding.kind), Family::Whole(..) | Family::Float);
    number && coding.labels.is_empty() && coding.count == 1
}
