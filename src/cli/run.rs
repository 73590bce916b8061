//! `fieldhold run`: the whole life of the process on one screen.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use futures_util::FutureExt;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::log::{self, LogFormat};
use super::{ConfigArgument, first_boot};
use crate::config;
use crate::runtime::backup::{self, Left};
use crate::runtime::{
    Author, BrokerAsk, Found, Gateway, Logs, Notify, Opened, Setup, SystemClock, control, in_full,
    no_core_dumps, start_remote,
};
use crate::web;

/// Threads for broker, uplinks and the rest; serial lines and the store have their own.
const WORKERS_MAX: usize = 4;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Where a configuration is looked for when there is none yet: a mounted stick, a boot partition;
    /// it is taken once, and copied to the file
    #[arg(long, value_name = "DIR", value_delimiter = ',')]
    import_from: Vec<PathBuf>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clock = Arc::new(SystemClock::new());
    let logs = Logs::new(clock.clone());
    log::start(arguments.log_format, &logs);
    no_core_dumps();
    let path = &arguments.config.config;
    end_restore(path)?;
    first_boot::provide(path, &arguments.import_from)?;
    let loaded = match super::load_all(path) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let runtime = runtime()?;
    let end = runtime.block_on(live(loaded, path, clock, logs));
    // After a second signal something may still be hanging; it is not waited for.
    runtime.shutdown_background();
    end.map(|()| ExitCode::SUCCESS)
}

/// What a power cut left half done is neither a configuration nor a store to start with.
fn end_restore(path: &Path) -> anyhow::Result<()> {
    match backup::resume(path)? {
        None => {}
        Some(Left::Removed) => {
            tracing::warn!(
                "a restore was interrupted before it had changed anything; what it had unpacked is gone"
            );
        }
        Some(Left::Ended) => tracing::warn!("a restore was interrupted; it is ended now"),
        Some(Left::TakenBack(error)) => {
            let error = in_full(&error);
            tracing::error!(error, "a restore was interrupted, and was taken back: restore again");
        }
    }
    Ok(())
}

/// The async runtime of a command.
pub struct Runtime(tokio::runtime::Runtime);

impl Runtime {
    /// Boxed, so that the program has it once for a result and not for every command.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.block_on(Box::pin(work) as Pin<Box<dyn Future<Output = T> + '_>>)
    }

    pub fn shutdown_background(self) {
        self.0.shutdown_background();
    }
}

/// The one every command uses.
pub fn runtime() -> anyhow::Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(WORKERS_MAX));
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("can't start the async runtime")?;
    Ok(Runtime(built))
}

async fn live(
    loaded: config::Loaded,
    path: &Path,
    clock: Arc<SystemClock>,
    logs: Logs,
) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("can't listen for SIGHUP")?;
    let mut end = Ends::new()?;
    let secrets = path.parent().unwrap_or(Path::new(".")).to_owned();
    let opened = Opened::new(&loaded.plan.store, clock.clone())?;
    // The store is ours now, so nobody else goes back from a change that was not confirmed.
    let (found, plan) = Found::look(path, loaded, &*clock);
    let name = plan.gateway.name.clone();
    let state_dir = plan.store.path.clone();
    let gateway = Arc::new(Gateway::start_with(opened, plan, secrets));
    let setup = Setup::start(&gateway, found);
    start_remote(&gateway, &setup);
    let page = web::start(web::Deps {
        gateway: Arc::clone(&gateway),
        setup: setup.clone(),
        clock,
        logs,
        state_dir: state_dir.clone(),
        demo: None,
    });
    if let Some(dir) = state_dir {
        let (asked, setup) = (Arc::clone(&gateway), setup.clone());
        let page = page.clone();
        let answer =
            move |words| answer(Arc::clone(&asked), setup.clone(), page.clone(), words).boxed();
        gateway.start_control(control::socket_path(&dir), Arc::new(answer));
    }
    tracing::info!(gateway = %name, version = env!("CARGO_PKG_VERSION"), "running");
    let notify = Notify::from_environment();
    notify.start(&gateway, move || page.is_up());
    let mut reloads = JoinSet::new();
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                notify.reloading();
                let setup = setup.clone();
                // What became of it stands in the log.
                reloads.spawn(async move { drop(setup.take_file().await) });
            }
            Some(_) = reloads.join_next() => notify.ready(),
            () = end.recv() => break,
        }
    }
    notify.stopping();
    tracing::info!("stopping: field, store, broker, uplinks");
    tokio::select! {
        () = gateway.stop() => tracing::info!("stopped"),
        () = end.recv() => tracing::warn!("second signal: stopped without waiting"),
    }
    Ok(())
}

async fn answer(
    gateway: Arc<Gateway>,
    setup: Setup,
    page: web::Web,
    words: String,
) -> Option<String> {
    if let Some(ask) = words.strip_prefix("access ") {
        let answer = page.ask(serde_json::from_str(ask).ok()?).await;
        return Some(answer.unwrap_or_else(|error| json!({ "error": error })).to_string());
    }
    if let Some(ask) = words.strip_prefix("broker ") {
        let ask: BrokerAsk = serde_json::from_str(ask).ok()?;
        let answer = gateway.ask_broker(ask).await;
        return Some(answer.unwrap_or_else(|error| json!({ "error": error })).to_string());
    }
    let words: Vec<&str> = words.split(' ').collect();
    match words.as_slice() {
        ["trace", bus, since] => {
            let page = gateway.trace(bus, since.parse().ok()?);
            let error = || format!("there is no bus {bus:?} running; was the file reloaded?");
            let said = page.map(|page| serde_json::to_string(&page));
            said.unwrap_or_else(|| serde_json::to_string(&json!({ "error": error() }))).ok()
        }
        ["support"] => serde_json::to_string(&page.support().await).ok(),
        ["status"] => serde_json::to_string(&gateway.status()).ok(),
        ["store"] => store_status(&gateway),
        ["tail", since] => serde_json::to_string(&gateway.tail(since.parse().ok()?)).ok(),
        ["store", "flush"] => {
            gateway.flush_store().await;
            store_status(&gateway)
        }
        ["store", "copy"] => {
            gateway.flush_store().await;
            let copied = gateway.copy_broker_file().await;
            let said = copied.map(|broker| json!({ "broker": broker }));
            Some(said.unwrap_or_else(|error| json!({ "error": in_full(&error) })).to_string())
        }
        ["config", "rollback", version] => {
            let version = match *version {
                "-" => None,
                number => Some(number.parse().ok()?),
            };
            let gone_back = setup.roll_back(version, Author::Local).await;
            let said = gone_back.map(|version| json!({ "version": version }));
            Some(said.unwrap_or_else(|error| json!({ "error": in_full(&error) })).to_string())
        }
        ["audit"] => serde_json::to_string(&gateway.audit()).ok(),
        _ => None,
    }
}

/// Of both files.
fn store_status(gateway: &Gateway) -> Option<String> {
    let (store, broker) = (gateway.store_status(), gateway.broker_file_status());
    super::store::both(&store, Some(&broker)).ok().map(|both| both.to_string())
}

/// SIGTERM and SIGINT.
pub struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("can't listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("can't listen for SIGINT")?,
        })
    }

    pub async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
