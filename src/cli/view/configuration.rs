//! The configuration, where there is something to say about it: a version that waits for its
//! confirmation, or the newest one, which was taken back.

use serde_json::Value;

use super::json::{signed, text};
use super::{Line, Tone};
use crate::codec::registers::utc;

pub fn line(status: &Value) -> Option<Line> {
    if let Some(until) = signed(status, "/configuration/until_ms") {
        let until = utc(until).unwrap_or_default();
        let version = status.pointer("/configuration/running/version")?;
        let line = Line::new().state(Tone::Doubt, "pending", 0);
        return Some(line.text(format!(
            "  configuration {version} is rolled back unless it is confirmed until {until}"
        )));
    }
    let version = status.pointer("/configuration/rolled_back/version")?;
    let reason = text(status, "/configuration/rolled_back/reason");
    let line = Line::new().state(Tone::Bad, "rolled back", 0);
    Some(line.text(format!("  configuration {version}: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_odd_is_said() {
        let said = |configuration: Value| {
            line(&json!({ "configuration": configuration })).map(|line| line.to_string())
        };
        assert_eq!(said(json!({ "running": { "version": 3 }, "until_ms": null })), None);
        let pending =
            said(json!({ "running": { "version": 3 }, "until_ms": 1_700_000_000_123_i64 }));
        let words = "▲ pending  configuration 3 is rolled back unless it is confirmed until \
                     2023-11-14T22:13:20.123Z";
        assert_eq!(pending.as_deref(), Some(words));
        let back = said(json!({ "rolled_back": { "version": 4, "reason": "so" } }));
        assert_eq!(back.as_deref(), Some("✕ rolled back  configuration 4: so"));
    }
}
