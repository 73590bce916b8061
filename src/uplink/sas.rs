//! Shared access signatures, the tokens of Azure: a resource, an end, and an HMAC over both.
//!
//! Pure. The key is never printed.

use std::fmt::Write;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use ring::hmac;

use crate::model::Wall;

/// The token for `resource` from `now` on; `None` if the key is not base64.
pub fn token(
    resource: &str,
    policy: Option<&str>,
    key: &str,
    now: Wall,
    lifetime: Duration,
) -> Option<String> {
    let key = Base64::decode_vec(key.trim()).ok()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let end = now.0.div_euclid(1000).saturating_add(lifetime);
    let resource = escaped(resource);
    let signature = hmac::sign(&key, format!("{resource}\n{end}").as_bytes());
    let signature = escaped(&Base64::encode_string(signature.as_ref()));
    let mut token = format!("SharedAccessSignature sr={resource}&sig={signature}&se={end}");
    if let Some(policy) = policy {
        token += &format!("&skn={}", escaped(policy));
    }
    Some(token)
}

/// All but letters, digits and a few signs as %XX (RFC 3986).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _written = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python: hmac.new(b"secret key", b"hub.example%2Fdevices%2Fd1\n1700003600", sha256).
    #[test]
    fn a_token_is_what_others_make_of_the_same_key() {
        let key = "c2VjcmV0IGtleQ==\n";
        let (now, hour) = (Wall(1_700_000_000_999), Duration::from_secs(3600));
        let token = |policy| token("hub.example/devices/d1", policy, key, now, hour).unwrap();
        assert_eq!(
            token(None),
            "SharedAccessSignature sr=hub.example%2Fdevices%2Fd1&sig=YjufbkvKz1Wxtr5UBm6QU5aWSg9U4Fe00YdYnWvtTrM%3D&se=1700003600"
        );
        assert!(token(Some("my key")).ends_with("&se=1700003600&skn=my%20key"));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let of = |key| token("r", None, key, Wall(0), Duration::from_secs(300));
        assert_eq!(of("not base64!"), None);
        assert!(of("").is_some_and(|token| token.contains("&se=300")));
    }
}
