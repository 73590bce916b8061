//! What the cloud sends: publishes to `.../set` topics become requests for the runtime.
//!
//! The session is clean and the filters are subscribed right after CONNACK, so nothing from
//! before the connection comes except retained messages, and those say so themselves. Whether a
//! command is carried out is not decided here.

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
    Some(SetRequest {
        origin: Origin::Uplink(uplink.clone()),
        topic: TopicName::new(local).ok()?,
        payload: publish.payload.to_vec(),
        retain: publish.retain,
        expires: None,
        at,
        reply_to: None,
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
