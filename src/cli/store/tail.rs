//! `fieldhold store tail`: the newest readings and messages, and those that come.
//!
//! A gateway that runs is asked for what it took in, whether written, delivered or neither; what it
//! has in memory no more, and everything of a gateway that does not run, comes out of the file.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::export::is_closed;
use super::selection::{Losses, Selection};
use crate::cli::place::{Place, StoreArgument};
use crate::cli::run;
use crate::cli::view::{Line, Tone, painted};
use crate::runtime::control::{self, ControlError};
use crate::store::{Filter, Inspector, Row, TailPage};

/// Rows shown if nothing is said, and the most there can be.
const LAST: u32 = 10;
const LAST_MAX: i64 = 100_000;
/// How often new rows are asked for.
const FOLLOW: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    store: StoreArgument,
    #[command(flatten)]
    selection: Selection,
    /// How many to begin with, the newest last
    #[arg(short = 'n', long, value_name = "N", default_value_t = LAST,
        value_parser = clap::value_parser!(u32).range(..=LAST_MAX))]
    last: u32,
    /// Go on with what comes, until interrupted
    #[arg(short, long, conflicts_with = "file")]
    follow: bool,
    /// One JSON object per line, as `export --format ndjson`
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let place = arguments.store.place()?;
    let tail = Tail {
        place: &place,
        filter: arguments.selection.filter()?,
        last: usize::try_from(arguments.last)?,
        json: arguments.json,
    };
    match run::runtime()?.block_on(tail.run(arguments.follow)) {
        Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

struct Tail<'a> {
    place: &'a Place,
    filter: Filter,
    last: usize,
    json: bool,
}

impl Tail<'_> {
    async fn run(&self, follow: bool) -> anyhow::Result<ExitCode> {
        let mut losses = Losses::default();
        let Some(first) = self.page(0).await? else {
            self.show(&self.in_file(self.last, &mut losses)?)?;
            if follow {
                bail!("the gateway is not running: nothing more comes");
            }
            return Ok(losses.finish());
        };
        let (run, mut next) = (first.run, first.next);
        let (mut rows, mut more) = (first.rows, first.more);
        while more {
            let page = self.page(next).await?.context("the gateway has ended")?;
            (next, more) = (page.next, page.more && page.run == run);
            rows.extend(page.rows);
        }
        rows.retain(|row| self.filter.takes(row));
        if rows.len() < self.last && self.place.file.exists() {
            let known: BTreeSet<_> = rows.iter().map(|row| row.id.clone()).collect();
            let mut all = self.in_file(self.last, &mut losses)?;
            all.retain(|row| !known.contains(&row.id));
            all.append(&mut rows);
            rows = all;
            rows.sort_by_key(|row| row.ms);
        }
        rows.drain(..rows.len().saturating_sub(self.last));
        self.show(&rows)?;
        if follow {
            self.follow(run, next).await?;
        }
        Ok(losses.finish())
    }

    async fn follow(&self, mut run: u64, mut next: u64) -> anyhow::Result<()> {
        let mut end = run::Ends::new()?;
        let mut more = false;
        loop {
            if !more {
                tokio::select! {
                    () = end.recv() => return Ok(()),
                    () = tokio::time::sleep(FOLLOW) => {}
                }
            }
            let mut page = self.page(next).await?.context("the gateway has ended")?;
            if page.run != run {
                self.say(
                    "the gateway was started anew",
                    &serde_json::json!({ "restarted": true }),
                )?;
                run = page.run;
                page = self.page(0).await?.context("the gateway has ended")?;
            }
            if page.missed > 0 {
                let text = format!("{} came too fast to be shown", page.missed);
                self.say(&text, &serde_json::json!({ "missed": page.missed }))?;
            }
            (next, more) = (page.next, page.more);
            page.rows.retain(|row| self.filter.takes(row));
            self.show(&page.rows)?;
        }
    }

    /// A page from the running gateway; `None` if there is none.
    async fn page(&self, since: u64) -> anyhow::Result<Option<TailPage>> {
        let Some(dir) = &self.place.state_dir else { return Ok(None) };
        let asked = control::ask(&control::socket_path(dir), &format!("tail {since}")).await;
        match asked {
            Ok(reply) => {
                Ok(Some(serde_json::from_str(&reply).context("the gateway's answer is no tail")?))
            }
            Err(error) if ControlError::nobody_there(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn in_file(&self, n: usize, losses: &mut Losses) -> anyhow::Result<Vec<Row>> {
        let found = Inspector::open(&self.place.file).and_then(|f| f.last(n, &self.filter));
        let found = found.with_context(|| format!("can't read {}", self.place.file.display()))?;
        found.remarks.iter().for_each(|remark| losses.remark(remark));
        found.damaged.into_iter().for_each(|damage| losses.add(damage));
        Ok(found.rows)
    }

    fn show(&self, rows: &[Row]) -> anyhow::Result<()> {
        let mut out = Vec::new();
        for row in rows {
            if self.json {
                serde_json::to_writer(&mut out, row)?;
                out.push(b'\n');
            } else {
                writeln!(out, "{}", shown(&line(row)))?;
            }
        }
        write(&out)
    }

    /// Something that is no row.
    fn say(&self, text: &str, json: &serde_json::Value) -> anyhow::Result<()> {
        let line = Line::new().add(Tone::Doubt, format!("▲ {text}"));
        let text = if self.json { json.to_string() } else { shown(&line) };
        write(format!("{text}\n").as_bytes())
    }
}

fn shown(line: &Line) -> String {
    if io::stdout().is_terminal() { painted(line) } else { line.to_string() }
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// `2023-11-14T22:13:20.123Z  ● works/edge/press/oil  82.5 °C`; what is not good says why.
fn line(row: &Row) -> Line {
    let time = row.time.as_deref().unwrap_or("(time not known)");
    let time_tone = if row.clock == "set" { Tone::Faint } else { Tone::Doubt };
    let quality = row.quality.as_deref().unwrap_or("good");
    let tone = match quality.split(':').next() {
        Some("good") => Tone::Good,
        Some("uncertain") => Tone::Doubt,
        _ => Tone::Bad,
    };
    let topic = row.topic.as_deref().or(row.tag.as_deref()).unwrap_or_default();
    let mut line = Line::new().add(time_tone, format!("{time}  ")).state(tone, topic, 0).text("  ");
    line = match (&row.value, &row.payload, &row.payload_base64) {
        (Some(serde_json::Value::Null), ..) => line,
        (Some(serde_json::Value::String(text)), ..) | (None, Some(text), _) => {
            line.text(text.replace(char::is_control, " "))
        }
        (Some(value), ..) => line.text(value.to_string()),
        (None, None, payload) => {
            line.add(Tone::Faint, format!("base64 {}", payload.as_deref().unwrap_or_default()))
        }
    };
    if let Some(unit) = &row.unit
        && row.value.as_ref().is_some_and(|value| !value.is_null())
    {
        line = line.text(format!(" {unit}"));
    }
    if tone != Tone::Good {
        line =
            line.add(tone, if tone == Tone::Bad { quality.into() } else { format!("  {quality}") });
    }
    if row.clock == "not-set" {
        line = line.add(Tone::Doubt, "  (clock not set)");
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_one_line() {
        let row = |change: serde_json::Value| {
            let mut row = json!({
                "time": "2023-11-14T22:13:20.123Z", "ms": 1_700_000_000_123_u64, "clock": "set",
                "class": "normal", "position": 41, "id": "1-n-41", "topic": "w/press/oil",
                "device": "press", "tag": "oil", "unit": "°C", "value": 82.5, "quality": "good",
            });
            for (key, value) in change.as_object().unwrap() {
                row[key] = value.clone();
            }
            line(&serde_json::from_value(row).unwrap()).to_string()
        };
        let time = "2023-11-14T22:13:20.123Z";
        assert_eq!(row(json!({})), format!("{time}  ● w/press/oil  82.5 °C"));
        let bad = json!({ "value": null, "quality": "bad:no-answer" });
        assert_eq!(row(bad), format!("{time}  ✕ w/press/oil  bad:no-answer"));
        let doubt = json!({ "quality": "uncertain:clamped", "clock": "not-set" });
        let shown = format!("{time}  ▲ w/press/oil  82.5 °C  uncertain:clamped  (clock not set)");
        assert_eq!(row(doubt), shown);
        let text = json!({ "value": "a\u{1b}[2Jb\n", "unit": null });
        assert_eq!(row(text), format!("{time}  ● w/press/oil  a [2Jb "), "no tricks on terminals");
    }
}
