//! Rows of the store as CSV (RFC 4180): a heading, lines that end in CR LF, UTF-8.
//!
//! Values stand exactly as they are, also texts that a spreadsheet would take for a formula: import
//! what strangers may have written as text.

use serde_json::Value as Json;

use crate::store::Row;

/// What the columns are. `kind` says what `value` holds: the value of a `reading`, or the payload of
/// a `message`, as text or, in a `message-base64`, encoded.
pub const HEADING: &str =
    "time,class,position,id,kind,topic,device,tag,unit,value,quality,clock\r\n";

/// Appends one line.
pub fn line(out: &mut Vec<u8>, row: &Row) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    // An empty text is quoted, so that it is not taken for no value.
    let (kind, value) = match (&row.value, &row.payload, &row.payload_base64) {
        (None, Some(payload), _) => ("message", quoted(payload)),
        (None, None, payload) => ("message-base64", text(payload)),
        (Some(Json::Null), ..) => ("reading", String::new()),
        (Some(Json::String(value)), ..) => ("reading", quoted(value)),
        (Some(value), ..) => ("reading", field(value.to_string())),
    };
    let cells = [
        text(&row.time),
        row.class.to_string(),
        row.position.to_string(),
        row.id.clone(),
        kind.to_owned(),
        field(text(&row.topic)),
        text(&row.device),
        text(&row.tag),
        field(text(&row.unit)),
        value,
        text(&row.quality),
        row.clock.to_string(),
    ];
    out.extend_from_slice(cells.join(",").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// In quotes if it must be.
fn field(text: String) -> String {
    let special = |c: char| matches!(c, ',' | '"' | '\r' | '\n');
    if text.contains(special) || text.starts_with(' ') || text.ends_with(' ') {
        quoted(&text)
    } else {
        text
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(row: &Json) -> String {
        let mut out = Vec::new();
        line(&mut out, &serde_json::from_value(row.clone()).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_follow_rfc_4180_and_values_are_exact() {
        let mut row = json!({
            "time": "2023-11-14T22:13:20.123Z", "ms": 1_700_000_000_123_u64, "clock": "set",
            "class": "normal", "position": 41, "id": "5f3a-n-41", "topic": "w/press, old/oil",
            "device": "press", "tag": "oil", "unit": "°C", "value": 82.5, "quality": "good",
        });
        assert_eq!(
            shown(&row),
            "2023-11-14T22:13:20.123Z,normal,41,5f3a-n-41,reading,\"w/press, old/oil\",press,oil,°C,82.5,good,set\r\n"
        );
        for (value, cell) in [
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(0.1 + 0.2), "0.30000000000000004"),
            (json!(12.0), "12.0"),
            (json!(false), "false"),
            (json!("say \"no\",\r\nplease"), "\"say \"\"no\"\",\r\nplease\""),
            (json!(""), "\"\""),
            (json!([1, 2]), "\"[1,2]\""),
            (json!(null), ""),
        ] {
            row["value"] = value;
            assert!(shown(&row).ends_with(&format!(",°C,{cell},good,set\r\n")), "{}", shown(&row));
        }
        assert_eq!(HEADING.split(',').count(), 12);
    }

    #[test]
    fn messages_are_told_from_readings() {
        let mut row = json!({
            "time": null, "ms": null, "clock": "unknown", "class": "alarm", "position": 3,
            "id": "1-a-3", "topic": "lan/x", "payload": "on, now", "qos": 1, "retain": false,
        });
        assert_eq!(shown(&row), ",alarm,3,1-a-3,message,lan/x,,,,\"on, now\",,unknown\r\n");
        row.as_object_mut().unwrap().remove("payload");
        row["payload_base64"] = json!("//4=");
        assert_eq!(shown(&row), ",alarm,3,1-a-3,message-base64,lan/x,,,,//4=,,unknown\r\n");
    }
}
