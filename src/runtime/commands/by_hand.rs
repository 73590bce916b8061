//! A command that a person gives at the gateway itself: checked, answered and recorded like one that
//! came over MQTT.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

use crate::model::{Origin, SetRequest, TopicName};
use crate::runtime::gateway::Gateway;

/// A command has an answer long before.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("there is no tag {tag} of a device {device} in the configuration that runs")]
    NoTag { device: String, tag: String },
    #[error("too many commands wait to be checked")]
    Busy,
    #[error(
        "the command had no answer in time; what became of it stands in the record of commands"
    )]
    Late,
}

impl Gateway {
    /// Sets a tag; the answer is what a client of the LAN broker would get.
    pub async fn set_tag(
        &self,
        device: &str,
        tag: &str,
        value: &Json,
        who: &str,
    ) -> Result<Json, NoAnswer> {
        let topic = self.plan().tags().find_map(|(_, own, of)| {
            let is_it = own.name.as_str() == device && of.name.as_str() == tag;
            is_it.then(|| TopicName::new(&format!("{}/set", of.topic)).ok()).flatten()
        });
        let no_tag = || NoAnswer::NoTag { device: device.to_owned(), tag: tag.to_owned() };
        let (answer, answered) = oneshot::channel();
        let request = SetRequest {
            origin: Origin::Person(who.to_owned()),
            topic: topic.ok_or_else(no_tag)?,
            payload: json!({ "v": value }).to_string().into_bytes(),
            retain: false,
            expires: None,
            at: self.clock.mono(),
            reply_to: None,
            answer: Some(Box::new(move |text| {
                // Whoever asked may be gone.
                let _ = answer.send(serde_json::from_slice(text).unwrap_or_default());
            })),
        };
        self.inbox.try_send(request).map_err(|_| NoAnswer::Busy)?;
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Late),
        }
    }
}
