//! The trace of a bus: its last exchanges byte by byte, also as files.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::runtime::Gateway;
use crate::south::trace::{Exchange, Format, Page, Role, frames, text};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Path, Problem, Query};

pub fn routes() -> Routes {
    routes!(page).merge(routes!(packets)).merge(routes!(written))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Exchanges from this number on, as the page before said in `next`.
    since: Option<u64>,
}

/// Some exchanges of a bus, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct TracePage {
    /// The link, as people write it.
    link: String,
    /// `mbap`, `rtu` or `other`.
    #[schema(value_type = String)]
    framing: crate::south::trace::Framing,
    /// Another number means that the bus was started anew and counts from 0.
    trace: u64,
    next: u64,
    /// Whether there are more already.
    more: bool,
    /// Exchanges from the number asked for on that are no longer kept.
    lost: u64,
    exchanges: Vec<Shown>,
}

/// One exchange, and the frames in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TraceShown)]
struct Shown {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    exchange: Exchange,
    frames: Vec<FrameShown>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FrameShown {
    /// `request`, `answer`, `echo`, `late`, `foreign` or `noise`.
    role: &'static str,
    /// Microseconds from the first byte of the exchange.
    after_us: u32,
    hex: String,
    unit: Option<u8>,
    /// What it says, in words.
    text: String,
}

/// The last exchanges of a bus.
#[utoipa::path(get, path = "/buses/{name}/trace", tag = "field",
    security(("session" = ["operator"])),
    params(("name" = String, Path, description = "The bus"), Since),
    responses((status = 200, body = TracePage)))]
async fn page(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(since): Query<Since>,
) -> Result<Json<TracePage>, Problem> {
    let page = app.gateway().trace(&name, since.since.unwrap_or(0)).ok_or_else(no_bus)?;
    let Page { link, framing, trace, next, more, lost, exchanges } = page;
    let exchanges = exchanges.into_iter().map(|exchange| {
        let frames = shown(framing, &exchange);
        Shown { exchange, frames }
    });
    let exchanges = exchanges.collect();
    Ok(Json(TracePage { link, framing, trace, next, more, lost, exchanges }))
}

fn no_bus() -> Problem {
    Problem::not_found("there is no bus of this name in the configuration that runs")
}

fn shown(framing: crate::south::trace::Framing, exchange: &Exchange) -> Vec<FrameShown> {
    let frames = frames(framing, exchange);
    let request = frames.iter().find(|frame| frame.role == Role::Request);
    let asked = request.and_then(|frame| frame.content.as_ref()).map(|(_, pdu)| pdu.as_slice());
    let frame = |frame: &crate::south::trace::Frame| FrameShown {
        role: match frame.role {
            Role::Request => "request",
            Role::Answer => "answer",
            Role::Echo => "echo",
            Role::Late => "late",
            Role::Foreign => "foreign",
            Role::Noise => "noise",
        },
        after_us: frame.after_us,
        hex: frame.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        unit: frame.content.as_ref().map(|(unit, _)| *unit),
        text: text::meaning(framing, frame, asked),
    };
    frames.iter().map(frame).collect()
}

/// All exchanges that are kept, for Wireshark.
#[utoipa::path(get, path = "/buses/{name}/trace.pcap", tag = "field",
    security(("session" = ["operator"])),
    params(("name" = String, Path, description = "The bus")),
    responses((status = 200, content_type = "application/vnd.tcpdump.pcap", body = Vec<u8>)))]
async fn packets(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Problem> {
    file(app, name, Format::Pcap, "pcap", "application/vnd.tcpdump.pcap").await
}

/// All exchanges that are kept, as text.
#[utoipa::path(get, path = "/buses/{name}/trace.txt", tag = "field",
    security(("session" = ["operator"])),
    params(("name" = String, Path, description = "The bus")),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn written(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Problem> {
    file(app, name, Format::Text, "txt", "text/plain; charset=utf-8").await
}

async fn file(
    app: App,
    name: String,
    format: Format,
    ending: &'static str,
    kind: &'static str,
) -> Result<Response, Problem> {
    let bus = name.clone();
    // Up to ten thousand exchanges are taken apart.
    let made = crate::runtime::blocking(move || {
        let (page, exchanges) = all(app.gateway(), &bus)?;
        Some(format.write(&page, exchanges.iter(), &app.gateway().plan()))
    });
    let bytes = made.await.map_err(|_| Problem::unavailable("writing it broke off"))?;
    let bytes = bytes.ok_or_else(no_bus)?;
    Ok(download(&format!("{name}.{ending}"), kind, bytes))
}

/// All exchanges that are kept, and the last page they came with.
pub fn all(gateway: &Gateway, bus: &str) -> Option<(Page, Vec<Exchange>)> {
    let mut page = gateway.trace(bus, 0)?;
    let mut exchanges = Vec::new();
    loop {
        exchanges.append(&mut page.exchanges);
        if !page.more {
            return Some((page, exchanges));
        }
        let (next, trace) = (page.next, page.trace);
        page = gateway.trace(bus, next)?;
        if page.trace != trace {
            // The bus was started anew meanwhile.
            exchanges.clear();
        }
    }
}

/// A file to be kept by the browser. Names are those of the configuration, so they need no escaping.
pub fn download(name: &str, kind: &'static str, bytes: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static(kind);
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let disposition = disposition.unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], bytes)
        .into_response()
}
