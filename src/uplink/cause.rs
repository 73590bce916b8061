//! Why a connection is not there: a kind to count and a sentence for a person.
//!
//! The sentences name the peer and what to look at; they never hold credentials.

use std::io;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError, TlsError};
use rustls::CertificateError;
use serde::Serialize;

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
    /// The other side does not speak MQTT 3.1.1 as it is written.
    Protocol,
    /// The store has no place for this uplink.
    Store,
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

/// Puts the client's error into words. `peer` is `host:port`, `now` what the gateway's clock says.
pub fn explain(error: &ConnectionError, peer: &str, now: Wall) -> Ended {
    match error {
        ConnectionError::Io(error) | ConnectionError::Tls(TlsError::Io(error)) => {
            io_error(error, peer, now)
        }
        ConnectionError::Tls(error) => Ended::new(Cause::Tls, format!("TLS to {peer}: {error}")),
        ConnectionError::MqttState(state) => state_error(state, peer, now),
        ConnectionError::NetworkTimeout => {
            Ended::new(Cause::Unreachable, format!("{peer} does not answer"))
        }
        ConnectionError::FlushTimeout => {
            Ended::new(Cause::NoAnswer, format!("{peer} takes no more data"))
        }
        ConnectionError::ConnectionRefused(code) => Ended::new(Cause::Refused, refusal(*code)),
        ConnectionError::NotConnAck(_) => {
            Ended::new(Cause::Protocol, format!("{peer} did not answer CONNECT with CONNACK"))
        }
        ConnectionError::RequestsDone => Ended::new(Cause::Closed, "the client was closed"),
    }
}

fn refusal(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword => "the broker refused the username or password",
        ConnectReturnCode::NotAuthorized => "the broker says that this client is not authorized",
        ConnectReturnCode::BadClientId => "the broker refused the client id",
        ConnectReturnCode::ServiceUnavailable => "the broker says that it is not available now",
        ConnectReturnCode::RefusedProtocolVersion => "the broker does not take MQTT 3.1.1",
        ConnectReturnCode::Success => "the broker accepted and yet refused",
    }
    .to_owned()
}

fn state_error(error: &StateError, peer: &str, now: Wall) -> Ended {
    match error {
        StateError::Io(error)
        | StateError::Deserialization(rumqttc::mqttbytes::Error::Io(error)) => {
            io_error(error, peer, now)
        }
        StateError::ConnectionAborted => closed(peer),
        StateError::AwaitPingResp => {
            Ended::new(Cause::NoAnswer, format!("{peer} does not answer pings"))
        }
        StateError::Unsolicited(_)
        | StateError::WrongPacket
        | StateError::InvalidState
        | StateError::CollisionTimeout
        | StateError::EmptySubscription
        | StateError::Deserialization(_) => {
            Ended::new(Cause::Protocol, format!("{peer} broke the MQTT protocol: {error}"))
        }
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
        _ if error.to_string().contains("lookup address") => {
            Ended::new(Cause::NameNotFound, format!("the name of {peer} has no address: {error}"))
        }
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
        let error = ConnectionError::Io(io::Error::new(io::ErrorKind::InvalidData, error));
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
        let io = |kind| ConnectionError::Io(io::Error::from(kind));
        let cases = [
            (io(io::ErrorKind::ConnectionRefused), Cause::Unreachable),
            (ConnectionError::NetworkTimeout, Cause::Unreachable),
            (ConnectionError::FlushTimeout, Cause::NoAnswer),
            (ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized), Cause::Refused),
            (ConnectionError::MqttState(StateError::ConnectionAborted), Cause::Closed),
            (ConnectionError::MqttState(StateError::AwaitPingResp), Cause::NoAnswer),
            (ConnectionError::MqttState(StateError::Unsolicited(7)), Cause::Protocol),
            (
                ConnectionError::Io(io::Error::other("failed to lookup address information: x")),
                Cause::NameNotFound,
            ),
        ];
        for (error, cause) in cases {
            assert_eq!(explain(&error, "h:1", Wall(0)).cause, cause, "{error}");
        }
    }
}
