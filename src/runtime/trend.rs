//! How much waits for each uplink, over the last day: a point a minute, in memory, for plots.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::locks::lock;
use crate::model::Wall;
use crate::store::ConsumerStatus;

/// Between two points.
pub const EVERY: Duration = Duration::from_secs(60);
/// Points kept of each uplink: those of a day.
const POINTS_MAX: usize = 24 * 60;

/// Readings and messages of all classes, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Point {
    pub at_wall_ms: i64,
    pub waiting: u64,
    pub delivered: u64,
    pub dropped: u64,
}

/// See the module.
#[derive(Default)]
pub struct Trend(Mutex<BTreeMap<String, VecDeque<Point>>>);

impl Trend {
    /// Takes a point at once and then one a minute, until told to stop.
    pub async fn run(
        &self,
        look: impl Fn() -> (Wall, Vec<ConsumerStatus>),
        stop: CancellationToken,
    ) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let (now, consumers) = look();
            self.take(now, &consumers);
        }
    }

    /// Oldest first; `None` where nothing is known of such an uplink.
    pub fn of(&self, uplink: &str) -> Option<Vec<Point>> {
        lock(&self.0).get(uplink).map(|points| points.iter().copied().collect())
    }

    /// Uplinks that are gone are forgotten.
    fn take(&self, now: Wall, consumers: &[ConsumerStatus]) {
        let mut all = lock(&self.0);
        all.retain(|name, _| consumers.iter().any(|consumer| consumer.name == *name));
        for consumer in consumers {
            let sum = |term: fn(&crate::store::AccountStatus) -> u64| {
                consumer.classes.iter().map(term).sum()
            };
            let point = Point {
                at_wall_ms: now.0,
                waiting: sum(|class| class.waiting),
                delivered: sum(|class| class.delivered),
                dropped: sum(|class| class.dropped),
            };
            let points = all.entry(consumer.name.clone()).or_default();
            points.push_back(point);
            while points.len() > POINTS_MAX {
                points.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config;
    use crate::model::{Batch, Class, Clock, ManualClock, Mono, Reading, TagId, Value};
    use crate::store::{ConsumerSpec, Options, Store};

    fn store() -> Store {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(0), Wall(0)));
        Store::open(Options::in_memory(), clock).unwrap()
    }

    #[test]
    fn a_day_is_kept_and_what_is_gone_forgotten() {
        let text = "gateway: { name: g }\nuplinks: { cloud: { url: \"mqtt://127.0.0.1:1\" } }\n";
        let uplink = config::parse(text, "t").unwrap().plan.uplinks.remove(0);
        let store = store();
        store.set_consumers(&[ConsumerSpec { name: uplink.name, policy: uplink.policy }]);
        let readings = vec![Reading::good(TagId(1), Mono(0), Value::U64(7))];
        store.append(Batch { class: Class::Normal, readings });
        let trend = Trend::default();
        for minute in 0..1_500 {
            trend.take(Wall(minute * 60_000), &store.status().consumers);
        }
        let points = trend.of("cloud").unwrap();
        assert_eq!(points.len(), POINTS_MAX);
        let newest = Point { at_wall_ms: 1_499 * 60_000, waiting: 1, delivered: 0, dropped: 0 };
        assert_eq!(points.last(), Some(&newest));
        assert!(trend.of("other").is_none());
        trend.take(Wall(0), &[]);
        assert!(trend.of("cloud").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_point_is_there_at_once_and_then_one_a_minute() {
        let trend = Trend::default();
        let stop = CancellationToken::new();
        let consumers = || {
            let store = store();
            let name = crate::model::Name::new("cloud").unwrap();
            store.set_consumers(&[ConsumerSpec { name, policy: crate::store::Policy::Required }]);
            (Wall(5), store.status().consumers)
        };
        let ended = tokio::time::timeout(Duration::from_secs(179), trend.run(consumers, stop));
        assert!(ended.await.is_err(), "runs on");
        assert_eq!(trend.of("cloud").unwrap().len(), 3);
    }
}
