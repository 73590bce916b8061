//! Questions about the LAN broker as they come over the control socket, and their answers as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gateway::{BROKER_UNIT, Gateway};
use super::units::UnitState;
use crate::broker::{After, Broker, BrokerError, Kicked, Listening};
use crate::model::TopicFilter;

/// One question; the answer to a list is a page, `{"rows": […], "next": …}`, and `next` is what the
/// next question says after `after`.
#[derive(Debug, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BrokerAsk {
    Clients { after: Option<String> },
    Subscriptions { filter: Option<String>, after: Option<After> },
    Topics { filter: Option<String>, after: Option<String> },
    Retained { filter: Option<String>, after: Option<String> },
    RemoveRetained { filter: String, after: Option<String> },
    Kick { client: String, session: bool },
}

impl Gateway {
    /// The answer, or why there is none.
    pub async fn ask_broker(&self, ask: BrokerAsk) -> Result<Value, String> {
        let Some(broker) = self.doors.broker() else { return Err(self.why_no_broker()) };
        answer(&broker, ask).await
    }

    /// Messages of the LAN broker as they pass, or why there are none.
    pub async fn listen(&self, filter: TopicFilter) -> Result<Listening, String> {
        let Some(broker) = self.doors.broker() else { return Err(self.why_no_broker()) };
        let listening = broker.listen(filter).await.map_err(|error| error.to_string())?;
        listening.ok_or_else(|| "too many listen to it already".to_owned())
    }

    fn why_no_broker(&self) -> String {
        if self.plan().broker.is_none() {
            return "it has no LAN broker: there is no section broker in its configuration".into();
        }
        match self.units.status().get(BROKER_UNIT).map(|unit| &unit.state) {
            Some(UnitState::Waiting { reason }) => format!("its LAN broker is down: {reason}"),
            _ => "its LAN broker is just starting or stopping".to_owned(),
        }
    }
}

async fn answer(broker: &Broker, ask: BrokerAsk) -> Result<Value, String> {
    match ask {
        BrokerAsk::Clients { after } => said(Ok(broker.clients(after.as_deref()))),
        BrokerAsk::Subscriptions { filter, after } => {
            said(broker.subscriptions(read(filter)?, after).await)
        }
        BrokerAsk::Topics { filter, after } => said(broker.topics(read(filter)?, after).await),
        BrokerAsk::Retained { filter, after } => said(broker.retained(read(filter)?, after).await),
        BrokerAsk::RemoveRetained { filter, after } => {
            let filter = TopicFilter::new(&filter).map_err(|error| error.to_string())?;
            said(broker.remove_retained(filter, after).await)
        }
        BrokerAsk::Kick { client, session } => {
            let kicked = broker.kick(client.clone(), session).await;
            match kicked.map_err(|error| error.to_string())? {
                Kicked::Unknown => {
                    Err(format!("it has no client {client:?}, nor a session of one"))
                }
                Kicked::Away => Err(format!(
                    "the client {client:?} is not connected; only its session is there, which \
                     --session ends"
                )),
                Kicked::Done { was_connected, session_kept } => {
                    Ok(json!({ "was_connected": was_connected, "session_kept": session_kept }))
                }
            }
        }
    }
}

fn read(filter: Option<String>) -> Result<Option<TopicFilter>, String> {
    filter.map(|text| TopicFilter::new(&text)).transpose().map_err(|error| error.to_string())
}

fn said(answer: Result<impl Serialize, BrokerError>) -> Result<Value, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    serde_json::to_value(answer).map_err(|error| error.to_string())
}
