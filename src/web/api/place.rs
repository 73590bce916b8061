//! Where devices are asked, as a request says it, and what keeps them from answering.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::config::{Problems, alone};
use crate::model::{Name, Table};
use crate::runtime::{NoWay, Place, Way, in_full};
use crate::south::probe::ProbeError;
use crate::web::App;
use crate::web::problem::Problem;

/// One of the four tables of a Modbus device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableWord {
    Coil,
    Discrete,
    Holding,
    Input,
}

impl From<TableWord> for Table {
    fn from(word: TableWord) -> Self {
        match word {
            TableWord::Coil => Self::Coil,
            TableWord::Discrete => Self::Discrete,
            TableWord::Holding => Self::Holding,
            TableWord::Input => Self::Input,
        }
    }
}

impl From<Table> for TableWord {
    fn from(table: Table) -> Self {
        match table {
            Table::Coil => Self::Coil,
            Table::Discrete => Self::Discrete,
            Table::Holding => Self::Holding,
            Table::Input => Self::Input,
        }
    }
}

/// The way to the devices of a bus that runs, or of a bus as a configuration would have it.
pub fn way(app: &App, bus: Option<&str>, link: Option<&Value>) -> Result<Way, Problem> {
    let place = match (bus, link) {
        (Some(bus), None) => {
            let name =
                Name::new(bus).map_err(|error| Problem::refused(error.to_string()).field("bus"))?;
            Place::Bus(name)
        }
        (None, Some(link)) => Place::Link(
            alone::bus(&link.to_string())
                .map_err(|problems| configuration(problems).field("link"))?,
        ),
        _ => return Err(Problem::refused("say either the bus or its link").field("bus")),
    };
    app.gateway().way(&place).map_err(|why| no_way(&why))
}

/// A device on a line has a unit from 1 to 247.
pub fn unit_fits(way: &Way, unit: u8) -> Result<(), Problem> {
    if way.link().is_line() && !(1..=247).contains(&unit) {
        let why = format!("a device on a line has a unit from 1 to 247, not {unit}");
        return Err(Problem::refused(why).field("unit"));
    }
    Ok(())
}

/// Why there is no answer, and what to do.
pub fn no_way(why: &NoWay) -> Problem {
    let reason = in_full(why);
    match why {
        NoWay::Probe(error) => no_answer(error),
        NoWay::NoBus(_) => Problem::not_found(reason)
            .hint("apply the draft first, or send the link of its bus instead of its name"),
        NoWay::NoModbus(_) => Problem::refused(reason),
        NoWay::Held { .. } => Problem::conflict("held", "A bus has this port", reason)
            .hint("ask through that bus, at its settings, or change and apply those first"),
        NoWay::Full => Problem::busy(reason).hint("try again in a moment"),
        NoWay::TooLong => {
            let title = "This took too long";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "too-long", title, reason)
                .hint("ask for less at a time")
        }
        NoWay::Starting(_) | NoWay::Stopping | NoWay::Thread(_) => Problem::unavailable(reason),
    }
}

fn no_answer(error: &ProbeError) -> Problem {
    let reason = in_full(error);
    let field =
        |code, title| Problem::new(StatusCode::FAILED_DEPENDENCY, code, title, reason.clone());
    let problem = match error {
        ProbeError::NoAnswer(_) => field("no-answer", "The device does not answer"),
        ProbeError::BadAnswer => field("bad-answer", "The answer can't be used"),
        ProbeError::NoIdentification => {
            field("no-identification", "The device has no identification")
        }
        ProbeError::Exception(code) => {
            field("exception", "The device refused").with("exception", u64::from(*code))
        }
        ProbeError::Link { .. } => field("link", "The line can't be used"),
        ProbeError::Down { .. } => field("bus-down", "The bus is down"),
        ProbeError::Ended => Problem::unavailable(reason),
        ProbeError::Busy => Problem::busy(reason),
    };
    match error.advice() {
        Some(advice) => problem.hint(advice),
        None => problem,
    }
}

/// Problems of a configuration, all of them.
pub fn configuration(problems: Problems) -> Problem {
    let Problems(all) = problems;
    let first = all.first().map(|problem| problem.to_string().trim_start().to_owned());
    let first = first.unwrap_or_default();
    let row = |problem: &crate::config::Problem| {
        serde_json::json!({
            "file": &*problem.file, "line": problem.line, "column": problem.column,
            "path": problem.path, "message": problem.message, "hint": problem.hint,
        })
    };
    let rows: Vec<Value> = all.iter().map(row).collect();
    let title = "The configuration has mistakes";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "configuration", title, first)
        .with("problems", rows)
}
