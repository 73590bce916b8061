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
}

impl SparkplugDevice {
    /// Whether it takes commands.
    pub fn is_writable(&self) -> bool {
        self.metrics.iter().any(|metric| metric.is_writable)
    }
}
