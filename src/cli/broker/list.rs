//! Lists of a running gateway's broker: fetched a page at a time and printed as they come, so that
//! ten thousand clients take no more memory than five hundred.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::table::{Cell, Table};
use crate::cli::BadInput;
use crate::cli::place::StateArgument;
use crate::cli::store::is_closed;
use crate::model::TopicFilter;
use crate::runtime::control;

/// Which topics a list is about.
#[derive(Debug, clap::Args)]
pub struct FilterArgument {
    /// Only topics that match this MQTT filter, as 'plant1/+/press/#' [default: all]
    filter: Option<String>,
    #[command(flatten)]
    pub state: StateArgument,
}

impl FilterArgument {
    pub fn filter(&self) -> anyhow::Result<Option<&str>> {
        let Some(text) = self.filter.as_deref() else { return Ok(None) };
        // Easily meant, since other commands have the configuration at this place.
        if text.ends_with(".yaml") && std::path::Path::new(text).exists() {
            let hint = format!("write a filter before the configuration, as in '#' {text}");
            bail!(BadInput(format!("{text} is a file and no filter of topics; {hint}")));
        }
        if let Err(error) = TopicFilter::new(text) {
            bail!(BadInput(format!("{text:?} is no filter of topics: {error}")));
        }
        Ok(Some(text))
    }
}

/// A gateway that runs.
pub struct Running {
    socket: PathBuf,
}

impl Running {
    pub fn of(state: &StateArgument) -> anyhow::Result<Self> {
        Ok(Self { socket: control::socket_path(&state.dir()?) })
    }

    /// Its answer to one question about its broker.
    pub async fn ask(&self, question: &Value) -> anyhow::Result<Value> {
        let reply = control::ask(&self.socket, &format!("broker {question}")).await?;
        let reply: Value =
            serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
        match reply.get("error").and_then(Value::as_str) {
            Some(error) => bail!("the gateway says: {error}"),
            None => Ok(reply),
        }
    }

    /// Hands on every row of a list; says how many there were.
    pub async fn each(
        &self,
        mut question: Value,
        mut page: impl FnMut(&[Value]) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let mut count = 0;
        loop {
            let reply = self.ask(&question).await?;
            let rows = reply.get("rows").and_then(Value::as_array).map(Vec::as_slice);
            let rows = rows.context("the gateway's answer is no list")?;
            count += rows.len();
            page(rows)?;
            match reply.get("next") {
                None | Some(Value::Null) => return Ok(count),
                Some(next) => {
                    let question = question.as_object_mut().context("a question has no page")?;
                    question.insert("after".to_owned(), next.clone());
                }
            }
        }
    }
}

/// Prints a list: as JSON, an object per line, or as a table. Says how many rows there were.
pub async fn print<const N: usize>(
    running: &Running,
    question: Value,
    as_json: bool,
    mut table: Table<N>,
    row: impl Fn(&Value) -> [Cell; N],
) -> anyhow::Result<usize> {
    running
        .each(question, |rows| {
            let mut out = Vec::new();
            if as_json {
                for row in rows {
                    serde_json::to_writer(&mut out, row)?;
                    out.push(b'\n');
                }
            } else {
                out = table.page(rows.iter().map(&row).collect()).into_bytes();
            }
            write(&out)
        })
        .await
}

pub fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// A question, with its filter if there is one.
pub fn question(what: &str, filter: Option<&str>) -> Value {
    json!({ "what": what, "filter": filter })
}

/// A reader that has seen enough, as `head`, is no failure.
pub fn done(result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match result {
        Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}
