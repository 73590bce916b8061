//! Takes out of a text whatever may be a secret, for files that leave the gateway. Pure.
//!
//! Configurations hold no passwords but as hashes, and logs none at all; this makes sure of it once
//! more, and rather takes out too much.

use std::sync::LazyLock;

use regex::{Regex, Replacer};
use serde_json::Value;

const MASK: &str = "(masked)";

/// Words that stand before a secret, as keys or in the middle of a line.
const WORDS: &str =
    "password|passwd|passphrase|secret|token|credential|private|authorization|cookie|sas|psk";

/// What a hash of a password looks like.
static HASH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$(argon2[a-z]*|2[aby]|[156y])\$[A-Za-z0-9$+/=.,_-]+").ok());
/// User and password in a URL.
static LOGIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"://[^/\s@"']+@"#).ok());
/// `password: hunter2`, `token=abc`, also in quotes; a section or a reference is left as it is.
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(&format!(
        r#"(?i)\b([\w-]*(?:{WORDS})[\w-]*["']?[ \t]*[:=][ \t]*)("[^"\n]*"|'[^'\n]*'|[^\s"'\{{\[#,}}][^\s,}}]*)"#
    ))
    .ok()
});
/// PEM files.
static PEM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)")
        .ok()
});

/// A text without secrets.
pub fn text(text: &str) -> String {
    let out = replaced(&PEM, text, MASK);
    let out = replaced(&HASH, &out, MASK);
    let out = replaced(&LOGIN, &out, format!("://{MASK}@").as_str());
    replaced(&ASSIGNED, &out, format!("${{1}}{MASK}").as_str())
}

fn replaced(pattern: &LazyLock<Option<Regex>>, text: &str, with: impl Replacer) -> String {
    match &**pattern {
        Some(pattern) => pattern.replace_all(text, with).into_owned(),
        // A pattern that is none hides everything rather than nothing.
        None => MASK.to_owned(),
    }
}

/// A document without secrets: its texts, and whatever stands under a word that says it is one.
pub fn json(value: Value) -> Value {
    match value {
        Value::String(whole) => Value::String(text(&whole)),
        Value::Array(all) => Value::Array(all.into_iter().map(json).collect()),
        Value::Object(all) => {
            let member = |(key, value): (String, Value)| {
                let lower = key.to_lowercase();
                let is_secret =
                    value.is_string() && WORDS.split('|').any(|word| lower.contains(word));
                let value = if is_secret { Value::from(MASK) } else { json(value) };
                (key, value)
            };
            Value::Object(all.into_iter().map(member).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as document;

    use super::*;

    #[test]
    fn secrets_are_taken_out_and_the_rest_stays() {
        for (before, after) in [
            ("password: hunter2 # so", "password: (masked) # so"),
            ("{ password: hunter2, user: me }", "{ password: (masked), user: me }"),
            ("  proxy-password: \"a b\"", "  proxy-password: (masked)"),
            ("hash $argon2id$v=19$m=1,t=2$abc$def end", "hash (masked) end"),
            ("url: mqtts://me:hunter2@host:8883", "url: mqtts://(masked)@host:8883"),
            ("said token=abc.def then", "said token=(masked) then"),
            ("Authorization: Bearer", "Authorization: (masked)"),
            ("password: { file: uplink.password }", "password: { file: uplink.password }"),
            ("password:\n  file: uplink.password", "password:\n  file: uplink.password"),
            ("key: key.pem", "key: key.pem"),
            ("register: 40001 # unit 7", "register: 40001 # unit 7"),
            ("a -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- b", "a (masked) b"),
        ] {
            assert_eq!(text(before), after);
        }
        let json = json(document!({
            "password": "x", "rows": [{ "url": "mqtt://a:b@c", "token_id": 7 }], "n": 1
        }));
        assert_eq!(
            json,
            document!({
                "password": "(masked)", "rows": [{ "url": "mqtt://(masked)@c", "token_id": 7 }], "n": 1
            })
        );
    }

    #[test]
    fn all_patterns_are_some() {
        for pattern in [&HASH, &LOGIN, &ASSIGNED, &PEM] {
            assert!(pattern.is_some());
        }
    }
}
