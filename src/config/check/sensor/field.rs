//! The fields of a frame: where each stands, what it is, and which others say more about it.

use super::frames::Scope;
use super::layers::unreported;
use super::parts;
use crate::config::check::scale;
use crate::config::defaults::{LABELS_MAX, NOT_AVAILABLE_MAX};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings, closest};
use crate::config::section::{self, Section};
use crate::config::values::{self, quoted};
use crate::model::sensor::{ByteOrder, Field, FieldKind, Parse, Place, Span, UnitFrom};
use crate::model::{Doubt, Fault, Name, Quality};

const TEXT_BYTES_MAX: usize = 128;
const UNIT_BYTES_MAX: usize = 32;

/// A field on its way into the description.
pub(super) struct Written<'a> {
    pub name: Name,
    pub field: section::Field<'a>,
    pub of_preset: bool,
}

/// What a type name says: the kind, and how many bytes it takes where that is fixed.
type Type = (FieldKind, Option<usize>);

const QUALITIES: [(&str, Quality); 8] = [
    ("good", Quality::Good),
    ("unstable", Quality::Uncertain(Doubt::Unstable)),
    ("estimated", Quality::Uncertain(Doubt::Estimated)),
    ("overload", Quality::Bad(Fault::Overload)),
    ("underload", Quality::Bad(Fault::Underload)),
    ("device-error", Quality::Bad(Fault::DeviceError)),
    ("not-available", Quality::Bad(Fault::NotAvailable)),
    ("undecodable", Quality::Bad(Fault::Undecodable)),
];

/// `None` only after something was reported.
pub(super) fn all(
    written: &[Written<'_>],
    scope: &Scope<'_>,
    out: &mut Findings,
) -> Option<Vec<Field>> {
    let names: Vec<&str> = written.iter().map(|field| field.name.as_str()).collect();
    let one = |field: &Written<'_>| {
        if field.of_preset {
            unreported(|out| one(field, &names, scope, out))
        } else {
            one(field, &names, scope, out)
        }
    };
    let fields: Vec<_> = written.iter().map(one).collect();
    let fields: Vec<Field> = fields.into_iter().collect::<Option<_>>()?;
    for (written, field) in written.iter().zip(&fields) {
        let without = field.quality_from.iter().filter_map(|index| fields.get(*index));
        for other in
            without.filter(|other| other.verdicts.is_empty() && other.other_verdict.is_none())
        {
            let complaint = Complaint::new(format!("the field {} says no quality", other.name));
            let hint = "give it quality: { … }, its texts and what each means";
            out.error(&written.field.spot(), complaint.hint(hint));
        }
    }
    Some(fields)
}

fn one(
    written: &Written<'_>,
    names: &[&str],
    scope: &Scope<'_>,
    out: &mut Findings,
) -> Option<Field> {
    let section = written.field.section(&keys::FRAME_FIELD, out);
    let (kind, width) = section
        .scalar("type", out, |text| kind(text, scope.order))
        .unwrap_or((FieldKind::Text, None));
    let bits = section.scalar("bits", out, bits);
    let place = place(&section, width, scope, out);
    let labels = texts(&section, "labels", out, |field, out| {
        // An empty text is a label too: a unit that is said elsewhere.
        field.scalar(out, |text| match text {
            "" => Ok(String::new()),
            _ => values::text(TEXT_BYTES_MAX)(text),
        })
    });
    let linear = scale::factor_and_offset(&section, kind.is_number(), out);
    let comma = section
        .scalar("decimal", out, values::word(&[("point", false), ("comma", true)]))
        .unwrap_or(false);
    let find = |text: &str| reference(text, names);
    let decimals_from = section.scalar("decimals-from", out, find);
    let sign_from = section.scalar("sign-from", out, find);
    let quality_from = match section.get("quality-from") {
        Some(field) => field.items().iter().filter_map(|item| item.scalar(out, find)).collect(),
        None => Vec::new(),
    };
    let unit = unit(&section, scope, names, out);
    let (quality, verdicts, other_verdict) = quality(&section, out);
    let not_available = not_available(&section, out);
    if let Some((from, width)) = bits
        && !matches!(
            kind,
            FieldKind::Unsigned(_) | FieldKind::Signed(_) | FieldKind::Integer | FieldKind::Hex
        )
    {
        let last = from + width - 1;
        let message = format!("bits {from} to {last} are those of a whole number");
        let complaint = Complaint::new(message).hint("write type: u8, u16, integer or hex");
        out.error(&section.spot_of("bits"), complaint);
    }
    Some(Field {
        name: written.name.as_str().into(),
        place: place?,
        kind,
        bits,
        labels,
        not_available,
        linear,
        comma,
        decimals_from,
        sign_from,
        unit,
        quality_from,
        verdicts,
        other_verdict,
        quality,
    })
}

fn kind(text: &str, order: ByteOrder) -> Result<Type, Complaint> {
    let (unsigned, signed) = (FieldKind::Unsigned(order), FieldKind::Signed(order));
    let words = [
        ("number", (FieldKind::Number, None)),
        ("integer", (FieldKind::Integer, None)),
        ("hex", (FieldKind::Hex, None)),
        ("text", (FieldKind::Text, None)),
        ("bool", (FieldKind::Bool, None)),
        ("degrees-minutes", (FieldKind::DegreesMinutes, None)),
        ("u8", (unsigned, Some(1))),
        ("u16", (unsigned, Some(2))),
        ("u24", (unsigned, Some(3))),
        ("u32", (unsigned, Some(4))),
        ("u48", (unsigned, Some(6))),
        ("u64", (unsigned, Some(8))),
        ("i8", (signed, Some(1))),
        ("i16", (signed, Some(2))),
        ("i24", (signed, Some(3))),
        ("i32", (signed, Some(4))),
        ("i48", (signed, Some(6))),
        ("i64", (signed, Some(8))),
        ("f32", (FieldKind::Float(order), Some(4))),
        ("f64", (FieldKind::Float(order), Some(8))),
        ("bcd", (FieldKind::Bcd(order), None)),
        ("raw", (FieldKind::Raw, None)),
    ];
    values::word(&words)(text)
}

/// `3` or `4..7`: both bits belong to the field.
fn bits(text: &str) -> Result<(u8, u8), Complaint> {
    let number = |text: &str| text.trim().parse::<u8>().ok().filter(|bit| *bit < 64);
    let ends = match text.split_once("..") {
        Some((from, to)) => number(from).zip(number(to)),
        None => number(text).map(|bit| (bit, bit)),
    };
    match ends {
        Some((from, to)) if from <= to => Ok((from, to - from + 1)),
        _ => Err(Complaint::new(format!("{} is no range of bits", quoted(text)))
            .hint("write the lowest and the highest bit, as in 4..7")),
    }
}

fn place(
    section: &Section<'_>,
    width: Option<usize>,
    scope: &Scope<'_>,
    out: &mut Findings,
) -> Option<Place> {
    let says_quality = section.has("quality-from") || section.has("quality");
    if !section.has("from") && says_quality {
        return Some(Place::Nowhere);
    }
    section.required("from", out, |text| match scope.parse {
        Parse::Regex(_) if scope.groups.iter().any(|group| group == text) => {
            Ok(Place::Group(text.to_owned()))
        }
        Parse::Regex(_) => {
            let complaint = Complaint::new(format!("the pattern has no group {}", quoted(text)));
            let complaint = complaint.suggest(text, scope.groups.iter().map(String::as_str));
            Err(match complaint.hint {
                Some(_) => complaint,
                None if scope.groups.is_empty() => complaint.hint("write it as in (?<weight>…)"),
                None => complaint.hint(format!("it has {}", scope.groups.join(", "))),
            })
        }
        Parse::Bytes => bytes(text, width, scope.length).map(Place::Bytes),
        Parse::Split(_) => values::integer(0..=4_096)(text).map(Place::Item).map_err(|complaint| {
            Complaint { hint: Some("items count from 0".to_owned()), ..complaint }
        }),
        Parse::KeyValue(_) | Parse::Sml => values::text(TEXT_BYTES_MAX)(text).map(Place::Key),
        Parse::Json if text.is_empty() || text.starts_with('/') => {
            Ok(Place::Pointer(text.to_owned()))
        }
        Parse::Json => Err(Complaint::new(format!("{} is no JSON pointer", quoted(text)))
            .hint(format!("write /{text}"))),
    })
}

/// Bytes of the frame; the type may say how many.
fn bytes(text: &str, width: Option<usize>, frame: Option<usize>) -> Result<Span, Complaint> {
    let mut span = parts::span(text)?;
    let written = parts::length(span);
    match (width.and_then(|width| i32::try_from(width).ok()), written) {
        (Some(width), Some(1)) if width > 1 && span.first == span.last => {
            span.last = span.first + width - 1;
            if span.first < 0 && span.last >= 0 {
                return Err("reaches beyond the end of the frame".into());
            }
        }
        (Some(width), Some(written)) if usize::try_from(width) != Ok(written) => {
            return Err(format!("has {written} bytes, but the type takes {width}").into());
        }
        _ => {}
    }
    match frame {
        Some(length) if span.within(length).is_none() => {
            Err(format!("reaches beyond the frame, which has {length} bytes").into())
        }
        _ => Ok(span),
    }
}

/// A field of the same frame, by its name.
fn reference(text: &str, names: &[&str]) -> Result<usize, Complaint> {
    names.iter().position(|name| *name == text).ok_or_else(|| {
        let complaint = Complaint::new(format!("this frame has no field {}", quoted(text)));
        match closest(text, names.iter().copied()) {
            Some(close) => complaint.hint(format!("did you mean {close}?")),
            None => complaint.hint(format!("it has {}", names.join(", "))),
        }
    })
}

fn unit(section: &Section<'_>, scope: &Scope<'_>, names: &[&str], out: &mut Findings) -> UnitFrom {
    let fixed = section.scalar("unit", out, values::text(UNIT_BYTES_MAX));
    let Some(field) = section.get("unit-from") else {
        return fixed.map_or_else(
            || match scope.parse {
                Parse::KeyValue(_) | Parse::Sml => UnitFrom::Beside,
                _ => UnitFrom::Unknown,
            },
            UnitFrom::Fixed,
        );
    };
    if fixed.is_some() {
        out.error(&field.key_spot(), "the unit is either fixed or in the frame, not both");
    }
    let find = |text: &str| reference(text, names);
    UnitFrom::Fields(field.items().iter().filter_map(|item| item.scalar(out, find)).collect())
}

/// A word for the field itself, or what its texts say about others.
type Verdicts = (Option<Quality>, Vec<(String, Quality)>, Option<Quality>);

fn quality(section: &Section<'_>, out: &mut Findings) -> Verdicts {
    let Some(field) = section.get("quality") else { return (None, Vec::new(), None) };
    if field.text().is_some() {
        return (field.scalar(out, values::word(&QUALITIES)), Vec::new(), None);
    }
    let mut verdicts =
        texts(section, "quality", out, |field, out| field.scalar(out, values::word(&QUALITIES)));
    let other = verdicts.iter().position(|(text, _)| text == "else");
    let other = other.map(|at| verdicts.remove(at).1);
    (None, verdicts, other)
}

/// A mapping from texts of the frame.
fn texts<T>(
    section: &Section<'_>,
    key: &str,
    out: &mut Findings,
    value: impl Fn(&section::Field<'_>, &mut Findings) -> Option<T>,
) -> Vec<(String, T)> {
    let Some(field) = section.get(key) else { return Vec::new() };
    let entries = field.entries(out);
    if entries.len() > LABELS_MAX {
        out.error(&field.key_spot(), format!("more than {LABELS_MAX} texts"));
    }
    let read =
        |(text, field): (&str, section::Field<'_>)| Some((text.to_owned(), value(&field, out)?));
    entries.into_iter().filter_map(read).collect()
}

fn not_available(section: &Section<'_>, out: &mut Findings) -> Vec<String> {
    let Some(field) = section.get("not-available") else { return Vec::new() };
    let items = field.items();
    if items.len() > NOT_AVAILABLE_MAX {
        out.error(&field.key_spot(), format!("more than {NOT_AVAILABLE_MAX} texts"));
    }
    items.iter().filter_map(|item| item.scalar(out, values::text(TEXT_BYTES_MAX))).collect()
}
