//! Lists of what the broker has, a page at a time: clients, subscriptions, topics, retained
//! messages; and what an operator may do about them.
//!
//! Each page is a picture of its own moment: what comes or goes between two pages may be missing.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::message::Message;
use super::router::Router;
use super::{Broker, BrokerError, ClientStatus};
use crate::model::{Mono, TopicFilter};

/// Questions that may wait for the router.
pub const ASKS_MAX: usize = 8;
/// Clients of a page.
const CLIENTS_MAX: usize = 500;
/// Bytes of a payload that are shown.
const PREVIEW_BYTES: usize = 200;

/// A question to the router; it answers in its turn.
pub type Ask = Box<dyn FnOnce(&mut Router, Mono) + Send>;

/// Some rows, and where the rest begins; `None` if there is no more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<Row, Next = String> {
    pub rows: Vec<Row>,
    pub next: Option<Next>,
}

/// How far a list of subscriptions has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    pub client: String,
    pub filter: String,
}

impl After {
    pub(super) fn of(row: &SubscriptionRow) -> Self {
        Self { client: row.client.clone(), filter: row.filter.clone() }
    }
}

/// A client that is connected, or has a session.
#[derive(Debug, Clone, Serialize)]
pub struct ClientRow {
    #[serde(flatten)]
    pub client: ClientStatus,
    /// For how long it is connected, or away.
    pub for_ms: u64,
}

/// One subscription of one client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionRow {
    /// With `$share/GROUP/` where several share it.
    pub filter: String,
    pub client: String,
    pub connected: bool,
    pub qos: u8,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// The subscription identifier.
    pub id: Option<u32>,
}

/// A topic that was published to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicRow {
    pub topic: String,
    pub messages: u64,
    /// Of the newest message: how long ago it came, its payload's size, how it was sent.
    pub age_ms: u64,
    pub bytes: usize,
    pub qos: u8,
    pub retain: bool,
    /// The client that published it; `None` for the gateway.
    pub by: Option<String>,
    /// Sessions that get what is published here; of a group that shares a subscription one.
    pub subscribers: usize,
}

/// A retained message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetainedRow {
    pub topic: String,
    pub bytes: usize,
    pub qos: u8,
    pub age_ms: u64,
    pub expires_in_ms: Option<u64>,
    /// Whether only the gateway publishes here.
    pub reserved: bool,
    /// The payload, or its beginning, if it is text.
    pub payload: Option<String>,
    /// If it is not.
    pub payload_hex: Option<String>,
    pub is_cut: bool,
}

/// What became of a retained message that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub topic: String,
    /// `false` for one of the gateway's own.
    pub removed: bool,
}

/// What became of a client that was to be disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kicked {
    Done {
        was_connected: bool,
        session_kept: bool,
    },
    /// It is not connected; only its session is there.
    Away,
    Unknown,
}

/// Milliseconds from one moment to a later one.
pub(super) fn millis(later: Mono, earlier: Mono) -> u64 {
    u64::try_from((later - earlier).as_millis()).unwrap_or(u64::MAX)
}

impl RetainedRow {
    pub(super) fn of(message: &Message, age_ms: u64, left_ms: Option<u64>, reserved: bool) -> Self {
        let bytes = &message.payload;
        let is_cut = bytes.len() > PREVIEW_BYTES;
        let shown = bytes.get(..PREVIEW_BYTES).unwrap_or(bytes);
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // Cut within a character.
            Err(error) if is_cut && error.error_len().is_none() => {
                shown.get(..error.valid_up_to()).and_then(|shown| std::str::from_utf8(shown).ok())
            }
            Err(_) => None,
        };
        let hex = || shown.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            topic: message.topic.to_string(),
            bytes: bytes.len(),
            qos: message.qos.level(),
            age_ms,
            expires_in_ms: left_ms,
            reserved,
            payload_hex: text.is_none().then(hex),
            payload: text.map(str::to_owned),
            is_cut,
        }
    }
}

impl Broker {
    /// Clients in the order of their ids, with a connection or a session.
    pub fn clients(&self, after: Option<&str>) -> Page<ClientRow> {
        let now = self.shared.clock.mono();
        let rows = self.shared.counters.clients_after(after, CLIENTS_MAX);
        let last = rows.last().filter(|_| rows.len() >= CLIENTS_MAX);
        let next = last.map(|client| client.id.to_string());
        let row =
            |client: ClientStatus| ClientRow { for_ms: millis(now, Mono(client.since)), client };
        Page { next, rows: rows.into_iter().map(row).collect() }
    }

    /// Ends the connection of a client, which may come back; with `with_session` also what is kept
    /// for it.
    pub async fn kick(&self, client: String, with_session: bool) -> Result<Kicked, BrokerError> {
        self.ask(move |router, now| router.kick(&client, with_session, now)).await
    }

    pub async fn subscriptions(
        &self,
        filter: Option<TopicFilter>,
        after: Option<After>,
    ) -> Result<Page<SubscriptionRow, After>, BrokerError> {
        self.ask(move |router, _| router.subscriptions(filter.as_ref(), after.as_ref())).await
    }

    pub async fn topics(
        &self,
        filter: Option<TopicFilter>,
        after: Option<String>,
    ) -> Result<Page<TopicRow>, BrokerError> {
        self.ask(move |router, now| router.topics(filter.as_ref(), after.as_deref(), now)).await
    }

    pub async fn retained(
        &self,
        filter: Option<TopicFilter>,
        after: Option<String>,
    ) -> Result<Page<RetainedRow>, BrokerError> {
        self.ask(move |router, now| router.retained(filter.as_ref(), after.as_deref(), now)).await
    }

    pub async fn remove_retained(
        &self,
        filter: TopicFilter,
        after: Option<String>,
    ) -> Result<Page<Removed>, BrokerError> {
        self.ask(move |router, now| router.remove_retained(&filter, after.as_deref(), now)).await
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Router, Mono) -> T + Send + 'static,
    ) -> Result<T, BrokerError> {
        let (reply, answer) = oneshot::channel();
        let ask: Ask = Box::new(move |router, now| {
            // Whoever asked may have gone.
            let _ = reply.send(question(router, now));
        });
        let sent = self.shared.asks.send(ask).await;
        sent.map_err(|_| BrokerError::Stopped)?;
        answer.await.map_err(|_| BrokerError::Stopped)
    }
}
