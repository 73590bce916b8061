//! One snapshot of everything: what `fieldhold status` prints and the page will show.

use std::collections::BTreeMap;

use serde::Serialize;

use super::commands::CommandStatus;
use super::gateway::Gateway;
use super::live::{LiveStatus, TagNow};
use super::setup::SetupStatus;
use super::units::UnitStatus;
use crate::broker::BrokerStatus;
use crate::model::Name;
use crate::south::trace::Page;
use crate::south::{BusPort, BusStatus};
use crate::store::{KeepStatus, StoreStatus};
use crate::uplink::{UplinkPort, UplinkStatus};

#[derive(Debug, Serialize)]
pub struct Status {
    pub gateway: GatewayStatus,
    pub configuration: SetupStatus,
    pub units: BTreeMap<String, UnitStatus>,
    pub buses: BTreeMap<String, BusStatus>,
    pub tags: Vec<TagNow>,
    pub live: LiveStatus,
    pub broker: Option<BrokerStatus>,
    /// The file of what the broker keeps across restarts.
    pub broker_file: KeepStatus,
    pub uplinks: BTreeMap<String, UplinkStatus>,
    pub store: StoreStatus,
    pub commands: CommandStatus,
}

#[derive(Debug, Serialize)]
pub struct GatewayStatus {
    pub name: String,
    pub site: Option<String>,
    pub version: &'static str,
    /// Wall clock, milliseconds since 1970, and whether it can be trusted.
    pub wall_ms: i64,
    pub clock_synced: bool,
    /// The monotonic clock, on which `since` and `..._at` of buses and devices are given.
    pub mono_ms: i64,
}

impl Gateway {
    /// Takes the snapshot. Parts are read one after the other, so counters of different parts may
    /// differ by what happened in between; the store's own equation is taken under one lock.
    pub fn status(&self) -> Status {
        let plan = self.plan();
        Status {
            gateway: GatewayStatus {
                name: plan.gateway.name.to_string(),
                site: plan.gateway.site.map(|site| site.to_string()),
                version: env!("CARGO_PKG_VERSION"),
                wall_ms: self.clock.wall().0,
                clock_synced: self.clock.synced(),
                mono_ms: self.clock.mono().0,
            },
            configuration: self.configuration.borrow().clone(),
            units: self.units.status(),
            buses: named(&self.doors.buses(), BusPort::status),
            tags: self.board.tags(),
            live: self.board.status(),
            broker: self.doors.broker().map(|broker| broker.status()),
            broker_file: self.broker_file_status(),
            uplinks: named(&self.doors.uplinks(), UplinkPort::status),
            store: self.store.status(),
            commands: self.commands.status(),
        }
    }
}

impl Gateway {
    /// The last exchanges of a bus from number `since` on; `None` when it has no such bus.
    pub fn trace(&self, bus: &str, since: u64) -> Option<Page> {
        let bus = Name::new(bus).ok()?;
        Some(self.doors.bus(&bus)?.trace(since, self.clock.wall()))
    }
}

fn named<T, S>(ports: &BTreeMap<Name, T>, status: impl Fn(&T) -> S) -> BTreeMap<String, S> {
    ports.iter().map(|(name, port)| (name.to_string(), status(port))).collect()
}
