//! What is said of the configuration: the state, retained, and the text for who asks.

use serde_json::json;

use super::Remote;
use crate::config::{RemotePlan, UplinkPlan};
use crate::model::{TopicName, Wall};
use crate::runtime::in_full;
use crate::runtime::setup::{State, sha256, show};
use crate::uplink::Told;

impl Remote {
    /// Publishes what there is to say, if it is news; its revision.
    pub(super) fn tell(&self) -> u64 {
        let payload = bytes::Bytes::from(self.words());
        self.gateway.remote.told.send_if_modified(|told| {
            let news = told.payload != payload;
            if news {
                *told = Told { revision: told.revision + 1, payload };
            }
            news
        });
        self.gateway.remote.told.borrow().revision
    }

    /// Publishes it again, for someone who asked.
    pub(super) fn tell_again(&self) {
        self.tell();
        self.gateway.remote.told.send_modify(|told| told.revision += 1);
    }

    fn words(&self) -> String {
        let status = self.status.borrow();
        let running = status.running.as_ref();
        let state = running.map_or("stands", |record| match record.state {
            State::Pending { .. } => "pending",
            State::Stands | State::RolledBack { .. } => "stands",
        });
        json!({
            "gateway": self.id(),
            "version": running.map(|record| record.version),
            "sha256": status.sha256,
            "state": state,
            "until": status.until_ms.map(|ms| show(Wall(ms))),
            "at": running.map(|record| show(Wall(record.at_ms))),
            "by": running.map(|record| record.author.to_string()),
            "clock_synced": self.gateway.clock.synced(),
            "serial": self.memory.seen.as_ref().map(|seen| seen.serial),
            "last": self.memory.last,
            "rolled_back": status.rolled_back.as_ref().map(|record| json!({
                "version": record.version,
                "by": record.author.to_string(),
                "reason": match &record.state {
                    State::RolledBack { reason } => Some(reason),
                    State::Pending { .. } | State::Stands => None,
                },
            })),
        })
        .to_string()
    }

    pub(super) async fn answer(&self, plan: &UplinkPlan, remote: &RemotePlan) {
        let text = self.setup.text().await;
        let version = self.status.borrow().running.as_ref().map(|record| record.version);
        let mut said = match text {
            Ok(text) => json!({
                "gateway": self.id(), "version": version, "sha256": sha256(&text), "config": text,
            })
            .to_string(),
            Err(refused) => json!({ "error": in_full(&refused) }).to_string(),
        };
        let Some(port) = self.gateway.doors.uplink(&plan.name) else { return };
        let Ok(topic) = TopicName::new(&format!("{}/current", remote.topic)) else { return };
        if !port.fits(&topic, said.len()) {
            let most = plan.packet_bytes;
            let error = format!(
                "the text has {} bytes as JSON, and a message of this uplink at most {most} (packet-max)",
                said.len()
            );
            said = json!({ "version": version, "error": error }).to_string();
        }
        port.publish(topic, said.into_bytes());
    }
}
