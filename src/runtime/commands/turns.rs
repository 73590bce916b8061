//! When a tag may be commanded next, and when its safe value is due. Pure: time comes in.
//!
//! The safe value, if the tag has one: a command that may have reached the device starts the time;
//! every further accepted command starts it over; when it is up, the value is written. That write
//! starts nothing, so there is never a second one without a command before it. Only while the device
//! does not answer, or is busy, it is tried again, ever less often, because a machine left running
//! is worse than a value that is written twice.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::WriteRule;
use crate::model::{Mono, Name, Outcome, Refusal};

/// Between two tries to write a safe value that the device did not answer.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// "Busy, ask again later" (Modbus Application Protocol V1.1b3, 7).
const DEVICE_BUSY: u8 = 6;
/// Longer than a bus takes for a command. One that broke down under it does not answer it.
const UNDER_WAY_MAX: Duration = Duration::from_secs(300);

/// A device's tag.
pub type Key = (Name, Name);

/// The turns of all tags that have a rate or a safe value.
#[derive(Default)]
pub struct Turns {
    turns: HashMap<Key, Turn>,
}

struct Turn {
    rule: WriteRule,
    /// The last accepted command, and the one before it.
    last: Option<Mono>,
    before: Option<Mono>,
    safe: Safe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Safe {
    /// Nothing was commanded yet, or the tag has no safe value.
    Idle,
    /// Due at this moment, unless another command comes.
    Due(Mono),
    /// On its way to the device, after so many tries that it did not answer; given up at `until`.
    UnderWay { tries: u32, until: Mono },
    /// The device did not answer; again at this moment.
    Again { at: Mono, tries: u32 },
    /// The tag has its safe value since.
    Written(Mono),
}

/// A safe value as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafeStatus {
    /// `device.tag`.
    pub tag: String,
    /// `armed`, `writing`, `trying` or `written`.
    pub state: &'static str,
    /// When it is due or tried again, in milliseconds from now; how long ago it was written.
    pub in_ms: Option<u64>,
    pub ago_ms: Option<u64>,
}

impl Turns {
    /// Takes the rules of a new plan. What is known of a tag whose rule stays is kept.
    pub fn set_rules<'a>(&mut self, rules: impl Iterator<Item = (Key, &'a WriteRule)>, now: Mono) {
        let mut old = std::mem::take(&mut self.turns);
        for (key, rule) in rules {
            if rule.at_most_every.is_zero() && rule.safe.is_none() {
                continue;
            }
            let kept = old.remove(&key).filter(|turn| turn.rule == *rule);
            let turn = kept.unwrap_or_else(|| {
                let from_start = rule.safe.as_ref().filter(|safe| safe.from_start);
                let safe = from_start.map_or(Safe::Idle, |safe| Safe::Due(now + safe.after));
                Turn { rule: rule.clone(), last: None, before: None, safe }
            });
            self.turns.insert(key, turn);
        }
    }

    /// Whether a command may come now.
    pub fn may(&self, key: &Key, now: Mono) -> Result<(), Refusal> {
        let Some(turn) = self.turns.get(key) else { return Ok(()) };
        match turn.last.map(|last| last + turn.rule.at_most_every) {
            Some(next) if next > now => Err(Refusal::TooSoon { next: next - now }),
            _ => Ok(()),
        }
    }

    /// A command passed every check and goes to its bus.
    pub fn accepted(&mut self, key: &Key, now: Mono) {
        let Some(turn) = self.turns.get_mut(key) else { return };
        turn.before = turn.last.replace(now);
        if matches!(turn.safe, Safe::Due(_) | Safe::Again { .. }) {
            turn.start_over(now);
        }
    }

    /// What became of a command that was accepted at `accepted`.
    pub fn ended(&mut self, key: &Key, accepted: Mono, outcome: &Outcome, now: Mono) {
        let Some(turn) = self.turns.get_mut(key) else { return };
        if outcome.may_have_written() {
            turn.start_over(now);
        } else if turn.last == Some(accepted) && !outcome.reached_device() {
            // Nothing came of it: the next one need not wait.
            turn.last = turn.before;
        }
    }

    /// When the next safe value is due.
    pub fn next_due(&self) -> Option<Mono> {
        self.turns.values().filter_map(|turn| turn.safe.due()).min()
    }

    /// The tags whose safe value is due, and how often it was tried; each is under way from now on.
    pub fn take_due(&mut self, now: Mono) -> Vec<(Key, u32)> {
        let mut due = Vec::new();
        for (key, turn) in &mut self.turns {
            if turn.safe.due().is_some_and(|at| at <= now) {
                let tries = match turn.safe {
                    Safe::Again { tries, .. } => tries,
                    Safe::UnderWay { tries, .. } => tries.saturating_add(1),
                    Safe::Idle | Safe::Due(_) | Safe::Written(_) => 0,
                };
                turn.safe = Safe::UnderWay { tries, until: now + UNDER_WAY_MAX };
                due.push((key.clone(), tries));
            }
        }
        due.sort();
        due
    }

    /// What became of a safe value. Says whether it will be tried again.
    pub fn safe_ended(&mut self, key: &Key, outcome: &Outcome, now: Mono) -> bool {
        let Some(turn) = self.turns.get_mut(key) else { return false };
        // A command came in between: its own time runs.
        let Safe::UnderWay { tries, .. } = turn.safe else { return false };
        let Outcome::Refused(refusal) = outcome else {
            turn.safe = Safe::Written(now);
            return false;
        };
        let again = match refusal {
            // The rest is what the device, or the plan, will not have.
            Refusal::Exception(code) => *code == DEVICE_BUSY,
            Refusal::NoAnswer
            | Refusal::NotReadBack
            | Refusal::LinkDown
            | Refusal::LinkBroke
            | Refusal::Busy
            | Refusal::Expired
            | Refusal::Stopping => true,
            _ => false,
        };
        if again {
            let wait = RETRY_FIRST.saturating_mul(1 << tries.min(16)).min(RETRY_MAX);
            turn.safe = Safe::Again { at: now + wait, tries: tries.saturating_add(1) };
        } else {
            turn.safe = Safe::Idle;
        }
        again
    }

    /// Every tag whose safe value is more than a possibility, by name.
    pub fn status(&self, now: Mono) -> Vec<SafeStatus> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let show = |(key, turn): (&Key, &Turn)| {
            let (state, at) = match turn.safe {
                Safe::Idle => return None,
                Safe::Due(at) => ("armed", Some(at)),
                Safe::UnderWay { .. } => ("writing", None),
                Safe::Again { at, .. } => ("trying", Some(at)),
                Safe::Written(_) => ("written", None),
            };
            let ago = if let Safe::Written(at) = turn.safe { Some(now - at) } else { None };
            Some(SafeStatus {
                tag: format!("{}.{}", key.0, key.1),
                state,
                in_ms: at.map(|at| millis(at - now)),
                ago_ms: ago.map(millis),
            })
        };
        let mut shown: Vec<_> = self.turns.iter().filter_map(show).collect();
        shown.sort_by(|a, b| a.tag.cmp(&b.tag));
        shown
    }
}

impl Turn {
    fn start_over(&mut self, now: Mono) {
        if let Some(safe) = &self.rule.safe {
            self.safe = Safe::Due(now + safe.after);
        }
    }
}

impl Safe {
    fn due(self) -> Option<Mono> {
        match self {
            Self::Due(at) | Self::Again { at, .. } | Self::UnderWay { until: at, .. } => Some(at),
            Self::Idle | Self::Written(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SafeValue;
    use crate::model::Value;

    const S: Duration = Duration::from_secs(1);
    const DONE: Outcome = Outcome::Done { read_back: Value::U64(1) };
    const NO_ANSWER: Outcome = Outcome::Refused(Refusal::NoAnswer);

    fn key() -> Key {
        (Name::new("press").unwrap(), Name::new("run").unwrap())
    }

    fn rule(from_start: bool) -> WriteRule {
        let safe = SafeValue { value: Value::U64(0), after: 30 * S, from_start };
        WriteRule { at_most_every: 2 * S, safe: Some(safe), ..WriteRule::within(0.0, 1.0) }
    }

    fn turns(rule: &WriteRule) -> Turns {
        let mut turns = Turns::default();
        turns.set_rules([(key(), rule)].into_iter(), Mono(0));
        turns
    }

    fn at(seconds: u64) -> Mono {
        Mono(0) + Duration::from_secs(seconds)
    }

    #[test]
    fn a_command_too_soon_is_told_when_the_next_may_come() {
        let mut turns = turns(&rule(false));
        assert_eq!(turns.may(&key(), at(10)), Ok(()));
        turns.accepted(&key(), at(10));
        assert_eq!(turns.may(&key(), at(11)), Err(Refusal::TooSoon { next: S }));
        assert_eq!(turns.may(&key(), at(12)), Ok(()));
        turns.accepted(&key(), at(12));
        turns.ended(&key(), at(12), &Outcome::Refused(Refusal::Busy), at(12));
        assert_eq!(turns.may(&key(), at(12)), Ok(()), "nothing came of it");
        turns.accepted(&key(), at(12));
        turns.ended(&key(), at(12), &Outcome::Refused(Refusal::Exception(4)), at(12));
        assert!(turns.may(&key(), at(13)).is_err(), "the device was asked");
    }

    #[test]
    fn the_safe_value_comes_once_after_the_last_command() {
        let mut turns = turns(&rule(false));
        assert_eq!(turns.next_due(), None, "nothing was commanded yet");
        turns.accepted(&key(), at(1));
        assert_eq!(turns.next_due(), None, "nor carried out");
        turns.ended(&key(), at(1), &DONE, at(2));
        assert_eq!(turns.next_due(), Some(at(32)));
        turns.accepted(&key(), at(20));
        assert_eq!(turns.next_due(), Some(at(50)), "the master is there");
        assert!(turns.take_due(at(49)).is_empty());
        assert_eq!(turns.take_due(at(50)), [(key(), 0)]);
        assert!(turns.take_due(at(51)).is_empty(), "it is under way");
        assert!(!turns.safe_ended(&key(), &DONE, at(51)));
        assert_eq!(turns.next_due(), None, "its own write starts nothing");
        let shown = turns.status(at(61));
        assert_eq!((shown[0].state, shown[0].ago_ms), ("written", Some(10_000)));
        turns.accepted(&key(), at(70));
        assert_eq!(turns.next_due(), None);
        turns.ended(&key(), at(70), &NO_ANSWER, at(71));
        assert_eq!(turns.next_due(), Some(at(101)), "nobody knows whether it was carried out");
    }

    #[test]
    fn a_silent_device_is_tried_again_ever_less_often_until_a_command_comes() {
        let mut turns = turns(&rule(true));
        assert_eq!(turns.next_due(), Some(at(30)), "from the start");
        let mut now = at(30);
        let mut waits = Vec::new();
        for tries in 0..8 {
            assert_eq!(turns.take_due(now), [(key(), tries)]);
            assert!(turns.safe_ended(&key(), &NO_ANSWER, now));
            let next = turns.next_due().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        turns.accepted(&key(), now);
        assert_eq!(turns.next_due(), Some(now + 30 * S));
        assert_eq!(turns.take_due(now + 30 * S), [(key(), 0)]);
        let refused = Outcome::Refused(Refusal::Exception(3));
        assert!(!turns.safe_ended(&key(), &refused, now + 30 * S), "it answered");
        assert_eq!(turns.next_due(), None);
    }

    #[test]
    fn only_what_the_device_itself_refused_is_not_tried_again() {
        let tried_again = |refusal: Refusal| {
            let mut turns = turns(&rule(true));
            turns.take_due(at(30));
            let again = turns.safe_ended(&key(), &Outcome::Refused(refusal), at(30));
            assert_eq!(turns.next_due().is_some(), again);
            again
        };
        let [device_busy, refused] = [6, 3].map(Refusal::Exception);
        for refusal in [
            Refusal::LinkBroke,
            Refusal::NotReadBack,
            Refusal::Stopping, // of the bus, which is made anew
            device_busy,
        ] {
            assert!(tried_again(refusal.clone()), "{refusal:?}");
        }
        for refusal in [refused, Refusal::ReadBack(Value::U64(1)), Refusal::UnknownTag] {
            assert!(!tried_again(refusal.clone()), "{refusal:?}");
        }
    }

    #[test]
    fn a_bus_that_never_says_what_became_of_it_is_no_end_of_it() {
        let mut turns = turns(&rule(true));
        turns.take_due(at(30));
        assert_eq!(turns.next_due(), Some(at(30) + UNDER_WAY_MAX));
        assert_eq!(turns.take_due(at(30) + UNDER_WAY_MAX), [(key(), 1)]);
        assert!(!turns.safe_ended(&key(), &DONE, at(400)));
        assert_eq!(turns.next_due(), None);
    }

    #[test]
    fn a_command_that_overtakes_the_safe_value_counts() {
        let mut turns = turns(&rule(true));
        turns.take_due(at(30));
        turns.accepted(&key(), at(31));
        turns.ended(&key(), at(31), &DONE, at(32));
        assert!(!turns.safe_ended(&key(), &NO_ANSWER, at(33)));
        assert_eq!(turns.next_due(), Some(at(62)));
    }

    #[test]
    fn a_new_plan_keeps_what_it_does_not_change() {
        let mut turns = turns(&rule(false));
        turns.accepted(&key(), at(1));
        turns.ended(&key(), at(1), &DONE, at(1));
        turns.set_rules([(key(), &rule(false))].into_iter(), at(5));
        assert_eq!(turns.next_due(), Some(at(31)));
        turns.set_rules([(key(), &rule(true))].into_iter(), at(6));
        assert_eq!(turns.next_due(), Some(at(36)), "another rule starts anew");
        turns.set_rules(std::iter::empty(), at(7));
        assert_eq!(turns.next_due(), None);
    }
}
