//! The key `write` of a tag: what commands may set it to, how often, and what is done about it.

use std::time::Duration;

use super::device::Inherited;
use crate::config::defaults::{
    ALLOWED_MAX, AT_MOST_EVERY_RANGE, SAFE_AFTER_RANGE, WRITE_AND_READ_MAX, WRITE_BITS_MAX,
    WRITE_EXPIRES_RANGE, WRITE_REGISTERS_MAX,
};
use crate::config::keys;
use crate::config::kinds::{self, Family};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::config::write_rule::{Allowed, SafeValue, Verify, WriteRule, WriteWith};
use crate::model::{Coding, Decimal, Kind, Linear, Table, Value};

const VERIFY: [(&str, Verify); 2] = [("read-back", Verify::ReadBack), ("none", Verify::Nothing)];
/// Longest text that may be written, in bytes; what fits the registers is shorter.
const TEXT_BYTES_MAX: usize = 250;
/// How far from a whole raw number a value may be for the rounding of its decimals.
const STEP_TOLERANCE: f64 = 1e-6;

/// `write: { min: 0, max: 80 }`, or `write: true` where the type itself is the limit.
pub(super) fn check(
    section: &Section<'_>,
    coding: &Coding,
    table: Option<Table>,
    device: &Inherited<'_>,
    out: &mut Findings,
) -> Option<WriteRule> {
    let field = section.get("write")?;
    if field.text().is_some() && !field.scalar(out, values::boolean)? {
        return None;
    }
    if let Some(table @ (Table::Input | Table::Discrete)) = table {
        let (key, instead) = match table {
            Table::Input => ("input registers", "holding"),
            _ => ("discrete inputs", "coil"),
        };
        let complaint = Complaint::new(format!("{key} can't be written"));
        out.error(&field.key_spot(), complaint.hint(format!("only {instead} addresses can")));
    }
    in_one_request(field, coding, table, device, out);
    let subject = Subject { field, coding, family: kinds::family(coding.kind) };
    let default_verify = if device.broadcast { Verify::Nothing } else { Verify::ReadBack };
    let mut rule = WriteRule {
        allowed: subject.natural_limits(),
        at_most_every: Duration::ZERO,
        expires: device.settings.write_expires,
        verify: default_verify,
        safe: None,
    };
    if field.text().is_some() {
        if !subject.limits_itself() {
            let complaint = Complaint::new("a number that can be written needs limits")
                .hint("write it as in write: { min: 0, max: 100 }");
            out.error(&field.spot(), complaint);
        }
        return Some(rule);
    }
    let keys = field.section(&keys::WRITE, out);
    // A wrong one has been reported; the others are looked at all the same.
    rule.allowed = subject.allowed(&keys, out).unwrap_or(rule.allowed);
    let at_most_every = keys.scalar("at-most-every", out, values::duration(AT_MOST_EVERY_RANGE));
    rule.at_most_every = at_most_every.unwrap_or_default();
    let expires = keys.scalar("expires", out, values::duration(WRITE_EXPIRES_RANGE));
    rule.expires = expires.unwrap_or(device.settings.write_expires);
    rule.verify = keys.scalar("verify", out, values::word(&VERIFY)).unwrap_or(default_verify);
    if device.broadcast && rule.verify == Verify::ReadBack {
        let complaint = Complaint::new("nobody answers unit 0, so nothing can be read back");
        out.error(&keys.spot_of("verify"), complaint.hint("leave verify out"));
    }
    rule.safe = keys.get("safe").and_then(|field| subject.safe(field, &rule, out));
    Some(rule)
}

/// Whether one request can write the value whole; in two it would be torn.
fn in_one_request(
    field: &Field<'_>,
    coding: &Coding,
    table: Option<Table>,
    device: &Inherited<'_>,
    out: &mut Findings,
) {
    let bits = table.is_some_and(Table::is_bits);
    let (items, most) = match (bits, device.settings.write_with) {
        (true, _) => ("coils", WRITE_BITS_MAX),
        (false, WriteWith::TwentyThree) => ("registers", WRITE_AND_READ_MAX),
        (false, _) => ("registers", WRITE_REGISTERS_MAX),
    };
    let span = coding.span();
    if device.settings.write_with == WriteWith::Six && span > 1 {
        let message = format!("takes {span} {items}, but write-with: 6 writes them one by one");
        let hint = "use write-with: 16, or don't make it writable";
        out.error(&field.key_spot(), Complaint::new(message).hint(hint));
    } else if span > most {
        let message = format!("takes {span} {items}, of which one request writes {most} at most");
        out.error(&field.key_spot(), Complaint::new(message).hint("split the tag"));
    }
    let is_part = matches!(
        coding.kind,
        Kind::Bit(_) | Kind::Bits { .. } | Kind::Int8 { .. } | Kind::Bcd { bits: 8 }
    );
    if device.broadcast
        && is_part
        && matches!(device.settings.write_with, WriteWith::Six | WriteWith::Sixteen)
    {
        let message = "is a part of a register, whose other bits nobody on unit 0 tells";
        let hint = "leave write-with out: function 22 leaves them alone";
        out.error(&field.key_spot(), Complaint::new(message).hint(hint));
    }
}

/// The tag whose `write` is looked at.
struct Subject<'a> {
    field: &'a Field<'a>,
    coding: &'a Coding,
    family: Family,
}

impl Subject<'_> {
    fn is_labelled(&self) -> bool {
        !self.coding.labels.is_empty()
    }

    /// Whether the type says what may be written.
    fn limits_itself(&self) -> bool {
        self.is_labelled() || matches!(self.family, Family::Truth | Family::Opaque)
    }

    #[expect(clippy::cast_precision_loss, reason = "limits of labels, far below 2^53 in practice")]
    fn natural_limits(&self) -> Allowed {
        let codes = || self.coding.labels.iter().map(|label| label.code);
        let (min, max) = match (codes().min(), codes().max(), self.family) {
            (Some(min), Some(max), _) => (min as f64, max as f64),
            (_, _, Family::Truth) => (0.0, 1.0),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        Allowed::Range { min, max, step: None }
    }

    fn allowed(&self, keys: &Section<'_>, out: &mut Findings) -> Option<Allowed> {
        let limits = ["min", "max", "step"];
        if let Some(field) = keys.get("values") {
            if let Some(key) = limits.into_iter().find(|key| keys.has(key)) {
                let message = "says all that may be written, so there is nothing to limit";
                out.error(
                    &field.key_spot(),
                    Complaint::new(message).hint(format!("leave {key} out")),
                );
            }
            return self.values(field, out);
        }
        if self.limits_itself() && !limits.into_iter().any(|key| keys.has(key)) {
            return None;
        }
        if self.family == Family::Opaque {
            let complaint = Complaint::new("this type has no smallest and largest value");
            let hint = "write: true allows every value, values: [ … ] only some";
            out.error(&self.field.key_spot(), complaint.hint(hint));
            return None;
        }
        let min = keys.required("min", out, values::number);
        let max = keys.required("max", out, values::number);
        let (min, max) = (min?, max?);
        if min > max {
            out.error(&keys.spot_of("min"), format!("min {min} is above max {max}"));
            return None;
        }
        for limit in [min, max] {
            self.reachable(limit, self.field, out);
        }
        self.forbidden_labels(min, max, out);
        let step = keys.get("step").and_then(|field| self.step(field, min, max, out));
        Some(Allowed::Range { min, max, step })
    }

    fn values(&self, field: &Field<'_>, out: &mut Findings) -> Option<Allowed> {
        let items = field.items();
        if items.is_empty() {
            out.error(&field.spot(), Complaint::new("is empty").hint("write values: [0, 1]"));
        }
        if items.len() > ALLOWED_MAX {
            out.error(&field.key_spot(), format!("more than {ALLOWED_MAX} values"));
        }
        let errors = out.errors();
        let mut allowed = Vec::with_capacity(items.len());
        for item in &items {
            let Some(value) = item.scalar(out, |text| self.value(text)) else { continue };
            if let Some(number) = value.as_f64() {
                self.reachable(number, item, out);
            }
            allowed.push(self.code(value));
        }
        (out.errors() == errors).then_some(Allowed::Values(allowed))
    }

    /// A value as a command would bring it: the text of an enumeration or its code, a number with
    /// all its digits, a text.
    fn value(&self, text: &str) -> Result<Value, Complaint> {
        if let Some(label) = self.coding.labels.iter().find(|label| &*label.text == text) {
            return Ok(Value::Text(label.text.clone()));
        }
        if self.is_labelled() && values::whole(text).is_err() {
            let known: Vec<_> = self.coding.labels.iter().map(|label| &*label.text).collect();
            let complaint = Complaint::new(format!("{} is no label of this tag", quoted(text)));
            return Err(complaint.suggest(text, known));
        }
        match self.family {
            Family::Truth if text == "true" || text == "1" => Ok(Value::Bool(true)),
            Family::Truth if text == "false" || text == "0" => Ok(Value::Bool(false)),
            Family::Truth => values::boolean(text).map(Value::Bool),
            Family::Whole(..) if self.coding.linear.is_none() && !self.coding.scale_register => {
                let number = values::whole(text)?;
                let signed = i64::try_from(number).map(Value::I64);
                signed
                    .or_else(|_| u64::try_from(number).map(Value::U64))
                    .map_err(|_| Complaint::new(format!("{} does not fit 64 bits", quoted(text))))
            }
            Family::Whole(..) | Family::Float => values::number(text).map(Value::F64),
            Family::Opaque if matches!(self.coding.kind, Kind::Raw { .. }) => {
                Err("bytes have no values that could be written here".into())
            }
            Family::Opaque => {
                values::text(TEXT_BYTES_MAX)(text).map(|text| Value::Text(text.into()))
            }
        }
    }

    /// Of a label its code.
    fn code(&self, value: Value) -> Value {
        let Value::Text(text) = &value else { return value };
        let label = self.coding.labels.iter().find(|label| label.text == *text);
        label.map_or(value.clone(), |label| Value::I64(label.code))
    }

    fn step(&self, field: &Field<'_>, min: f64, max: f64, out: &mut Findings) -> Option<Decimal> {
        let step = field.scalar(out, |text| {
            let number = values::number(text)?;
            let step = Decimal::parse(text).filter(|_| number > 0.0);
            step.filter(|step| step.ratio().is_some())
                .ok_or_else(|| Complaint::new("a step is a decimal number above 0"))
        })?;
        if self.is_labelled() {
            out.error(&field.key_spot(), "an enumeration has codes and no steps");
            return None;
        }
        let number = step.ratio().map_or(f64::NAN, |(digits, power)| digits / power);
        if number > max - min {
            out.error(&field.spot(), format!("is longer than the way from {min} to {max}"));
        } else if !self.is_on_raw_step(min) || !self.is_on_raw_step(min + number) {
            let message =
                format!("{number} from {min} on does not meet the steps of the registers");
            out.error(&field.spot(), Complaint::new(message).hint("check scale, min and step"));
        }
        Some(step)
    }

    /// Values that the registers can't hold would end in refusals that nobody understands.
    fn reachable(&self, value: f64, field: &Field<'_>, out: &mut Findings) {
        let Family::Whole(lowest, highest) = self.family else { return };
        #[expect(clippy::cast_precision_loss, reason = "compared with half a step of tolerance")]
        let (lowest, highest) = (lowest as f64 - 0.5, highest as f64 + 0.5);
        let Some(code) = self.raw(value) else { return };
        if !(lowest..=highest).contains(&code) {
            let message = format!("{value} does not fit the registers, it would be {code} in them");
            out.error(&field.spot(), Complaint::new(message).hint("check type, scale and limits"));
        }
    }

    /// `None` when only the device knows the scale.
    fn raw(&self, value: f64) -> Option<f64> {
        match self.coding.linear {
            _ if self.coding.scale_register => None,
            Some(Linear { factor, divisor, offset, .. }) => {
                Some((value - offset) * divisor / factor)
            }
            None => Some(value),
        }
    }

    fn is_on_raw_step(&self, value: f64) -> bool {
        let on_step = |raw: f64| (raw - raw.round()).abs() < STEP_TOLERANCE;
        self.family == Family::Float || self.raw(value).is_none_or(on_step)
    }

    /// A label is written as a text; limits of the codes that leave it out are a slip.
    fn forbidden_labels(&self, min: f64, max: f64, out: &mut Findings) {
        #[expect(clippy::cast_precision_loss, reason = "limits are compared as floats everywhere")]
        let outside = |code: i64| !(min..=max).contains(&(code as f64));
        if let Some(label) = self.coding.labels.iter().find(|label| outside(label.code)) {
            let message = format!(
                "the label {} ({}) could be written as a text, though it is outside these limits",
                quoted(&label.text),
                label.code
            );
            let hint = "leave the label out, or widen the limits";
            out.error(&self.field.spot(), Complaint::new(message).hint(hint));
        }
    }

    /// `safe: { value: 0, after: 30s }`.
    fn safe(&self, field: &Field<'_>, rule: &WriteRule, out: &mut Findings) -> Option<SafeValue> {
        let keys = field.section(&keys::SAFE, out);
        keys.missing("value", out);
        let value = keys.get("value").and_then(|field| self.safe_value(field, rule, out));
        let after = keys.required("after", out, values::duration(SAFE_AFTER_RANGE));
        let from_start = keys.scalar("from-start", out, values::boolean).unwrap_or(false);
        Some(SafeValue { value: value?, after: after?, from_start })
    }

    fn safe_value(&self, field: &Field<'_>, rule: &WriteRule, out: &mut Findings) -> Option<Value> {
        let items = field.items();
        let count = usize::from(self.coding.count);
        if items.len() != count {
            let message = format!("this tag takes {count} values, not {}", items.len());
            out.error(&field.spot(), message);
            return None;
        }
        let mut all = Vec::with_capacity(count);
        for item in &items {
            let value = item.scalar(out, |text| self.value(text))?;
            if let Err(refusal) = rule.check(self.coding, &value) {
                out.error(&item.spot(), refusal.to_string());
            } else if value.as_f64().is_some_and(|number| !self.is_on_raw_step(number)) {
                out.error(&item.spot(), "is between two steps of the registers");
            }
            all.push(value);
        }
        if count == 1 { all.pop() } else { Some(Value::List(all.into())) }
    }
}
