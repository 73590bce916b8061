//! `$SYS/broker/…`: the broker's figures as retained messages, under the names that Mosquitto
//! made customary.

use std::collections::HashMap;

use super::Publish;
use super::status::BrokerStatus;
use crate::model::{Qos, TopicName};

/// Remembers what was published last.
#[derive(Default)]
pub struct Sys {
    last: HashMap<&'static str, String>,
}

impl Sys {
    /// The messages for every figure that has changed.
    pub fn changes(&mut self, status: &BrokerStatus) -> Vec<Publish> {
        let figures = [
            ("$SYS/broker/version", format!("fieldhold {}", env!("CARGO_PKG_VERSION"))),
            ("$SYS/broker/uptime", format!("{} seconds", status.uptime_s)),
            ("$SYS/broker/clients/connected", status.connections.to_string()),
            ("$SYS/broker/clients/maximum", status.connections_max.to_string()),
            ("$SYS/broker/clients/total", status.sessions.to_string()),
            ("$SYS/broker/subscriptions/count", status.subscriptions.to_string()),
            ("$SYS/broker/retained messages/count", status.retained.to_string()),
            ("$SYS/broker/publish/messages/received", status.messages_in.to_string()),
            ("$SYS/broker/publish/messages/sent", status.messages_out.to_string()),
            ("$SYS/broker/bytes/received", status.bytes_in.to_string()),
            ("$SYS/broker/bytes/sent", status.bytes_out.to_string()),
        ];
        let mut changes = Vec::new();
        for (name, value) in figures {
            if self.last.get(name) == Some(&value) {
                continue;
            }
            if let Ok(topic) = TopicName::new(name) {
                changes.push(Publish {
                    topic,
                    payload: value.clone().into(),
                    qos: Qos::AtMostOnce,
                    retain: true,
                    correlation: None,
                    user_property: None,
                    expiry: None,
                });
            }
            self.last.insert(name, value);
        }
        changes
    }
}
