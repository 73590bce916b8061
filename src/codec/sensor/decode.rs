//! The fields of a frame: which form it has, what each piece says, how far it can be trusted.

use regex::bytes::Regex;

use super::number::Exact;
use super::pieces::{Parser, Piece, Pieces, pattern};
use crate::model::sensor::{ByteOrder, Field, FieldKind, Form, Sensor, UnitFrom};
use crate::model::{Doubt, Fault, Linear, Mono, Quality, Reading, TagId, Value, conversion};

/// A pattern that can't be used; `config` lets none pass.
#[derive(Debug, thiserror::Error)]
#[error("a pattern of the sensor can't be used")]
pub struct PatternError(#[from] regex::Error);

/// Decodes the frames of one sensor; see the module.
#[derive(Debug)]
pub struct Decoder {
    forms: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    form: Form,
    when: Option<Regex>,
    parser: Parser,
    /// The unit each field had last: some scales leave it out while they are moving.
    units: Vec<Option<String>>,
}

/// One field of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: std::sync::Arc<str>,
    pub content: Content,
    pub unit: SampleUnit,
    pub quality: Quality,
    linear: Option<Linear>,
    whole: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Nothing,
    Exact(Exact),
    Float(f64),
    Value(Value),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleUnit {
    /// The frame says nothing about it and need not.
    Unstated,
    /// It is always this one.
    Always(String),
    /// The frame says this one.
    Said(String),
    /// The frame should say it and does not.
    Missing,
}

/// A value, or why there is none.
type Outcome<T> = Result<T, Fault>;

impl Decoder {
    pub fn new(sensor: &Sensor) -> Result<Self, PatternError> {
        let compiled = |form: &Form| -> Result<Compiled, PatternError> {
            Ok(Compiled {
                when: form.when.as_deref().map(|text| pattern(text, false)).transpose()?,
                parser: Parser::new(&form.parse)?,
                units: vec![None; form.fields.len()],
                form: form.clone(),
            })
        };
        Ok(Self { forms: sensor.forms.iter().map(compiled).collect::<Result<_, _>>()? })
    }

    /// The fields of a frame in the order they are described in; `None` if it has none of the forms.
    pub fn decode(&mut self, body: &[u8]) -> Option<Vec<Sample>> {
        self.forms.iter_mut().find_map(|form| form.decode(body))
    }

    /// What is known of an earlier stream says nothing about a new one.
    pub fn forget(&mut self) {
        for form in &mut self.forms {
            form.units.fill(None);
        }
    }
}

impl Compiled {
    fn decode(&mut self, body: &[u8]) -> Option<Vec<Sample>> {
        if self.when.as_ref().is_some_and(|when| !when.is_match(body)) {
            return None;
        }
        let pieces = self.parser.take_apart(body)?;
        let view = View { fields: &self.form.fields, pieces: &pieces };
        let samples = view.fields.iter().zip(&mut self.units);
        Some(samples.filter_map(|(field, last)| view.sample(field, last)).collect())
    }
}

/// A frame and how to read it.
struct View<'a> {
    fields: &'a [Field],
    pieces: &'a Pieces<'a>,
}

impl View<'_> {
    /// `None` if this frame does not have the field.
    fn sample(&self, field: &Field, last_unit: &mut Option<String>) -> Option<Sample> {
        let quality = self.quality(field);
        let sample = |content, unit, quality| Sample {
            name: field.name.clone(),
            content,
            unit,
            quality,
            linear: field.linear,
            whole: !matches!(field.kind, FieldKind::Number | FieldKind::DegreesMinutes),
        };
        if matches!(quality, Quality::Bad(_)) {
            return Some(sample(Content::Nothing, SampleUnit::Unstated, quality));
        }
        let piece = self.pieces.at(&field.place)?;
        let unit = self.unit(field, &piece, last_unit);
        Some(match self.content(field, &piece) {
            Ok((content, doubt)) => {
                let quality = match doubt {
                    Some(doubt) if quality == Quality::Good => Quality::Uncertain(doubt),
                    _ => quality,
                };
                sample(content, unit, quality)
            }
            Err(fault) => sample(Content::Nothing, unit, Quality::Bad(fault)),
        })
    }

    /// The worst of what the frame says about a field.
    fn quality(&self, field: &Field) -> Quality {
        let verdict = |index: &usize| {
            let Some(from) = self.fields.get(*index) else {
                return Quality::Bad(Fault::Undecodable);
            };
            let text = self.text(from).unwrap_or_default();
            let listed = from.verdicts.iter().find(|(known, _)| *known == text);
            listed
                .map(|(_, quality)| *quality)
                .or(from.other_verdict)
                .unwrap_or(Quality::Bad(Fault::Undecodable))
        };
        let all = field.quality_from.iter().map(verdict).chain(field.quality);
        all.fold(Quality::Good, |worst, next| if rank(next) > rank(worst) { next } else { worst })
    }

    fn unit(&self, field: &Field, piece: &Piece<'_>, last: &mut Option<String>) -> SampleUnit {
        let said = match &field.unit {
            UnitFrom::Unknown => return SampleUnit::Unstated,
            UnitFrom::Fixed(unit) => return SampleUnit::Always(unit.clone()),
            UnitFrom::Beside => {
                return piece.unit.clone().map_or(SampleUnit::Missing, SampleUnit::Said);
            }
            UnitFrom::Fields(fields) => fields.iter().find_map(|index| {
                self.fields.get(*index).and_then(|from| self.text(from)).filter(|t| !t.is_empty())
            }),
        };
        if said.is_some() {
            last.clone_from(&said);
        }
        last.clone().map_or(SampleUnit::Missing, SampleUnit::Said)
    }

    /// A field as the text that other fields are read by; labels are applied.
    fn text(&self, field: &Field) -> Option<String> {
        let piece = self.pieces.at(&field.place)?;
        let text = match whole_bits(field, &piece.bytes) {
            Some(number) => number?.to_string(),
            None => std::str::from_utf8(piece.bytes.trim_ascii()).ok()?.to_owned(),
        };
        let label = field.labels.iter().find(|(known, _)| *known == text);
        Some(label.map_or(text, |(_, label)| label.clone()))
    }

    fn content(&self, field: &Field, piece: &Piece<'_>) -> Outcome<(Content, Option<Doubt>)> {
        let trimmed = piece.bytes.trim_ascii();
        let nothing = trimmed.is_empty() && !is_binary(field.kind) && field.bits.is_none();
        let text = std::str::from_utf8(trimmed);
        let listed = |text: &str| field.not_available.iter().any(|known| known == text);
        if nothing || text.is_ok_and(listed) {
            return Err(Fault::NotAvailable);
        }
        if !field.labels.is_empty() {
            let shown = self.text(field).ok_or(Fault::Undecodable)?;
            let known = field.labels.iter().any(|(_, label)| *label == shown);
            let doubt = if known { None } else { Some(Doubt::UnknownLabel) };
            return Ok((Content::Value(Value::Text(shown.into())), doubt));
        }
        let mut content = self.bare(field, piece)?;
        if let Content::Exact(exact) = &mut content {
            exact.decimals -= piece.power;
            if let Some(decimals) = self.reference(field.decimals_from)? {
                let decimals: i32 = decimals.parse().map_err(|_| Fault::Undecodable)?;
                if !(-20..=20).contains(&decimals) {
                    return Err(Fault::Undecodable);
                }
                exact.decimals += decimals;
            }
            match self.reference(field.sign_from)?.as_deref() {
                None | Some("" | "+") => {}
                Some("-") => exact.digits = -exact.digits,
                Some(_) => return Err(Fault::Undecodable),
            }
        }
        Ok((content, None))
    }

    /// The text of another field; one that is missing makes this one undecodable.
    fn reference(&self, index: Option<usize>) -> Outcome<Option<String>> {
        let Some(index) = index else { return Ok(None) };
        let text = self.fields.get(index).and_then(|from| self.text(from));
        text.map(Some).ok_or(Fault::Undecodable)
    }

    /// The value of the piece alone.
    fn bare(&self, field: &Field, piece: &Piece<'_>) -> Outcome<Content> {
        let bytes = piece.bytes.trim_ascii();
        let separator = if field.comma { b',' } else { b'.' };
        let exact = |digits| Content::Exact(Exact { digits, decimals: 0 });
        if let Some(number) = whole_bits(field, &piece.bytes) {
            return number.map(exact).ok_or(Fault::Undecodable);
        }
        let content = match field.kind {
            FieldKind::Number => Exact::parse(bytes, separator).map(Content::Exact),
            FieldKind::Integer => {
                let number = Exact::parse(bytes, separator).filter(|number| number.decimals == 0);
                number.map(Content::Exact)
            }
            FieldKind::Hex => hex(bytes).map(exact),
            FieldKind::Text => {
                let text = std::str::from_utf8(bytes).ok();
                text.map(|text| Content::Value(Value::Text(text.into())))
            }
            FieldKind::Bool => match bytes {
                b"1" | b"true" => Some(Content::Value(Value::Bool(true))),
                b"0" | b"false" => Some(Content::Value(Value::Bool(false))),
                _ => None,
            },
            FieldKind::DegreesMinutes => degrees(bytes, separator).map(Content::Float),
            FieldKind::Float(order) => float(&piece.bytes, order)?.map(Content::Float),
            FieldKind::Raw => Some(Content::Value(Value::Bytes(piece.bytes.to_vec().into()))),
            // Those that `whole_bits` knows.
            FieldKind::Unsigned(_) | FieldKind::Signed(_) | FieldKind::Bcd(_) => None,
        };
        let content = content.ok_or(Fault::Undecodable)?;
        match (content, field.sign_from, field.kind) {
            // A hemisphere is the sign of an angle.
            (Content::Float(value), Some(_), FieldKind::DegreesMinutes) => {
                match self.reference(field.sign_from)?.as_deref() {
                    Some("" | "+") => Ok(Content::Float(value)),
                    Some("-") => Ok(Content::Float(-value)),
                    _ => Err(Fault::Undecodable),
                }
            }
            (content, ..) => Ok(content),
        }
    }
}

impl Sample {
    /// The reading of a tag that is published in `unit` (empty for none).
    pub fn reading(&self, tag: TagId, at: Mono, unit: &str) -> Reading {
        let bad = |fault| Reading::bad(tag, at, fault);
        if let Quality::Bad(fault) = self.quality {
            return bad(fault);
        }
        let value = match self.value(unit) {
            Ok(value) => value,
            Err(fault) => return bad(fault),
        };
        match self.quality {
            Quality::Uncertain(doubt) => Reading::uncertain(tag, at, value, doubt),
            Quality::Good | Quality::Bad(_) => Reading::good(tag, at, value),
        }
    }

    /// The value in this unit; empty for none. A value in another unit is no value.
    pub fn value(&self, unit: &str) -> Outcome<Value> {
        let (over, under) = match (&self.content, &self.unit) {
            (Content::Value(value), _) => return Ok(value.clone()),
            (_, SampleUnit::Missing) if !unit.is_empty() => return Err(Fault::WrongUnit),
            (_, SampleUnit::Unstated | SampleUnit::Missing) => (1.0, 1.0),
            (_, SampleUnit::Always(_)) if unit.is_empty() => (1.0, 1.0),
            (_, SampleUnit::Always(own) | SampleUnit::Said(own)) => {
                conversion(own, unit).ok_or(Fault::WrongUnit)?
            }
        };
        let (factor, divisor, offset) =
            self.linear.map_or((1.0, 1.0, 0.0), |line| (line.factor, line.divisor, line.offset));
        let float = match &self.content {
            Content::Exact(exact) => {
                let plain = self.linear.is_none() && (over, under) == (1.0, 1.0);
                if self.whole && plain && exact.decimals == 0 {
                    return whole(exact.digits);
                }
                // One rounding where there is no offset.
                if offset == 0.0 {
                    exact.to_f64(factor * over, divisor * under, 0.0)
                } else {
                    exact.to_f64(factor, divisor, offset).map(|value| value * over / under)
                }
            }
            Content::Float(value) => Some((value * factor / divisor + offset) * over / under),
            Content::Nothing | Content::Value(_) => None,
        };
        float.filter(|value| value.is_finite()).map(Value::F64).ok_or(Fault::NotAvailable)
    }

    /// The unit that the frame says.
    pub fn unit(&self) -> &str {
        match &self.unit {
            SampleUnit::Always(unit) | SampleUnit::Said(unit) => unit,
            SampleUnit::Unstated | SampleUnit::Missing => "",
        }
    }
}

fn whole(number: i128) -> Outcome<Value> {
    if let Ok(number) = u64::try_from(number) {
        return Ok(i64::try_from(number).map_or(Value::U64(number), Value::I64));
    }
    i64::try_from(number).map(Value::I64).map_err(|_| Fault::Undecodable)
}

fn rank(quality: Quality) -> u8 {
    match quality {
        Quality::Good => 0,
        Quality::Uncertain(_) => 1,
        Quality::Bad(_) => 2,
    }
}

fn is_binary(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Unsigned(_)
            | FieldKind::Signed(_)
            | FieldKind::Float(_)
            | FieldKind::Bcd(_)
            | FieldKind::Raw
    )
}

/// The whole number that these bytes are, or the bits of it that are meant; the outer `None` if the
/// field is not one of those.
fn whole_bits(field: &Field, bytes: &[u8]) -> Option<Option<i128>> {
    let ordered = |order| match order {
        ByteOrder::Big => bytes.to_vec(),
        ByteOrder::Little => bytes.iter().rev().copied().collect(),
    };
    let join = |bytes: Vec<u8>, sign: i128| {
        let fits = !bytes.is_empty() && bytes.len() <= 8;
        fits.then(|| bytes.iter().fold(sign, |n, byte| n << 8 | i128::from(*byte)))
    };
    let number = match field.kind {
        FieldKind::Unsigned(order) => join(ordered(order), 0),
        FieldKind::Signed(order) => {
            let bytes = ordered(order);
            let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            join(bytes, if negative { -1 } else { 0 })
        }
        FieldKind::Bcd(order) => bcd(&ordered(order)),
        FieldKind::Hex if field.bits.is_some() => hex(bytes.trim_ascii()),
        FieldKind::Integer if field.bits.is_some() => {
            Exact::parse(bytes, b'.').filter(|number| number.decimals == 0).map(|n| n.digits)
        }
        _ => return None,
    };
    let Some((from, width)) = field.bits else { return Some(number) };
    let mask = (1_i128 << width.clamp(1, 64)) - 1;
    Some(number.map(|number| number >> from.min(63) & mask))
}

fn bcd(bytes: &[u8]) -> Option<i128> {
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0F])
        .try_fold(0_i128, |number, digit| (digit < 10).then(|| number * 10 + i128::from(digit)))
}

fn hex(bytes: &[u8]) -> Option<i128> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    bytes.iter().try_fold(0_i128, |number, byte| {
        char::from(*byte).to_digit(16).map(|digit| number << 4 | i128::from(digit))
    })
}

/// Inner `None`: no float of this length. One that is no number is a value that is not available.
fn float(bytes: &[u8], order: ByteOrder) -> Outcome<Option<f64>> {
    let single: Option<[u8; 4]> = bytes.try_into().ok();
    let double: Option<[u8; 8]> = bytes.try_into().ok();
    let value = match (single, double, order) {
        (Some(bytes), _, ByteOrder::Big) => f64::from(f32::from_be_bytes(bytes)),
        (Some(bytes), _, ByteOrder::Little) => f64::from(f32::from_le_bytes(bytes)),
        (_, Some(bytes), ByteOrder::Big) => f64::from_be_bytes(bytes),
        (_, Some(bytes), ByteOrder::Little) => f64::from_le_bytes(bytes),
        (None, None, _) => return Ok(None),
    };
    if value.is_finite() { Ok(Some(value)) } else { Err(Fault::NotAvailable) }
}

/// `4916.45` is 49 degrees and 16.45 minutes.
fn degrees(bytes: &[u8], separator: u8) -> Option<f64> {
    let number = Exact::parse(bytes, separator).filter(|number| number.digits >= 0)?;
    let decimals = u32::try_from(number.decimals).ok().filter(|n| *n <= 12)?;
    let scale = 10_i128.checked_pow(decimals)?;
    let (degrees, minutes) = (number.digits / (100 * scale), number.digits % (100 * scale));
    if degrees > 180 || minutes >= 60 * scale {
        return None;
    }
    let sixtieths = Exact { digits: degrees * 60 * scale + minutes, decimals: number.decimals };
    sixtieths.to_f64(1.0, 60.0, 0.0)
}
