//! What an edge node keeps from one connection to the next, and the will of each.
//!
//! bdSeq grows by one with every CONNECT that is sent, across restarts too: it is in the store
//! before it is on the wire. An attempt that did not come as far as CONNECT uses none, nor does a stop
//! between two of those.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::node::Node;
use crate::config::{SparkplugPlan, UplinkPlan};
use crate::model::{Latest, Name, Wall};
use crate::store::Store;
use crate::uplink::client::Will;

/// A store that can't write must not keep the node away for ever.
const REMEMBER: Duration = Duration::from_secs(2);

pub struct Edge {
    pub node: Node,
    pub store: Store,
    pub latest: Arc<dyn Latest>,
    fact: String,
}

impl Edge {
    /// `None` for an uplink that is no edge node.
    pub fn new(plan: &UplinkPlan, store: Store, latest: Arc<dyn Latest>) -> Option<Self> {
        let sparkplug: Arc<SparkplugPlan> = Arc::new(plan.sparkplug.clone()?);
        let fact = fact(&plan.name);
        let remembered = store.facts().into_iter().find(|(key, _)| *key == fact);
        let bd_seq = remembered.and_then(|(_, value)| value.parse().ok());
        let node = Node::new(sparkplug, bd_seq);
        Some(Self { node, store, latest, fact })
    }

    /// The will of the next CONNECT.
    pub async fn will(&mut self, wall: u64) -> Will {
        let bd_seq = self.node.next_bd_seq();
        self.store.set_fact(&self.fact, Some(&bd_seq.to_string()));
        if timeout(REMEMBER, self.store.flush()).await.is_err() {
            tracing::warn!(bd_seq, "the store could not remember bdSeq in time");
        }
        let death = self.node.death(bd_seq, wall);
        let payload = death.payload(wall).into();
        Will { topic: death.topic, payload, qos: death.qos, retain: false }
    }

    /// The uplink ends. A number that no CONNECT has used is that of the next one.
    pub fn close(&self) {
        if let Some(last) = self.node.unused_bd_seq() {
            self.store.set_fact(&self.fact, last.map(|number| number.to_string()).as_deref());
        }
    }

    /// An attempt to connect is over, and came as far as CONNECT or not.
    pub fn tried(&mut self, sent_connect: bool) {
        if sent_connect {
            self.node.sent_connect();
        }
    }
}

/// No bus or device has a colon in its name.
fn fact(uplink: &Name) -> String {
    format!("uplink:{uplink}/bd-seq")
}

/// Milliseconds since 1970, as Sparkplug has them.
pub fn millis(wall: Wall) -> u64 {
    u64::try_from(wall.0).unwrap_or(0)
}
