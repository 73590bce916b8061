//! What can be commanded: the topics of writable tags, and of devices that have some.

use std::collections::HashMap;
use std::sync::Arc;

use super::turns::Key;
use crate::config::{Plan, WriteRule};
use crate::model::{Coding, Name, TagId, TopicName};

/// A writable tag.
#[derive(Debug)]
pub struct Target {
    pub bus: Name,
    pub device: Name,
    pub tag: Name,
    pub id: TagId,
    pub topic: TopicName,
    pub coding: Coding,
    pub rule: WriteRule,
}

impl Target {
    pub fn key(&self) -> Key {
        (self.device.clone(), self.tag.clone())
    }
}

/// What a set topic means.
#[derive(Debug, Clone)]
pub enum Place {
    Tag(Arc<Target>),
    /// Several tags of one device at once, by name.
    Device(Arc<HashMap<String, Arc<Target>>>),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Targets {
    places: HashMap<String, Place>,
    by_key: HashMap<Key, Arc<Target>>,
}

impl Targets {
    pub fn of(plan: &Plan) -> Self {
        let mut targets = Self::default();
        for (bus, device) in plan.buses.iter().flat_map(|b| b.devices.iter().map(move |d| (b, d))) {
            let mut of_device = HashMap::new();
            for tag in device.tags.iter() {
                let Some((rule, registers)) = tag.write.clone().zip(tag.registers()) else {
                    continue;
                };
                let target = Arc::new(Target {
                    bus: bus.name.clone(),
                    device: device.name.clone(),
                    tag: tag.name.clone(),
                    id: tag.id,
                    topic: tag.topic.clone(),
                    coding: registers.coding.clone(),
                    rule,
                });
                of_device.insert(tag.name.to_string(), Arc::clone(&target));
                targets.by_key.insert(target.key(), Arc::clone(&target));
                targets.places.insert(set_topic(&tag.topic), Place::Tag(target));
            }
            if let Some(topic) = device.topic.as_ref().filter(|_| !of_device.is_empty()) {
                targets.places.insert(set_topic(topic), Place::Device(Arc::new(of_device)));
            }
        }
        targets
    }

    pub fn at(&self, topic: &str) -> Option<Place> {
        self.places.get(topic).cloned()
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Target>> {
        self.by_key.get(key).cloned()
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.by_key.values()
    }
}

fn set_topic(topic: &TopicName) -> String {
    format!("{topic}/set")
}
