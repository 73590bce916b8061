//! An uplink as an edge node of Sparkplug B: who it is, and what it reports.

use crate::model::{Name, TagId, TopicName, ValueKind};

/// The namespace of Sparkplug B, first level of all its topics.
pub const NAMESPACE: &str = "spBv1.0";

#[derive(Debug, Clone, PartialEq)]
pub struct SparkplugPlan {
    pub group: String,
    pub node: String,
    /// The host application without which nothing is published.
    pub primary_host: Option<String>,
    /// Those with a tag that the uplink sends.
    pub devices: Vec<SparkplugDevice>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SparkplugDevice {
    pub name: Name,
    /// Where commands for several of its tags come on this network, with `/set`.
    pub topic: Option<TopicName>,
    pub metrics: Vec<SparkplugMetric>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SparkplugMetric {
    /// The store's number of the tag; see [`super::Plan::assign_ids`].
    pub tag: TagId,
    pub name: Name,
    pub topic: TopicName,
    pub unit: String,
    pub kind: ValueKind,
    pub is_list: bool,
    pub is_writable: bool,
}

impl SparkplugPlan {
    /// `namespace/group/type/node`.
    pub fn topic(&self, message: &str) -> String {
        format!("{NAMESPACE}/{}/{message}/{}", self.group, self.node)
    }

    /// What is subscribed to.
    pub fn subscribed(&self) -> Vec<String> {
        let host = self.primary_host.iter().map(|host| format!("{NAMESPACE}/STATE/{host}"));
        let devices = self.devices.iter().filter(|device| device.is_writable());
        let commands = devices.map(|device| format!("{}/{}", self.topic("DCMD"), device.name));
        host.chain([self.topic("NCMD")]).chain(commands).collect()
    }
}

/// Bytes of a metric in a birth beside its name, if it was never read: length, name's length, alias,
/// time, type, null, and the property Quality; and of the property engUnit beside the unit.
const METRIC_BYTES: usize = 35;
const UNIT_BYTES: usize = 15;

impl SparkplugDevice {
    /// Its birth is no smaller than this.
    pub fn birth_bytes(&self) -> usize {
        let unit = |unit: &str| if unit.is_empty() { 0 } else { UNIT_BYTES + unit.len() };
        let metric = |of: &SparkplugMetric| METRIC_BYTES + of.name.as_str().len() + unit(&of.unit);
        self.metrics.iter().map(metric).sum()
    }

    /// Whether it takes commands.
    pub fn is_writable(&self) -> bool {
        self.metrics.iter().any(|metric| metric.is_writable)
    }
}
