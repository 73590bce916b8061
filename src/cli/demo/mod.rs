//! `fieldhold demo`: the whole gateway with a simulated plant and a simulated cloud.
//!
//! On a terminal it is one picture with keys; otherwise it takes words on standard input and
//! answers each with one line, so that a script can rehearse an outage.

mod keys;
mod relay;
mod screen;
mod world;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::keys::Action;
use self::screen::Screen;
use self::world::World;
use super::run::{self, Ends};
use super::view::{self, Line, Tone};
use crate::config::{self, file};
use crate::runtime::{Found, Gateway, Logs, Opened, Setup, SystemClock};
use crate::web;

/// The configuration the demo runs; its ports and paths are replaced by free ones.
const PLAN: &str = include_str!("../../../configs/demo.yaml");

/// What stands in it for addresses and places.
const LAN: &str = "tcp: 127.0.0.1:1883";
const PAGE: &str = "listen: 127.0.0.1:8080";
const STATE: &str = "path: /tmp/fieldhold-demo";

/// How often the picture is redrawn.
const REDRAW: Duration = Duration::from_millis(250);

/// Waiting readings at which the bar of the queue is full; grows with the queue.
const QUEUE_FULL_MIN: u64 = 256;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Keep the store here instead of in a temporary directory
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Where the LAN broker listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    lan: SocketAddr,
    /// Where the web page is; a free port is taken if this one is in use
    #[arg(long, default_value = "127.0.0.1:8080")]
    web: SocketAddr,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = run::runtime()?;
    let place = Place::new(arguments.state_dir.as_deref())?;
    let end = runtime.block_on(demo(arguments, &place.dir));
    runtime.shutdown_background();
    end
}

async fn demo(arguments: &Arguments, dir: &Path) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::new()?;
    let clock = Arc::new(SystemClock::new());
    // The terminal has a picture; the page shows the log.
    let logs = Logs::new(clock.clone());
    tracing_subscriber::registry().with(logs.clone().with_filter(LevelFilter::INFO)).init();
    let reserved = reserve(arguments.web)?;
    let page = reserved.local_addr()?;
    let path = dir.join("demo.yaml");
    let embedded = loaded(&path, PLAN)?.plan.broker.context("the demo has a broker")?;
    let world = Arc::new(World::start(clock.clone(), dir, &embedded).await?);
    let places = [
        (LAN, format!("tcp: {}", arguments.lan)),
        (PAGE, format!("listen: {page}")),
        (STATE, format!("path: {}", dir.display())),
    ];
    let text = world.connect(&replace(PLAN, &places)?)?;
    // A file, since the page changes it as it changes any configuration.
    file::replace(&path, &text)?;
    let loaded = loaded(&path, &text)?;
    let opened = Opened::new(&loaded.plan.store, clock.clone())?;
    let (found, plan) = Found::look(&path, loaded, &*clock);
    let gateway = Arc::new(Gateway::start_with(opened, plan, dir.to_owned()));
    let setup = Setup::start(&gateway, found);
    web::start(web::Deps {
        gateway: Arc::clone(&gateway),
        setup,
        clock,
        logs,
        state_dir: Some(dir.to_owned()),
        demo: Some(world.demo()),
    });
    let show = Show { world, gateway, page };
    if let Err(error) = show.wait_for_lan(arguments.lan).await {
        show.gateway.stop().await;
        show.world.stop().await;
        return Err(error);
    }
    let end = if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        show.picture(&mut ends).await
    } else {
        show.words(&mut ends).await
    };
    // The last line is about what was, before the drain ends the parts that tell of it.
    let status = show.status();
    show.gateway.stop().await;
    show.world.stop().await;
    end?;
    println!("{}", view::equation(&status));
    Ok(if view::equation_holds(&status) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn loaded(path: &Path, text: &str) -> anyhow::Result<config::Loaded> {
    file::parse_as(path, text)
        .map_err(|problems| anyhow::anyhow!("the embedded configuration is wrong:\n{problems}"))
}

/// A text with other words in their places.
fn replace(text: &str, places: &[(&str, String)]) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    for (old, new) in places {
        anyhow::ensure!(text.contains(old), "the embedded configuration has no {old:?}");
        text = text.replace(old, new);
    }
    Ok(text)
}

/// This address, or another port if it is in use, for whoever reuses addresses: as long as this is
/// held, the system gives the port to nobody who asks for any.
fn reserve(wanted: SocketAddr) -> anyhow::Result<TcpSocket> {
    let at = |address: SocketAddr| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok::<_, std::io::Error>(socket)
    };
    at(wanted)
        .or_else(|_| at((wanted.ip(), 0).into()))
        .with_context(|| format!("can't listen on {}", wanted.ip()))
}

/// The running demo.
struct Show {
    world: Arc<World>,
    gateway: Arc<Gateway>,
    /// Where the page is.
    page: SocketAddr,
}

impl Show {
    async fn picture(&self, ends: &mut Ends) -> anyhow::Result<()> {
        let mut said = None;
        let mut queue_full = QUEUE_FULL_MIN;
        let mut screen = Screen::open().context("can't draw on this terminal")?;
        loop {
            let status = self.status();
            queue_full = queue_full.max(view::waiting(&status).next_power_of_two());
            let foot = self.foot(said);
            let size = Screen::size().context("can't tell the size of this terminal")?;
            screen.draw(&view::picture(&status, size, queue_full, &foot))?;
            // Waiting for a key blocks, and so does not belong on an async thread.
            let key = tokio::select! {
                key = tokio::task::spawn_blocking(|| screen::key(REDRAW)) => key??,
                () = ends.recv() => return Ok(()),
            };
            let Some(key) = key else { continue };
            let action = keys::key(self.world.switches(), key);
            said = action.is_none().then_some(key);
            match action {
                Some(Action::Quit) => return Ok(()),
                Some(Action::Switch(switch, on)) => self.world.switch(switch, on).await,
                Some(Action::Wait(_)) | None => {}
            }
        }
    }

    async fn words(&self, ends: &mut Ends) -> anyhow::Result<()> {
        println!("page on http://{}", self.page);
        println!("LAN broker on {}; words: {}", self.lan(), keys::WORDS);
        let mut lines = stdin_lines();
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                () = ends.recv() => return Ok(()),
            };
            let Some(line) = line else {
                // Nobody will say another word; it runs on until it is told to end.
                ends.recv().await;
                return Ok(());
            };
            match keys::word(&line) {
                Ok(Action::Quit) => return Ok(()),
                Ok(Action::Wait(time)) => tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = ends.recv() => return Ok(()),
                },
                Ok(Action::Switch(switch, on)) => self.world.switch(switch, on).await,
                Err(problem) => {
                    println!("{problem}");
                    continue;
                }
            }
            println!("{line}: {}", self.summary());
        }
    }

    /// What the picture ends with: how to go on. `unknown` is a key that does nothing.
    fn foot(&self, unknown: Option<char>) -> Vec<Line> {
        let cloud = format!("the cloud received {} messages", self.world.cloud_messages());
        let hint = match unknown {
            Some(key) => Line::new().add(Tone::Doubt, format!("▲ there is no key {key:?} here")),
            None => {
                let port = self.lan().port();
                Line::new()
                    .add(Tone::Faint, "the page: ")
                    .add(Tone::Strong, format!("http://{}", self.page))
                    .add(Tone::Faint, "  the LAN: ")
                    .text(format!("mosquitto_sub -p {port} -t '#' -v"))
            }
        };
        vec![cloud.into(), keys::describe(self.world.switches()), hint]
    }

    fn summary(&self) -> String {
        let messages = self.world.cloud_messages();
        format!("{}; the cloud received {messages} messages", view::equation(&self.status()))
    }

    fn status(&self) -> serde_json::Value {
        serde_json::to_value(self.gateway.status()).unwrap_or_default()
    }

    /// Nothing can be watched without the LAN broker, so a taken port is an end, not a state.
    async fn wait_for_lan(&self, wanted: SocketAddr) -> anyhow::Result<()> {
        let bound = async {
            while self.gateway.lan_address().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let patience = Duration::from_secs(2);
        tokio::time::timeout(patience, bound).await.map_err(|_| {
            anyhow::anyhow!(
                "can't listen on {wanted}: is another program using it? \
                 Without --lan a free port of this machine is taken"
            )
        })
    }

    fn lan(&self) -> SocketAddr {
        self.gateway.lan_address().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

/// Lines of standard input, read by a thread of their own since a terminal read can't be cancelled.
fn stdin_lines() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// Where the demo keeps its files; a temporary place is removed at the end.
struct Place {
    dir: PathBuf,
    temporary: bool,
}

impl Place {
    fn new(wanted: Option<&Path>) -> anyhow::Result<Self> {
        let (dir, temporary) = match wanted {
            Some(dir) => (dir.to_owned(), false),
            None => {
                let name = format!("fieldhold-demo-{:08x}", fastrand::u32(..));
                (std::env::temp_dir().join(name), true)
            }
        };
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("can't make the directory {}", dir.display()))?;
        Ok(Self { dir, temporary })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary {
            // What can't be removed is in the system's place for such things.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_plan_has_a_bus_of_each_kind_a_broker_and_an_uplink() {
        let plan = config::parse(PLAN, "demo.yaml").unwrap().plan;
        assert_eq!(plan.buses.len(), 2);
        assert!(plan.broker.is_some() && plan.uplinks.len() == 1);
        assert!(plan.web.is_some_and(|web| web.listen.ip().is_loopback()));
    }

    #[tokio::test]
    async fn a_reserved_port_goes_to_the_page_alone() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let reserved = reserve(loopback).unwrap();
        let page = reserved.local_addr().unwrap();
        // As the system picks a port for somebody else: it reuses none.
        let other = TcpSocket::new_v4().unwrap();
        assert!(other.bind(page).is_err(), "somebody else got the port");
        let listener = tokio::net::TcpListener::bind(page).await.unwrap();
        let elsewhere = reserve(page).unwrap().local_addr().unwrap();
        assert!(elsewhere.port() != page.port(), "it is in use");
        drop(listener);
    }
}
