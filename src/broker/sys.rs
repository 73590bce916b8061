//! `$SYS/broker/…`: the broker's figures as retained messages, under the names that Mosquitto
//! made customary.
//!
//! The loads are what would come together in a minute at the rate of the last 1, 5 and 15 minutes,
//! smoothed as Unix does it.

use std::collections::HashMap;
use std::time::Duration;

use super::Publish;
use super::status::BrokerStatus;
use crate::model::{Qos, TopicName};

/// Averages of a load, their time and the end of their names.
const AVERAGES: [(f64, &str); 3] = [(60.0, "1min"), (300.0, "5min"), (900.0, "15min")];

/// Remembers what was published last.
#[derive(Default)]
pub struct Sys {
    last: HashMap<String, String>,
    loads: HashMap<&'static str, Load>,
}

/// How fast a counter runs.
#[derive(Default)]
struct Load {
    count: u64,
    per_minute: [f64; 3],
}

impl Load {
    fn step(&mut self, count: u64, passed: Duration) {
        let seconds = passed.as_secs_f64();
        let more = u32::try_from(count.saturating_sub(self.count)).unwrap_or(u32::MAX);
        self.count = count;
        if seconds <= 0.0 {
            return;
        }
        let now = f64::from(more) * 60.0 / seconds;
        for (average, (time, _)) in self.per_minute.iter_mut().zip(AVERAGES) {
            let weight = (-seconds / time).exp();
            *average = *average * weight + now * (1.0 - weight);
        }
    }
}

impl Sys {
    /// The messages for every figure that has changed since the last call, `passed` ago.
    pub fn changes(&mut self, status: &BrokerStatus, passed: Duration) -> Vec<Publish> {
        let away = status.sessions.saturating_sub(status.connections);
        let dropped = &status.dropped;
        let lost = dropped.slow + dropped.queue_full + dropped.too_large;
        let waiting: usize = status.clients.iter().map(|client| client.queue).sum();
        let waiting_bytes: usize = status.clients.iter().map(|client| client.queue_bytes).sum();
        let figures = [
            ("version", format!("fieldhold {}", env!("CARGO_PKG_VERSION"))),
            ("uptime", format!("{} seconds", status.uptime_s)),
            ("clients/total", status.sessions.to_string()),
            ("clients/connected", status.connections.to_string()),
            ("clients/active", status.connections.to_string()),
            ("clients/disconnected", away.to_string()),
            ("clients/inactive", away.to_string()),
            ("clients/maximum", status.connections_max.to_string()),
            ("subscriptions/count", status.subscriptions.to_string()),
            ("shared_subscriptions/count", status.shared_subscriptions.to_string()),
            ("retained messages/count", status.retained.to_string()),
            ("store/messages/count", (status.retained + waiting).to_string()),
            ("store/messages/bytes", (status.retained_bytes + waiting_bytes).to_string()),
            ("messages/stored", (status.retained + waiting).to_string()),
            ("publish/messages/received", status.messages_in.to_string()),
            ("publish/messages/sent", status.messages_out.to_string()),
            ("publish/messages/dropped", lost.to_string()),
            ("bytes/received", status.bytes_in.to_string()),
            ("bytes/sent", status.bytes_out.to_string()),
        ];
        let mut changes = Vec::new();
        for (name, value) in figures {
            self.change(name.to_owned(), value, &mut changes);
        }
        let loads = [
            ("publish/received", status.messages_in),
            ("publish/sent", status.messages_out),
            ("publish/dropped", lost),
            ("bytes/received", status.bytes_in),
            ("bytes/sent", status.bytes_out),
        ];
        for (name, count) in loads {
            let load = self.loads.entry(name).or_default();
            load.step(count, passed);
            for (value, (_, end)) in load.per_minute.into_iter().zip(AVERAGES) {
                self.change(format!("load/{name}/{end}"), format!("{value:.2}"), &mut changes);
            }
        }
        changes
    }

    fn change(&mut self, name: String, value: String, changes: &mut Vec<Publish>) {
        if self.last.get(&name) == Some(&value) {
            return;
        }
        if let Ok(topic) = TopicName::new(&format!("$SYS/broker/{name}")) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_comes_near_the_rate_and_goes_down_again() {
        let mut load = Load::default();
        for step in 1..=180 {
            load.step(step * 100, Duration::from_secs(10));
        }
        let [one, five, fifteen] = load.per_minute;
        assert!((one - 600.0).abs() < 1.0, "100 in 10 s are 600 a minute: {one}");
        assert!(
            (five - 600.0).abs() < 3.0 && fifteen > 500.0 && fifteen < 600.0,
            "{five} {fifteen}"
        );
        load.step(18_000, Duration::from_secs(60));
        assert!(load.per_minute[0] < 300.0, "{:?}", load.per_minute);
    }

    #[test]
    fn only_what_changed_is_published_again() {
        let counters = super::super::status::Counters::default();
        let mut sys = Sys::default();
        let all = sys.changes(&counters.status(1, &[]), Duration::from_secs(10));
        assert!(all.iter().all(|m| m.retain && m.topic.as_str().starts_with("$SYS/broker/")));
        assert_eq!(all.len(), 19 + 15);
        counters.messages_in.add(60);
        let changes = sys.changes(&counters.status(1, &[]), Duration::from_secs(10));
        let topics: Vec<&str> = changes.iter().map(|m| m.topic.as_str()).collect();
        assert!(topics.contains(&"$SYS/broker/publish/messages/received"), "{topics:?}");
        assert_eq!(topics.len(), 4, "and three loads: {topics:?}");
    }
}
