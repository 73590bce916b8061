//! What the cloud sends: publishes to `.../set` topics become requests for the runtime.
//!
//! The session is clean and the filters are subscribed right after CONNACK, so nothing from
//! before the connection comes except retained messages, and those say so themselves. Whether a
//! command is carried out is not decided here.

use std::time::Duration;

use super::client::Received;
use crate::model::{Mono, Name, Origin, SetRequest, TopicName};

/// The last level of every command topic.
const SET: &str = "/set";

/// A received publish as a command, if its topic is one. The uplink's `prefix` is taken off; a
/// topic without it is taken as it is.
pub fn request(publish: &Received, prefix: &str, uplink: &Name, at: Mono) -> Option<SetRequest> {
    let local = publish.topic.strip_prefix(prefix).unwrap_or(&publish.topic);
    let tag = local.strip_suffix(SET)?;
    if tag.is_empty() {
        return None;
    }
    let reply_to = publish
        .reply_to
        .as_ref()
        .and_then(|(topic, correlation)| Some((TopicName::new(topic).ok()?, correlation.to_vec())));
    Some(SetRequest {
        origin: Origin::Uplink(uplink.clone()),
        topic: TopicName::new(local).ok()?,
        payload: publish.payload.to_vec(),
        retain: publish.retain,
        expires: publish.expiry.map(|seconds| at + Duration::from_secs(seconds.into())),
        at,
        reply_to,
        answer: None,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::Qos;

    fn taken(topic: &str) -> Option<String> {
        let publish = Received {
            topic: topic.to_owned(),
            payload: Bytes::from_static(b"7"),
            qos: Qos::AtLeastOnce,
            retain: false,
            expiry: None,
            reply_to: None,
        };
        let uplink = Name::new("cloud").unwrap();
        let request = request(&publish, "site/", &uplink, Mono(3))?;
        assert_eq!(request.origin, Origin::Uplink(uplink));
        Some(request.topic.as_str().to_owned())
    }

    #[test]
    fn a_sender_of_mqtt_5_says_until_when_and_where_to() {
        let publish = |reply_to: &str| Received {
            topic: "a/set".to_owned(),
            payload: Bytes::from_static(b"7"),
            qos: Qos::AtLeastOnce,
            retain: false,
            expiry: Some(2),
            reply_to: Some((reply_to.to_owned(), Bytes::from_static(b"c7"))),
        };
        let uplink = Name::new("cloud").unwrap();
        let asked = request(&publish("app/answers"), "", &uplink, Mono(30)).unwrap();
        assert_eq!(asked.expires, Some(Mono(30) + Duration::from_secs(2)));
        let topic = TopicName::new("app/answers").unwrap();
        assert_eq!(asked.reply_to, Some((topic, b"c7".to_vec())));
        let asked = request(&publish("no/+/topic"), "", &uplink, Mono(30)).unwrap();
        assert_eq!(asked.reply_to, None, "answered where all others are");
    }

    #[test]
    fn only_set_topics_are_commands() {
        assert_eq!(taken("site/press/temp/set").as_deref(), Some("press/temp/set"));
        assert_eq!(taken("press/temp/set").as_deref(), Some("press/temp/set"));
        assert_eq!(taken("site/press/temp"), None);
        assert_eq!(taken("site//set"), None, "no tag before it");
        assert_eq!(taken("set"), None);
        assert_eq!(taken("Ölstand/+/set"), None, "not a topic name");
        assert_eq!(taken(""), None);
    }
}
