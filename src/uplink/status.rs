//! What an uplink says about itself.
//!
//! Health is progress of acknowledgements, not an open socket: so the status tells how old the
//! last one is and what is out. The engine writes here, everyone reads; nobody waits for anybody
//! longer than a copy takes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::cause::{Cause, Ended};
use super::lanes::LanePosition;
use super::rate::Rate;
use super::settling::DeadReason;
use crate::model::{Mono, Turned, Wall};

/// The connection, as a person would say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Connection {
    Connecting,
    Online {
        since: i64,
    },
    Offline {
        cause: Option<Cause>,
        /// In plain words.
        reason: String,
        /// What to do next.
        advice: &'static str,
        /// Wall time in milliseconds at which this uplink went away, or was started.
        since: i64,
        /// Milliseconds until the next attempt.
        next_try_ms: u64,
    },
    Stopped,
}

/// A snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct UplinkStatus {
    pub name: String,
    /// `host:port` of the broker that is connected or tried.
    pub peer: String,
    /// Until when certificates of this side are valid.
    pub certificates: Vec<Certificate>,
    #[serde(flatten)]
    pub connection: Connection,
    pub connects: u64,
    /// Ends of connections and failed attempts, by cause.
    pub ends: BTreeMap<Cause, u64>,
    pub last_end: Option<String>,
    pub acked_rows: u64,
    pub acked_messages: u64,
    /// Notices that the broker acknowledged.
    pub notices: u64,
    /// Those that it will never take.
    pub notices_refused: u64,
    /// Topics whose messages the broker does not take now, so that they wait, and the first of them.
    pub refused_topics: usize,
    pub refused: Vec<RefusedTopic>,
    pub last_ack_age_ms: Option<u64>,
    pub in_flight_messages: usize,
    pub in_flight_bytes: usize,
    /// Rows that were out when a connection ended: the broker may have them, and they are sent
    /// again with the same key.
    pub duplicates_possible: u64,
    pub excluded_rows: u64,
    /// Rows that can never be sent, by reason.
    pub dead_rows: BTreeMap<&'static str, u64>,
    /// Rows in the store that are not settled for this uplink.
    pub waiting: u64,
    pub acked_rows_per_s: f64,
    pub appended_rows_per_s: f64,
    /// Seconds until nothing waits, at the present rates; `None` if it would never be.
    pub eta_s: Option<u64>,
    pub lanes: Vec<LanePosition>,
    pub commands: Commands,
    pub local: Local,
    /// Why the store could not be read, while that is so.
    pub store_problem: Option<String>,
    /// Why nothing can be told of the configuration, while that is so.
    pub remote_problem: Option<String>,
}

/// What came from the broker, and the answers to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Commands {
    pub received: u64,
    /// Received on a topic that is no command's.
    pub ignored: u64,
    /// Not taken because too many were waiting.
    pub refused: u64,
    pub replies: u64,
    /// Replies that found their queue full, are too large, or were out at two ends of connections.
    pub replies_dropped: u64,
    /// `receive` filters that the broker granted on this connection.
    pub filters_granted: u64,
    /// Those it did not grant, on all connections.
    pub filters_refused: u64,
}

/// Messages for the clients of this network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Local {
    pub published: u64,
    /// Not published here, by reason.
    pub turned: BTreeMap<&'static str, u64>,
}

impl Local {
    pub fn turn(&mut self, turned: Turned) {
        *self.turned.entry(turned.code()).or_default() += 1;
    }
}

/// A topic whose messages the broker does not take now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedTopic {
    pub topic: String,
    /// In plain words.
    pub reason: String,
}

/// A certificate of this side: `client`, or the `ca` that brokers are checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    pub what: &'static str,
    /// Wall time in milliseconds.
    pub ends_ms: i64,
}

/// What the engine keeps up to date.
pub struct Progress {
    pub connection: Connection,
    /// The number of the broker that is connected or tried.
    pub broker: usize,
    pub certificates: Vec<Certificate>,
    /// When the next attempt is due, while offline.
    pub next_try: Option<Mono>,
    /// When it went away, kept through the attempts until it is online again.
    pub away_since: Option<Wall>,
    pub connects: u64,
    pub ends: BTreeMap<Cause, u64>,
    pub last_end: Option<String>,
    pub acked_rows: u64,
    pub acked_messages: u64,
    pub notices: u64,
    pub notices_refused: u64,
    /// How many, and the first of them.
    pub refused: (usize, Vec<RefusedTopic>),
    pub last_ack: Option<Mono>,
    pub in_flight: (usize, usize),
    pub duplicates_possible: u64,
    pub excluded_rows: u64,
    pub dead_rows: BTreeMap<&'static str, u64>,
    pub acked: Rate,
    pub appended: Rate,
    pub lanes: Vec<LanePosition>,
    pub commands: Commands,
    pub local: Local,
    pub store_problem: Option<String>,
    pub remote_problem: Option<String>,
}

/// The board between the engine and those who look.
pub struct Board {
    progress: Mutex<Progress>,
}

impl Board {
    pub fn new(now: Wall) -> Self {
        let connection = Connection::Offline {
            cause: None,
            reason: "not started yet".to_owned(),
            advice: "",
            since: now.0,
            next_try_ms: 0,
        };
        let progress = Progress {
            connection,
            broker: 0,
            certificates: Vec::new(),
            next_try: None,
            away_since: None,
            connects: 0,
            ends: BTreeMap::new(),
            last_end: None,
            acked_rows: 0,
            acked_messages: 0,
            notices: 0,
            notices_refused: 0,
            refused: (0, Vec::new()),
            last_ack: None,
            in_flight: (0, 0),
            duplicates_possible: 0,
            excluded_rows: 0,
            dead_rows: BTreeMap::new(),
            acked: Rate::default(),
            appended: Rate::default(),
            lanes: Vec::new(),
            commands: Commands::default(),
            local: Local::default(),
            store_problem: None,
            remote_problem: None,
        };
        Self { progress: Mutex::new(progress) }
    }

    pub fn update<R>(&self, change: impl FnOnce(&mut Progress) -> R) -> R {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `waiting` comes from the store.
    pub fn snapshot(&self, name: &str, peer: &str, waiting: u64, now: Mono) -> UplinkStatus {
        self.update(|progress| {
            let mut connection = progress.connection.clone();
            if let (Connection::Offline { next_try_ms, .. }, Some(next)) =
                (&mut connection, progress.next_try)
            {
                *next_try_ms = millis(next, now);
            }
            let acked_rows_per_s = progress.acked.per_second(now);
            let appended_rows_per_s = progress.appended.per_second(now);
            UplinkStatus {
                name: name.to_owned(),
                peer: peer.to_owned(),
                certificates: progress.certificates.clone(),
                connection,
                connects: progress.connects,
                ends: progress.ends.clone(),
                last_end: progress.last_end.clone(),
                acked_rows: progress.acked_rows,
                acked_messages: progress.acked_messages,
                notices: progress.notices,
                notices_refused: progress.notices_refused,
                refused_topics: progress.refused.0,
                refused: progress.refused.1.clone(),
                last_ack_age_ms: progress.last_ack.map(|at| millis(now, at)),
                in_flight_messages: progress.in_flight.0,
                in_flight_bytes: progress.in_flight.1,
                duplicates_possible: progress.duplicates_possible,
                excluded_rows: progress.excluded_rows,
                dead_rows: progress.dead_rows.clone(),
                waiting,
                acked_rows_per_s,
                appended_rows_per_s,
                eta_s: eta(waiting, acked_rows_per_s - appended_rows_per_s),
                lanes: progress.lanes.clone(),
                commands: progress.commands.clone(),
                local: progress.local.clone(),
                store_problem: progress.store_problem.clone(),
                remote_problem: progress.remote_problem.clone(),
            }
        })
    }
}

impl Progress {
    /// Counts the end of a connection. The time of going away stays that of the first failure.
    pub fn ended(&mut self, ended: &Ended, at: Wall, next_try: Mono) {
        let since = self.away_since.get_or_insert(at).0;
        *self.ends.entry(ended.cause).or_default() += 1;
        self.last_end = Some(ended.reason.clone());
        self.in_flight = (0, 0);
        self.next_try = Some(next_try);
        self.connection = Connection::Offline {
            cause: Some(ended.cause),
            reason: ended.reason.clone(),
            advice: ended.advice,
            since,
            next_try_ms: 0,
        };
    }

    /// Connected, and yet not there for anyone.
    pub fn waiting(&mut self, reason: &str, at: Wall) {
        let since = self.away_since.get_or_insert(at).0;
        self.next_try = None;
        self.connection = Connection::Offline {
            cause: Some(Cause::HostAway),
            reason: reason.to_owned(),
            advice: Cause::HostAway.advice(),
            since,
            next_try_ms: 0,
        };
    }

    pub fn online(&mut self, at: Wall) {
        self.connection = Connection::Online { since: at.0 };
        self.commands.filters_granted = 0;
        self.connects += 1;
        self.away_since = None;
        self.next_try = None;
    }

    /// Counts rows that were given up. Says the new total when that is worth a line in the log:
    /// the first time and whenever it has doubled.
    pub fn dead(&mut self, reason: DeadReason, rows: u64) -> Option<u64> {
        let total = self.dead_rows.entry(reason.code()).or_default();
        let before = total.checked_ilog2();
        *total += rows;
        (total.checked_ilog2() != before).then_some(*total)
    }
}

fn millis(later: Mono, earlier: Mono) -> u64 {
    u64::try_from((later - earlier).as_millis()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an estimate for display; float casts saturate"
)]
fn eta(waiting: u64, rows_per_s: f64) -> Option<u64> {
    if waiting == 0 {
        Some(0)
    } else if rows_per_s > 0.0 {
        Some((waiting as f64 / rows_per_s).ceil() as u64)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_going_away_is_that_of_the_first_failure() {
        let board = Board::new(Wall(5));
        board.update(|progress| {
            progress.online(Wall(6));
            progress.ended(&Ended::new(Cause::Closed, "gone"), Wall(1000), Mono(50));
            progress.connection = Connection::Connecting;
            progress.ended(&Ended::new(Cause::Unreachable, "no one"), Wall(2000), Mono(80));
        });
        let status = board.snapshot("cloud", "h:1", 30, Mono(70));
        assert_eq!(
            status.connection,
            Connection::Offline {
                cause: Some(Cause::Unreachable),
                reason: "no one".to_owned(),
                advice: "check host and port in url, the cable, and the firewalls on the way",
                since: 1000,
                next_try_ms: 10,
            }
        );
        assert_eq!((status.ends.len(), status.eta_s), (2, None));
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["state"], "offline");
        assert_eq!(json["ends"]["closed"], 1);
    }

    #[test]
    fn the_estimate_counts_what_still_comes_in() {
        assert_eq!(eta(0, -5.0), Some(0));
        assert_eq!(eta(100, 30.0), Some(4));
        assert_eq!(eta(100, -0.5), None);
    }
}
