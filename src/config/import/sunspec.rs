//! SunSpec: models as JSON (the schema of the public repository sunspec/models) and the chain of
//! models that a device has, together a profile with every address as a number.
//!
//! A chain begins behind the marker "SunS"; each model starts with its id and its length in
//! registers, and 0xFFFF ends it (SunSpec Device Information Model Specification 1.1, 6). Points
//! that a model repeats are laid out as often as its length, or a count register, says. Bounds come
//! from the chain itself: nothing is laid out beyond a model's length.

use serde::Deserialize;
use serde_json::Value as Json;

use super::super::problem::{Findings, Problems, Spot};
use super::super::raw::{Node, Place};
use super::draft::{Draft, Group as DraftGroup, Imported, Tag, map, scalar};

/// "SunS" at one of these addresses says that a chain follows.
pub const BASES: [u16; 3] = [40_000, 50_000, 0];
pub const MARKER: [u16; 2] = [0x5375, 0x6E53];
/// Id of what comes after the last model.
pub const END: u16 = 0xFFFF;
/// Models in a chain that are followed.
pub const CHAIN_MAX: usize = 200;

/// Registers of one request, which a value and its scale must share.
const REQUEST_MAX: u32 = 125;

/// A model that the device has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: u16,
    /// Of its id register.
    pub address: u16,
    /// Registers after the id and the length.
    pub length: u16,
    /// All its registers from the id on, if they were read: they hold the counts.
    pub words: Option<Vec<u16>>,
}

/// A model as its file describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Model {
    pub id: u16,
    group: Group,
}

#[derive(Debug, Clone, Deserialize)]
struct Group {
    name: String,
    label: Option<String>,
    #[serde(default)]
    count: Json,
    #[serde(default)]
    points: Vec<Point>,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
struct Point {
    name: String,
    r#type: String,
    size: u16,
    #[serde(default)]
    sf: Json,
    units: Option<String>,
    label: Option<String>,
    #[serde(default)]
    symbols: Vec<Symbol>,
    r#static: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Symbol {
    name: String,
    value: i64,
}

/// Why a text is no chain.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no model; write the chain as ID@ADDRESS:LENGTH,… as in 1@40002:66,103@40070:50")]
pub struct NoChain(String);

impl Model {
    /// One file of the repository; `file` is how problems call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problems> {
        serde_json::from_str(text).map_err(|error| {
            let mut out = Findings::new(file);
            let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let at = Place { line: number(error.line()), column: number(error.column()) };
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or_default();
            out.error(&Spot::at(at), format!("is no SunSpec model: {what}"));
            Problems(out.into_problems())
        })
    }
}

/// `1@40002:66,103@40070:50`.
pub fn chain(text: &str) -> Result<Vec<Found>, NoChain> {
    let model = |part: &str| {
        let (id, rest) = part.trim().split_once('@')?;
        let (address, length) = rest.split_once(':')?;
        let number = |text: &str| text.trim().parse().ok();
        Some(Found {
            id: number(id)?,
            address: number(address)?,
            length: number(length)?,
            words: None,
        })
    };
    text.split(',').map(|part| model(part).ok_or_else(|| NoChain(part.to_owned()))).collect()
}

/// Makes the profile `name` of the models of a chain.
pub fn profile(
    models: &[Model],
    chain: &[Found],
    name: &str,
    title: &str,
) -> Result<Imported, Problems> {
    let ids: Vec<_> = chain.iter().map(|found| found.id.to_string()).collect();
    let mut draft = Draft {
        name: name.to_owned(),
        title: title.to_owned(),
        kind: kind(chain).to_owned(),
        source: format!("SunSpec models {} (sunspec/models, JSON)", ids.join(", ")),
        ..Draft::default()
    };
    for found in chain {
        let Some(model) = models.iter().find(|model| model.id == found.id) else {
            draft.notes.push(format!(
                "model {} at {} (length {}) is not among the files and is left out",
                found.id, found.address, found.length
            ));
            continue;
        };
        Layout::new(model, found, &mut draft).run(model);
    }
    draft.groups.retain(|group| !group.tags.is_empty());
    draft.finish(Findings::new(name))
}

fn kind(chain: &[Found]) -> &'static str {
    let has = |ids: &[std::ops::RangeInclusive<u16>]| {
        chain.iter().any(|found| ids.iter().any(|range| range.contains(&found.id)))
    };
    if has(&[101..=113, 701..=701]) {
        "inverter"
    } else if has(&[201..=220]) {
        "meter"
    } else {
        "other"
    }
}

/// Whether a model is read without being asked for: what is measured, not what is set.
fn is_default(id: u16) -> bool {
    !matches!(id, 2..=99 | 120..=159 | 702..=712)
}

/// One model being laid out.
struct Layout<'d> {
    found: &'d Found,
    /// One past the model's last register.
    end: u32,
    group: DraftGroup,
    /// The bits of its bit fields.
    bits: DraftGroup,
    draft: &'d mut Draft,
}

/// Where the points of a group and of those around it are.
#[derive(Clone, Default)]
struct Scope(Vec<(String, u32)>);

impl<'d> Layout<'d> {
    fn new(model: &Model, found: &'d Found, draft: &'d mut Draft) -> Self {
        let base = snake(&model.group.name);
        let taken = |name: &str| draft.groups.iter().any(|group| group.name == name);
        let numbered = (2..).map(|n| format!("{base}_{n}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name));
        let name = name.unwrap_or(base);
        let label = model.group.label.clone().unwrap_or_default();
        let about = format!("model {} at {}: {label}", model.id, found.address);
        let group = DraftGroup {
            about: about.trim_end_matches([':', ' ']).to_owned(),
            is_default: is_default(model.id),
            every: (model.id == 1).then_some("1h"),
            name: name.clone(),
            tags: Vec::new(),
        };
        let bits = DraftGroup {
            name: format!("{name}_bits"),
            about: format!("single bits of {name}"),
            ..DraftGroup::default()
        };
        let end = u32::from(found.address) + 2 + u32::from(found.length);
        Self { found, end: end.min(0x1_0000), group, bits, draft }
    }

    fn run(mut self, model: &Model) {
        let name = self.group.name.clone();
        let start = u32::from(self.found.address);
        self.lay(&model.group, start, &name, &Scope::default(), true);
        let Self { group, bits, draft, .. } = self;
        draft.groups.extend([group, bits]);
    }

    /// Lays a group out once; gives the address behind it.
    fn lay(
        &mut self,
        group: &Group,
        start: u32,
        prefix: &str,
        outer: &Scope,
        is_head: bool,
    ) -> u32 {
        let mut scope = outer.clone();
        let mut at = start;
        for point in &group.points {
            scope.0.push((point.name.clone(), at));
            at = at.saturating_add(point.size.max(1).into());
        }
        let mut at = start;
        for point in &group.points {
            let next = at.saturating_add(point.size.max(1).into());
            let is_head_point = is_head && matches!(point.name.as_str(), "ID" | "L");
            if next <= self.end && !is_head_point {
                self.point(point, at, prefix, &scope);
            }
            at = next;
        }
        for inner in &group.groups {
            at = self.repeat(inner, at, prefix, &scope);
        }
        at
    }

    fn repeat(&mut self, group: &Group, start: u32, prefix: &str, scope: &Scope) -> u32 {
        let name = format!("{prefix}_{}", snake(&group.name));
        let Some(count) = self.count(group, scope) else {
            self.draft.notes.push(format!(
                "{name} repeats as often as a register of the device says: read the device with --tcp"
            ));
            // What comes behind it is not known either.
            return self.end;
        };
        let mut at = start;
        for index in 1..=count {
            if at >= self.end {
                break;
            }
            let name = if count == 1 { name.clone() } else { format!("{name}_{index}") };
            at = self.lay(group, at, &name, scope, false).max(at.saturating_add(1));
        }
        at
    }

    /// How often a group comes; without a bound when it fills the model.
    fn count(&self, group: &Group, scope: &Scope) -> Option<u32> {
        match &group.count {
            Json::Null => Some(1),
            Json::Number(number) => match number.as_u64() {
                Some(0) => Some(u32::MAX),
                count => u32::try_from(count?).ok(),
            },
            Json::String(point) => {
                let at = scope.find(point)?;
                let index = usize::try_from(at.checked_sub(self.found.address.into())?).ok()?;
                let count = *self.found.words.as_ref()?.get(index)?;
                Some(if count == u16::MAX { 0 } else { count.into() })
            }
            _ => None,
        }
    }

    fn point(&mut self, point: &Point, at: u32, prefix: &str, scope: &Scope) {
        let Some((kind, not_available)) = form(point) else { return };
        let name = format!("{prefix}_{}", snake(&point.name));
        let mut keys =
            vec![("holding".to_owned(), text(at.to_string())), ("type".to_owned(), text(kind))];
        match &point.sf {
            Json::String(sf) => match scope.find(sf) {
                Some(scale) if scale.abs_diff(at) < REQUEST_MAX - u32::from(point.size) => {
                    keys.push(("scale-register".to_owned(), text(scale.to_string())));
                }
                _ => {
                    self.draft.notes.push(format!(
                        "{name} at {at} is too far from its scale register {sf} and is left out"
                    ));
                    return;
                }
            },
            Json::Number(power) if power.as_i64() != Some(0) => {
                keys.push(("scale".to_owned(), text(format!("1e{power}"))));
            }
            _ => {}
        }
        if let Some(code) = not_available {
            keys.push(("not-available".to_owned(), text(code)));
        }
        if let Some(units) = &point.units {
            keys.push(("unit".to_owned(), text(unit(units))));
        }
        let is_enumeration = point.r#type.starts_with("enum");
        if is_enumeration && !point.symbols.is_empty() {
            let mut codes = std::collections::BTreeMap::new();
            codes.extend(point.symbols.iter().map(|s| (s.value, s.name.to_lowercase())));
            let pairs = codes.into_iter().map(|(code, label)| (code.to_string(), text(label)));
            keys.push(("labels".to_owned(), map(Place::default(), pairs.collect())));
        }
        if is_enumeration || point.r#static.is_some() || point.r#type.starts_with("bitfield") {
            keys.push(("publish".to_owned(), text("changes")));
        }
        let comment = point.label.clone().unwrap_or_default();
        self.bits_of(point, at, &name);
        self.group.tags.push(Tag { name, at: Place::default(), keys, comment });
    }

    /// A bit field's named bits, each a tag; the value's highest register comes first.
    fn bits_of(&mut self, point: &Point, at: u32, name: &str) {
        if !point.r#type.starts_with("bitfield") {
            return;
        }
        let width = u32::from(point.size) * 16;
        for Symbol { name: symbol, value: bit } in &point.symbols {
            let Some(bit) = u32::try_from(*bit).ok().filter(|bit| *bit < width) else { continue };
            let register = at + u32::from(point.size) - 1 - bit / 16;
            self.bits.tags.push(Tag {
                name: format!("{name}_{}", snake(symbol)),
                at: Place::default(),
                keys: vec![
                    ("holding".to_owned(), text(register.to_string())),
                    ("type".to_owned(), text(format!("bit:{}", bit % 16))),
                    ("not-available".to_owned(), text("0xFFFF")),
                    ("publish".to_owned(), text("changes")),
                ],
                comment: String::new(),
            });
        }
    }
}

impl Scope {
    /// The nearest of this name, from the inside out.
    fn find(&self, name: &str) -> Option<u32> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, at)| *at)
    }
}

/// Type and code for "not implemented" (SunSpec Device Information Model Specification 1.1, 4);
/// `None` for what carries no value.
fn form(point: &Point) -> Option<(String, Option<&'static str>)> {
    let (kind, code) = match (point.r#type.as_str(), point.size) {
        ("int16", 1) => ("i16", "0x8000"),
        ("uint16" | "enum16" | "bitfield16" | "count", 1) => ("u16", "0xFFFF"),
        ("acc16", 1) => ("u16", "0"),
        ("int32", 2) => ("i32", "0x80000000"),
        ("uint32" | "enum32" | "bitfield32", 2) => ("u32", "0xFFFFFFFF"),
        ("acc32", 2) => ("u32", "0"),
        ("int64", 4) => ("i64", "0x8000000000000000"),
        ("uint64" | "bitfield64", 4) => ("u64", "0xFFFFFFFFFFFFFFFF"),
        ("acc64", 4) => ("u64", "0"),
        ("ipaddr", 2) => ("ipv4", "0"),
        ("float32", 2) => return Some(("f32".to_owned(), None)),
        ("float64", 4) => return Some(("f64".to_owned(), None)),
        ("string", 1..=125) => return Some((format!("text:{}", point.size), None)),
        ("ipv6addr" | "eui48", 1..=125) => return Some((format!("raw:{}", point.size), None)),
        _ => return None,
    };
    Some((kind.to_owned(), Some(code)))
}

/// Units as everywhere here.
fn unit(units: &str) -> &str {
    match units {
        "Secs" => "s",
        "C" => "°C",
        "Pct" => "%",
        "VAr" | "Var" => "var",
        "VArh" | "Varh" => "varh",
        other => other,
    }
}

/// A name in small letters.
fn snake(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(plain).collect()
}

fn text(value: impl Into<String>) -> Node {
    scalar(Place::default(), value)
}
