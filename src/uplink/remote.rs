//! Remote configuration at the uplink: what comes is handed on, what is said of it is published.
//!
//! The state of the configuration is one retained message. It is published after every CONNACK, once
//! the broker has answered the subscriptions, and whenever there is a new one; an older one that was
//! not sent yet is left out. Its PUBACK is the proof that this gateway can be reached and configured.
//! Knows nothing of signatures, versions or files.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::pack::PUBLISH_OVERHEAD;
use crate::config::{RemotePlan, UplinkPlan};
use crate::model::{Name, TopicFilter, TopicName};

/// Messages that may wait to be looked at; each may have a megabyte.
pub const ARRIVED_MAX: usize = 8;

/// A message about the configuration.
#[derive(Debug)]
pub struct Arrived {
    pub uplink: Name,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// A new configuration, signed; retained if it was said before this connection.
    Set { message: Vec<u8>, retained: bool },
    /// Someone wants to know the text.
    Get,
    /// A pending one may stand, signed.
    Confirm { message: Vec<u8> },
}

/// What is to be published about the configuration; revisions grow.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub revision: u64,
    pub payload: Bytes,
}

/// The newest revision that each uplink's broker has acknowledged.
pub type Acknowledged = Arc<watch::Sender<BTreeMap<Name, u64>>>;

/// The way to whoever configures the gateway.
#[derive(Clone)]
pub struct RemoteDoor {
    pub arrived: mpsc::Sender<Arrived>,
    pub told: watch::Receiver<Told>,
    pub acknowledged: Acknowledged,
}

/// What the message on this topic is, if it is about the configuration.
pub(super) fn what(remote: &RemotePlan, topic: &str, payload: &[u8], retain: bool) -> Option<What> {
    let of = |base: &TopicName| topic.strip_prefix(base.as_str())?.strip_prefix('/');
    let message = || payload.to_vec();
    let own = of(&remote.topic);
    let of_group = || remote.groups.iter().find_map(|group| of(&group.topic));
    match own.or_else(of_group)? {
        "set" => Some(What::Set { message: message(), retained: retain }),
        "confirm" => Some(What::Confirm { message: message() }),
        "get" if own.is_some() => Some(What::Get),
        _ => None,
    }
}

/// One connection's part in it.
pub(super) struct Telling {
    door: RemoteDoor,
    uplink: Name,
    topic: TopicName,
    /// Packet ids of the subscriptions that the broker has not answered.
    unanswered: Vec<u16>,
    /// Whether the broker granted all of them.
    granted: bool,
    due: bool,
    packet_bytes: usize,
    /// Why what is to be told can't be.
    problem: Option<String>,
}

impl Telling {
    /// `None` for an uplink that nobody configures over. `asked` are the packet ids of the
    /// subscriptions to [`filters`], `packet_bytes` is what the plan and the broker of this
    /// connection allow.
    pub fn start(
        plan: &UplinkPlan,
        door: &RemoteDoor,
        asked: Vec<u16>,
        packet_bytes: usize,
    ) -> Option<Self> {
        let remote = plan.remote.as_ref()?;
        Some(Self {
            door: door.clone(),
            uplink: plan.name.clone(),
            topic: TopicName::new(&format!("{}/status", remote.topic)).ok()?,
            unanswered: asked,
            granted: true,
            due: true,
            packet_bytes,
            problem: None,
        })
    }

    /// The subscription with this packet id was answered; a broker may answer in any order.
    pub fn answered(&mut self, id: u16, refused: usize) {
        if let Some(at) = self.unanswered.iter().position(|asked| *asked == id) {
            self.unanswered.swap_remove(at);
            self.granted &= refused == 0;
        }
    }

    /// There is something new to say.
    pub fn renew(&mut self) {
        self.due = true;
    }

    /// How large is what is to be published now; `None` if nothing is.
    pub fn next_bytes(&mut self) -> Option<usize> {
        if !self.due || !self.unanswered.is_empty() {
            return None;
        }
        let payload = self.door.told.borrow().payload.len();
        let bytes = self.topic.as_str().len() + payload;
        let fits = bytes + PUBLISH_OVERHEAD <= self.packet_bytes;
        self.problem = (!fits).then(|| {
            format!(
                "what is to be told of the configuration has {} bytes, of which the broker or packet-max \
                 allows {}: no change can be confirmed over this uplink",
                bytes + PUBLISH_OVERHEAD,
                self.packet_bytes
            )
        });
        if let Some(problem) = &self.problem {
            tracing::warn!(uplink = %self.uplink, "{problem}");
        }
        self.due = payload > 0 && fits;
        self.due.then_some(bytes)
    }

    /// The broker does not take what was told.
    pub fn refused(&mut self, reason: String) {
        tracing::warn!(uplink = %self.uplink, "{reason}");
        self.problem = Some(reason);
    }

    /// Why what is to be told can't be, while that is so.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What is to be published: the newest, be it that it has grown since.
    pub fn next(&mut self) -> (TopicName, Told) {
        self.due = false;
        (self.topic.clone(), self.door.told.borrow().clone())
    }

    pub fn acknowledged(&self, revision: u64) {
        if self.granted {
            self.door.acknowledged.send_modify(|all| {
                all.insert(self.uplink.clone(), revision);
            });
        }
    }
}

/// What is subscribed to for the configuration.
pub(super) fn filters(plan: &UplinkPlan) -> Vec<TopicFilter> {
    let topics = plan.remote.iter().flat_map(RemotePlan::subscribed);
    topics.filter_map(|topic| TopicFilter::new(&topic).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RemoteGroup;
    use std::time::Duration;

    #[test]
    fn only_its_own_topics_are_about_the_configuration() {
        let name = |text| Name::new(text).unwrap();
        let topic = |text| TopicName::new(text).unwrap();
        let group = RemoteGroup { name: name("a"), topic: topic("groups/a/config") };
        let remote = RemotePlan {
            keys: Vec::new(),
            topic: topic("p/works/edge/config"),
            groups: vec![group],
            confirm: Duration::from_secs(1),
        };
        let word = |topic: &str| match what(&remote, topic, b"x", true)? {
            What::Set { message, retained } => {
                assert_eq!((message.as_slice(), retained), (&b"x"[..], true));
                Some("set")
            }
            What::Get => Some("get"),
            What::Confirm { .. } => Some("confirm"),
        };
        for (topic, want) in [
            ("p/works/edge/config/set", Some("set")),
            ("p/works/edge/config/get", Some("get")),
            ("p/works/edge/config/confirm", Some("confirm")),
            ("groups/a/config/set", Some("set")),
            ("groups/a/config/confirm", Some("confirm")),
            ("groups/a/config/get", None),
            ("groups/b/config/set", None),
            ("p/works/edge/config/status", None),
            ("p/works/edge/config", None),
            ("p/works/edge/config/", None),
            ("p/works/edge/configs/set", None),
            ("p/works/edge/config/set/set", None),
            ("works/edge/config/set", None),
        ] {
            assert_eq!(word(topic), want, "{topic}");
        }
        assert_eq!(remote.subscribed().count(), 5);
        assert!(remote.subscribed().all(|topic| word(&topic).is_some()));
    }
}
