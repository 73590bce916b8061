//! The running gateway: a plan turned into units, changed while running, and drained at the end.
//!
//! Invariants: the store outlives every change of configuration, and forgets no uplink that is gone
//! before the change stands; only units whose part of the plan changed are restarted; a plan whose
//! broker can't start is rolled back; the start never waits for a device, a broker or an uplink.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::backup;
use super::blocking::blocking;
use super::by_hand::Hands;
use super::commands::{Commands, INBOX_MAX};
use super::control;
use super::doors::Doors;
use super::limits;
use super::live::{self, Board, Intake, TagNow};
use super::locks::lock;
use super::machine;
use super::rehearsals::Rehearsals;
use super::remote;
use super::scans::Scans;
use super::setup::{self, SetupStatus};
use super::trend::Trend;
use super::units::{UnitStatus, Units};
use crate::broker::{self, Broker, BrokerError, BrokerRunner, Rules};
use crate::config::{BrokerPlan, BusPlan, Changes, ListenerPlan, Plan, StorePlan, UplinkPlan};
use crate::model::{Blame, Clock, Name, Retry, SetRequest, TopicFilter};
use crate::south::{self, BusContext, Quotas};
use crate::store::{
    AuditRow, ConsumerSpec, DropRow, Keep, KeepCopied, KeepStatus, Options, Store, StoreError,
    StoreStatus, TailPage,
};
use crate::uplink;

/// What a unit gets to finish after being told to stop.
pub const GRACE: Duration = Duration::from_secs(10);

const CONTROL_UNIT: &str = "control";
const TREND_UNIT: &str = "trend";
pub(super) const BROKER_UNIT: &str = "broker";
const BUS_UNITS: &str = "bus ";
const UPLINK_UNITS: &str = "uplink ";

pub struct Gateway {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Store,
    /// What the LAN broker keeps across restarts, its own and the process's.
    pub(super) keep: Keep,
    pub(super) units: Units,
    pub(super) doors: Arc<Doors>,
    pub(super) board: Arc<Board>,
    pub(super) commands: Arc<Commands>,
    /// Between uplinks and whoever configures the gateway over them.
    pub(super) remote: remote::Post,
    /// Who asks devices by hand, and looks for some.
    pub(super) hands: Hands,
    pub(super) scans: Scans,
    pub(super) rehearsals: Rehearsals,
    pub(super) trend: Arc<Trend>,
    /// The version of the configuration that runs, for those who show it.
    pub(super) configuration: watch::Sender<SetupStatus>,
    /// What is running, or about to.
    plan: Arc<Mutex<Plan>>,
    intake: Arc<Intake>,
    pub(super) inbox: mpsc::Sender<SetRequest>,
    /// Connections to hosts that several buses share.
    quotas: Quotas,
    /// Directory of the configuration file, where secret files are looked up.
    pub(super) secrets_dir: PathBuf,
    /// Units of those who stand on the gateway, by name.
    above: Mutex<Vec<String>>,
}

/// Why a new plan was not taken; the old one is still running.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("the LAN broker can't start with the new configuration")]
    Broker(#[source] BrokerError),
    #[error("`store` can't change while the gateway runs; restart it to take the new settings")]
    Store,
}

impl ApplyError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Broker(error) => error.blame(),
            Self::Store => Blame::Config,
        }
    }

    /// The same plan will not be taken another time.
    pub fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// The store of a gateway that is about to start: nobody else uses its state directory now.
pub struct Opened {
    clock: Arc<dyn Clock>,
    store: Store,
    keep: Keep,
}

impl Opened {
    /// # Errors
    /// Only what a person must mend first: the state directory is not usable, or another gateway
    /// holds the store.
    pub fn new(plan: &StorePlan, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Store::open(Options::from(plan), Arc::clone(&clock))?;
        let keep = Keep::open(&store)?;
        Ok(Self { clock, store, keep })
    }
}

impl Gateway {
    /// Opens the store and starts a unit for everything in the plan.
    ///
    /// # Errors
    /// Those of [`Opened::new`].
    pub fn start(
        plan: Plan,
        clock: Arc<dyn Clock>,
        secrets_dir: PathBuf,
    ) -> Result<Self, StoreError> {
        Ok(Self::start_with(Opened::new(&plan.store, clock)?, plan, secrets_dir))
    }

    /// As [`Gateway::start`], with the store of this plan.
    pub fn start_with(opened: Opened, plan: Plan, secrets_dir: PathBuf) -> Self {
        let Opened { clock, store, keep } = opened;
        let (intake, live, board) = live::lane(store.clone(), Arc::clone(&clock));
        let doors = Arc::new(Doors::default());
        let commands = Arc::new(Commands::new(
            Arc::clone(&clock),
            Arc::clone(&doors),
            Arc::clone(&board),
            store.clone(),
        ));
        let (inbox, requests) = mpsc::channel(INBOX_MAX);
        let gateway = Self {
            units: Units::new(Arc::clone(&clock)),
            clock,
            store,
            keep,
            doors,
            board,
            commands,
            remote: remote::Post::new(),
            hands: Hands::new(),
            scans: Scans::default(),
            rehearsals: Rehearsals::default(),
            trend: Arc::default(),
            configuration: watch::Sender::default(),
            plan: Arc::new(Mutex::new(plan.clone())),
            intake,
            inbox,
            quotas: Quotas::default(),
            secrets_dir,
            above: Mutex::default(),
        };
        gateway.start_inner_units(live, requests);
        gateway.start_plan(plan);
        gateway.start_trend();
        gateway
    }

    /// Changes to `new`; only what differs is restarted. The store goes on keeping readings for the
    /// uplinks that are gone, until the change stands ([`Gateway::settle`]).
    pub async fn apply(&self, mut new: Plan) -> Result<Changes, ApplyError> {
        let old = self.plan();
        if old.store != new.store {
            return Err(ApplyError::Store);
        }
        self.change_broker(old.broker.as_ref(), new.broker.as_ref()).await?;
        self.register(&mut new);
        let changes = old.diff(&new);
        self.units.stop_all(&units(&changes.uplinks, uplink_unit), GRACE).await;
        changes.uplinks.iter().for_each(|name| self.doors.set_uplink(name, None));
        self.units.stop_all(&units(&changes.buses, bus_unit), GRACE).await;
        changes.buses.iter().for_each(|name| self.doors.set_bus(name, None));
        let mut wanted = consumers(&new);
        wanted.extend(consumers(&old)); // The first of a name counts.
        self.store.set_consumers(&wanted);
        self.set_tags(&new);
        for plan in new.buses.iter().filter(|bus| changes.buses.contains(&bus.name)) {
            self.start_bus(plan.clone());
        }
        for plan in new.uplinks.iter().filter(|uplink| changes.uplinks.contains(&uplink.name)) {
            self.start_uplink(plan.clone());
        }
        *lock(&self.plan) = new;
        Ok(changes)
    }

    /// The plan stands: what the store keeps for uplinks that it has not is forgotten.
    pub fn settle(&self) {
        self.store.set_consumers(&consumers(&self.plan()));
    }

    /// Answers on the local control socket.
    pub fn start_control(&self, path: PathBuf, answer: control::Answer) {
        self.start_unit(CONTROL_UNIT, move |stop| {
            control::serve(path.clone(), Arc::clone(&answer), stop)
        });
    }

    /// Starts a unit of those above: it is stopped before everything else.
    pub fn start_unit<F, Run, E>(&self, name: &str, make: F)
    where
        F: Fn(CancellationToken) -> Run + Send + 'static,
        Run: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        lock(&self.above).push(name.to_owned());
        self.units.start(name, make);
    }

    /// Drains and stops: field first, then the store, broker, what the broker keeps, uplinks.
    pub async fn stop(&self) {
        let above = std::mem::take(&mut *lock(&self.above));
        self.hands.stop();
        self.scans.stop().await;
        self.rehearsals.stop().await;
        self.units.stop_all(&above, GRACE).await;
        let own = [remote::UNIT, setup::UNIT, TREND_UNIT].map(str::to_owned);
        self.units.stop_all(&own, GRACE).await;
        self.units.stop_all(&self.units.names(BUS_UNITS), GRACE).await;
        self.units.stop_all(&["commands", "live"].map(str::to_owned), GRACE).await;
        if tokio::time::timeout(GRACE, self.store.flush()).await.is_err() {
            tracing::error!(grace = ?GRACE, "the store could not write everything in time");
        }
        self.units.stop(BROKER_UNIT, GRACE).await;
        let keep = self.keep.clone();
        close("the broker's file", move || keep.close()).await;
        self.units.stop_all(&self.units.names(UPLINK_UNITS), GRACE).await;
        let store = self.store.clone();
        close("the store", move || store.close()).await;
    }

    /// Where the LAN broker listens, if it does.
    pub fn lan_address(&self) -> Option<std::net::SocketAddr> {
        self.doors.broker()?.addresses().first().copied()
    }

    pub fn store_status(&self) -> StoreStatus {
        self.store.status()
    }

    /// The last `n` losses, oldest first.
    pub async fn drops(&self, n: usize) -> Result<Vec<DropRow>, StoreError> {
        self.store.drops(n).await
    }

    /// Of the file of what the broker keeps.
    pub fn broker_file_status(&self) -> KeepStatus {
        self.keep.status()
    }

    /// What the store took in since this number; see [`Store::tail`].
    pub fn tail(&self, since: u64) -> TailPage {
        self.store.tail(since)
    }

    /// Returns when all that must be in the file is, or could not be written.
    pub async fn flush_store(&self) {
        self.store.flush().await;
    }

    /// The newest records of commands; older ones are in the store's file alone.
    pub fn audit(&self) -> Vec<AuditRow> {
        self.store.audit()
    }

    /// One moment of what the LAN broker keeps, copied to [`backup::broker_copy`]; `None` if there is
    /// nothing.
    pub async fn copy_broker_file(&self) -> Result<Option<KeepCopied>, StoreError> {
        let Some(dir) = self.plan().store.path else { return Ok(None) };
        self.keep.committed().wait().await?;
        let keep = self.keep.clone();
        let copied = blocking(move || keep.copy_to(&backup::broker_copy(&dir))).await;
        copied.unwrap_or(Err(StoreError::Closed))
    }

    /// Every part of the gateway, by name.
    pub fn unit_status(&self) -> BTreeMap<String, UnitStatus> {
        self.units.status()
    }

    /// The tags that were read, as they are now.
    pub fn tags(&self) -> Vec<TagNow> {
        self.board.tags()
    }

    /// The plan that is running.
    pub fn plan(&self) -> Plan {
        lock(&self.plan).clone()
    }

    fn start_inner_units(&self, live: live::Live, requests: mpsc::Receiver<SetRequest>) {
        let store = self.store.clone();
        let live = Arc::new(tokio::sync::Mutex::new(live));
        self.units.start("live", move |stop| {
            let (live, store) = (Arc::clone(&live), store.clone());
            async move {
                live.lock().await.run(&store, stop).await;
                Ok::<_, std::convert::Infallible>(())
            }
        });
        let commands = Arc::clone(&self.commands);
        let requests = Arc::new(tokio::sync::Mutex::new(requests));
        self.units.start("commands", move |stop| {
            let (commands, requests) = (Arc::clone(&commands), Arc::clone(&requests));
            async move {
                commands.run(&mut *requests.lock().await, stop).await;
                Ok::<_, std::convert::Infallible>(())
            }
        });
    }

    /// After the plan, so that the first point has its uplinks.
    fn start_trend(&self) {
        let (trend, store) = (Arc::clone(&self.trend), self.store.clone());
        let clock = Arc::clone(&self.clock);
        self.units.start(TREND_UNIT, move |stop| {
            let (trend, store, clock) = (Arc::clone(&trend), store.clone(), Arc::clone(&clock));
            async move {
                trend.run(|| (clock.wall(), store.status().consumers), stop).await;
                Ok::<_, std::convert::Infallible>(())
            }
        });
    }

    fn start_plan(&self, mut plan: Plan) {
        self.register(&mut plan);
        self.store.set_consumers(&consumers(&plan));
        self.set_tags(&plan);
        if let Some(broker) = &plan.broker {
            limits::raise_open_files(broker.limits.connections);
            self.start_broker(None);
        }
        for bus in &plan.buses {
            self.start_bus(bus.clone());
        }
        for uplink in &plan.uplinks {
            self.start_uplink(uplink.clone());
        }
        *lock(&self.plan) = plan;
    }

    fn register(&self, plan: &mut Plan) {
        let ids = self.store.register_tags(&plan.metas());
        plan.assign_ids(&ids);
    }

    fn start_bus(&self, plan: BusPlan) {
        let (doors, intake) = (Arc::clone(&self.doors), Arc::clone(&self.intake));
        let quotas = self.quotas.clone();
        let (clock, store) = (Arc::clone(&self.clock), self.store.clone());
        self.units.start(&bus_unit(&plan.name), move |stop| {
            let context = BusContext {
                sink: intake.clone(),
                clock: Arc::clone(&clock),
                facts: store.facts(),
                quotas: quotas.clone(),
                first_read: machine::first_read(&plan.name),
            };
            let (port, runner) = south::bus(plan.clone(), context);
            doors.set_bus(&plan.name, Some(port));
            runner.run(stop)
        });
    }

    fn start_uplink(&self, plan: UplinkPlan) {
        let (doors, inbox) = (Arc::clone(&self.doors), self.inbox.clone());
        let (clock, store) = (Arc::clone(&self.clock), self.store.clone());
        let (secrets_dir, remote) = (self.secrets_dir.clone(), self.remote.door.clone());
        let board = Arc::clone(&self.board);
        self.units.start(&uplink_unit(&plan.name), move |stop| {
            let deps = uplink::Deps {
                store: store.clone(),
                clock: Arc::clone(&clock),
                inbox: inbox.clone(),
                lan: doors.clone(),
                remote: remote.clone(),
                latest: board.clone(),
                seed: machine::seed(&store, &plan.client_id),
                secrets_dir: secrets_dir.clone(),
            };
            let (port, runner) = uplink::uplink(plan.clone(), deps);
            doors.set_uplink(&plan.name, Some(port));
            runner.run_on_own_thread(stop)
        });
    }

    /// Starts the broker unit; `bound` is a broker that is listening already.
    fn start_broker(&self, bound: Option<(Broker, BrokerRunner)>) {
        let (doors, board) = (Arc::clone(&self.doors), Arc::clone(&self.board));
        let deps = self.broker_deps();
        let bound = Mutex::new(bound);
        let plan = Arc::clone(&self.plan);
        self.units.start(BROKER_UNIT, move |stop| {
            let (doors, board) = (Arc::clone(&doors), Arc::clone(&board));
            // The plan as it is now: it may have changed since the unit was started.
            let (deps, plan) = (deps.clone(), lock(&plan).broker.clone());
            let ready = lock(&bound).take();
            async move {
                let (broker, runner) = match ready {
                    Some(ready) => ready,
                    None => match plan {
                        Some(plan) => Broker::bind(&plan, deps).await?,
                        None => return Ok(()),
                    },
                };
                doors.set_broker(Some(broker.clone()));
                board.set_broker(Some(broker));
                let end = runner.run(stop).await;
                doors.set_broker(None);
                board.set_broker(None);
                end
            }
        });
    }

    /// A broker that runs takes its new plan while clients stay.
    async fn change_broker(
        &self,
        old: Option<&BrokerPlan>,
        new: Option<&BrokerPlan>,
    ) -> Result<(), ApplyError> {
        if let Some(broker) = new {
            limits::raise_open_files(broker.limits.connections);
        }
        match (old, new, self.doors.broker()) {
            (Some(_), Some(new), Some(broker)) => {
                broker.change(new).await.map_err(ApplyError::Broker)
            }
            _ if old == new => Ok(()),
            _ => self.replace_broker(old, new).await,
        }
    }

    /// Stops the old broker and starts the new one; if that can't listen, the old one again.
    async fn replace_broker(
        &self,
        old: Option<&BrokerPlan>,
        new: Option<&BrokerPlan>,
    ) -> Result<(), ApplyError> {
        if let Some(plan) = new {
            self.try_addresses(old, plan).await?;
        }
        self.units.stop(BROKER_UNIT, GRACE).await;
        self.doors.set_broker(None);
        self.board.set_broker(None);
        let Some(plan) = new else { return Ok(()) };
        match Broker::bind(plan, self.broker_deps()).await {
            Ok(bound) => {
                self.start_broker(Some(bound));
                Ok(())
            }
            Err(error) => {
                if old.is_some() {
                    self.start_broker(None);
                }
                Err(ApplyError::Broker(error))
            }
        }
    }

    /// Listens for a moment where the old broker does not, so that a mistake costs its clients
    /// neither their connections nor what is retained.
    async fn try_addresses(
        &self,
        old: Option<&BrokerPlan>,
        new: &BrokerPlan,
    ) -> Result<(), ApplyError> {
        let mut trial = new.clone();
        let ours = |new: &ListenerPlan| {
            let port = |listener: &ListenerPlan| listener.address().map(|address| address.port());
            let mut old = old.iter().flat_map(|old| &old.listeners);
            old.any(|old| old.place == new.place || port(old).is_some() && port(old) == port(new))
        };
        trial.listeners.retain(|listener| !ours(listener));
        Broker::bind(&trial, self.broker_deps()).await.map(drop).map_err(ApplyError::Broker)
    }

    fn broker_deps(&self) -> broker::Deps {
        broker::Deps {
            clock: Arc::clone(&self.clock),
            inbox: self.inbox.clone(),
            store: Some(self.store.clone()),
            keep: self.keep.clone(),
        }
    }

    /// Tells everyone but the buses and uplinks of the plan's tags: tag topics belong to the
    /// gateway, and LAN messages that an uplink sends go through the store.
    fn set_tags(&self, plan: &Plan) {
        self.commands.set_plan(plan);
        self.doors.set_rules(Rules {
            reserved: plan.tags().map(|(_, _, tag)| tag.topic.clone()).collect(),
            devices: plan.devices().filter_map(|device| device.topic.clone()).collect(),
            forward: forwarded(plan),
        });
        self.board.set_tags(plan.tags().map(|(_, _, tag)| (tag.id, &tag.topic)));
    }
}

/// Messages of LAN clients that an uplink sends; an edge node of Sparkplug sends tags only.
fn forwarded(plan: &Plan) -> Vec<TopicFilter> {
    let sending = plan.uplinks.iter().filter(|uplink| uplink.sparkplug.is_none());
    sending.flat_map(|uplink| uplink.send.clone()).collect()
}

/// Joining a writer blocks, so it happens off the async threads.
async fn close(what: &str, close: impl FnOnce() + Send + 'static) {
    if tokio::task::spawn_blocking(close).await.is_err() {
        tracing::error!("{what} panicked while closing");
    }
}

fn consumers(plan: &Plan) -> Vec<ConsumerSpec> {
    plan.uplinks
        .iter()
        .map(|uplink| ConsumerSpec { name: uplink.name.clone(), policy: uplink.policy })
        .collect()
}

fn units(names: &[Name], unit: fn(&Name) -> String) -> Vec<String> {
    names.iter().map(unit).collect()
}

pub(super) fn bus_unit(name: &Name) -> String {
    format!("{BUS_UNITS}{name}")
}

fn uplink_unit(name: &Name) -> String {
    format!("{UPLINK_UNITS}{name}")
}
