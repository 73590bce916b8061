//! The rates of what was gone through, which the rest is computed from. Pure.

use std::time::Duration;

use super::COMMITS_MIN;
use super::answer::Sample;
use super::reckon::{Seen, SeenClass};
use super::run::{Polls, Run};
use crate::config::Policy;
use crate::model::Class;
use crate::store::{ConsumerStatus, StoreStatus};

/// What goes on evenly.
pub struct Rates {
    /// Readings in a second.
    pub readings: f64,
    /// By class.
    pub classes: Vec<(Class, f64)>,
    pub bytes_per_reading: Option<f64>,
    /// What the file has without any reading.
    bytes_empty: f64,
    pub written_per_second: f64,
}

impl Rates {
    /// From what was gone through: how many of the polls became readings, what each takes, and from
    /// the second half what is written.
    #[expect(clippy::cast_precision_loss, reason = "rates")]
    pub fn of(
        samples: &[Sample],
        status: &StoreStatus,
        measured: Duration,
        (run, polls): (&Run, &[Polls]),
    ) -> Self {
        let of_class = |class: Class| {
            let of = || polls.iter().filter(move |polls| polls.class == class);
            let asked: f64 = of().map(|polls| polls.within(measured)).sum();
            let accounts = status.consumers.iter().flat_map(|consumer| &consumer.classes);
            let accounts = accounts.filter(|account| account.class == class.as_str());
            let appended = accounts.map(|account| account.appended).max().unwrap_or(0);
            let published = (appended as f64 / asked.max(1.0)).min(1.0);
            (class, published * of().map(|polls| polls.per_second()).sum::<f64>())
        };
        let classes = Class::ALL.map(of_class);
        let readings = classes.iter().map(|(_, rate)| rate).sum();
        let appended = |sample: &Sample| {
            sample.uplinks.values().map(|account| account.appended).max().unwrap_or(0)
        };
        // Where nothing has gone yet, what is there is what came.
        let kept = |sample: &&Sample| sample.uplinks.values().all(|account| account.dropped == 0);
        let kept: Vec<_> = samples.iter().filter(kept).collect();
        let from = kept.get(kept.len() / 4);
        let bytes_per_reading = from.zip(kept.last()).and_then(|(from, to)| {
            let (n, bytes) = (appended(to) - appended(from), to.bytes.saturating_sub(from.bytes));
            (n > 0).then(|| bytes as f64 / n as f64).filter(|bytes| *bytes > 0.0)
        });
        let bytes_empty = kept.last().map_or(0.0, |last| {
            last.bytes as f64 - bytes_per_reading.unwrap_or(0.0) * appended(last) as f64
        });
        let (at, written) = samples.last().map_or((0, 0), |last| (last.at_ms, last.written_bytes));
        // The beginning is no part of what goes on; where it is most of it, it is all there is.
        let commits = measured.as_secs_f64() / run.plan.store.commit.as_secs_f64().max(1e-3);
        let half = samples.get(samples.len() / 2).filter(|_| commits >= f64::from(COMMITS_MIN));
        let (half_at, half_written) = half.map_or((0, 0), |half| (half.at_ms, half.written_bytes));
        let seconds = at.saturating_sub(half_at).max(1) as f64 / 1_000.0;
        let written_per_second = written.saturating_sub(half_written) as f64 / seconds;
        Self {
            readings,
            classes: classes.into(),
            bytes_per_reading,
            bytes_empty: bytes_empty.max(0.0),
            written_per_second,
        }
    }

    /// What is to be expected of one consumer.
    #[expect(clippy::cast_precision_loss, reason = "rates")]
    pub fn seen(
        &self,
        consumer: &ConsumerStatus,
        status: &StoreStatus,
        policy: Policy,
        max_age: Duration,
        time: Duration,
    ) -> Seen {
        let waiting: u64 = consumer.classes.iter().map(|class| class.waiting).sum();
        let mut why: Vec<(&String, u64)> = Vec::new();
        for (reason, n) in consumer.classes.iter().flat_map(|class| &class.dropped_why) {
            if reason != "age" {
                why.push((reason, *n));
            }
        }
        let most = why.into_iter().max_by_key(|(_, n)| *n).filter(|(_, n)| *n > 0);
        let in_file = status.file.is_some() && status.consumers.iter().any(|c| c.required);
        let (room, reason) = match (most, in_file) {
            (Some((reason, _)), _) => (waiting as f64, reason.as_str()),
            (None, true) => {
                let bytes = status.disk_bytes_allowed as f64 - self.bytes_empty;
                let room = self.bytes_per_reading.map(|each| (bytes / each).max(0.0));
                let is_less = status.disk_bytes_allowed < status.disk_bytes_max;
                (room.unwrap_or(f64::MAX), if is_less { "disk" } else { "quota" })
            }
            (None, false) => {
                let each = status.ram_bytes as f64 / waiting.max(1) as f64;
                let reason = if policy == Policy::BestEffort { "consumer-lag" } else { "ram-full" };
                (status.ram_bytes_max as f64 / each.max(1.0), reason)
            }
        };
        let class = |(class, rate): &(Class, f64)| {
            let of = consumer.classes.iter().find(|account| account.class == class.as_str());
            SeenClass { class: *class, appended: of.map_or(0, |a| a.appended), rate: *rate }
        };
        Seen {
            time,
            classes: self.classes.iter().map(class).collect(),
            room,
            reason: reason.to_owned(),
            max_age,
        }
    }
}
