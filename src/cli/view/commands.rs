//! Commands in the status: how many, what became of them, and tags at their safe value.

use serde_json::Value;

use super::json::{count, entries, items, number, span, text};
use crate::model::tone::{Line, Tone};

/// Nothing while no command has come and no safe value is armed.
pub fn lines(status: &Value) -> Vec<Line> {
    let received = number(status, "/commands/received");
    let safe_values = number(status, "/commands/safe_values");
    let mut out = Vec::new();
    if received + safe_values > 0 {
        let refused: Vec<_> = entries(status, "/commands/refused")
            .map(|(why, n)| format!("{why} {}", n.as_u64().unwrap_or(0)))
            .collect();
        let mut line = Line::new()
            .add(Tone::Strong, "commands")
            .text(format!("            {} carried out", number(status, "/commands/done")));
        if !refused.is_empty() {
            line = line.add(Tone::Doubt, format!(", refused: {}", refused.join(", ")));
        }
        if safe_values > 0 {
            line = line.add(Tone::Doubt, format!(", {} written", count(safe_values, "safe value")));
        }
        out.push(line);
    }
    for safe in items(status, "/commands/safe") {
        let (state, tag) = (text(safe, "/state"), text(safe, "/tag"));
        let (tone, said) = match state {
            "armed" => (Tone::Plain, format!("safe value in {}", span(number(safe, "/in_ms")))),
            "written" => {
                (Tone::Doubt, format!("at its safe value for {}", span(number(safe, "/ago_ms"))))
            }
            "trying" => {
                let again = span(number(safe, "/in_ms"));
                (Tone::Bad, format!("safe value not written, again in {again}"))
            }
            _ => (Tone::Doubt, "safe value on its way".to_owned()),
        };
        out.push(Line::new().text("  ").state(tone, tag, 0).text(format!("  {said}")));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_and_safe_values_are_told() {
        assert!(lines(&json!({ "commands": { "received": 0, "safe": [] } })).is_empty());
        let status = json!({ "commands": {
            "received": 12, "done": 9, "safe_values": 1,
            "refused": { "out-of-limits": 2, "too-soon": 1 },
            "safe": [
                { "tag": "press.run", "state": "armed", "in_ms": 29_000 },
                { "tag": "press.speed", "state": "written", "ago_ms": 4_000 },
            ],
        } });
        let shown: Vec<String> = lines(&status).iter().map(ToString::to_string).collect();
        let want = [
            "commands            9 carried out, refused: out-of-limits 2, too-soon 1, 1 safe value written",
            "  ○ press.run  safe value in 29 s",
            "  ▲ press.speed  at its safe value for 4.0 s",
        ];
        assert_eq!(shown, want);
    }
}
