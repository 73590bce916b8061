//! The primary host application: whether it is there, by its STATE messages (Sparkplug 3.0, 5.4.2).
//!
//! Messages may arrive late and from sessions that are over, so each carries the time at which the
//! host's session began; an older one than the last says nothing. Every server has its own session
//! of the host, and its own times. Pure.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Number;

/// See the module.
pub struct Host {
    pub id: String,
    /// On this connection; `None` until something was heard.
    online: Option<bool>,
    server: String,
    /// The time of the last message that counted, and of the last that said online, by server.
    heard: HashMap<String, Times>,
}

#[derive(Default, Clone, Copy)]
struct Times {
    last: Option<u64>,
    online: Option<u64>,
}

/// What a message changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Same,
    Online,
    Offline,
}

#[derive(Deserialize)]
struct State {
    online: bool,
    timestamp: Number,
}

/// Any number will do: some hosts count milliseconds with a fraction.
fn whole(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| format!("{:.0}", number.as_f64()?.floor()).parse().ok())
}

impl Host {
    pub fn new(id: String) -> Self {
        Self { id, online: None, server: String::new(), heard: HashMap::new() }
    }

    /// A connection to this server begins: nothing is known until its broker says so.
    pub fn connected(&mut self, server: &str) {
        self.online = None;
        server.clone_into(&mut self.server);
    }

    pub fn is_online(&self) -> bool {
        self.online == Some(true)
    }

    pub fn is_known(&self) -> bool {
        self.online.is_some()
    }

    /// Takes a STATE message of this host; `None` if it is none.
    pub fn heard(&mut self, payload: &[u8]) -> Option<Turn> {
        let State { online, timestamp } = serde_json::from_slice(payload).ok()?;
        let timestamp = whole(&timestamp)?;
        let times = self.heard.entry(self.server.clone()).or_default();
        let since = if online { times.last } else { times.online.or(times.last) };
        if since.is_some_and(|since| timestamp < since) {
            return Some(Turn::Same);
        }
        times.last = Some(times.last.map_or(timestamp, |last| last.max(timestamp)));
        if online {
            times.online = Some(timestamp);
        }
        let news = self.online != Some(online);
        self.online = Some(online);
        Some(match (news, online) {
            (false, _) => Turn::Same,
            (true, true) => Turn::Online,
            (true, false) => Turn::Offline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(host: &mut Host, online: bool, timestamp: u64) -> Turn {
        let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
        host.heard(payload.as_bytes()).unwrap()
    }

    #[test]
    fn an_older_session_of_the_host_says_nothing() {
        let mut host = Host::new("scada".to_owned());
        host.connected("a:1883");
        assert!(!host.is_known());
        assert_eq!(said(&mut host, true, 1000), Turn::Online);
        assert_eq!(said(&mut host, false, 999), Turn::Same, "the death of a session before");
        assert!(host.is_online());
        assert_eq!(said(&mut host, false, 1000), Turn::Offline);
        assert_eq!(said(&mut host, true, 999), Turn::Same, "a birth from before");
        assert!(!host.is_online());
        assert_eq!(said(&mut host, true, 1001), Turn::Online);
        assert_eq!(said(&mut host, true, 1001), Turn::Same);
        let with_fraction = br#"{"online":false,"timestamp":1000.9}"#;
        assert_eq!(host.heard(with_fraction), Some(Turn::Same), "older than 1001");
        let with_fraction = br#"{"online":false,"timestamp":1001.5}"#;
        assert_eq!(host.heard(with_fraction), Some(Turn::Offline));
    }

    #[test]
    fn the_first_message_counts_whatever_it_says_and_each_server_has_its_own_times() {
        let mut host = Host::new("scada".to_owned());
        host.connected("a:1883");
        assert_eq!(said(&mut host, false, 5000), Turn::Offline);
        host.connected("b:1883");
        assert!(!host.is_known());
        assert_eq!(said(&mut host, true, 100), Turn::Online);
        host.connected("a:1883");
        assert_eq!(said(&mut host, true, 4999), Turn::Same);
        assert_eq!(said(&mut host, true, 5000), Turn::Online);
    }

    #[test]
    fn what_is_no_state_is_none() {
        let mut host = Host::new("scada".to_owned());
        let no_number = "{\"online\":true,\"timestamp\":\"1\"}";
        let before_1970 = "{\"online\":true,\"timestamp\":-1}";
        let no_bit = "{\"online\":1,\"timestamp\":1}";
        for payload in ["", "OFFLINE", "{\"online\":true}", "[]", no_bit, no_number, before_1970] {
            assert_eq!(host.heard(payload.as_bytes()), None, "{payload}");
        }
        assert!(!host.is_known());
    }
}
