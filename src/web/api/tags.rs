//! The tags and buses of the configuration that runs, with what is known of them now.

use std::collections::HashMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::config::{BusPlan, DevicePlan, Source, TagPlan, show_kind};
use crate::runtime::TagNow;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem, Query, rows_of_page};
use crate::web::{self, App};

/// Rows of a page, unless fewer are asked for.
const ROWS_MAX: usize = 5_000;

pub fn routes() -> Routes {
    routes!(tags).merge(routes!(buses))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only tags of this device.
    device: Option<String>,
    /// Only tags in whose device, name or topic this stands.
    q: Option<String>,
    /// The rows after this one, as the page before said in `next`.
    after: Option<String>,
    /// Rows at most, 1 to 5,000.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Tags {
    rows: Vec<TagRow>,
    /// What to ask for after this page; `null` if there is no more.
    next: Option<String>,
}

/// A tag as it is configured, and as it was last read.
#[derive(Debug, Serialize, ToSchema)]
struct TagRow {
    device: String,
    tag: String,
    bus: String,
    /// Modbus unit (slave) id.
    unit_id: u8,
    topic: String,
    /// Engineering unit, empty if none.
    unit: String,
    /// Where it is read: `holding 0 f32`, or the field of a frame.
    source: String,
    /// Between two reads; `null` for a tag that is read only after it was written.
    every_ms: Option<u64>,
    writable: bool,
    class: &'static str,
    /// The last usable value, as text; `null` before there is one.
    value: Option<String>,
    /// Of the newest reading: `good`, `bad:no-answer` …; `null` before there is one.
    quality: Option<String>,
    /// Milliseconds since the newest reading, and since the usable one.
    age_ms: Option<u64>,
    value_age_ms: Option<u64>,
}

/// The tags of the configuration that runs, in its order.
#[utoipa::path(get, path = "/tags", tag = "field", params(Wanted), security(("session" = ["viewer"])),
    responses((status = 200, body = Tags)))]
async fn tags(State(app): State<App>, Query(wanted): Query<Wanted>) -> Result<Json<Tags>, Problem> {
    let plan = app.gateway().plan();
    let now = app.gateway().tags();
    let now: HashMap<(&str, &str), &TagNow> =
        now.iter().map(|tag| ((tag.device.as_str(), tag.tag.as_str()), tag)).collect();
    let limit = rows_of_page(wanted.limit, ROWS_MAX)?;
    let key = |device: &DevicePlan, tag: &TagPlan| format!("{}/{}", device.name, tag.name);
    let mut matching = plan
        .tags()
        .filter(|(_, device, tag)| wanted.takes(device, tag))
        .skip_while(|(_, device, tag)| {
            wanted.after.as_ref().is_some_and(|after| *after != key(device, tag))
        })
        .skip(usize::from(wanted.after.is_some()));
    let mut rows = Vec::new();
    let mut last = None;
    for (bus, device, tag) in matching.by_ref().take(limit) {
        last = Some(key(device, tag));
        let known = now.get(&(device.name.as_str(), tag.name.as_str()));
        rows.push(TagRow::new(bus, device, tag, known.copied()));
    }
    let next = matching.next().and(last);
    Ok(Json(Tags { rows, next }))
}

impl Wanted {
    fn takes(&self, device: &DevicePlan, tag: &TagPlan) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        self.device.as_ref().is_none_or(|wanted| device.name.as_str() == wanted)
            && self.q.as_ref().is_none_or(|q| {
                let texts = [device.name.as_str(), tag.name.as_str(), tag.topic.as_str()];
                texts.iter().any(|text| has(text, q))
            })
    }
}

impl TagRow {
    fn new(bus: &BusPlan, device: &DevicePlan, tag: &TagPlan, now: Option<&TagNow>) -> Self {
        Self {
            device: device.name.to_string(),
            tag: tag.name.to_string(),
            bus: bus.name.to_string(),
            unit_id: device.unit,
            topic: tag.topic.to_string(),
            unit: tag.unit.clone(),
            source: source(&tag.source),
            every_ms: tag.every.map(web::millis),
            writable: tag.write.is_some(),
            class: tag.class.as_str(),
            value: now.and_then(|now| now.value.clone()),
            quality: now.map(|now| now.quality.clone()),
            age_ms: now.map(|now| now.age_ms),
            value_age_ms: now.and_then(|now| now.value_age_ms),
        }
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Registers(registers) => {
            let (table, address) = (registers.table.name(), registers.address);
            format!("{table} {address} {}", show_kind(registers.coding.kind))
        }
        Source::Field(field) => field.name.to_string(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Buses {
    rows: Vec<BusRow>,
}

/// A bus as it is configured; how it does is in the status.
#[derive(Debug, Serialize, ToSchema)]
struct BusRow {
    name: String,
    /// `modbus-rtu`, `modbus-tcp` …, or `serial` for sensors.
    kind: &'static str,
    /// The line or the host in words.
    link: String,
    /// Whether it is a serial line or another medium that devices share.
    line: bool,
    /// The serial port, if it is one.
    port: Option<String>,
    shared: bool,
    devices: Vec<DeviceRow>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DeviceRow {
    name: String,
    unit_id: u8,
    timeout_ms: u64,
    tags: usize,
}

/// The buses of the configuration that runs.
#[utoipa::path(get, path = "/buses", tag = "field", security(("session" = ["viewer"])),
    responses((status = 200, body = Buses)))]
async fn buses(State(app): State<App>) -> Json<Buses> {
    let rows = app.gateway().plan().buses.iter().map(bus_row).collect();
    Json(Buses { rows })
}

fn bus_row(bus: &BusPlan) -> BusRow {
    let device = |device: &DevicePlan| DeviceRow {
        name: device.name.to_string(),
        unit_id: device.unit,
        timeout_ms: web::millis(device.timeout),
        tags: device.tags.len(),
    };
    BusRow {
        name: bus.name.to_string(),
        kind: bus.link.key(),
        line: bus.link.is_line(),
        port: bus.link.serial().map(|serial| serial.port.display().to_string()),
        shared: bus.share.is_some(),
        devices: bus.devices.iter().map(device).collect(),
        link: bus.link.to_string(),
    }
}
