//! Asking devices by hand: registers in every interpretation, find by value, a tag as it would be
//! read, and what a device says it is.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::place::{TableWord, configuration, no_way, unit_fits, way};
use crate::codec::find::{Match, Shown, find};
use crate::codec::json as payload;
use crate::codec::pdu::exception_name;
use crate::codec::side_by_side::{self, Item, ORDERS, PAIRS, WIDE};
use crate::config::{alone, paste, show_kind};
use crate::model::{Kind, Order, Table};
use crate::south::probe::{
    BITS_MAX, Exchange, ProbeError, REGISTERS_MAX, Session, Split, object_name,
};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem};

/// How long an answer is waited for, unless the request says it.
const TIMEOUT_MS: u16 = 1_000;
const TIMEOUT_MS_MIN: u16 = 10;
const TIMEOUT_MS_MAX: u16 = 5_000;
/// Registers or bits of one table.
const ITEMS_MAX: u32 = 2_000;
/// Registers that are searched of a table where the request does not say how many.
const SEARCHED: u32 = 1_000;
const SEARCHED_MAX: u32 = 65_536;
/// A search of many registers on a slow line ends with what was read until then.
const SEARCH_TIME: Duration = Duration::from_secs(60);
/// Candidates that are told.
const CANDIDATES_MAX: usize = 100;
/// Characters of a number.
const DIGITS: usize = 14;

pub fn routes() -> Routes {
    routes!(read).merge(routes!(search)).merge(routes!(test)).merge(routes!(identify))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReadAsk {
    /// A bus of the configuration that runs; or its `link`.
    bus: Option<String>,
    /// The section of a bus, as a configuration has it, for one that does not run.
    #[schema(value_type = Option<Object>)]
    link: Option<Value>,
    #[schema(maximum = 255)]
    unit: u8,
    table: TableWord,
    /// Counted from 0.
    #[schema(maximum = 65535)]
    address: u16,
    #[schema(minimum = 1, maximum = 2000)]
    count: u32,
    #[schema(minimum = 10, maximum = 5000)]
    timeout_ms: Option<u16>,
    /// Values of four registers as well.
    wide: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Read {
    /// Of all requests together.
    took_ms: f64,
    requests: u32,
    /// The bytes of the first request, and what came for it.
    sent: String,
    received: String,
    items: Vec<Row>,
}

/// An address and what is there: a register, a bit, or nothing.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ProbeRow)]
struct Row {
    address: u16,
    /// Of a bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    u16: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i16: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// What starts here, by type and order, as in `f32 CDAB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#as: Option<BTreeMap<String, String>>,
    /// The code of the exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Registers or bits, as they are and in every interpretation.
#[utoipa::path(post, path = "/probe", tag = "field", security(("session" = ["operator"])),
    request_body = ReadAsk,
    responses((status = 200, body = Read)))]
async fn read(State(app): State<App>, Json(ask): Json<ReadAsk>) -> Result<Json<Read>, Problem> {
    let way = way(&app, ask.bus.as_deref(), ask.link.as_ref())?;
    unit_fits(&way, ask.unit)?;
    let table = Table::from(ask.table);
    let (unit, range) = (ask.unit, range(ask.address, ask.count, ITEMS_MAX)?);
    let timeout = timeout(ask.timeout_ms)?;
    let work = async move |session: &mut Session| {
        let mut spent = Spent::default();
        let items = spent.read(session, unit, table, range, None).await?;
        Ok((items, spent))
    };
    let asked = app.gateway().ask_by_hand(way, timeout, work).await;
    let (items, spent) = asked.map_err(|why| no_way(&why))?;
    Ok(Json(Read {
        took_ms: in_ms(spent.took),
        requests: spent.requests,
        sent: hex(&spent.sent),
        received: hex(&spent.received),
        items: rows(table, &items, ask.wide.unwrap_or(false)),
    }))
}

/// What reading took.
#[derive(Debug, Default)]
struct Spent {
    requests: u32,
    took: Duration,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// There was no time for all.
    cut: bool,
}

impl Spent {
    async fn read(
        &mut self,
        session: &mut Session,
        unit: u8,
        table: Table,
        (address, count): (u16, u32),
        until: Option<Instant>,
    ) -> Result<Vec<Item>, ProbeError> {
        let most = if table.is_bits() { BITS_MAX } else { REGISTERS_MAX };
        let split = Split::new(address, count, most);
        let tell = |_: &Split, exchange: Exchange<'_>| {
            if self.requests == 0 {
                self.sent.clone_from(&exchange.heard.sent);
                self.received.clone_from(&exchange.heard.received);
            }
            self.requests += 1;
            self.took += exchange.took;
            self.cut = until.is_some_and(|until| Instant::now() > until);
            !self.cut
        };
        let found = session.read_all(unit, table, split, tell).await?;
        Ok(found.into_iter().collect())
    }
}

fn rows(table: Table, items: &[Item], wide: bool) -> Vec<Row> {
    let mut shown: Vec<(String, Vec<Option<String>>)> = Vec::new();
    if !table.is_bits() {
        let kinds = PAIRS.iter().chain(WIDE.iter().filter(|_| wide));
        for (name, kind) in kinds {
            for (order, letters) in ORDERS {
                let cells = side_by_side::starting(items, *kind, order, DIGITS);
                shown.push((format!("{name} {letters}"), cells));
            }
        }
        let bcd = Kind::Bcd { bits: 16 };
        shown.push(("bcd".into(), side_by_side::starting(items, bcd, Order::Abcd, DIGITS)));
    }
    let row = |(at, (address, item)): (usize, &Item)| {
        let row = Row { address: *address, ..Row::default() };
        match item {
            Err(code) => {
                let reason = format!("exception {code:02}: {}", exception_name(*code));
                Row { exception: Some(*code), reason: Some(reason), ..row }
            }
            Ok(bit) if table.is_bits() => Row { value: Some(*bit != 0), ..row },
            Ok(word) => {
                let cell = |(name, cells): &(String, Vec<Option<String>>)| {
                    Some((name.clone(), cells.get(at)?.clone()?))
                };
                Row {
                    hex: Some(side_by_side::hex(*word)),
                    u16: Some(*word),
                    i16: Some(word.cast_signed()),
                    bits: Some(side_by_side::bits(*word)),
                    text: Some(side_by_side::letters(*word)),
                    r#as: Some(shown.iter().filter_map(cell).collect()),
                    ..row
                }
            }
        }
    };
    items.iter().enumerate().map(row).collect()
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FindAsk {
    /// A bus of the configuration that runs; or its `link`.
    bus: Option<String>,
    #[schema(value_type = Option<Object>)]
    link: Option<Value>,
    #[schema(maximum = 255)]
    unit: u8,
    /// Both tables of registers, unless one is named.
    table: Option<TableWord>,
    /// From here on; 0 unless given.
    #[schema(maximum = 65535)]
    address: Option<u16>,
    /// So many registers; 1,000 unless given.
    #[schema(minimum = 1, maximum = 65536)]
    count: Option<u32>,
    #[schema(minimum = 10, maximum = 5000)]
    timeout_ms: Option<u16>,
    /// What the display of the device shows, with a point before decimals.
    display: String,
    /// How far a value may be from it; half of its last digit or 0.2 % unless given.
    #[schema(minimum = 0)]
    tolerance: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FoundValues {
    /// The likeliest first.
    candidates: Vec<Candidate>,
    /// Further ones that are less likely.
    left_out: usize,
    registers_read: usize,
    /// Whether the time was enough for all registers that were to be searched.
    complete: bool,
    tolerance: f64,
}

/// A way to read some registers that shows the value.
#[derive(Debug, Serialize, ToSchema)]
struct Candidate {
    table: TableWord,
    address: u16,
    r#type: String,
    /// `null` where it is the usual one.
    order: Option<&'static str>,
    scale: &'static str,
    /// What it shows.
    value: String,
    /// Whether it may well be an accident.
    may_be_chance: bool,
    /// The section of a tag.
    yaml: String,
}

/// Registers that show what the display of the device shows, in any type, order and scale.
#[utoipa::path(post, path = "/probe/find", tag = "field", security(("session" = ["operator"])),
    request_body = FindAsk,
    responses((status = 200, body = FoundValues)))]
async fn search(
    State(app): State<App>,
    Json(ask): Json<FindAsk>,
) -> Result<Json<FoundValues>, Problem> {
    let wanted =
        Shown::parse(&ask.display).map_err(|why| Problem::refused(why).field("display"))?;
    let tolerance = match ask.tolerance {
        None => wanted.tolerance(),
        Some(own) if own.is_finite() && own >= 0.0 => own,
        Some(_) => {
            let why = "a tolerance is a number that is not negative";
            return Err(Problem::refused(why).field("tolerance"));
        }
    };
    let way = way(&app, ask.bus.as_deref(), ask.link.as_ref())?;
    unit_fits(&way, ask.unit)?;
    let tables = match ask.table.map(Table::from) {
        None => vec![Table::Holding, Table::Input],
        Some(table) if !table.is_bits() => vec![table],
        Some(_) => {
            let why = "values are searched in registers, holding or input";
            return Err(Problem::refused(why).field("table"));
        }
    };
    let start = ask.address.unwrap_or(0);
    let count = ask.count.unwrap_or(SEARCHED.min(0x1_0000 - u32::from(start)));
    let (unit, range) = (ask.unit, range(start, count, SEARCHED_MAX)?);
    let timeout = timeout(ask.timeout_ms)?;
    let work = async move |session: &mut Session| {
        let until = Instant::now() + SEARCH_TIME;
        let mut spent = Spent::default();
        let mut all = Vec::new();
        let mut refused = None;
        for table in tables {
            if spent.cut {
                break;
            }
            let items = spent.read(session, unit, table, range, Some(until)).await?;
            let first = items.first().and_then(|(_, item)| item.err());
            if items.iter().all(|(_, item)| item.is_err()) {
                refused = first;
                continue;
            }
            all.push((table, items));
        }
        match refused {
            Some(code) if all.is_empty() => Err(ProbeError::Exception(code)),
            _ => Ok((all, spent.cut)),
        }
    };
    let asked = app.gateway().ask_by_hand(way, timeout, work).await;
    let (tables, cut) = asked.map_err(|why| no_way(&why))?;
    let mut matches: Vec<(Match, Candidate)> = Vec::new();
    let mut registers_read = 0;
    for (table, items) in tables {
        let words: Vec<Option<u16>> = items.iter().map(|(_, item)| item.ok()).collect();
        registers_read += words.iter().flatten().count();
        for found in find(&words, wanted.value, tolerance) {
            let Some((address, _)) = items.get(found.at) else { continue };
            let candidate = candidate(table, *address, &found);
            matches.push((found, candidate));
        }
    }
    matches.sort_by(|(a, _), (b, _)| b.surprise.total_cmp(&a.surprise));
    let left_out = matches.len().saturating_sub(CANDIDATES_MAX);
    let candidates = matches.into_iter().take(CANDIDATES_MAX).map(|(_, shown)| shown).collect();
    Ok(Json(FoundValues { candidates, left_out, registers_read, complete: !cut, tolerance }))
}

fn candidate(table: Table, address: u16, found: &Match) -> Candidate {
    let own = found.coding.order;
    let letters = ORDERS.into_iter().find(|(order, _)| *order == own).map(|(_, letters)| letters);
    Candidate {
        table: table.into(),
        address,
        r#type: show_kind(found.coding.kind),
        order: letters.filter(|_| found.coding.width() > 1 || own != Order::Abcd),
        scale: found.scale.unwrap_or("1"),
        value: found.shown(),
        may_be_chance: found.may_be_chance(),
        yaml: paste::tag(table, address, &found.coding, found.scale),
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestAsk {
    /// A bus of the configuration that runs; or its `link`.
    bus: Option<String>,
    #[schema(value_type = Option<Object>)]
    link: Option<Value>,
    #[schema(maximum = 255)]
    unit: u8,
    /// The section of the tag, as a configuration has it.
    #[schema(value_type = Object)]
    tag: Value,
    /// What else the section of its device has.
    #[schema(value_type = Option<Object>)]
    device: Option<serde_json::Map<String, Value>>,
    #[schema(minimum = 10, maximum = 5000)]
    timeout_ms: Option<u16>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TagTested)]
struct Tested {
    /// `null` with a quality that is bad.
    value: Option<String>,
    unit: String,
    /// `good`, `uncertain:…` or `bad:…`.
    quality: String,
    took_ms: f64,
    sent: String,
    received: String,
    /// What would be published.
    payload: String,
}

/// Reads a tag as its bus would; nothing is published or kept.
#[utoipa::path(post, path = "/probe/test", tag = "field", security(("session" = ["operator"])),
    request_body = TestAsk,
    responses((status = 200, body = Tested)))]
async fn test(State(app): State<App>, Json(ask): Json<TestAsk>) -> Result<Json<Tested>, Problem> {
    let way = way(&app, ask.bus.as_deref(), ask.link.as_ref())?;
    unit_fits(&way, ask.unit)?;
    let mut more = ask.device.unwrap_or_default();
    more.retain(|key, _| !["bus", "unit", "tags"].contains(&key.as_str()));
    let more = Value::Object(more).to_string();
    let more = more.trim_start_matches('{').strip_suffix('}').unwrap_or_default();
    let device = alone::tag(ask.unit, more, &ask.tag.to_string()).map_err(configuration)?;
    let tag = device.tags.iter().find(|tag| tag.name.as_str() == alone::TAG).cloned();
    let tag = tag.ok_or_else(|| Problem::refused("the tag is not read").field("tag"))?;
    if tag.registers().is_none() {
        return Err(Problem::refused("this is no register of a Modbus device").field("tag"));
    }
    let timeout = match ask.timeout_ms {
        Some(own) => timeout(Some(own))?,
        None => device.timeout.min(Duration::from_millis(TIMEOUT_MS_MAX.into())),
    };
    let (unit, now) = (ask.unit, app.clock().mono());
    let of = tag.unit.clone();
    let work = async move |session: &mut Session| {
        let reading = session.read_tag(unit, &tag, now).await?;
        Ok((reading, session.took(), session.heard().clone()))
    };
    let asked = app.gateway().ask_by_hand(way, timeout, work).await;
    let (reading, took, heard) = asked.map_err(|why| no_way(&why))?;
    let reading = reading.ok_or_else(|| Problem::refused("the tag is not read").field("tag"))?;
    let mut text = Vec::new();
    payload::tag_live(&mut text, &reading, app.clock().wall(), &of, None);
    Ok(Json(Tested {
        value: reading.value().map(ToString::to_string),
        unit: of,
        quality: reading.quality().to_string(),
        took_ms: in_ms(took),
        sent: hex(&heard.sent),
        received: hex(&heard.received),
        payload: String::from_utf8_lossy(&text).into_owned(),
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IdentifyAsk {
    /// A bus of the configuration that runs; or its `link`.
    bus: Option<String>,
    #[schema(value_type = Option<Object>)]
    link: Option<Value>,
    #[schema(maximum = 255)]
    unit: u8,
    #[schema(minimum = 10, maximum = 5000)]
    timeout_ms: Option<u16>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Identity {
    objects: Vec<IdentityObject>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityObject {
    pub id: u8,
    /// What the specification calls it; `null` for those of the vendor.
    pub name: Option<&'static str>,
    pub text: String,
}

impl IdentityObject {
    pub fn all(objects: impl IntoIterator<Item = (u8, String)>) -> Vec<Self> {
        let object = |(id, text)| Self { id, name: object_name(id), text };
        objects.into_iter().map(object).collect()
    }
}

/// What a device says about itself (function 43/14).
#[utoipa::path(post, path = "/probe/identify", tag = "field", security(("session" = ["operator"])),
    request_body = IdentifyAsk,
    responses((status = 200, body = Identity)))]
async fn identify(
    State(app): State<App>,
    Json(ask): Json<IdentifyAsk>,
) -> Result<Json<Identity>, Problem> {
    let way = way(&app, ask.bus.as_deref(), ask.link.as_ref())?;
    unit_fits(&way, ask.unit)?;
    let (unit, timeout) = (ask.unit, timeout(ask.timeout_ms)?);
    let work = async move |session: &mut Session| session.identify(unit).await;
    let asked = app.gateway().ask_by_hand(way, timeout, work).await;
    let objects = asked.map_err(|why| no_way(&why))?;
    Ok(Json(Identity { objects: IdentityObject::all(objects) }))
}

pub fn timeout(wanted: Option<u16>) -> Result<Duration, Problem> {
    let ms = wanted.unwrap_or(TIMEOUT_MS);
    if !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&ms) {
        let why = format!("a wait is {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX} ms");
        return Err(Problem::refused(why).field("timeout_ms"));
    }
    Ok(Duration::from_millis(ms.into()))
}

fn range(address: u16, count: u32, most: u32) -> Result<(u16, u32), Problem> {
    if !(1..=most).contains(&count) {
        let why = format!("at least 1 and at most {most} are read at once");
        return Err(Problem::refused(why).field("count"));
    }
    if u32::from(address) + count > 0x1_0000 {
        let why = "the last address would be beyond 65535";
        return Err(Problem::refused(why).field("count"));
    }
    Ok((address, count))
}

pub fn in_ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

/// `01 03 00 00`.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_every_interpretation_and_a_refusal_its_reason() {
        let items = [(0, Ok(0x4367)), (1, Ok(0x6B85)), (2, Err(2))];
        let rows = serde_json::to_value(rows(Table::Holding, &items, false)).unwrap();
        assert_eq!(rows[0]["as"]["f32 ABCD"], "231.42");
        assert_eq!((&rows[0]["hex"], &rows[0]["text"]), (&"4367".into(), &"Cg".into()));
        assert!(rows[1]["as"].get("f32 ABCD").is_none(), "a register is missing: {rows}");
        assert_eq!(rows[2]["exception"], 2);
        assert!(rows[2]["reason"].as_str().unwrap().contains("exception 02"));
        assert!(rows[2].get("hex").is_none() && rows[0].get("value").is_none());
        let bits = serde_json::to_value(self::rows(Table::Coil, &[(7, Ok(1))], false)).unwrap();
        assert_eq!(bits, serde_json::json!([{ "address": 7, "value": true }]));
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        assert!(range(0, 0, 10).is_err() && range(0, 11, 10).is_err());
        assert!(range(65_535, 2, 10).is_err());
        assert!(matches!(range(65_535, 1, 10), Ok((65_535, 1))));
        assert!(timeout(Some(9)).is_err() && timeout(Some(5_001)).is_err());
        assert_eq!(hex(&[1, 0xAB]), "01 AB");
    }
}
