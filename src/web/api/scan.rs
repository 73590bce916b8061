//! Looking for devices: one scan at a time, which goes on while nobody looks.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::place::{TableWord, no_way, way};
use super::probe::{IdentityObject, in_ms};
use crate::codec::pdu::exception_name;
use crate::config::{Framing, Link, Parity};
use crate::model::Table;
use crate::runtime::{Place, Scan, ScanEnd, Way};
use crate::south::scan::{Found, OnPort, Question, Target, behind, units};
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Path, Problem, Query};
use crate::web::{self, App};

/// Addresses of one scan.
const HOSTS_MAX: usize = 32;
/// Settings of each kind that are tried.
const SETTINGS_MAX: usize = 16;
/// The port of Modbus TCP.
const MODBUS_PORT: u16 = 502;
/// The longest wait for an answer, unless the request says it; answers shorten it. A converter waits
/// for its devices itself, mostly a second.
const PATIENCE_LINE_MS: u16 = 300;
const PATIENCE_TCP_MS: u16 = 1_500;
const PATIENCE_MS_MIN: u16 = 10;
const PATIENCE_MS_MAX: u16 = 5_000;

pub fn routes() -> Routes {
    routes!(start).merge(routes!(show, stop))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum ParityWord {
    None,
    Even,
    Odd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum FramingWord {
    #[default]
    Tcp,
    Rtu,
    Ascii,
}

/// Where to look: a bus that runs (at its settings, in its turn), the section of another bus, a
/// serial port whose settings nobody knows, or hosts.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct ScanAsk {
    bus: Option<String>,
    #[schema(value_type = Option<Object>)]
    link: Option<Value>,
    /// A serial port; every usual setting is tried, or those that are named.
    port: Option<String>,
    /// `HOST` or `HOST:PORT`.
    #[schema(max_items = 32)]
    hosts: Option<Vec<String>>,
    /// What the frames look like behind the hosts.
    framing: FramingWord,
    /// As in `1-10,17`; everything unless given.
    units: Option<String>,
    #[schema(max_items = 16)]
    baud: Vec<u32>,
    parity: Vec<ParityWord>,
    stop_bits: Vec<u8>,
    #[schema(minimum = 10, maximum = 5000)]
    timeout_ms: Option<u16>,
    /// What is read of each unit; holding 0 unless given.
    table: Option<TableWord>,
    #[schema(maximum = 65535)]
    address: u16,
}

#[derive(Debug, Serialize, ToSchema)]
struct Started {
    id: u64,
    /// Requests that it will make at most.
    of: usize,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Devices from this one on; those before are left out.
    since: Option<usize>,
}

/// How far a scan is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanShown)]
struct Shown {
    id: u64,
    done: bool,
    /// `done`, `stopped` or `failed`; `null` while it goes on.
    end: Option<&'static str>,
    /// Why it failed.
    reason: Option<String>,
    asked: usize,
    of: usize,
    /// What is left at most.
    eta_ms: u64,
    /// What is tried now.
    place: String,
    unit: u8,
    found: Vec<FoundDevice>,
    /// What to ask for to have only those that come.
    next: usize,
    /// Where nobody could be asked.
    unreachable: Vec<Unreachable>,
    /// All that were found, as a configuration to paste.
    yaml: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct FoundDevice {
    unit: u8,
    /// The settings of the line, or the address.
    link: String,
    /// What it gave; `null` where it refused, and is there all the same.
    value: Option<u16>,
    exception: Option<u8>,
    reason: Option<String>,
    took_ms: f64,
    identity: Vec<IdentityObject>,
    /// It answers to every unit, so it is one device and not several.
    any_unit: bool,
    /// All of it in words.
    text: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Unreachable {
    link: String,
    reason: String,
}

/// Begins a scan; one goes on at a time.
#[utoipa::path(post, path = "/scan", tag = "field", security(("session" = ["operator"])),
    request_body = ScanAsk,
    responses((status = 200, body = Started)))]
async fn start(State(app): State<App>, Json(ask): Json<ScanAsk>) -> Result<Json<Started>, Problem> {
    let targets = ask.targets(&app)?;
    let of = targets.iter().map(|target| target.units.len()).sum();
    let on_line = targets.first().is_some_and(|target| target.link.serial().is_some());
    let usual = if on_line { PATIENCE_LINE_MS } else { PATIENCE_TCP_MS };
    let patience = ask.timeout_ms.unwrap_or(usual);
    if !(PATIENCE_MS_MIN..=PATIENCE_MS_MAX).contains(&patience) {
        let why = format!("a wait is {PATIENCE_MS_MIN} to {PATIENCE_MS_MAX} ms");
        return Err(Problem::refused(why).field("timeout_ms"));
    }
    let question = Question {
        table: ask.table.map_or(Table::Holding, Table::from),
        address: ask.address,
        patience: std::time::Duration::from_millis(patience.into()),
    };
    match app.gateway().start_scan(targets, question) {
        Ok(id) => Ok(Json(Started { id, of })),
        Err(id) => {
            let problem = Problem::busy("another scan goes on").with("id", id);
            Err(problem.hint("wait for its end, or end it"))
        }
    }
}

impl ScanAsk {
    fn targets(&self, app: &App) -> Result<Vec<Target>, Problem> {
        let given = self.units.as_deref().map(units).transpose();
        let given = given.map_err(|why| Problem::refused(why).field("units"))?;
        let wrong_units = |why: String| Problem::refused(why).field("units");
        if [self.baud.len(), self.parity.len(), self.stop_bits.len()]
            .iter()
            .any(|n| *n > SETTINGS_MAX)
        {
            return Err(Problem::refused(format!("at most {SETTINGS_MAX} of each setting")));
        }
        let searches =
            !self.baud.is_empty() || !self.parity.is_empty() || !self.stop_bits.is_empty();
        match (&self.bus, &self.link, &self.port, &self.hosts) {
            (None, None, Some(port), None) => self.on_port(app, port.into(), given),
            (None, None, None, Some(hosts)) => self.on_hosts(app, hosts, given.as_ref()),
            (bus, link, None, None) => {
                let way = way(app, bus.as_deref(), link.as_ref())?;
                if searches {
                    let Way::Own(link) = &way else { return Err(at_its_settings()) };
                    let port = link.serial().map(|line| line.port.clone());
                    let port = port.ok_or_else(|| {
                        Problem::refused("only a serial line has such settings").field("baud")
                    })?;
                    return self.on_port(app, port, given);
                }
                Ok(vec![on_way(&way, given).map_err(wrong_units)?])
            }
            _ => Err(Problem::refused("say one of bus, link, port and hosts")),
        }
    }

    fn on_port(
        &self,
        app: &App,
        port: PathBuf,
        units: Option<Vec<u8>>,
    ) -> Result<Vec<Target>, Problem> {
        if !port.is_absolute() {
            return Err(Problem::refused("a port is a path such as /dev/ttyUSB0").field("port"));
        }
        if let Some(baud) = self.baud.iter().find(|baud| !(300..=4_000_000).contains(*baud)) {
            return Err(Problem::refused(format!("no line has {baud} baud")).field("baud"));
        }
        if let Some(bits) = self.stop_bits.iter().find(|bits| !(1..=2).contains(*bits)) {
            let why = format!("a line has 1 or 2 stop bits, not {bits}");
            return Err(Problem::refused(why).field("stop_bits"));
        }
        let parity = |word: &ParityWord| match word {
            ParityWord::None => Parity::None,
            ParityWord::Even => Parity::Even,
            ParityWord::Odd => Parity::Odd,
        };
        let wanted = OnPort {
            port,
            units,
            baud: self.baud.clone(),
            parity: self.parity.iter().map(parity).collect(),
            stop_bits: self.stop_bits.clone(),
        };
        let targets = wanted.targets().map_err(|why| Problem::refused(why).field("units"))?;
        // They differ in the settings alone.
        if let Some(target) = targets.first() {
            let way = app.gateway().way(&Place::Link(target.link.clone()));
            if let Way::Bus { .. } = way.map_err(|why| no_way(&why))? {
                return Err(at_its_settings());
            }
        }
        Ok(targets)
    }

    fn on_hosts(
        &self,
        app: &App,
        hosts: &[String],
        units: Option<&Vec<u8>>,
    ) -> Result<Vec<Target>, Problem> {
        if hosts.is_empty() || hosts.len() > HOSTS_MAX {
            let why = format!("at least one and at most {HOSTS_MAX} hosts");
            return Err(Problem::refused(why).field("hosts"));
        }
        let framing = match self.framing {
            FramingWord::Tcp => Framing::Tcp,
            FramingWord::Rtu => Framing::Rtu,
            FramingWord::Ascii => Framing::Ascii,
        };
        let target = |host: &String| {
            let (host, port) = host_and_port(host)
                .ok_or_else(|| Problem::refused(format!("{host:?} is no host")).field("hosts"))?;
            let link = Link::modbus_tcp(host, port).with_framing(framing);
            let way = app.gateway().way(&Place::Link(link)).map_err(|why| no_way(&why))?;
            let target = on_way(&way, units.cloned());
            target.map_err(|why| Problem::refused(why).field("units"))
        };
        hosts.iter().map(target).collect()
    }
}

fn on_way(way: &Way, units: Option<Vec<u8>>) -> Result<Target, String> {
    let target = behind(way.link().clone(), units)?;
    Ok(match way {
        Way::Bus { port, .. } => Target { through: Some(port.clone()), ..target },
        Way::Own(_) => target,
    })
}

fn at_its_settings() -> Problem {
    let reason = "a bus of the gateway runs on this line, and keeps its settings";
    Problem::conflict("held", "A bus has this line", reason)
        .hint("scan that bus instead, or take it out of the configuration first")
}

/// `HOST`, `HOST:PORT`, or an IPv6 address, in brackets if a port follows.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let text = text.trim();
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>() {
        return Some((address.to_string(), MODBUS_PORT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => {
            (host.trim_matches(['[', ']']), port.parse().ok().filter(|p| *p > 0)?)
        }
        None => (text, MODBUS_PORT),
    };
    let sound = !host.is_empty() && host.len() <= 253 && !host.contains(char::is_whitespace);
    sound.then(|| (host.to_owned(), port))
}

/// How far it is, and what it found.
#[utoipa::path(get, path = "/scan/{id}", tag = "field", security(("session" = ["operator"])),
    params(("id" = u64, Path, description = "Its number"), Since),
    responses((status = 200, body = Shown)))]
async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
) -> Result<Json<Shown>, Problem> {
    let scan = found(&app, &id)?;
    Ok(Json(shown(&scan, since.since.unwrap_or(0))))
}

/// Ends it; what it found is still known.
#[utoipa::path(delete, path = "/scan/{id}", tag = "field", security(("session" = ["operator"])),
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 204, description = "It is ended")))]
async fn stop(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    app.gateway().stop_scan(found(&app, &id)?.id);
    Ok(StatusCode::NO_CONTENT)
}

fn found(app: &App, id: &str) -> Result<std::sync::Arc<Scan>, Problem> {
    let scan = id.parse().ok().and_then(|id| app.gateway().scan(id));
    scan.ok_or_else(|| Problem::not_found("there is no scan of this number any more"))
}

fn shown(scan: &Scan, since: usize) -> Shown {
    let progress = scan.progress();
    let (end, reason) = match progress.end {
        None => (None, None),
        Some(ScanEnd::Done) => (Some("done"), None),
        Some(ScanEnd::Stopped) => (Some("stopped"), None),
        Some(ScanEnd::Failed(why)) => (Some("failed"), Some(why)),
    };
    let yaml = if progress.found.is_empty() { String::new() } else { scan.yaml() };
    let place = |(link, reason)| Unreachable { link, reason };
    Shown {
        id: scan.id,
        done: end.is_some(),
        end,
        reason,
        asked: progress.tried,
        of: progress.of,
        eta_ms: web::millis(progress.left),
        place: progress.place,
        unit: progress.unit,
        next: progress.found.len(),
        found: progress.found.iter().skip(since).map(|found| device(scan, found)).collect(),
        unreachable: progress.unreachable.into_iter().map(place).collect(),
        yaml,
    }
}

fn device(scan: &Scan, found: &Found) -> FoundDevice {
    let code = found.answer.err();
    FoundDevice {
        unit: found.unit,
        link: scan.place(found.target),
        value: found.answer.ok(),
        exception: code,
        reason: code.map(|code| exception_name(code).to_owned()),
        took_ms: in_ms(found.took),
        identity: IdentityObject::all(found.identity.iter().cloned()),
        any_unit: found.any_unit,
        text: scan.describe(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for (text, host, port) in [
            ("plc.local", "plc.local", 502),
            (" 10.0.0.7:1502 ", "10.0.0.7", 1502),
            ("::1", "::1", 502),
            ("[fe80::7]:1502", "fe80::7", 1502),
        ] {
            assert_eq!(host_and_port(text), Some((host.to_owned(), port)), "{text}");
        }
        for wrong in ["", ":502", "plc:0", "plc:x", "a b"] {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }
}
