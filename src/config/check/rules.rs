//! When a value is published, and what may be written.

use std::time::Duration;

use crate::config::defaults::{AT_LEAST, AT_LEAST_RANGE, AT_MOST_EVERY_RANGE};
use crate::config::keys;
use crate::config::kinds::{self, Family};
use crate::config::plan::{Deadband, PublishRule, WriteRule};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values;
use crate::model::{Coding, Linear, Table};

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

/// `write: { min: 0, max: 80 }`, or `write: true` where the type itself is the limit.
pub(super) fn write(
    section: &Section<'_>,
    coding: &Coding,
    table: Option<Table>,
    out: &mut Findings,
) -> Option<WriteRule> {
    let field = section.get("write")?;
    let family = kinds::family(coding.kind);
    let labelled = !coding.labels.is_empty();
    let own_limits = labelled || matches!(family, Family::Truth | Family::Opaque);
    let limits = if field.text().is_some() {
        if !field.scalar(out, values::boolean)? {
            return None;
        }
        if !own_limits {
            let complaint = Complaint::new("a number that can be written needs limits")
                .hint("write it as in write: { min: 0, max: 100 }");
            out.error(&field.spot(), complaint);
        }
        natural_limits(coding, family)
    } else {
        written_limits(field, family, labelled, out).unwrap_or((0.0, 0.0))
    };
    if let Some(table @ (Table::Input | Table::Discrete)) = table {
        let (key, instead) = match table {
            Table::Input => ("input registers", "holding"),
            _ => ("discrete inputs", "coil"),
        };
        let complaint = Complaint::new(format!("{key} can't be written"));
        out.error(&field.key_spot(), complaint.hint(format!("only {instead} addresses can")));
    }
    if let Family::Whole(lowest, highest) = family
        && field.is_mapping()
    {
        reachable(field, coding.linear, limits, (lowest, highest), out);
    }
    forbidden_labels(field, coding, limits, out);
    Some(WriteRule { min: limits.0, max: limits.1 })
}

#[expect(clippy::cast_precision_loss, reason = "limits of labels, far below 2^53 in practice")]
fn natural_limits(coding: &Coding, family: Family) -> (f64, f64) {
    let codes = || coding.labels.iter().map(|label| label.code);
    match (codes().min(), codes().max(), family) {
        (Some(min), Some(max), _) => (min as f64, max as f64),
        (_, _, Family::Truth) => (0.0, 1.0),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

fn written_limits(
    field: &Field<'_>,
    family: Family,
    labelled: bool,
    out: &mut Findings,
) -> Option<(f64, f64)> {
    let section = field.section(&keys::WRITE, out);
    if family == Family::Opaque && !labelled {
        let complaint = Complaint::new("this type has no smallest and largest value");
        out.error(&field.key_spot(), complaint.hint("write: true allows every value"));
        return None;
    }
    let min = section.required("min", out, values::number);
    let max = section.required("max", out, values::number);
    let (min, max) = (min?, max?);
    if min > max {
        out.error(&section.spot_of("min"), format!("min {min} is above max {max}"));
        return None;
    }
    Some((min, max))
}

/// A label is written as a text, which has no limits: those of the codes would not protect it.
fn forbidden_labels(
    field: &Field<'_>,
    coding: &Coding,
    (min, max): (f64, f64),
    out: &mut Findings,
) {
    #[expect(clippy::cast_precision_loss, reason = "limits are compared as floats everywhere")]
    let outside = |code: i64| !(min..=max).contains(&(code as f64));
    if let Some(label) = coding.labels.iter().find(|label| outside(label.code)) {
        let message = format!(
            "the label {} ({}) could be written as a text, though it is outside these limits",
            values::quoted(&label.text),
            label.code
        );
        let hint = "leave the label out, or widen the limits";
        out.error(&field.spot(), Complaint::new(message).hint(hint));
    }
}

/// Limits that the registers can't hold would end in refusals that nobody understands.
fn reachable(
    field: &Field<'_>,
    linear: Option<Linear>,
    (min, max): (f64, f64),
    (lowest, highest): (i128, i128),
    out: &mut Findings,
) {
    let raw = |value: f64| match linear {
        Some(linear) => (value - linear.offset) * linear.divisor / linear.factor,
        None => value,
    };
    #[expect(clippy::cast_precision_loss, reason = "compared with half a step of tolerance")]
    let (lowest, highest) = (lowest as f64 - 0.5, highest as f64 + 0.5);
    for limit in [min, max] {
        let code = raw(limit);
        if !(lowest..=highest).contains(&code) {
            let message = format!("{limit} does not fit the registers, it would be {code} in them");
            out.error(&field.spot(), Complaint::new(message).hint("check type, scale and limits"));
        }
    }
}
