//! Listening in from within the gateway: messages as they pass, for people who look.
//!
//! Bounded, and never a brake on the messages: a listener that is behind misses some, which are
//! counted; of a large payload only the beginning is handed on. Who listens has no session and no
//! subscription, so no publisher sees a receiver in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::message::Message;
use super::{Broker, BrokerError};
use crate::model::{Qos, TopicFilter, TopicName};

/// Who listens at once.
const LISTENERS_MAX: usize = 16;
/// Messages that may wait for a listener.
const WAITING_MAX: usize = 256;
/// Bytes of a payload that are handed on.
const PAYLOAD_BYTES_MAX: usize = 4 << 10;

/// A message that passed.
#[derive(Debug, Clone)]
pub struct Overheard {
    pub topic: TopicName,
    /// Its beginning.
    pub payload: Bytes,
    /// Bytes of the whole payload.
    pub bytes: usize,
    pub qos: Qos,
    pub retain: bool,
    /// The client that published it; `None` for the gateway.
    pub by: Option<Arc<str>>,
}

impl Overheard {
    pub fn is_cut(&self) -> bool {
        self.bytes > self.payload.len()
    }
}

/// Messages as they pass; dropping it ends the listening.
pub struct Listening {
    messages: mpsc::Receiver<Overheard>,
    missed: Arc<AtomicU64>,
}

impl Listening {
    /// The next one; `None` when the broker ends.
    pub async fn next(&mut self) -> Option<Overheard> {
        self.messages.recv().await
    }

    /// Messages that were left out since the last call.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// All who listen, as the router has them.
#[derive(Default)]
pub struct Ears(Vec<Ear>);

struct Ear {
    filter: TopicFilter,
    messages: mpsc::Sender<Overheard>,
    missed: Arc<AtomicU64>,
}

impl Ears {
    /// `None` if too many listen already.
    pub fn add(&mut self, filter: TopicFilter) -> Option<Listening> {
        self.0.retain(|ear| !ear.messages.is_closed());
        if self.0.len() >= LISTENERS_MAX {
            return None;
        }
        let (sender, messages) = mpsc::channel(WAITING_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        self.0.push(Ear { filter, messages: sender, missed: Arc::clone(&missed) });
        Some(Listening { messages, missed })
    }

    pub fn hear(&mut self, message: &Message, by: Option<&Arc<str>>) {
        let topic = message.topic.as_str();
        let mut is_gone = false;
        for ear in self.0.iter().filter(|ear| ear.filter.matches(topic)) {
            let shown = message.payload.len().min(PAYLOAD_BYTES_MAX);
            let heard = Overheard {
                topic: message.topic.clone(),
                payload: message.payload.slice(..shown),
                bytes: message.payload.len(),
                qos: message.qos,
                retain: message.retain,
                by: by.cloned(),
            };
            match ear.messages.try_send(heard) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    ear.missed.fetch_add(1, Ordering::Relaxed);
                }
                Err(mpsc::error::TrySendError::Closed(_)) => is_gone = true,
            }
        }
        if is_gone {
            self.0.retain(|ear| !ear.messages.is_closed());
        }
    }
}

impl Broker {
    /// From now on; `None` if too many listen already.
    pub async fn listen(&self, filter: TopicFilter) -> Result<Option<Listening>, BrokerError> {
        self.ask(move |router, _| router.ears().add(filter)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, bytes: usize) -> Message {
        Message {
            topic: TopicName::new(topic).unwrap(),
            payload: vec![7; bytes].into(),
            qos: Qos::AtMostOnce,
            retain: false,
            expires: None,
            properties: Bytes::new(),
        }
    }

    #[tokio::test]
    async fn who_listens_hears_what_matches_and_is_never_waited_for() {
        let mut ears = Ears::default();
        let filter = || TopicFilter::new("a/#").unwrap();
        let mut listening = ears.add(filter()).unwrap();
        let by: Arc<str> = Arc::from("hmi");
        ears.hear(&message("b", 1), None);
        ears.hear(&message("a/b", PAYLOAD_BYTES_MAX + 1), Some(&by));
        for _ in 0..WAITING_MAX + 9 {
            ears.hear(&message("a/c", 1), None);
        }
        let first = listening.next().await.unwrap();
        assert_eq!((first.topic.as_str(), first.by.as_deref()), ("a/b", Some("hmi")));
        assert_eq!((first.bytes, first.payload.len()), (PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX));
        assert!(first.is_cut() && !listening.next().await.unwrap().is_cut());
        assert_eq!((listening.missed(), listening.missed()), (10, 0));
        let many: Vec<_> = (1..LISTENERS_MAX).map(|_| ears.add(filter()).unwrap()).collect();
        assert!(ears.add(filter()).is_none());
        drop(many);
        assert!(ears.add(filter()).is_some(), "who is gone makes room");
    }
}
