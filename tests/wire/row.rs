//! The rows of a table, as text and as steps.
//!
//! A row starts with `case`, the numbers of the statements it shows and its name, which is unique
//! in its file. Then, a line each, where `A` is any connection's name:
//!
//! ```text
//! A > packet            sends these bytes (see the notation)
//! A < packet            expects exactly these bytes next; `..` is any byte
//! A closed              nothing more comes, and the broker has closed
//! A open                answers a PINGREQ, and nothing else came before
//! A lost                the client's socket is gone, and the broker knows
//! A connect3 id         connects with a clean session and expects to be accepted
//! A resume3 id          the same without one
//! A connect5 id props   the same for 5.0, with properties of the CONNECT
//! A resume5 id props
//! wait 5s               time passes, at least 2 s
//! limit inflight 2      sets a bound of the broker
//! gateway topic payload [retain]    a message from within the gateway
//! ```
//!
//! A connection that was not open is opened by the first bytes. At the end nothing may be left
//! unread, and every connection that is not `closed` must still be open.

use std::collections::HashSet;
use std::time::Duration;

use super::notation::{Pattern, bytes, pattern};

/// MQTT 3.1.1, and 3.1. The numbers are those of the OASIS standard of 2014.
pub const V3: &str = include_str!("v3.txt");
/// MQTT 5.0. The numbers are those of the OASIS standard of 2019.
pub const V5: &str = include_str!("v5.txt");

/// The `wait`s are told from each other by a client whose keep-alive of 1 s runs out.
pub const WAIT_MIN: Duration = Duration::from_secs(2);

pub struct Row {
    /// Everything after `case`.
    pub head: String,
    /// Numbers of the statements that the row shows.
    pub rules: Vec<String>,
    pub name: String,
    pub steps: Vec<(String, Step)>,
}

pub enum Step {
    Send(String, Vec<u8>),
    Expect(String, Pattern),
    Closed(String),
    Open(String),
    Lost(String),
    Connect(String, Vec<u8>),
    Wait(Duration),
    Limit(String, usize),
    Gateway { topic: String, payload: String, retain: bool },
}

pub fn read(text: &str) -> Vec<Row> {
    let rows: Vec<Row> = format!("\n{text}").split("\ncase ").skip(1).map(row).collect();
    let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "two rows of one table have the same name");
    rows
}

fn row(text: &str) -> Row {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let head = lines.next().expect("a row has a head").to_owned();
    let is_rule = |word: &&str| word.starts_with("MQTT-");
    let rules = head.split(' ').take_while(is_rule).map(str::to_owned).collect();
    let name = head.split(' ').skip_while(is_rule).collect::<Vec<_>>().join(" ");
    assert!(!name.is_empty(), "a row without a name: {head}");
    let steps = lines.map(|line| (line.to_owned(), step(line))).collect();
    Row { head, rules, name, steps }
}

fn step(line: &str) -> Step {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = rest.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    match first {
        "wait" => {
            let time = Duration::from_secs(rest.trim_end_matches('s').parse().expect(line));
            assert!(time >= WAIT_MIN, "{line}: at least {WAIT_MIN:?}");
            return Step::Wait(time);
        }
        "limit" => return Step::Limit(word(), word().parse().expect(line)),
        "gateway" => {
            let (topic, payload) = (word(), word());
            return Step::Gateway { topic, payload, retain: word() == "retain" };
        }
        _ => {}
    }
    let who = first.to_owned();
    let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (id, properties) = rest.split_once(' ').unwrap_or((rest, ""));
    let connect =
        |start: &str| Step::Connect(who.clone(), bytes(&format!("10[ \"MQTT\" {start} ]")));
    match verb {
        ">" => Step::Send(who, bytes(rest)),
        "<" => Step::Expect(who, pattern(rest)),
        "closed" => Step::Closed(who),
        "open" => Step::Open(who),
        "lost" => Step::Lost(who),
        "connect3" => connect(&format!("04 02 0000 \"{id}\"")),
        "resume3" => connect(&format!("04 00 0000 \"{id}\"")),
        "connect5" => connect(&format!("05 02 0000 [{properties}] \"{id}\"")),
        "resume5" => connect(&format!("05 00 0000 [{properties}] \"{id}\"")),
        other => panic!("no verb {other:?}: {line}"),
    }
}
