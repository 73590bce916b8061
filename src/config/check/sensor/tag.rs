//! Tags of a sensor's device: fields of its frames.

use crate::config::link::SensorLink;
use crate::config::plan::FieldSource;
use crate::config::problem::{Complaint, Findings, closest};
use crate::config::section::Section;
use crate::config::values::quoted;
use crate::model::sensor::{Field, FieldKind, UnitFrom};
use crate::model::{ValueKind, conversion};

/// Keys of a device or tag that mean something on a Modbus line only.
pub(in crate::config::check) fn unused_keys(
    section: &Section<'_>,
    keys: &[&str],
    out: &mut Findings,
) {
    for key in keys {
        if let Some(field) = section.get(key) {
            let complaint = Complaint::new("has no use with a serial sensor");
            let hint = match *key {
                "every" => "write poll: { every: … } at the bus",
                "timeout" => "write poll: { timeout: … } at the bus",
                "write" => "values of a sensor can only be read",
                _ => "the fields of a frame are described at the bus",
            };
            out.error(&field.key_spot(), complaint.hint(hint));
        }
    }
}

/// Where the tag comes from, its unit, and whether it is a number; `None` only after something was
/// reported.
pub(in crate::config::check) fn tag(
    section: &Section<'_>,
    unit: Option<&str>,
    link: &SensorLink,
    out: &mut Findings,
) -> Option<(FieldSource, String, bool)> {
    let fields = || link.sensor.forms.iter().flat_map(|form| &form.fields);
    let found: Vec<&Field> = section.required("field", out, |text| {
        let found: Vec<_> = fields().filter(|field| *field.name == *text).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let complaint = Complaint::new(format!("the frames have no field {}", quoted(text)));
        Err(match closest(text, fields().map(|field| &*field.name)) {
            Some(close) => complaint.hint(format!("did you mean {close}?")),
            None => {
                let mut names: Vec<_> = fields().map(|field| &*field.name).collect();
                names.sort_unstable();
                names.dedup();
                complaint.hint(format!("they have {}", names.join(", ")))
            }
        })
    })?;
    let first = found.first()?;
    let is_number = found.iter().any(|field| field.kind.is_number() && field.labels.is_empty());
    let mut own = unit.unwrap_or_default().to_owned();
    for field in found.iter().filter(|field| field.kind.is_number() && field.labels.is_empty()) {
        match (&field.unit, unit) {
            (UnitFrom::Fields(_), None) => {
                let message = "the unit of this field is in the frame and may change";
                let hint = "write unit: …, so that a value in another unit is converted or bad";
                out.error(&section.spot, Complaint::new(message).hint(hint));
                return None;
            }
            (UnitFrom::Fixed(fixed), None) => own.clone_from(fixed),
            (UnitFrom::Fixed(fixed), Some(unit)) if conversion(fixed, unit).is_none() => {
                let message = format!("comes in {fixed}, which can't be converted to {unit}");
                out.error(&section.spot_of("unit"), message);
                return None;
            }
            _ => {}
        }
    }
    let made: Vec<_> = found.iter().map(|field| format!("{field:?}")).collect();
    let made = format!("{} in {own}", made.join(" or "));
    let kind = value_kind(&found, &own);
    Some((FieldSource { name: first.name.clone(), made, kind }, own, is_number))
}

/// What all of these have in common as values in this unit: texts hold anything but bytes, reals all
/// numbers. What is a whole number in the frame may have a fraction as a value.
fn value_kind(fields: &[&Field], unit: &str) -> ValueKind {
    let is_converted = |field: &Field| match &field.unit {
        UnitFrom::Unknown => false,
        UnitFrom::Fixed(fixed) => !unit.is_empty() && fixed != unit,
        UnitFrom::Beside | UnitFrom::Fields(_) => true,
    };
    let of = |field: &&Field| match field.kind {
        FieldKind::Raw => ValueKind::Bytes,
        _ if !field.labels.is_empty() => ValueKind::Text,
        FieldKind::Text => ValueKind::Text,
        FieldKind::Bool => ValueKind::Bool,
        FieldKind::Number | FieldKind::DegreesMinutes | FieldKind::Float(_) => ValueKind::Real,
        _ if field.linear.is_some() || field.decimals_from.is_some() => ValueKind::Real,
        _ if is_converted(field) => ValueKind::Real,
        FieldKind::Integer
        | FieldKind::Hex
        | FieldKind::Unsigned(_)
        | FieldKind::Signed(_)
        | FieldKind::Bcd(_) => ValueKind::Integer,
    };
    let mut kinds = fields.iter().map(of);
    let first = kinds.next().unwrap_or(ValueKind::Text);
    kinds.fold(first, |common, kind| match (common, kind) {
        (common, kind) if common == kind => common,
        (ValueKind::Real | ValueKind::Integer, ValueKind::Real | ValueKind::Integer) => {
            ValueKind::Real
        }
        _ => ValueKind::Text,
    })
}
