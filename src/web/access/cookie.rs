//! The cookie of a session. Over TLS its name makes browsers refuse one that another host, another
//! path or an unencrypted page has set.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use super::secret::TOKEN_CHARACTERS_MAX;
use super::sessions::LIFETIME;

const SECURE: &str = "__Host-fieldhold";
const PLAIN: &str = "fieldhold";

/// The token in a request, if it has one.
pub fn token(headers: &HeaderMap, encrypted: bool) -> Option<&str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|p| p.trim().split_once('='));
    let token = pairs.find(|(key, _)| *key == name(encrypted)).map(|(_, value)| value)?;
    (token.len() <= TOKEN_CHARACTERS_MAX).then_some(token)
}

/// Lets the browser keep a token; an empty one ends that.
pub fn set(token: &str, encrypted: bool) -> Option<HeaderValue> {
    let age = if token.is_empty() { 0 } else { LIFETIME.as_secs() };
    let secure = if encrypted { "; Secure" } else { "" };
    let name = name(encrypted);
    let text = format!("{name}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok()
}

fn name(encrypted: bool) -> &'static str {
    if encrypted { SECURE } else { PLAIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&'static str]) -> HeaderMap {
        cookies.iter().map(|text| (COOKIE, HeaderValue::from_static(text))).collect()
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        for (cookies, encrypted, want) in [
            (&["a=b; fieldhold=t1; c=d"][..], false, Some("t1")),
            (&["a=b", "__Host-fieldhold=t2"], true, Some("t2")),
            (&["fieldhold=t1"], true, None),
            (&["__Host-fieldhold=t2"], false, None),
            (&["xfieldhold=t", "fieldhold"], false, None),
            (&[], true, None),
        ] {
            assert_eq!(token(&headers(cookies), encrypted), want, "{cookies:?}");
        }
        let long = format!("fieldhold={}", "x".repeat(TOKEN_CHARACTERS_MAX + 1));
        let long: HeaderMap =
            [(COOKIE, HeaderValue::from_str(&long).unwrap())].into_iter().collect();
        assert_eq!(token(&long, false), None);
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        let secure = set("t", true).unwrap();
        assert_eq!(
            secure.to_str().unwrap(),
            "__Host-fieldhold=t; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict; Secure"
        );
        let gone = set("", false).unwrap();
        assert_eq!(
            gone.to_str().unwrap(),
            "fieldhold=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        );
        assert!(set("a\r\nSet-Cookie: b=c", true).is_none());
    }
}
