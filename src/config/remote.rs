//! Remote configuration in the plan: who may change it, and on which topics.

use std::time::Duration;

use crate::model::{Name, TopicName};

/// How an uplink takes new configurations from its broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePlan {
    /// Those whose signature counts; at least one.
    pub keys: Vec<RemoteKey>,
    /// Below it are `set`, `get` and `confirm`, `status` and `current` (the prefix already applied).
    pub topic: TopicName,
    pub groups: Vec<RemoteGroup>,
    /// How long a new configuration has to prove itself, if its message says nothing.
    pub confirm: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteKey {
    pub id: Name,
    /// Ed25519.
    pub public: [u8; 32],
}

/// Gateways that are told the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteGroup {
    pub name: Name,
    /// Below it are `set` and `confirm`. It has no prefix: a group goes across sites.
    pub topic: TopicName,
}

impl RemotePlan {
    /// Every topic that is subscribed to.
    pub fn subscribed(&self) -> impl Iterator<Item = String> {
        let own = ["set", "get", "confirm"].map(|word| format!("{}/{word}", self.topic));
        let of_groups = self
            .groups
            .iter()
            .flat_map(|group| ["set", "confirm"].map(|word| format!("{}/{word}", group.topic)));
        own.into_iter().chain(of_groups)
    }

    /// Every topic that is published to.
    pub fn published(&self) -> [String; 2] {
        ["status", "current"].map(|word| format!("{}/{word}", self.topic))
    }
}
