//! The doors that are open now: buses, broker, uplinks, by name.
//!
//! Units put their door here when they start; everyone else looks it up for each use, so a
//! restarted unit is found without anyone being told.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::broker::Broker;
use crate::model::Name;
use crate::south::BusPort;
use crate::uplink::UplinkPort;

#[derive(Default)]
pub struct Doors {
    buses: RwLock<BTreeMap<Name, BusPort>>,
    uplinks: RwLock<BTreeMap<Name, UplinkPort>>,
    broker: RwLock<Option<Broker>>,
}

impl Doors {
    pub fn bus(&self, name: &Name) -> Option<BusPort> {
        read(&self.buses).get(name).cloned()
    }

    pub fn uplink(&self, name: &Name) -> Option<UplinkPort> {
        read(&self.uplinks).get(name).cloned()
    }

    pub fn broker(&self) -> Option<Broker> {
        read(&self.broker).clone()
    }

    pub fn buses(&self) -> BTreeMap<Name, BusPort> {
        read(&self.buses).clone()
    }

    pub fn uplinks(&self) -> BTreeMap<Name, UplinkPort> {
        read(&self.uplinks).clone()
    }

    pub fn set_bus(&self, name: &Name, port: Option<BusPort>) {
        put(&self.buses, name, port);
    }

    pub fn set_uplink(&self, name: &Name, port: Option<UplinkPort>) {
        put(&self.uplinks, name, port);
    }

    pub fn set_broker(&self, broker: Option<Broker>) {
        *self.broker.write().unwrap_or_else(PoisonError::into_inner) = broker;
    }
}

fn put<T>(map: &RwLock<BTreeMap<Name, T>>, name: &Name, value: Option<T>) {
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    match value {
        Some(value) => map.insert(name.clone(), value),
        None => map.remove(name),
    };
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
