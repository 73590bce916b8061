//! What a long outage comes to, from the rates of the part that was gone through.
//!
//! In an outage everything goes on evenly: readings come at their rates, and from the moment at which
//! the room is used up as many go as come, oldest first, bulk before normal before alarm. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::{Account, ClassAnswer};
use crate::model::Class;
use crate::store::FIRST_TO_GO;

/// What was seen in the part that was gone through.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How long it was.
    pub time: Duration,
    /// Of one consumer, by class.
    pub classes: Vec<SeenClass>,
    /// How many of its readings can wait, and what ends that.
    pub room: f64,
    pub reason: String,
    pub max_age: Duration,
}

#[derive(Debug, Clone)]
pub struct SeenClass {
    pub class: Class,
    pub appended: u64,
    /// In a second.
    pub rate: f64,
}

impl Seen {
    /// The accounts at a moment after what was seen.
    pub fn at(&self, time: Duration) -> BTreeMap<&'static str, ClassAnswer> {
        let mut over = self.over(time);
        let mut out = BTreeMap::new();
        for class in FIRST_TO_GO {
            let Some(seen) = self.classes.iter().find(|seen| seen.class == class) else { continue };
            let appended = seen.appended_at(self.time, time);
            let old = seen.old(self.max_age, time, appended);
            let gone = over.min(appended - old);
            over -= gone;
            let (appended, old, gone) = (whole(appended), whole(old), whole(gone));
            let mut dropped_why = BTreeMap::new();
            for (reason, n) in [("age", old), (self.reason.as_str(), gone)] {
                if n > 0 {
                    *dropped_why.entry(reason.to_owned()).or_insert(0) += n;
                }
            }
            let dropped = old + gone;
            let waiting = appended.saturating_sub(dropped);
            let dropped = appended - waiting;
            let account = Account { appended, dropped, waiting, ..Account::default() };
            out.insert(class.as_str(), ClassAnswer { account, dropped_why });
        }
        out
    }

    /// How many more there would be than can wait.
    fn over(&self, time: Duration) -> f64 {
        let waiting = self.classes.iter().map(|seen| {
            let appended = seen.appended_at(self.time, time);
            appended - seen.old(self.max_age, time, appended)
        });
        (waiting.sum::<f64>() - self.room).max(0.0)
    }

    /// When the first reading goes, if that is before then.
    pub fn first_drop(&self, before: Duration) -> Option<Duration> {
        let rate: f64 = self.classes.iter().map(|seen| seen.rate).sum();
        #[expect(clippy::cast_precision_loss, reason = "a time for display")]
        let appended = self.classes.iter().map(|seen| seen.appended as f64).sum::<f64>();
        let full = Duration::try_from_secs_f64((self.room - appended).max(0.0) / rate.max(1e-9));
        let full = full.ok().map(|time| self.time + time);
        [full, Some(self.max_age)].into_iter().flatten().min().filter(|first| *first < before)
    }
}

impl SeenClass {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 for centuries")]
    fn appended_at(&self, seen: Duration, time: Duration) -> f64 {
        self.appended as f64 + self.rate * time.saturating_sub(seen).as_secs_f64()
    }

    /// Those that were read too long ago.
    fn old(&self, max_age: Duration, time: Duration, appended: f64) -> f64 {
        let young = self.rate * max_age.as_secs_f64();
        if time > max_age { (appended - young).clamp(0.0, appended) } else { 0.0 }
    }
}

/// Readings are whole.
#[expect(clippy::cast_possible_truncation, reason = "limited before")]
#[expect(clippy::cast_sign_loss, reason = "limited before")]
pub fn whole(n: f64) -> u64 {
    n.round().clamp(0.0, 9e15) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(room: f64, max_age_s: u64) -> Seen {
        let class = |class, rate: f64| SeenClass { class, appended: whole(rate * 100.0), rate };
        Seen {
            time: Duration::from_secs(100),
            classes: vec![class(Class::Normal, 10.0), class(Class::Bulk, 5.0)],
            room,
            reason: "quota".to_owned(),
            max_age: Duration::from_secs(max_age_s),
        }
    }

    fn at(seen: &Seen, second: u64, class: &str) -> (u64, u64, u64) {
        let all = seen.at(Duration::from_secs(second));
        let ClassAnswer { account, dropped_why } = &all[class];
        assert!(account.holds());
        assert_eq!(dropped_why.values().sum::<u64>(), account.dropped);
        (account.appended, account.dropped, account.waiting)
    }

    #[test]
    fn with_room_everything_waits() {
        let seen = seen(1e9, 10_000);
        assert_eq!(at(&seen, 1_000, "normal"), (10_000, 0, 10_000));
        assert_eq!(seen.first_drop(Duration::from_secs(10_000)), None);
        assert_eq!(seen.first_drop(Duration::from_secs(10_001)), Some(Duration::from_secs(10_000)));
    }

    #[test]
    fn bulk_goes_first_and_then_normal() {
        let seen = seen(3_000.0, 10_000);
        assert_eq!(seen.first_drop(Duration::from_secs(1_000)), Some(Duration::from_secs(200)));
        assert_eq!(at(&seen, 200, "bulk"), (1_000, 0, 1_000));
        assert_eq!(at(&seen, 220, "bulk"), (1_100, 300, 800));
        assert_eq!(at(&seen, 220, "normal"), (2_200, 0, 2_200));
        assert_eq!(at(&seen, 400, "bulk"), (2_000, 2_000, 0));
        assert_eq!(at(&seen, 400, "normal"), (4_000, 1_000, 3_000));
    }

    #[test]
    fn what_is_too_old_goes_and_makes_room() {
        let seen = seen(2_000.0, 120);
        assert_eq!(at(&seen, 500, "normal"), (5_000, 3_800, 1_200));
        assert_eq!(at(&seen, 500, "bulk"), (2_500, 1_900, 600));
        assert_eq!(seen.at(Duration::from_secs(500))["bulk"].dropped_why["age"], 1_900);
    }
}
