//! Why a connection is not there: a kind to count, a sentence for a person, and what to do next.
//!
//! The sentences name the peer and what to look at; they never hold credentials.

use std::io;

use rustls::{AlertDescription, CertificateError};
use serde::Serialize;

use super::client::{Failure, ProxyRefusal, Reason, Step};
use super::settings::SettingsError;
use crate::codec::registers::utc;
use crate::model::Wall;
use crate::websocket;

/// The kinds of ends, for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A file or setting on this side.
    Settings,
    /// The host name has no address.
    NameNotFound,
    /// Nothing answers at the address.
    Unreachable,
    /// The proxy does not connect further.
    Proxy,
    /// TLS is not agreed upon.
    Tls,
    /// The broker's certificate is not good here.
    Certificate,
    /// The broker's certificate is not valid yet, or the clock of the gateway is wrong.
    Clock,
    /// The broker does not take the certificate of this client, or misses one.
    ClientCertificate,
    /// No WebSocket at this URL.
    WebSocket,
    /// Username, password or token are wrong.
    Login,
    /// The broker said no in CONNACK.
    Refused,
    /// The broker closed or reset an established connection.
    Closed,
    /// Another client came with the same id.
    SameClient,
    /// Connected, but no acknowledgement came in time.
    NoAcknowledgement,
    /// A step, a ping or a packet that had to be written was not answered in time.
    NoAnswer,
    /// The broker refuses a message.
    NotTaken,
    /// The other side does not speak MQTT as it is written.
    Protocol,
    /// The store has no place for this uplink.
    Store,
    /// The primary host of an edge node is offline, or was never heard of.
    HostAway,
    /// The broker says that another is to be used.
    Moved,
}

impl Cause {
    /// What a person can do next.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Settings => {
                "put the file or the setting right; it is read again at every attempt"
            }
            Self::NameNotFound => "check the host in url, and the name servers of this machine",
            Self::Unreachable => {
                "check host and port in url, the cable, and the firewalls on the way"
            }
            Self::Proxy => "check proxy: its host, port, username and password, and what it allows",
            Self::Tls => "check that the port of url speaks TLS, and alpn and server-name",
            Self::Certificate => {
                "check ca and server-name here, or have the broker's certificate put right"
            }
            Self::Clock => "set the clock of this machine, or wait for its time server",
            Self::ClientCertificate => {
                "check certificate and key here, and whether the broker knows their authority"
            }
            Self::WebSocket => {
                "check the path in url, and whether the broker offers WebSocket there"
            }
            Self::Login => "check username and the file of password, and the client id",
            Self::Refused => "ask who runs the broker whether this client may connect",
            Self::Closed => "look into the log of the broker for why it closed the connection",
            Self::SameClient => "give every gateway its own client-id",
            Self::NoAcknowledgement => "check the line and the load of the broker",
            Self::NoAnswer => {
                "check whether the broker is well, and whether the port is that of MQTT"
            }
            Self::NotTaken => "ask who runs the broker for the right to publish on this topic",
            Self::Protocol => "check whether the port is that of MQTT, and mqtt: 3.1.1 or 5",
            Self::Store => "restart the gateway",
            Self::HostAway => "look after the host application, and after primary-host here",
            // By hand: who could write on the line would have all readings otherwise.
            Self::Moved => {
                "put the server that it names into url, or ask who runs the broker for it"
            }
        }
    }
}

/// The end of a connection, or of the attempt at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub cause: Cause,
    pub reason: String,
    /// What to do next.
    pub advice: &'static str,
}

impl Ended {
    pub fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into(), advice: cause.advice() }
    }

    /// Where the login is a token (`is_token`), made by the clock that says `now`, that is what to look at.
    pub fn with_token(mut self, is_token: bool, now: Wall) -> Self {
        if is_token && self.cause == Cause::Login {
            let reads = utc(now.0).unwrap_or_else(|| now.0.to_string());
            let hint = format!("; its token counts from the gateway's clock, which reads {reads}");
            self.reason.push_str(&hint);
            self.advice = TOKEN_ADVICE;
        }
        self
    }
}

const TOKEN_ADVICE: &str =
    "check the clock of this machine, the file of sas.key and its policy, and the client id";

impl From<SettingsError> for Ended {
    fn from(error: SettingsError) -> Self {
        Self::new(Cause::Settings, error.to_string())
    }
}

/// Puts the client's failure into words. `peer` is `host:port`, `now` what the gateway's clock says.
pub fn explain(failure: &Failure, peer: &str, now: Wall) -> Ended {
    match failure {
        Failure::Resolve(error) => {
            let words = format!("the name of {peer} has no address: {error}");
            Ended::new(Cause::NameNotFound, words)
        }
        Failure::Connect(error)
        | Failure::Io(error)
        | Failure::WebSocket(websocket::Refused::Io(error)) => io_error(error, peer),
        Failure::Tls(error) => tls_error(error, peer, now),
        Failure::Timeout(step) => timeout(*step, peer),
        Failure::ServerName(name) => {
            Ended::new(Cause::Settings, format!("{name} can't be the name in a certificate"))
        }
        Failure::AtProxy(place, failure) => {
            let at_proxy = explain(failure, &format!("the proxy {place}"), now);
            Ended::new(Cause::Proxy, at_proxy.reason)
        }
        Failure::Proxy(ProxyRefusal::Status(407, _)) => {
            Ended::new(Cause::Proxy, "the proxy wants a username and password (407)")
        }
        Failure::Proxy(ProxyRefusal::Status(code, words)) => Ended::new(
            Cause::Proxy,
            format!("the proxy does not connect to {peer}: {code} {words}").trim_end(),
        ),
        Failure::Proxy(ProxyRefusal::NotHttp) => {
            Ended::new(Cause::Proxy, "the proxy does not answer as an HTTP proxy does")
        }
        Failure::WebSocket(refused) => Ended::new(Cause::WebSocket, format!("{peer}: {refused}")),
        Failure::Refused(reason) => {
            let cause = match reason.code {
                4 | 5 | 0x86 | 0x87 | 0x8C => Cause::Login,
                USE_ANOTHER_SERVER | SERVER_MOVED => Cause::Moved,
                _ => Cause::Refused,
            };
            Ended::new(cause, with_text(connect_words(reason.code), reason))
        }
        Failure::Dismissed(reason) => {
            let cause = match reason.code {
                0x8E => Cause::SameClient,
                USE_ANOTHER_SERVER | SERVER_MOVED => Cause::Moved,
                _ => Cause::Closed,
            };
            let words = format!("{peer} ended the connection: {}", words(reason.code));
            Ended::new(cause, with_text(&words, reason))
        }
        Failure::Closed => closed(peer),
        Failure::Silent => Ended::new(Cause::NoAnswer, format!("{peer} does not answer pings")),
        Failure::Unwritable(what) => {
            Ended::new(Cause::Settings, format!("MQTT has no way to say a packet of ours: {what}"))
        }
        Failure::Protocol(what) => {
            Ended::new(Cause::Protocol, format!("{peer} broke the MQTT protocol: {what}"))
        }
    }
}

fn timeout(step: Step, peer: &str) -> Ended {
    let takes = |what| format!("{peer} takes the connection and does not answer {what}");
    match step {
        Step::Resolve => {
            Ended::new(Cause::NameNotFound, format!("the name of {peer} was not resolved in time"))
        }
        Step::Connect => Ended::new(Cause::Unreachable, format!("{peer} does not answer")),
        Step::Proxy => Ended::new(Cause::Proxy, "the proxy does not answer"),
        Step::Tls => Ended::new(Cause::NoAnswer, takes("TLS")),
        Step::WebSocket => Ended::new(Cause::NoAnswer, takes("WebSocket")),
        Step::Mqtt => Ended::new(Cause::NoAnswer, takes("CONNECT")),
    }
}

/// A refused message that will be refused for ever, however often it is sent.
pub fn is_final(reason: &Reason) -> bool {
    matches!(reason.code, TOPIC_NAME_INVALID | PAYLOAD_FORMAT_INVALID)
}

/// A message that the broker did not take, and may take another time.
pub fn refused_message(topic: &str, reason: &Reason) -> Ended {
    let words = format!("the broker does not take messages on {topic}: {}", words(reason.code));
    Ended::new(Cause::NotTaken, with_text(&words, reason))
}

const USE_ANOTHER_SERVER: u8 = 0x9C;
const SERVER_MOVED: u8 = 0x9D;
const TOPIC_NAME_INVALID: u8 = 0x90;
const PAYLOAD_FORMAT_INVALID: u8 = 0x99;

/// What the broker says in its own words is quoted, and bounded.
fn with_text(words: &str, reason: &Reason) -> String {
    match &reason.text {
        Some(text) => {
            let text: String = text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
            format!("{words} (it says: {text})")
        }
        None => words.to_owned(),
    }
}

/// Characters of the broker's own words.
const TEXT_MAX: usize = 200;

/// CONNACK says no: 1 to 5 in MQTT 3.1.1, from 128 on in 5.0.
fn connect_words(code: u8) -> &'static str {
    match code {
        1 | 0x84 => "the broker does not take this version of MQTT",
        2 | 0x85 => "the broker refused the client id",
        3 | 0x88 => "the broker says that it is not available now",
        4 | 0x86 => "the broker refused the username or password",
        5 | 0x87 => "the broker says that this client is not authorized",
        0x8A => "the broker has banned this client",
        code => words(code),
    }
}

/// Reason codes of MQTT 5.
fn words(code: u8) -> &'static str {
    match code {
        0x00 => "a normal end",
        0x80 => "it gives no reason",
        0x81 => "a packet was malformed",
        0x82 => "a packet was against the protocol",
        0x83 => "its implementation does not take this",
        0x87 => "this client is not authorized",
        0x89 => "it is busy",
        0x8B => "it is shutting down",
        0x8C => "the authentication method is wrong",
        0x8D => "it heard nothing for longer than the keep-alive",
        0x8E => "another client connected with the same client id",
        0x90 => "the topic name is not valid",
        0x91 => "the packet id is in use",
        0x93 => "too many messages were unacknowledged",
        0x94 => "a topic alias is not valid",
        0x95 => "a packet was too large",
        0x96 => "messages came too fast",
        0x97 => "a quota is used up",
        0x98 => "an administrator ended it",
        0x99 => "the payload has not the format that was named",
        0x9A => "it takes no retained messages",
        0x9B => "it does not take this quality of service",
        0x9C => "another server should be used for now",
        0x9D => "the server has moved",
        0x9F => "connections came too fast",
        0xA0 => "the connection has lasted as long as it may",
        _ => "a reason that is not known here",
    }
}

fn closed(peer: &str) -> Ended {
    Ended::new(Cause::Closed, format!("{peer} closed the connection"))
}

fn io_error(error: &io::Error, peer: &str) -> Ended {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Ended::new(
            Cause::Unreachable,
            format!("nothing listens on {peer}, or a firewall rejects the connection"),
        ),
        kind if is_end(kind) => closed(peer),
        _ => Ended::new(Cause::Unreachable, format!("{peer} can't be reached: {error}")),
    }
}

/// The other side ended it.
fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

fn tls_error(error: &io::Error, peer: &str, now: Wall) -> Ended {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => certificate_error(error, peer, now),
        Some(rustls::Error::AlertReceived(alert)) => alert_received(*alert, peer),
        Some(rustls::Error::InvalidMessage(_)) => {
            Ended::new(Cause::Tls, format!("{peer} does not answer in TLS"))
        }
        Some(error) => Ended::new(Cause::Tls, format!("TLS to {peer} failed: {error}")),
        None if is_end(error.kind()) => Ended::new(
            Cause::Tls,
            format!("{peer} closed the connection instead of agreeing on TLS"),
        ),
        None => io_error(error, peer),
    }
}

/// What the broker has against us.
fn alert_received(alert: AlertDescription, peer: &str) -> Ended {
    let words = match alert {
        AlertDescription::CertificateRequired => "wants a certificate of this client",
        AlertDescription::CertificateExpired => "says that this client's certificate has expired",
        AlertDescription::CertificateRevoked => "says that this client's certificate was revoked",
        AlertDescription::UnknownCA => "does not know the authority of this client's certificate",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => "does not take this client's certificate",
        AlertDescription::NoApplicationProtocol => {
            return Ended::new(Cause::Tls, format!("{peer} knows none of the protocols in alpn"));
        }
        AlertDescription::UnrecognisedName => {
            return Ended::new(
                Cause::Tls,
                format!("{peer} does not know the name that is asked for"),
            );
        }
        other => return Ended::new(Cause::Tls, format!("{peer} refuses TLS: {other:?}")),
    };
    Ended::new(Cause::ClientCertificate, format!("{peer} {words}"))
}

/// What we have against the broker. A gateway without a clock battery boots in 1970: its own clock is
/// the first suspect.
fn certificate_error(error: &CertificateError, peer: &str, now: Wall) -> Ended {
    let (year, month, day) = civil(now.0.div_euclid(1000).div_euclid(86_400));
    let clock = format!("the gateway's clock reads {year}-{month:02}-{day:02}");
    match error {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let words = format!("the certificate of {peer} is not yet valid; {clock}");
            Ended::new(Cause::Clock, words)
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let words = format!("the certificate of {peer} has expired; {clock}");
            Ended::new(Cause::Certificate, words)
        }
        // An authority of the same name with another key is another authority.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Ended::new(
            Cause::Certificate,
            format!("the certificate of {peer} is signed by an authority that is not trusted here"),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Ended::new(Cause::Certificate, format!("the certificate of {peer} is for another name"))
        }
        other => Ended::new(
            Cause::Certificate,
            format!("the certificate of {peer} is not valid: {other}"),
        ),
    }
}

/// Days since 1970-01-01 to year, month, day (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_named() {
        let error = rustls::Error::InvalidCertificate(CertificateError::NotValidYet);
        let error = Failure::Tls(io::Error::new(io::ErrorKind::InvalidData, error));
        let ended = explain(&error, "cloud:8883", Wall(86_400_000 * 59));
        assert_eq!(ended.cause, Cause::Clock);
        assert!(ended.advice.starts_with("set the clock"));
        assert_eq!(
            ended.reason,
            "the certificate of cloud:8883 is not yet valid; the gateway's clock reads 1970-03-01"
        );
        assert_eq!(civil(20_783), (2026, 11, 26));
        assert_eq!(civil(11_016), (2000, 2, 29));
    }

    #[test]
    fn a_broker_that_sends_elsewhere_is_quoted_and_not_followed() {
        let reason = |code| Reason { code, text: Some("other.example:8883".to_owned()) };
        let ended = explain(&Failure::Dismissed(reason(0x9D)), "h:1", Wall(0));
        assert_eq!(ended.cause, Cause::Moved);
        let words = "h:1 ended the connection: the server has moved (it says: other.example:8883)";
        assert_eq!(ended.reason, words);
        let ended = explain(&Failure::Refused(reason(0x9C)), "h:1", Wall(0));
        assert_eq!(ended.cause, Cause::Moved);
        assert!(ended.reason.contains("another server should be used for now (it says: other"));
    }

    #[test]
    fn every_end_has_its_kind() {
        let io = |kind| io::Error::from(kind);
        let reason = |code| Reason { code, text: None };
        let cases = [
            (Failure::Connect(io(io::ErrorKind::ConnectionRefused)), Cause::Unreachable),
            (Failure::Io(io(io::ErrorKind::ConnectionReset)), Cause::Closed),
            (Failure::Timeout(Step::Connect), Cause::Unreachable),
            (Failure::Timeout(Step::Mqtt), Cause::NoAnswer),
            (Failure::Refused(reason(5)), Cause::Login),
            (Failure::Refused(reason(0x86)), Cause::Login),
            (Failure::Refused(reason(2)), Cause::Refused),
            (Failure::Dismissed(reason(0x8E)), Cause::SameClient),
            (Failure::Dismissed(reason(0x8B)), Cause::Closed),
            (Failure::Proxy(ProxyRefusal::NotHttp), Cause::Proxy),
            (Failure::WebSocket(websocket::Refused::Status(404)), Cause::WebSocket),
            (Failure::Timeout(Step::Tls), Cause::NoAnswer),
            (Failure::Timeout(Step::Resolve), Cause::NameNotFound),
            (Failure::Closed, Cause::Closed),
            (Failure::Silent, Cause::NoAnswer),
            (Failure::protocol("x"), Cause::Protocol),
            (Failure::Unwritable("x".to_owned()), Cause::Settings),
            (Failure::AtProxy("p:1".to_owned(), Box::new(Failure::Closed)), Cause::Proxy),
            (Failure::Resolve(io::Error::other("x")), Cause::NameNotFound),
        ];
        for (error, cause) in cases {
            assert_eq!(explain(&error, "h:1", Wall(0)).cause, cause, "{error:?}");
        }
    }
}
