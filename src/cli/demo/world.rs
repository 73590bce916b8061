//! What surrounds the gateway in the demo: the plant, and a broker that plays the cloud.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::relay::Relay;
use crate::broker::{Broker, BrokerRunner, Deps};
use crate::config::{BrokerPlan, ListenerPlan};
use crate::model::{Clock, Mono};
use crate::runtime::{GRACE, Units};
use crate::south::simulator::{Meter, Press, Pty, RtuSlave, TcpServer};
use crate::store::Keep;
use crate::web::{Demo, DemoSwitch, DemoSwitches};

/// How often the simulated values move.
const PLANT_STEP: Duration = Duration::from_millis(50);
/// Wishes of the page that were not done yet.
const WISHES_MAX: usize = 4;
/// The unit id of the press on its TCP connection.
const PRESS_UNIT: u8 = 1;

/// Everything that is not the gateway.
pub struct World {
    units: Units,
    clock: Arc<dyn Clock>,
    press: Press,
    meter: Meter,
    press_address: SocketAddr,
    line: PathBuf,
    cloud: Broker,
    wire: watch::Sender<bool>,
    wire_address: SocketAddr,
    switches: watch::Sender<DemoSwitches>,
}

impl World {
    pub async fn start(
        clock: Arc<dyn Clock>,
        dir: &Path,
        limits: &BrokerPlan,
    ) -> anyhow::Result<Self> {
        let press = Press::new();
        let server = TcpServer::bind("127.0.0.1:0", press.devices().clone()).await?;
        let press_address = server.address()?;
        let (cloud, cloud_runner) = cloud(Arc::clone(&clock), limits).await?;
        let cloud_address =
            cloud.addresses().first().copied().context("the demo's cloud has no address")?;
        let relay = Relay::bind(cloud_address).await?;
        let (wire, wire_address) = (relay.switch(), relay.address()?);
        let world = Self {
            units: Units::new(Arc::clone(&clock)),
            clock,
            press,
            meter: Meter::new(),
            press_address,
            line: dir.join("rs485"),
            cloud,
            wire,
            wire_address,
            switches: watch::Sender::new(DemoSwitches::all_on()),
        };
        once(&world.units, "press", server, TcpServer::run);
        once(&world.units, "cloud", cloud_runner, BrokerRunner::run);
        once(&world.units, "wire", relay, Relay::run);
        world.move_plant();
        world.plug_in();
        Ok(world)
    }

    /// The embedded configuration, pointed at this world.
    pub fn connect(&self, text: &str) -> anyhow::Result<String> {
        let (press, wire) = (self.press_address, self.wire_address);
        let places = [
            (PRESS, format!("host: {}, port: {}", press.ip(), press.port())),
            (LINE, format!("port: {}", self.line.display())),
            (CLOUD, format!("mqtt://{wire}")),
        ];
        super::replace(text, &places)
    }

    /// Cuts or connects something, as a person asked.
    pub async fn switch(&self, switch: DemoSwitch, connected: bool) {
        match (switch, connected) {
            (DemoSwitch::Uplink, on) => {
                self.wire.send_replace(on);
            }
            (DemoSwitch::Line, true) => self.plug_in(),
            (DemoSwitch::Line, false) => {
                self.units.stop(LINE_UNIT, GRACE).await;
            }
            (DemoSwitch::Device, on) => self.press.devices().switch(PRESS_UNIT, on),
        }
        self.switches.send_modify(|now| now.put(switch, connected));
    }

    /// What is connected.
    pub fn switches(&self) -> DemoSwitches {
        *self.switches.borrow()
    }

    /// The switches for the page.
    pub fn demo(self: &Arc<Self>) -> Demo {
        let (wishes, asked) = mpsc::channel(WISHES_MAX);
        let world = Arc::clone(self);
        let follow = |(world, mut asked): (Arc<Self>, mpsc::Receiver<_>),
                      stop: CancellationToken| async move {
            while let Some(Some((switch, on))) = stop.run_until_cancelled(asked.recv()).await {
                world.switch(switch, on).await;
            }
            Ok::<_, Infallible>(())
        };
        once(&self.units, "switches", (world, asked), follow);
        Demo { wishes, switches: self.switches.subscribe() }
    }

    /// Messages that arrived in the cloud.
    pub fn cloud_messages(&self) -> u64 {
        self.cloud.status().messages_in
    }

    pub async fn stop(&self) {
        for name in self.units.names("") {
            self.units.stop(&name, GRACE).await;
        }
    }

    fn move_plant(&self) {
        let (press, meter) = (self.press.clone(), self.meter.clone());
        let clock = Arc::clone(&self.clock);
        let begun: Mono = clock.mono();
        self.units.start("plant", move |stop| {
            let (press, meter, clock) = (press.clone(), meter.clone(), Arc::clone(&clock));
            async move {
                let mut step = tokio::time::interval(PLANT_STEP);
                while stop.run_until_cancelled(step.tick()).await.is_some() {
                    let time = clock.mono() - begun;
                    press.advance(time);
                    meter.advance(time);
                }
                Ok::<_, Infallible>(())
            }
        });
    }

    /// Puts the serial line there, with the meter on it.
    fn plug_in(&self) {
        let (path, devices) = (self.line.clone(), self.meter.devices().clone());
        self.units.start(LINE_UNIT, move |stop| {
            let (path, devices) = (path.clone(), devices.clone());
            async move {
                let line = Pty::open_at(&path)?;
                RtuSlave::new(devices).run(line, stop).await?;
                Ok::<_, io::Error>(())
            }
        });
    }
}

const LINE_UNIT: &str = "line";

/// What stands in the embedded configuration for the world's own addresses.
const PRESS: &str = "host: 127.0.0.1, port: 1502";
const LINE: &str = "port: /tmp/fieldhold-demo-rs485";
const CLOUD: &str = "mqtt://127.0.0.1:1884";

/// Runs something that can be started only once as a unit.
fn once<T, Run, E>(
    units: &Units,
    name: &str,
    thing: T,
    run: impl Fn(T, CancellationToken) -> Run + Send + 'static,
) where
    T: Send + 'static,
    Run: Future<Output = Result<(), E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let thing = std::sync::Mutex::new(Some(thing));
    units.start(name, move |stop| {
        let taken = thing.lock().ok().and_then(|mut thing| thing.take()).map(|t| run(t, stop));
        async move {
            match taken {
                Some(running) => running.await.map_err(io::Error::other),
                None => Err(io::Error::other("can't be started again")),
            }
        }
    });
}

/// A broker of our own on a free loopback port.
async fn cloud(clock: Arc<dyn Clock>, like: &BrokerPlan) -> anyhow::Result<(Broker, BrokerRunner)> {
    let plan = BrokerPlan {
        listeners: vec![ListenerPlan::tcp(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            like.limits.connections,
        )],
        users: Vec::new(),
        limits: like.limits.clone(),
    };
    // The cloud has no tags, so nothing is ever sent to this inbox.
    let (inbox, _) = mpsc::channel(1);
    Broker::bind(&plan, Deps { clock, inbox, store: None, keep: Keep::none() })
        .await
        .context("the demo's cloud can't listen on a loopback port")
}
