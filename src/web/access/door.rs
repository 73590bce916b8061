//! What a request says of itself: by which name it calls us, and which page sent it. Pure.
//!
//! A browser does what any page tells it, with the user's cookies. A page of somebody else's can give
//! its own name our address (DNS rebinding) and then read our answers as its own: so a request is
//! taken only if it calls us by a name of ours. An address can't be given away like that, so any of
//! them is ours: behind address translation nobody knows all. And a page can send requests across:
//! so what changes something has to come from our own page, which browsers say, or from a program,
//! which says nothing.

use std::net::IpAddr;

use axum::http::header::{FORWARDED, HOST, ORIGIN, VIA};
use axum::http::{HeaderMap, HeaderName, Method, Uri};

/// Longest name of a host with its port.
const AUTHORITY_BYTES_MAX: usize = 300;
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// What proxies tell of those they ask for.
const OF_PROXIES: [HeaderName; 5] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];

/// What we are called in a request, with the port if one is written.
pub fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut written = headers.get_all(HOST).iter();
    let host = match written.next() {
        Some(value) => Some(value.to_str().ok()?),
        None => None,
    };
    let in_uri = uri.authority().map(axum::http::uri::Authority::as_str);
    let found = match (in_uri, host) {
        // Two names in one request are somebody's trick.
        (Some(one), Some(other)) if one != other => return None,
        (one, other) => one.or(other)?,
    };
    (written.next().is_none() && found.len() <= AUTHORITY_BYTES_MAX).then_some(found)
}

/// The name or address without port and brackets; `None` if it is neither.
pub fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':').or(port.is_empty().then_some("0"))?)
        }
        None => authority.rsplit_once(':').unwrap_or((authority, "0")),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let good = !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok();
    good.then_some(host)
}

/// Whether this is a name of ours. `own` is that of the machine, `hosts` those that were configured.
pub fn is_ours(host: &str, own: Option<&str>, hosts: &[String]) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_own = own.is_some_and(|own| host == own || host.strip_suffix(".local") == Some(own));
    host == "localhost" || is_own || hosts.contains(&host)
}

/// Whether a request can only come from this machine: its sender's address alone does not say so,
/// since a proxy here speaks for others.
pub fn is_at_machine(from: IpAddr, host: &str, headers: &HeaderMap) -> bool {
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let proxied = OF_PROXIES.iter().any(|name| headers.contains_key(name));
    from.to_canonical().is_loopback() && local && !proxied
}

/// Whether a request may have been sent by our own page, or by a program.
pub fn is_of_ours(method: &Method, authority: &str, headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let looks = matches!(*method, Method::GET | Method::HEAD);
    let opens = text(&FETCH_MODE) == Some("navigate");
    let same_site = match text(&FETCH_SITE) {
        None | Some("same-origin") => true,
        // Typed, or from a bookmark or a link: it may look.
        Some("none") => looks,
        Some(_) => looks && opens,
    };
    let same_origin = text(&ORIGIN).is_none_or(|origin| {
        let named = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        named.is_some_and(|named| named.eq_ignore_ascii_case(authority))
    });
    same_site && (same_origin || (looks && opens))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    #[test]
    fn a_request_calls_us_by_one_name() {
        let named = |uri: &'static str, pairs: &[(&'static str, &'static str)]| {
            authority(&Uri::from_static(uri), &headers(pairs)).map(str::to_owned)
        };
        assert_eq!(named("/x", &[("host", "a:8443")]).as_deref(), Some("a:8443"));
        assert_eq!(named("https://a:8443/x", &[]).as_deref(), Some("a:8443"));
        assert_eq!(named("https://a/x", &[("host", "a")]).as_deref(), Some("a"));
        assert_eq!(named("https://a/x", &[("host", "b")]), None);
        assert_eq!(named("/x", &[("host", "a"), ("host", "b")]), None);
        assert_eq!(named("/x", &[]), None);
    }

    #[test]
    fn names_and_addresses_are_read_without_their_port() {
        for (text, want) in [
            ("gw:8443", Some("gw")),
            ("gw.local", Some("gw.local")),
            ("10.0.0.7:8443", Some("10.0.0.7")),
            ("[::1]:8443", Some("::1")),
            ("[fe80::1]", Some("fe80::1")),
            ("[::1", None),
            ("[gw]:1", None),
            ("[::1]x", None),
            ("gw:http", None),
            ("gw:99999", None),
            ("user@gw", None),
            ("gw/../x", None),
            ("", None),
            (":8443", None),
        ] {
            assert_eq!(host(text), want, "{text}");
        }
    }

    #[test]
    fn only_our_names_are_ours() {
        let hosts = ["gateway.plant.lan".to_owned()];
        for name in
            ["localhost", "LOCALHOST", "press", "Press.Local", "press.local.", "gateway.plant.lan"]
        {
            assert!(is_ours(name, Some("press"), &hosts), "{name}");
        }
        for address in ["10.0.0.7", "203.0.113.9", "::1", "2001:db8::1"] {
            assert!(is_ours(address, None, &[]), "{address}");
        }
        for name in [
            "evil.example",
            "press.evil.example",
            "press.local.evil.example",
            "localhost.evil.example",
            "evil.local",
            "10.0.0.7.evil.example",
            "0x7f000001",
            "press.plant.lan",
        ] {
            assert!(!is_ours(name, Some("press"), &hosts), "{name}");
        }
        assert!(!is_ours("press", None, &[]), "a machine without a name");
    }

    #[test]
    fn a_proxy_on_this_machine_is_not_at_the_machine() {
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 9]));
        assert!(is_at_machine(here, "localhost", &headers(&[])));
        assert!(is_at_machine("::1".parse().unwrap(), "::1", &headers(&[])));
        assert!(is_at_machine("::ffff:127.0.0.1".parse().unwrap(), "127.0.0.1", &headers(&[])));
        assert!(!is_at_machine(there, "localhost", &headers(&[])));
        assert!(!is_at_machine(here, "gateway.plant.lan", &headers(&[])));
        for name in ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"] {
            assert!(!is_at_machine(here, "localhost", &headers(&[(name, "x")])), "{name}");
        }
    }

    #[test]
    fn what_changes_something_comes_from_our_page_or_from_a_program() {
        let post = |pairs: &[(&'static str, &'static str)]| {
            is_of_ours(&Method::POST, "gw:8443", &headers(pairs))
        };
        assert!(post(&[]), "a program");
        assert!(post(&[("sec-fetch-site", "same-origin"), ("origin", "https://gw:8443")]));
        assert!(post(&[("origin", "http://GW:8443")]), "an old browser, perhaps behind a proxy");
        for wrong in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            &[("origin", "https://gw")],
            &[("origin", "https://gw:8443.evil.example")],
            &[("origin", "null")],
            &[("origin", "gw:8443")],
            &[("sec-fetch-site", "?")],
        ] {
            assert!(!post(wrong), "{wrong:?}");
            assert!(!is_of_ours(&Method::DELETE, "gw:8443", &headers(wrong)), "{wrong:?}");
        }
    }

    #[test]
    fn other_pages_may_link_to_us_and_not_read_us() {
        let get = |pairs: &[(&'static str, &'static str)]| {
            is_of_ours(&Method::GET, "gw", &headers(pairs))
        };
        assert!(get(&[]) && get(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]));
        assert!(get(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        assert!(!get(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
        assert!(!get(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]));
        assert!(!get(&[("origin", "https://evil.example")]));
    }
}
