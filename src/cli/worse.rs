//! What is worse in a gateway's status than in an earlier one, in plain words: an upgrade asks that.
//!
//! Both are JSON, since the earlier one may be of another version. Pure. Names of units are no promise
//! between versions, so one that is gone is no matter; a bus or an uplink that is gone is.

use serde_json::Value;

use super::view::json::{entries, items, text};

/// One line for each thing that was well and is not.
pub fn worse(before: &Value, now: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, _) in entries(before, "/units").filter(|(_, unit)| state(unit) == "running") {
        match named(now, "/units", name) {
            Value::Null => {}
            unit if state(unit) == "running" => {}
            unit => lines.push(format!("{name} is not running{}", because(unit, "/reason"))),
        }
    }
    let (was, is) = (state_at(before, "/store/health"), state_at(now, "/store/health"));
    if matches!(was, "ok" | "memory-only") && was != is {
        lines.push(format!("the store is {is}{}", because(now, "/store/health/why")));
    }
    for (name, _) in entries(before, "/uplinks").filter(|(_, uplink)| state(uplink) == "online") {
        let uplink = named(now, "/uplinks", name);
        if state(uplink) != "online" {
            let why = because(uplink, "/reason");
            lines.push(format!("uplink {name} is {}{why}", state(uplink)));
        }
    }
    for (name, _) in entries(before, "/buses").filter(|(_, bus)| answers(bus)) {
        let bus = named(now, "/buses", name);
        if !answers(bus) {
            lines.push(format!("no device answers on bus {name}{}", because(bus, "/state/reason")));
        }
    }
    lines
}

fn named<'a>(status: &'a Value, part: &str, name: &str) -> &'a Value {
    let found = entries(status, part).find(|(other, _)| *other == name);
    found.map_or(&Value::Null, |(_, value)| value)
}

fn state_at<'a>(status: &'a Value, path: &str) -> &'a str {
    status.pointer(path).map_or("gone", state)
}

fn state(of: &Value) -> &str {
    of.get("state").and_then(Value::as_str).unwrap_or("gone")
}

fn answers(bus: &Value) -> bool {
    items(bus, "/devices").any(|device| matches!(state_at(device, "/state"), "ok" | "exception"))
}

fn because(of: &Value, path: &str) -> String {
    match text(of, path) {
        "" => String::new(),
        reason => format!(": {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn well() -> Value {
        json!({
            "units": { "broker": { "state": "running" }, "old": { "state": "running" } },
            "store": { "health": { "state": "ok" } },
            "uplinks": { "cloud": { "state": "online" }, "lab": { "state": "offline" } },
            "buses": {
                "line": { "devices": [{ "state": { "state": "silent" } }, { "state": { "state": "ok" } }] },
                "dead": { "devices": [{ "state": { "state": "silent" } }] },
            },
        })
    }

    #[test]
    fn what_was_not_well_before_is_no_matter() {
        let mut now = well();
        now["units"]["new"] = json!({ "state": "waiting", "reason": "a port is taken" });
        now["uplinks"]["lab"] = json!({ "state": "connecting" });
        now["buses"]["line"]["devices"] = json!([{ "state": { "state": "exception", "code": 2 } }]);
        now["units"].as_object_mut().unwrap().remove("old");
        assert_eq!(worse(&well(), &now), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_was_well_and_is_not_is_said_with_its_reason() {
        let now = json!({
            "units": { "broker": { "state": "waiting", "reason": "in use" } },
            "store": { "health": { "state": "ram-only", "why": "no space" } },
            "uplinks": { "cloud": { "state": "offline", "reason": "refused" } },
            "buses": { "line": { "state": { "state": "down", "reason": "no port" }, "devices": [] } },
        });
        let expected = [
            "broker is not running: in use",
            "the store is ram-only: no space",
            "uplink cloud is offline: refused",
            "no device answers on bus line: no port",
        ];
        assert_eq!(worse(&well(), &now), expected);
    }

    #[test]
    fn an_answer_that_says_nothing_is_worse() {
        assert_eq!(worse(&well(), &json!({})).len(), 3, "store, uplink and bus");
    }
}
