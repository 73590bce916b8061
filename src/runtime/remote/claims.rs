//! What a signed message says, and whether it is for us, now, and new. Pure.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::model::Wall;
use crate::runtime::setup::{sha256, show};

/// How long a change may take to prove itself, as in the configuration.
const WITHIN_S: (u64, u64) = (5, 3_600);
const SALT_BYTES_MAX: usize = 64;
/// Of an audience: a group of gateways.
const GROUP: &str = "group:";

/// A new configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Grows with every message to a gateway.
    pub serial: u64,
    pub aud: Vec<String>,
    /// Seconds since 1970 from which on it does not count any more.
    pub exp: Option<u64>,
    #[serde(default)]
    pub confirm: By,
    /// Seconds for its confirmation.
    pub within: Option<u64>,
    pub stage: Option<Stage>,
    pub config: String,
}

/// A configuration that is pending may stand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The serial of the message that brought it.
    pub confirms: u64,
    pub aud: Vec<String>,
    pub exp: Option<u64>,
}

/// Who lets a change stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The gateway, when it is connected with the change and can be configured again.
    #[default]
    Reachable,
    /// Whoever sends a message that confirms it.
    Operator,
}

/// Which gateways of an audience take it already.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub percent: u8,
    pub salt: String,
}

/// What is known of the messages before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub serial: u64,
    /// Of its configuration.
    pub sha256: String,
    /// Its stage did not reach us, so it may come again.
    pub held: bool,
}

/// Who and when we are.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// `site/gateway`, or the name alone.
    pub id: &'a str,
    pub groups: &'a [&'a str],
    pub wall: Wall,
    /// What of the wall clock is confirmed by a time source.
    pub synced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Take,
    Held(String),
    /// Said before; what became of it is known.
    Repeat,
    Refused(String),
}

/// Reads claims strictly: every name known, each once.
pub fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|error| format!("its claims can't be read: {error}"))
}

impl Set {
    /// What is wrong with the message itself, whoever reads it.
    pub fn flaw(&self) -> Option<String> {
        let (least, most) = WITHIN_S;
        if self.within.is_some_and(|within| !(least..=most).contains(&within)) {
            return Some(format!("its time to be confirmed is not within {least} to {most} s"));
        }
        let stage = self.stage.as_ref()?;
        if stage.percent > 100 {
            return Some("its stage has more than 100 percent".to_owned());
        }
        (stage.salt.len() > SALT_BYTES_MAX)
            .then(|| format!("the salt of its stage has more than {SALT_BYTES_MAX} bytes"))
    }

    pub fn within(&self, otherwise: Duration) -> Duration {
        self.within.map_or(otherwise, Duration::from_secs)
    }

    /// Whether to take it. A repetition is known before anything else can be wrong with it.
    pub fn judge(&self, here: Here<'_>, seen: Option<&Seen>) -> Verdict {
        if let Some(reason) = self.flaw().or_else(|| not_for(&self.aud, here)) {
            return Verdict::Refused(reason);
        }
        if let Some(seen) = seen {
            if self.serial < seen.serial {
                let reason =
                    format!("its serial {} is not newer than {}", self.serial, seen.serial);
                return Verdict::Refused(reason);
            }
            if self.serial == seen.serial && !seen.held {
                if sha256(&self.config) == seen.sha256 {
                    return Verdict::Repeat;
                }
                let reason = format!("another configuration came with its serial {}", self.serial);
                return Verdict::Refused(reason);
            }
        }
        if let Some(reason) = expired(self.exp, here) {
            return Verdict::Refused(reason);
        }
        let Some(stage) = &self.stage else { return Verdict::Take };
        let place = stage.place(here.id);
        if place < stage.percent {
            return Verdict::Take;
        }
        Verdict::Held(format!(
            "it is for {} % of the gateways, and this one comes at {place} %",
            stage.percent
        ))
    }
}

impl Confirm {
    pub fn flaw(&self, here: Here<'_>) -> Option<String> {
        not_for(&self.aud, here).or_else(|| expired(self.exp, here))
    }
}

impl Stage {
    /// Where a gateway stands among a hundred: the first eight bytes of SHA-256(salt, then its id),
    /// the highest first, modulo 100. So a stage that is widened keeps those it had.
    pub fn place(&self, id: &str) -> u8 {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        hash.update(self.salt.as_bytes());
        hash.update(id.as_bytes());
        let first =
            hash.finish().as_ref().iter().take(8).fold(0_u64, |n, b| n << 8 | u64::from(*b));
        u8::try_from(first % 100).unwrap_or(u8::MAX)
    }
}

fn not_for(aud: &[String], here: Here<'_>) -> Option<String> {
    let ours = |name: &String| match name.strip_prefix(GROUP) {
        Some(group) => here.groups.contains(&group),
        None => name == here.id,
    };
    let groups: Vec<String> = here.groups.iter().map(|group| format!(", {GROUP}{group}")).collect();
    (!aud.iter().any(ours))
        .then(|| format!("it is not for this gateway, which is {}{}", here.id, groups.concat()))
}

fn expired(exp: Option<u64>, here: Here<'_>) -> Option<String> {
    let exp = exp?;
    let now = show(here.wall);
    if !here.wall.is_plausible() {
        return Some(format!(
            "whether it has expired can't be told: the gateway's clock is not set, it reads {now}"
        ));
    }
    let now_s = u64::try_from(here.wall.0 / 1000).unwrap_or_default();
    let doubt = if here.synced { "" } else { ", which no time source has confirmed" };
    (now_s >= exp).then(|| {
        let end = show(Wall(i64::try_from(exp.saturating_mul(1000)).unwrap_or(i64::MAX)));
        format!("it has expired at {end}; the gateway's clock reads {now}{doubt}")
    })
}

#[cfg(test)]
mod tests;
