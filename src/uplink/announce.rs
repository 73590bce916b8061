//! What receivers are told of the gateway and its devices when a connection begins.
//!
//! ThingsBoard hears `connect` for each device. Home Assistant gets a document per device, retained;
//! gets them again when it says that it has started; and loses those of devices that are no longer
//! configured. Which those are is read from the broker itself, where they lie retained: so it does not
//! matter when they were taken out, nor whether this gateway still has its memory.
//!
//! Pure: messages in, messages out. None of them is a row; what a broken connection swallows is made
//! anew by the next one.

mod document;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::Value as Json;

use super::client::Will;
use super::pack::PUBLISH_OVERHEAD;
use crate::config::{HomeAssistantPlan, UplinkPlan};
use crate::model::{Qos, TopicFilter, TopicName};

/// Where ThingsBoard hears of devices.
const CONNECT: &str = "v1/gateway/connect";
/// What Home Assistant says below its prefix when it has started, and where.
const STARTED: &[u8] = b"online";
const STATUS: &str = "status";
/// What the gateway's status topic says.
const ONLINE: &[u8] = b"online";
const OFFLINE: &[u8] = b"offline";
/// Documents that are repeated or removed and wait; a flood of others' messages changes nothing.
const WAITING_MAX: usize = 10_000;

/// A message for the hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    pub topic: TopicName,
    pub payload: Bytes,
    pub retain: bool,
}

impl Announcement {
    pub fn bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len()
    }
}

/// The announcements of one connection.
pub struct Announcer {
    plan: Option<HomeAssistantPlan>,
    /// Each device's document by its topic.
    documents: BTreeMap<TopicName, Json>,
    waiting: VecDeque<Announcement>,
    /// What the broker does not take now, and why.
    refused: Vec<(Announcement, String)>,
}

impl Announcer {
    /// `packet_bytes` is the largest packet that the broker takes.
    pub fn new(plan: &UplinkPlan, packet_bytes: usize) -> Self {
        let mut waiting = VecDeque::new();
        if let Ok(topic) = TopicName::new(&format!("{}{CONNECT}", plan.prefix)) {
            waiting.extend(plan.thingsboard_devices.iter().map(|device| Announcement {
                topic: topic.clone(),
                payload: serde_json::json!({ "device": device.as_str() }).to_string().into(),
                retain: false,
            }));
        }
        let described = plan.home_assistant.clone();
        let mut documents = described.as_ref().map(document::documents).unwrap_or_default();
        documents.retain(|topic, json| {
            let bytes = document(topic, json).bytes() + PUBLISH_OVERHEAD;
            let fits = bytes <= packet_bytes;
            if !fits {
                tracing::error!(%topic, bytes, "a device's document is larger than packet-max");
            }
            fits
        });
        let mut announcer = Self { plan: described, documents, waiting, refused: Vec::new() };
        announcer.all();
        announcer
    }

    /// What has to be subscribed to.
    pub fn filters(&self) -> Vec<TopicFilter> {
        let filters = self.plan.iter().flat_map(HomeAssistantPlan::subscribed);
        filters.filter_map(|filter| TopicFilter::new(&filter).ok()).collect()
    }

    /// Bytes of the next one.
    pub fn front(&self) -> Option<usize> {
        self.waiting.front().map(Announcement::bytes)
    }

    pub fn pop(&mut self) -> Option<Announcement> {
        self.waiting.pop_front()
    }

    /// The broker has taken this one.
    pub fn taken(&mut self, told: &Announcement) {
        self.refused.retain(|(refused, _)| refused != told);
    }

    /// It does not take this one now; says whether that is news.
    pub fn refused(&mut self, told: Announcement, reason: String) -> bool {
        if let Some((_, known)) = self.refused.iter_mut().find(|(refused, _)| *refused == told) {
            *known = reason;
            return false;
        }
        let has_room = self.refused.len() < WAITING_MAX;
        self.refused.extend(has_room.then_some((told, reason)));
        true
    }

    /// Tells what was refused once more.
    pub fn again(&mut self) {
        self.waiting.extend(self.refused.iter().map(|(told, _)| told.clone()));
    }

    /// Topic and reason of what is refused.
    pub fn named(&self) -> impl ExactSizeIterator<Item = (&TopicName, &str)> {
        self.refused.iter().map(|(told, reason)| (&told.topic, reason.as_str()))
    }

    /// Takes a message that came, if it is about discovery; says whether it was.
    pub fn received(&mut self, topic: &str, payload: &[u8], retained: bool) -> bool {
        let Some(plan) = &self.plan else { return false };
        let Some(below) = topic.strip_prefix(plan.discovery.as_str()) else { return false };
        match below.strip_prefix('/') {
            Some(STATUS) => {
                // A retained one was said before this connection, which began with all of them.
                if !retained && payload == STARTED {
                    self.all();
                }
                true
            }
            Some(rest) if rest.starts_with("device/") && rest.ends_with("/config") => {
                if retained {
                    self.found(topic, payload);
                }
                true
            }
            _ => false,
        }
    }

    /// The connection will end as it should: nothing more is told but that.
    pub fn stop(&mut self) {
        self.waiting.clear();
        self.waiting.extend(self.plan.as_ref().map(|plan| status(plan, OFFLINE)));
    }

    fn all(&mut self) {
        let Some(plan) = &self.plan else { return };
        // A start during a start: once is enough.
        self.waiting.retain(|waiting| !self.documents.contains_key(&waiting.topic));
        self.waiting.extend(self.documents.iter().map(|(topic, json)| document(topic, json)));
        self.waiting.push_back(status(plan, ONLINE));
    }

    /// A document that lay at the broker.
    fn found(&mut self, topic: &str, payload: &[u8]) {
        let Some(plan) = &self.plan else { return };
        let Ok(found) = serde_json::from_slice::<Json>(payload) else { return };
        let owner = found.pointer("/dev/ids/0").and_then(Json::as_str);
        if !owner.is_some_and(|id| id.starts_with(&plan.owner)) || self.waiting.len() >= WAITING_MAX
        {
            return;
        }
        let Ok(topic) = TopicName::new(topic) else { return };
        let Some(ours) = self.documents.get(&topic) else {
            self.waiting.push_back(Announcement { topic, payload: Bytes::new(), retain: true });
            return;
        };
        // A component that is only left out stays; one that says nothing but its platform is removed.
        let parts = |json: &Json| -> BTreeMap<String, Json> {
            let parts = json.get("cmps").and_then(Json::as_object);
            parts.into_iter().flatten().map(|(key, part)| (key.clone(), part.clone())).collect()
        };
        let (then, now) = (parts(&found), parts(ours));
        let platform = |part: &Json| part.get("p").cloned().unwrap_or(Json::Null);
        let changed = |key: &String, part: &Json| {
            now.get(key).is_none_or(|now| platform(now) != platform(part))
        };
        let gone: Vec<_> = then.iter().filter(|(key, part)| changed(key, part)).collect();
        if gone.is_empty() {
            return;
        }
        let mut without = ours.clone();
        if let Some(parts) = without.get_mut("cmps").and_then(Json::as_object_mut) {
            for (key, part) in gone {
                parts.insert(key.clone(), serde_json::json!({ "p": platform(part) }));
            }
        }
        let last = document(&topic, ours);
        self.waiting.push_back(document(&topic, &without));
        self.waiting.push_back(last);
    }
}

fn document(topic: &TopicName, json: &Json) -> Announcement {
    Announcement { topic: topic.clone(), payload: json.to_string().into(), retain: true }
}

/// What the broker says of a gateway that it has lost.
pub fn will(plan: &HomeAssistantPlan) -> Will {
    let Announcement { topic, payload, retain } = status(plan, OFFLINE);
    Will { topic: topic.as_str().to_owned(), payload, qos: Qos::AtLeastOnce, retain }
}

fn status(plan: &HomeAssistantPlan, word: &'static [u8]) -> Announcement {
    let payload = Bytes::from_static(word);
    Announcement { topic: plan.status.clone(), payload, retain: true }
}
