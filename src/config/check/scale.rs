//! From the raw number to the engineering value: scale, offset, two-point mapping, labels, and the
//! codes that mean "not available".

use std::collections::HashMap;
use std::sync::Arc;

use super::vocabulary::Vocabulary;
use crate::config::defaults::{LABELS_MAX, NOT_AVAILABLE_MAX};
use crate::config::keys;
use crate::config::kinds::{self, Family};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::{Decimal, Kind, Label, Linear, NotAvailable, exact, power_of_ten};

const LABEL_BYTES_MAX: usize = 128;

/// `scale` and `offset`, or `map`; `None` when the raw number is the value, or its scale comes with
/// every answer (`scale-register`).
pub(super) fn linear(section: &Section<'_>, kind: Kind, out: &mut Findings) -> Option<Linear> {
    let keys = ["scale", "offset", "map", "scale-register"];
    let first = keys.iter().find_map(|key| section.get(key))?;
    if !matches!(kinds::family(kind), Family::Whole(..) | Family::Float) {
        let message = "only numbers have a scale, an offset or a map; this type is none";
        out.error(&first.key_spot(), message);
        return None;
    }
    if let Some(labels) = section.get("labels") {
        let message = "labels name the raw numbers, so they can't be scaled as well";
        out.error(&labels.key_spot(), message);
    }
    if let Some(field) = section.get("scale-register") {
        if ["scale", "offset", "map"].into_iter().any(|key| section.has(key)) {
            let message = "the register says the scale, so it can't be written as well";
            out.error(&field.key_spot(), message);
        }
        return None;
    }
    if let Some(map) = section.get("map") {
        if section.has("scale") || section.has("offset") {
            out.error(&map.key_spot(), "map replaces scale and offset, write only one of them");
        }
        return two_point(map, out);
    }
    scaled(section, out)
}

/// `scale` and `offset` alone.
pub(super) fn factor_and_offset(
    section: &Section<'_>,
    is_number: bool,
    out: &mut Findings,
) -> Option<Linear> {
    let first = ["scale", "offset"].iter().find_map(|key| section.get(key))?;
    if !is_number {
        out.error(&first.key_spot(), "only numbers have a scale or an offset; this type is none");
        return None;
    }
    scaled(section, out)
}

fn scaled(section: &Section<'_>, out: &mut Findings) -> Option<Linear> {
    let scale = section.scalar("scale", out, factor).unwrap_or((1.0, 1.0));
    let offset = section.scalar("offset", out, values::number).unwrap_or(0.0);
    let (factor, divisor) = scale;
    if scale == (1.0, 1.0) && offset == 0.0 {
        return None;
    }
    Some(Linear { factor, divisor, offset, clamp: None })
}

/// 0.1 is kept as 1 divided by 10: multiplying with the float nearest to 0.1 would give
/// 231.40000000000003 for 2314.
fn factor(text: &str) -> Result<(f64, f64), Complaint> {
    let number = values::number(text)?;
    if number == 0.0 {
        return Err("a scale of 0 would make every value 0".into());
    }
    Ok(Decimal::parse(text).and_then(Decimal::ratio).unwrap_or((number, 1.0)))
}

/// `map: { raw: [0, 27648], value: [0, 100], clamp: true }`.
fn two_point(field: &Field<'_>, out: &mut Findings) -> Option<Linear> {
    let section = field.section(&keys::MAP, out);
    let raw = pair(&section, "raw", out);
    let value = pair(&section, "value", out);
    let clamp = section.scalar("clamp", out, values::boolean).unwrap_or(false);
    let ((raw_from, raw_to), (from, to)) = (raw?, value?);
    let same = |a: Decimal, b: Decimal| a.minus(b).is_none_or(|d| d.digits == 0);
    for (key, a, b) in [("raw", raw_from, raw_to), ("value", from, to)] {
        if same(a, b) {
            out.error(&section.spot_of(key), "the two numbers must differ");
            return None;
        }
    }
    let linear = through(raw_from, raw_to, from, to, clamp);
    if linear.is_none() {
        out.error(&field.spot(), "these numbers have too many digits to be mapped exactly");
    }
    linear
}

/// The line through two points, with a factor and a divisor that are whole numbers, so that the
/// second raw number gives exactly the second value.
fn through(
    raw_from: Decimal,
    raw_to: Decimal,
    from: Decimal,
    to: Decimal,
    clamp: bool,
) -> Option<Linear> {
    let (rise, run) = (to.minus(from)?, raw_to.minus(raw_from)?);
    let mut factor = rise.digits.checked_mul(power_of_ten(run.decimals))?;
    let mut divisor = run.digits.checked_mul(power_of_ten(rise.decimals))?;
    let common = common_divisor(factor.unsigned_abs(), divisor.unsigned_abs());
    let common = i128::try_from(common).ok().filter(|c| *c > 0)?;
    factor /= common;
    divisor /= common;
    let (factor, divisor) = (exact(factor)?, exact(divisor)?);
    let (factor, divisor) = if divisor < 0.0 { (-factor, -divisor) } else { (factor, divisor) };
    let float = |d: Decimal| d.ratio().map(|(digits, power)| digits / power);
    let (raw_from, from, to) = (float(raw_from)?, float(from)?, float(to)?);
    let offset = from - raw_from * factor / divisor;
    let clamp = clamp.then_some((from.min(to), from.max(to)));
    Some(Linear { factor, divisor, offset, clamp })
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn pair(section: &Section<'_>, key: &str, out: &mut Findings) -> Option<(Decimal, Decimal)> {
    let Some(field) = section.get(key) else {
        section.missing(key, out);
        return None;
    };
    let items = field.items();
    let [first, second] = items.as_slice() else {
        let complaint = Complaint::new("expected two numbers").hint("write them as in [0, 100]");
        out.error(&field.spot(), complaint);
        return None;
    };
    let decimal = |text: &str| match values::whole(text) {
        Ok(digits) if digits.unsigned_abs() < 1 << 64 => Ok(Decimal::whole(digits)),
        _ => Decimal::parse(text)
            .ok_or_else(|| Complaint::new(format!("{} is not a number", quoted(text)))),
    };
    let (first, second) = (first.scalar(out, decimal), second.scalar(out, decimal));
    Some((first?, second?))
}

/// Codes by which the device says that there is no value.
pub(super) fn not_available(
    section: &Section<'_>,
    kind: Kind,
    out: &mut Findings,
) -> Vec<NotAvailable> {
    let Some(field) = section.get("not-available") else {
        return Vec::new();
    };
    let Some(bits) = kinds::code_bits(kind) else {
        out.error(&field.key_spot(), "this type has no codes to compare with");
        return Vec::new();
    };
    let items = field.items();
    if items.len() > NOT_AVAILABLE_MAX {
        out.error(&field.key_spot(), format!("more than {NOT_AVAILABLE_MAX} codes"));
    }
    let mask = u64::MAX >> (64 - u32::from(bits.clamp(1, 64)));
    let code = |text: &str| {
        let code = values::whole(text)?;
        let unsigned = u64::try_from(code).ok().filter(|c| *c <= mask);
        // A negative code is the same bits read with a sign.
        let signed = || {
            let signed = i64::try_from(code).ok().filter(|c| *c < 0)?;
            (signed >= -1 - i64::try_from(mask >> 1).ok()?).then_some(signed.cast_unsigned() & mask)
        };
        unsigned.or_else(signed).map(NotAvailable).ok_or_else(|| {
            Complaint::new(format!("{} does not fit the type's {bits} bits", quoted(text)))
        })
    };
    items.iter().filter_map(|item| item.scalar(out, code)).collect()
}

/// `labels: { 0: stopped, 1: running }`.
/// Or the name of those that a profile has written once: `labels: state`.
pub(super) fn labels(
    section: &Section<'_>,
    kind: Kind,
    words: &Vocabulary<'_>,
    out: &mut Findings,
) -> Vec<Label> {
    let Some(field) = section.get("labels") else {
        return Vec::new();
    };
    let field = match field.text() {
        Some(_) => match field.scalar(out, |name| words.labels(name)) {
            Some(named) => named,
            None => return Vec::new(),
        },
        None => field.clone(),
    };
    let (min, max) = match kinds::family(kind) {
        Family::Truth => (0, 1),
        Family::Whole(min, max) => (min.max(i64::MIN.into()), max.min(i64::MAX.into())),
        Family::Float | Family::Opaque => {
            out.error(&field.key_spot(), "only whole numbers and bits have labels");
            return Vec::new();
        }
    };
    let entries = field.entries(out);
    if entries.is_empty() {
        out.error(
            &field.spot(),
            Complaint::new("is empty").hint("write { 0: stopped, 1: running }"),
        );
    }
    if entries.len() > LABELS_MAX {
        out.error(&field.key_spot(), format!("more than {LABELS_MAX} labels"));
    }
    let mut labels = Vec::with_capacity(entries.len());
    let mut codes: HashMap<i64, u32> = HashMap::new();
    let mut texts: HashMap<Arc<str>, u32> = HashMap::new();
    for (key, label) in entries {
        let line = label.key_at.line;
        let code = match values::integer::<i64>(min..=max)(key) {
            Ok(code) => code,
            Err(complaint) => {
                out.error(&label.key_spot(), complaint);
                continue;
            }
        };
        let Some(text) = label.scalar(out, values::text(LABEL_BYTES_MAX)) else { continue };
        let text: Arc<str> = text.into();
        if let Some(first) = codes.insert(code, line) {
            out.error(
                &label.key_spot(),
                format!("the code {code} is labelled in line {first} too"),
            );
        }
        // Read, two codes may well have one text; written, the text must mean one code.
        if let Some(first) = texts.insert(text.clone(), line)
            && section.has("write")
        {
            let message = format!(
                "the label {} stands in line {first} too, so it can't be written",
                quoted(&text)
            );
            out.error(&label.spot(), message);
        }
        labels.push(Label { code, text });
    }
    labels
}
