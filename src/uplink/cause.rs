//! Why a connection is not there: a kind to count and a sentence for a person.
//!
//! The sentences name the peer and what to look at; they never hold credentials.

use std::io;

use rustls::CertificateError;
use serde::Serialize;

use super::client::{Failure, Reason, Step};
use super::settings::SettingsError;
use crate::model::Wall;

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
    Tls,
    /// The broker said no in CONNACK.
    Refused,
    /// The broker closed or reset an established connection.
    Closed,
    /// Connected, but no acknowledgement came in time.
    NoAcknowledgement,
    /// A ping or a packet that had to be written was not taken in time.
    NoAnswer,
    /// The broker refuses a message.
    NotTaken,
    /// The other side does not speak MQTT as it is written.
    Protocol,
    /// The store has no place for this uplink.
    Store,
    /// The primary host of an edge node is offline, or was never heard of.
    HostAway,
}

/// The end of a connection, or of the attempt at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub cause: Cause,
    pub reason: String,
}

impl Ended {
    pub fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into() }
    }
}

impl From<SettingsError> for Ended {
    fn from(error: SettingsError) -> Self {
        Self::new(Cause::Settings, error.to_string())
    }
}

/// Puts the client's failure into words. `peer` is `host:port`, `now` what the gateway's clock says.
pub fn explain(failure: &Failure, peer: &str, now: Wall) -> Ended {
    match failure {
        Failure::Resolve(error) => {
            Ended::new(Cause::NameNotFound, format!("the name of {peer} has no address: {error}"))
        }
        Failure::Connect(error) | Failure::Io(error) | Failure::Tls(error) => {
            io_error(error, peer, now)
        }
        Failure::Timeout(Step::Resolve) => {
            Ended::new(Cause::NameNotFound, format!("the name of {peer} was not resolved in time"))
        }
        Failure::Timeout(Step::Connect) => {
            Ended::new(Cause::Unreachable, format!("{peer} does not answer"))
        }
        Failure::Timeout(Step::Tls) => Ended::new(
            Cause::NoAnswer,
            format!("{peer} takes the connection and does not answer TLS"),
        ),
        Failure::Timeout(Step::Mqtt) => Ended::new(
            Cause::NoAnswer,
            format!("{peer} takes the connection and does not answer CONNECT"),
        ),
        Failure::ServerName(name) => {
            Ended::new(Cause::Settings, format!("{name} can't be the name in a certificate"))
        }
        Failure::Refused(reason) => {
            Ended::new(Cause::Refused, with_text(connect_words(reason.code), reason))
        }
        Failure::Dismissed(reason) => {
            let words = format!("{peer} ended the connection: {}", words(reason.code));
            Ended::new(Cause::Closed, with_text(&words, reason))
        }
        Failure::Closed => closed(peer),
        Failure::Silent => Ended::new(Cause::NoAnswer, format!("{peer} does not answer pings")),
        Failure::Protocol(what) => {
            Ended::new(Cause::Protocol, format!("{peer} broke the MQTT protocol: {what}"))
        }
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

fn io_error(error: &io::Error, peer: &str, now: Wall) -> Ended {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(error) = tls {
        return Ended::new(Cause::Tls, tls_error(error, peer, now));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Ended::new(
            Cause::Unreachable,
            format!("nothing listens on {peer}, or a firewall rejects the connection"),
        ),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => closed(peer),
        _ => Ended::new(Cause::Unreachable, format!("{peer} can't be reached: {error}")),
    }
}

fn tls_error(error: &rustls::Error, peer: &str, now: Wall) -> String {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return format!("TLS to {peer} failed: {error}");
    };
    match certificate {
        // A gateway without a clock battery boots in 1970: its own clock is the first suspect.
        CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
        | CertificateError::Expired
        | CertificateError::ExpiredContext { .. } => {
            let seconds = now.0.div_euclid(1000);
            let (year, month, day) = civil(seconds.div_euclid(86_400));
            let late = matches!(
                certificate,
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            );
            let what = if late { "has expired" } else { "is not yet valid" };
            format!(
                "the certificate of {peer} {what}; the gateway's clock reads {year}-{month:02}-{day:02}"
            )
        }
        CertificateError::UnknownIssuer => {
            format!("the certificate of {peer} is signed by an authority that is not trusted here")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate of {peer} is for another name")
        }
        _ => format!("the certificate of {peer} is not valid: {error}"),
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
        assert_eq!(ended.cause, Cause::Tls);
        assert_eq!(
            ended.reason,
            "the certificate of cloud:8883 is not yet valid; the gateway's clock reads 1970-03-01"
        );
        assert_eq!(civil(20_783), (2026, 11, 26));
        assert_eq!(civil(11_016), (2000, 2, 29));
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
            (Failure::Refused(reason(5)), Cause::Refused),
            (Failure::Refused(reason(0x86)), Cause::Refused),
            (Failure::Dismissed(reason(0x8E)), Cause::Closed),
            (Failure::Closed, Cause::Closed),
            (Failure::Silent, Cause::NoAnswer),
            (Failure::protocol("x"), Cause::Protocol),
            (Failure::Resolve(io::Error::other("x")), Cause::NameNotFound),
        ];
        for (error, cause) in cases {
            assert_eq!(explain(&error, "h:1", Wall(0)).cause, cause, "{error:?}");
        }
    }
}
