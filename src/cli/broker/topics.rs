//! `fieldhold broker topics`: who subscribed to what, and what is published where.

use std::process::ExitCode;

use serde_json::Value;

use super::list::{FilterArgument, Running, done, print, question, write};
use super::table::{Cell, Table};
use crate::cli::run;
use crate::cli::view::Tone;
use crate::cli::view::json::{bytes, flag, number, some, span, text};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    filter: FilterArgument,
    /// One JSON object per line; subscriptions have a `filter`, topics a `topic`
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let filter = arguments.filter.filter()?;
    let running = Running::of(&arguments.filter.state)?;
    let as_json = arguments.json;
    done(run::runtime()?.block_on(async {
        let table = Table::new(["subscription", "QoS", "client", "", ""]);
        let asked = question("subscriptions", filter);
        let subscriptions = print(&running, asked, as_json, table, subscription).await?;
        if !as_json {
            write(if subscriptions == 0 { b"nobody has subscribed\n\n" } else { b"\n" })?;
        }
        let table =
            Table::new(["topic", "messages", "last", "size", "QoS", "", "from", "subscribers"]);
        let published = print(&running, question("topics", filter), as_json, table, topic).await?;
        if published == 0 && !as_json {
            write(b"nothing was published lately\n")?;
        }
        Ok(ExitCode::SUCCESS)
    }))
}

fn subscription(row: &Value) -> [Cell; 5] {
    let mut options = Vec::new();
    if flag(row, "/no_local") {
        options.push("no local".to_owned());
    }
    if flag(row, "/retain_as_published") {
        options.push("retain as published".to_owned());
    }
    if some(row, "/id") {
        options.push(format!("id {}", number(row, "/id")));
    }
    let away = if flag(row, "/connected") { "" } else { "away" };
    [
        Cell::text(text(row, "/filter")),
        Cell::count(number(row, "/qos")),
        Cell::text(text(row, "/client")),
        Cell::text(away).in_tone(Tone::Doubt),
        Cell::text(&options.join(", ")).in_tone(Tone::Faint),
    ]
}

fn topic(row: &Value) -> [Cell; 8] {
    let by = match some(row, "/by") {
        true => Cell::text(text(row, "/by")),
        false => Cell::text("(gateway)").in_tone(Tone::Faint),
    };
    let retained = if flag(row, "/retain") { "retained" } else { "" };
    [
        Cell::text(text(row, "/topic")),
        Cell::count(number(row, "/messages")),
        Cell::number(format!("{} ago", span(number(row, "/age_ms")))),
        Cell::number(bytes(number(row, "/bytes"))),
        Cell::count(number(row, "/qos")),
        Cell::text(retained).in_tone(Tone::Faint),
        by,
        Cell::count(number(row, "/subscribers")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn subscriptions_and_topics_are_one_line_each() {
        let mut table = Table::new(["subscription", "QoS", "client", "", ""]);
        let row = json!({ "filter": "a/#", "qos": 1, "client": "c", "connected": false,
            "no_local": true, "retain_as_published": false, "id": 7 });
        let shown = table.page(vec![subscription(&row)]);
        assert!(shown.ends_with("a/#             1  c       away  no local, id 7\n"), "{shown}");
        let mut table =
            Table::new(["topic", "messages", "last", "size", "QoS", "", "from", "subscribers"]);
        let row = json!({ "topic": "a/b", "messages": 12, "age_ms": 400, "bytes": 8, "qos": 0,
            "retain": true, "by": null, "subscribers": 3 });
        let shown = table.page(vec![topic(&row)]);
        let shown = shown.lines().nth(1).unwrap();
        let words: Vec<_> = shown.split_whitespace().collect();
        assert_eq!(words.join(" "), "a/b 12 0.4 s ago 8 B 0 retained (gateway) 3");
    }
}
