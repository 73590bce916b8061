//! The kinds of frames, and how each is taken apart.

use regex::bytes::{Regex, RegexBuilder};

use super::field::{self, Written};
use super::framing::ORDERS;
use super::layers::{Layers, unreported};
use super::parts;
use crate::config::defaults::{FIELDS_MAX, FORMS_MAX};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::sensor::{ByteOrder, Form, Framing, PATTERN_BYTES_MAX, Parse};

/// `key=value` pairs behind each other, with anything that can't belong to one between them.
const KEY_VALUE: &str = r"(?<key>[^=;,\s]+)\s*=\s*(?<value>[^;,\s]*)";
const PATTERN_TEXT_MAX: usize = 4_096;

/// What the fields of a form need to know about it.
pub(super) struct Scope<'a> {
    pub parse: &'a Parse,
    /// Of the values in bytes, where a field does not say.
    pub order: ByteOrder,
    /// Names of the groups of a pattern.
    pub groups: Vec<String>,
    /// Length of the frames, where all have one.
    pub length: Option<usize>,
}

/// `None` only after something was reported.
pub(super) fn forms(
    layers: &Layers<'_, '_>,
    framing: Option<&Framing>,
    out: &mut Findings,
) -> Option<Vec<Form>> {
    let length = match framing {
        Some(Framing::Fixed { length, .. }) => Some(*length),
        _ => None,
    };
    if let Some(field) = layers.own.get("frames") {
        for key in ["parse", "fields"] {
            if let Some(second) = layers.own.get(key) {
                let message = format!("{key} stands in each of the frames already");
                out.error(&second.key_spot(), message);
            }
        }
        return listed(field, length, out);
    }
    if let Some(parse) = layers.own.get("parse") {
        let fields = written(layers.own, out)?;
        return Some(vec![form(None, parse, &fields, length, out)?]);
    }
    if let Some(added) = layers.own.get("fields") {
        return added_to_preset(layers, added, length, out);
    }
    if let Some(field) = layers.base("frames") {
        return unreported(|out| listed(&field, length, out));
    }
    if !layers.has_preset() && layers.own.lacks(&["frames", "parse", "preset"]) {
        let complaint = Complaint::new("it is not said what the frames hold")
            .hint("write parse: … and fields: { … }, or a preset");
        out.error(&layers.own.spot, complaint);
    }
    None
}

/// Own fields beside those of a preset: for presets with one kind of frame.
fn added_to_preset(
    layers: &Layers<'_, '_>,
    added: &Field<'_>,
    length: Option<usize>,
    out: &mut Findings,
) -> Option<Vec<Form>> {
    let Some(base) = layers.base("frames") else {
        if layers.own.lacks(&["parse"]) {
            let hint = "write parse: { regex: … }, or a preset";
            let complaint = Complaint::new("it is not said how a frame is taken apart").hint(hint);
            out.error(&layers.own.spot, complaint);
        }
        return None;
    };
    let items = base.items();
    let [only] = items.as_slice() else {
        let complaint = Complaint::new("this preset has several kinds of frames")
            .hint("write frames: [ … ] instead");
        out.error(&added.key_spot(), complaint);
        return None;
    };
    let section = unreported(|out| only.section(&keys::FRAME, out));
    let mut fields = unreported(|out| written(&section, out))?;
    fields.iter_mut().for_each(|field| field.of_preset = true);
    for (name, field) in added.named(out) {
        let own = Written { name, field, of_preset: false };
        match fields.iter_mut().find(|known| known.name == own.name) {
            Some(known) => *known = own,
            None => fields.push(own),
        }
    }
    let when = unreported(|out| section.scalar("when", out, |text| pattern(text).map(|_| text)));
    let parse = section.get("parse")?;
    Some(vec![form(when, parse, &fields, length, out)?])
}

fn listed(field: &Field<'_>, length: Option<usize>, out: &mut Findings) -> Option<Vec<Form>> {
    let items = field.items();
    if items.is_empty() || items.len() > FORMS_MAX {
        out.error(&field.key_spot(), format!("1 to {FORMS_MAX} kinds of frames are needed"));
        return None;
    }
    let one = |item: &Field<'_>| {
        let section = item.section(&keys::FRAME, out);
        let when = section.scalar("when", out, |text| pattern(text).map(|_| text));
        section.missing("parse", out);
        let fields = written(&section, out);
        form(when, section.get("parse")?, &fields?, length, out)
    };
    let forms: Vec<_> = items.iter().map(one).collect();
    forms.into_iter().collect()
}

fn written<'a>(section: &Section<'a>, out: &mut Findings) -> Option<Vec<Written<'a>>> {
    section.missing("fields", out);
    let named = section.get("fields")?.named(out);
    let written = |(name, field)| Written { name, field, of_preset: false };
    Some(named.into_iter().map(written).collect())
}

fn form(
    when: Option<&str>,
    parse_field: &Field<'_>,
    fields: &[Written<'_>],
    length: Option<usize>,
    out: &mut Findings,
) -> Option<Form> {
    let (parse, order) = parse(parse_field, out)?;
    if fields.len() > FIELDS_MAX {
        out.error(&parse_field.key_spot(), format!("more than {FIELDS_MAX} fields"));
        return None;
    }
    let groups = match &parse {
        Parse::Regex(text) => groups(text),
        _ => Vec::new(),
    };
    let fields = {
        let scope = Scope { parse: &parse, order, groups, length };
        field::all(fields, &scope, out)?
    };
    Some(Form { when: when.map(str::to_owned), parse, fields })
}

/// The way a frame is taken apart, and the byte order of its numbers.
fn parse(field: &Field<'_>, out: &mut Findings) -> Option<(Parse, ByteOrder)> {
    let big = ByteOrder::Big;
    if field.text().is_some() {
        let words = [
            ("bytes", Parse::Bytes),
            ("columns", Parse::Bytes),
            ("json", Parse::Json),
            ("sml", Parse::Sml),
            ("key-value", Parse::KeyValue(KEY_VALUE.to_owned())),
        ];
        return Some((field.scalar(out, values::word(&words))?, big));
    }
    let section = field.section(&keys::PARSE, out);
    if let Some(second) = keys::PARSE.keys.iter().filter_map(|key| section.get(key)).nth(1) {
        out.error(
            &second.key_spot(),
            "a frame is taken apart in one way; a second is written here",
        );
    }
    if let Some(text) = section.scalar("regex", out, |text| pattern(text).map(|_| text)) {
        return Some((Parse::Regex(text.to_owned()), big));
    }
    if let Some(order) = section.scalar("bytes", out, values::word(&ORDERS)) {
        return Some((Parse::Bytes, order));
    }
    if let Some(separator) = section.scalar("split", out, parts::byte) {
        return Some((Parse::Split(separator), big));
    }
    if let Some(text) = section.scalar("key-value", out, key_value) {
        return Some((Parse::KeyValue(text.to_owned()), big));
    }
    if section.lacks(keys::PARSE.keys) {
        let complaint = Complaint::new("the way frames are taken apart is missing");
        let hint = "write bytes, json, sml, key-value, { regex: … } or { split: \",\" }";
        out.error(&section.spot, complaint.hint(hint));
    }
    None
}

fn key_value(text: &str) -> Result<&str, Complaint> {
    pattern(text)?;
    let groups = groups(text);
    match ["key", "value"].iter().find(|name| !groups.iter().any(|group| group == *name)) {
        None => Ok(text),
        Some(name) => Err(Complaint::new(format!("has no group {name}"))
            .hint("write (?<key>…) and (?<value>…), and (?<unit>…) if there is one")),
    }
}

/// As the codec will build it.
pub(super) fn pattern(text: &str) -> Result<Regex, Complaint> {
    if text.len() > PATTERN_TEXT_MAX {
        return Err(format!("has more than {PATTERN_TEXT_MAX} bytes").into());
    }
    let built = RegexBuilder::new(text).unicode(false).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| {
        let said = error.to_string();
        let last = said.lines().last().unwrap_or_default().trim();
        let why = last.strip_prefix("error: ").unwrap_or(last);
        let complaint = Complaint::new(format!("{} is no pattern: {why}", quoted(text)));
        complaint.hint("named groups are written as in (?<weight>[0-9.]+)")
    })
}

fn groups(text: &str) -> Vec<String> {
    let names = |pattern: Regex| pattern.capture_names().flatten().map(str::to_owned).collect();
    pattern(text).map(names).unwrap_or_default()
}
