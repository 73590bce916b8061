//! The doors that are open now: buses, broker, uplinks, by name.
//!
//! Units put their door here when they start; everyone else looks it up for each use, so a
//! restarted unit is found without anyone being told. The broker's rules are kept with its door,
//! under one lock: whichever changes first, the broker that is open has the rules that hold.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::locks::lock;
use crate::broker::{Broker, Rules};
use crate::model::{FromCloud, Lan, Name, Turned};
use crate::south::BusPort;
use crate::uplink::UplinkPort;

#[derive(Default)]
pub struct Doors {
    buses: Mutex<BTreeMap<Name, BusPort>>,
    uplinks: Mutex<BTreeMap<Name, UplinkPort>>,
    broker: Mutex<BrokerDoor>,
}

#[derive(Default)]
struct BrokerDoor {
    open: Option<Broker>,
    rules: Rules,
}

impl Doors {
    pub fn bus(&self, name: &Name) -> Option<BusPort> {
        lock(&self.buses).get(name).cloned()
    }

    pub fn uplink(&self, name: &Name) -> Option<UplinkPort> {
        lock(&self.uplinks).get(name).cloned()
    }

    pub fn broker(&self) -> Option<Broker> {
        lock(&self.broker).open.clone()
    }

    pub fn buses(&self) -> BTreeMap<Name, BusPort> {
        lock(&self.buses).clone()
    }

    pub fn uplinks(&self) -> BTreeMap<Name, UplinkPort> {
        lock(&self.uplinks).clone()
    }

    pub fn set_bus(&self, name: &Name, port: Option<BusPort>) {
        put(&self.buses, name, port);
    }

    pub fn set_uplink(&self, name: &Name, port: Option<UplinkPort>) {
        put(&self.uplinks, name, port);
    }

    /// The broker has the rules before anyone finds its door.
    pub fn set_broker(&self, broker: Option<Broker>) {
        let mut door = lock(&self.broker);
        if let Some(broker) = &broker {
            broker.set_rules(door.rules.clone());
        }
        door.open = broker;
    }

    pub fn set_rules(&self, rules: Rules) {
        let mut door = lock(&self.broker);
        if let Some(broker) = &door.open {
            broker.set_rules(rules.clone());
        }
        door.rules = rules;
    }
}

impl Lan for Doors {
    fn publish(&self, message: FromCloud) -> Result<(), Turned> {
        self.broker().ok_or(Turned::NoBroker)?.publish_from_cloud(message)
    }
}

fn put<T>(map: &Mutex<BTreeMap<Name, T>>, name: &Name, value: Option<T>) {
    let mut map = lock(map);
    match value {
        Some(value) => map.insert(name.clone(), value),
        None => map.remove(name),
    };
}
