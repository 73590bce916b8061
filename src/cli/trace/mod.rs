//! `fieldhold trace`: the last exchanges of a bus, byte by byte, from the running gateway.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::place::StateArgument;
use super::status::show;
use super::{BadInput, out, run};
use crate::config::Plan;
use crate::runtime::control;
use crate::south::trace::{Exchange, Format, Page, text};

/// Exchanges shown when not said otherwise.
const LAST: usize = 20;
/// How often new exchanges are asked for.
const FOLLOW: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The bus, by its name in the configuration
    bus: String,
    #[command(flatten)]
    state: StateArgument,
    /// Go on with what happens from now on, until interrupted
    #[arg(long, conflicts_with = "export")]
    follow: bool,
    /// Only the last N exchanges [default: 20 to show, all to export]
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Write to a file instead: FILE.txt as shown, FILE.pcap for Wireshark and tshark
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

/// At most 80 columns: it is wrapped to the terminal, and a wrapped command can't be copied.
const AFTER_HELP: &str = "\
A .pcap of a Modbus TCP bus opens as it is: the TCP packets around the traced
bytes are made up, on port 502 whatever the real one is. Wireshark must be told
what the packets of an RTU line are:
  tshark -r FILE.pcap \\
    -o 'uat:user_dlts:\"User 0 (DLT=147)\",\"mbrtu\",\"0\",\"\",\"0\",\"\"'
or in Wireshark: Edit > Preferences > Protocols > DLT_USER > Edit, DLT 147,
payload mbrtu. Other lines are written as raw bytes, link type User 1 (DLT 148).

How much is kept is the key `trace` of a bus.";

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let export = arguments.export.as_deref().map(format_of).transpose()?;
    let plan = match super::load(&arguments.state.config().config) {
        Ok(plan) => plan,
        Err(code) => return Ok(code),
    };
    let Some(bus) = plan.buses.iter().find(|bus| bus.name.as_str() == arguments.bus) else {
        let names: Vec<&str> = plan.buses.iter().map(|bus| bus.name.as_str()).collect();
        let (bus, names) = (&arguments.bus, names.join(", "));
        bail!(BadInput(format!("there is no bus {bus:?} in the configuration; it has {names}")));
    };
    let socket = control::socket_path(&arguments.state.dir_of(&plan)?);
    let gateway = Asked { socket, bus: bus.name.as_str() };
    let last = arguments.last.unwrap_or(if export.is_some() { usize::MAX } else { LAST });
    run::runtime()?.block_on(async {
        let trace = gateway.last(last).await?;
        match (export, &arguments.export) {
            (Some(format), Some(path)) => {
                write(path, &format.write(&trace.page, trace.exchanges.iter(), &plan))?;
                let count = trace.exchanges.len();
                println!("{}: {count} exchanges of {}", path.display(), trace.page.link);
            }
            _ => {
                show(&text::head(&trace.page));
                trace.exchanges.iter().for_each(|e| show(&text::exchange(&trace.page, e, &plan)));
                if arguments.follow {
                    gateway.follow(trace.page, &plan).await?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Exchanges, and the last page they came with.
struct Trace {
    exchanges: VecDeque<Exchange>,
    page: Page,
}

/// A running gateway and one of its buses.
struct Asked<'a> {
    socket: PathBuf,
    bus: &'a str,
}

impl Asked<'_> {
    async fn page(&self, since: u64) -> anyhow::Result<Page> {
        let reply = control::ask(&self.socket, &format!("trace {} {since}", self.bus)).await?;
        let reply: serde_json::Value =
            serde_json::from_str(&reply).context("the gateway's answer is not JSON")?;
        if let Some(error) = reply.get("error").and_then(serde_json::Value::as_str) {
            bail!("the gateway says: {error}");
        }
        serde_json::from_value(reply).context("the gateway's answer is not a trace")
    }

    /// The last exchanges that are there now.
    async fn last(&self, most: usize) -> anyhow::Result<Trace> {
        let mut page = self.page(0).await?;
        let mut exchanges = VecDeque::new();
        loop {
            exchanges.extend(page.exchanges.drain(..));
            let excess = exchanges.len().saturating_sub(most);
            exchanges.drain(..excess);
            if !page.more {
                return Ok(Trace { exchanges, page });
            }
            let before = page.trace;
            page = self.page(page.next).await?;
            if page.trace != before {
                exchanges.clear();
                page = self.page(0).await?;
            }
        }
    }

    /// Shows what comes, as long as somebody reads it.
    async fn follow(&self, mut page: Page, plan: &Plan) -> anyhow::Result<()> {
        let mut end = run::Ends::new()?;
        while !out::ended() {
            if !page.more {
                tokio::select! {
                    () = end.recv() => return Ok(()),
                    () = tokio::time::sleep(FOLLOW) => {}
                }
            }
            let before = page.trace;
            page = self.page(page.next).await?;
            if page.trace != before {
                show(&text::anew());
                page = self.page(0).await?;
            }
            if page.lost > 0 {
                show(&text::lost(page.lost));
            }
            page.exchanges.iter().for_each(|e| show(&text::exchange(&page, e, plan)));
        }
        Ok(())
    }
}

/// By the end of the file's name.
fn format_of(path: &Path) -> Result<Format, BadInput> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("txt") => Ok(Format::Text),
        Some("pcap") => Ok(Format::Pcap),
        _ => Err(BadInput(format!(
            "{}: what to write is said by the name: FILE.txt or FILE.pcap",
            path.display()
        ))),
    }
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    let file = std::fs::File::create(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("can't write {}", path.display()))
}
