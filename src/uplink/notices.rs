//! What the receivers have to be told besides readings, on its way to them.
//!
//! The store is the queue: it hands out the oldest notices that were not told, a few at a time, and
//! forgets them when all of these are acknowledged, or can never be told. So nothing here has to survive
//! a connection; what was out is handed out again, unchanged, and goes with the same id. `docs/notices.md` is the
//! contract with receivers.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::pack::PUBLISH_OVERHEAD;
use crate::codec::json::class_initial;
use crate::model::TopicName;
use crate::store::{Consumer, NOTICES_MAX, Notice, NoticeKind};

/// A notice for the hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub id: i64,
    pub topic: TopicName,
    pub payload: Bytes,
}

impl Told {
    pub fn bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len()
    }
}

/// The notices of one connection.
pub struct Notices {
    consumer: Consumer,
    /// `None` when nobody wants them: they count as told.
    topic: Option<TopicName>,
    packet_bytes: usize,
    ready: VecDeque<Told>,
    out: BTreeSet<i64>,
    /// The newest of those handed out by the store.
    last: Option<i64>,
    /// A loss that goes on is told once in this time, not with every reading.
    pause: Duration,
    look_at: Instant,
}

impl Notices {
    pub fn new(
        consumer: Consumer,
        topic: Option<TopicName>,
        packet_bytes: usize,
        pause: Duration,
    ) -> Self {
        Self {
            consumer,
            topic,
            packet_bytes,
            ready: VecDeque::new(),
            out: BTreeSet::new(),
            last: None,
            pause,
            look_at: Instant::now(),
        }
    }

    /// Whether there is something to be told, so that time has to be watched.
    pub fn pending(&self) -> bool {
        self.last.is_some() || self.consumer.has_notices()
    }

    /// Asks the store, if it is time to; says how many are too large to be told. `epoch` is that of
    /// the store.
    pub fn look(&mut self, epoch: u64) -> u64 {
        let now = Instant::now();
        if self.last.is_some() || now < self.look_at || !self.consumer.has_notices() {
            return 0;
        }
        let mut too_large = 0;
        let notices = self.consumer.notices(NOTICES_MAX);
        self.last = notices.last().map(|notice| notice.id);
        if let Some(topic) = &self.topic {
            for notice in &notices {
                let payload = payload(epoch, notice).into();
                let told = Told { id: notice.id, topic: topic.clone(), payload };
                if told.bytes() + PUBLISH_OVERHEAD > self.packet_bytes {
                    tracing::error!(
                        %topic, bytes = told.bytes(),
                        "a notice is larger than the broker or packet-max allows"
                    );
                    too_large += 1;
                    continue;
                }
                self.ready.push_back(told);
            }
        }
        // A full hand has more behind it; an empty one waits for the file.
        let full = notices.len() >= NOTICES_MAX;
        if !full && self.last.is_some() {
            self.look_at = now + self.pause;
        }
        self.finish();
        too_large
    }

    /// The size of the next one.
    pub fn next_bytes(&self) -> Option<usize> {
        self.ready.front().map(Told::bytes)
    }

    pub fn next(&mut self) -> Option<Told> {
        let told = self.ready.pop_front()?;
        self.out.insert(told.id);
        Some(told)
    }

    /// The broker does not take one now: the store hands all of them out again, later. Says whether
    /// that is news.
    pub fn postpone(&mut self, pause: Duration) -> bool {
        self.ready.clear();
        self.out.clear();
        self.look_at = Instant::now() + pause;
        self.last.take().is_some()
    }

    /// The broker has taken this one, or will never take it.
    pub fn answered(&mut self, id: i64) {
        self.out.remove(&id);
        self.finish();
    }

    /// All that was handed out is acknowledged: the store need not remember it.
    fn finish(&mut self) {
        if self.ready.is_empty()
            && self.out.is_empty()
            && let Some(last) = self.last.take()
        {
            self.consumer.told(last);
        }
    }
}

/// The JSON of a notice, its fields in this order.
#[derive(Serialize)]
struct Payload<'a> {
    id: String,
    notice: &'static str,
    class: &'static str,
    /// What ids of readings of this class begin with from now on, or began with; `null` when that
    /// is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<Option<String>>,
    from: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts_from: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts_to: Option<i64>,
    /// `null` when different amounts were off.
    #[serde(skip_serializing_if = "Option::is_none")]
    shift_ms: Option<Option<i64>>,
}

fn payload(epoch: u64, notice: &Notice) -> Vec<u8> {
    let prefix = |epoch: u64| format!("{epoch:x}-{}", class_initial(notice.class));
    let mut payload = Payload {
        id: format!("{epoch:x}-g{}", notice.id),
        notice: "resume",
        class: notice.class.as_str(),
        prefix: notice.epoch.map(|epoch| (epoch != 0).then(|| prefix(epoch))),
        from: notice.range.start.0,
        to: Some(notice.range.end.0),
        n: None,
        reason: None,
        ts_from: None,
        ts_to: None,
        shift_ms: None,
    };
    match &notice.kind {
        NoticeKind::Gap { reason, n, read } => {
            payload.notice = "gap";
            (payload.n, payload.reason) = (Some(*n), Some(reason.as_str()));
            (payload.ts_from, payload.ts_to) = read.map(|(from, to)| (from.0, to.0)).unzip();
        }
        NoticeKind::Salvaged { n } => {
            payload.notice = "salvaged";
            payload.n = Some(*n);
        }
        NoticeKind::Resume => {}
        NoticeKind::NewEpoch => {
            payload.notice = "new-epoch";
            payload.prefix = Some(Some(prefix(epoch)));
            payload.to = None;
        }
        NoticeKind::TimeCorrection { shift_ms } => {
            payload.notice = "time-correction";
            payload.shift_ms = Some(*shift_ms);
        }
    }
    serde_json::to_vec(&payload).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Seq, Wall};

    #[test]
    fn the_contract_of_the_document() {
        let notice = |kind| {
            let epoch = matches!(kind, NoticeKind::Salvaged { .. }).then_some(0x4e29);
            Notice { id: 17, kind, class: Class::Normal, range: Seq(123)..Seq(456), epoch }
        };
        let read = Some((Wall(1_700_000_000_000), Wall(1_700_000_060_000)));
        let gap = NoticeKind::Gap { reason: "quota".to_owned(), n: 300, read };
        let shift = NoticeKind::TimeCorrection { shift_ms: Some(1_699_999_998_000) };
        let document = include_str!("../../docs/notices.md");
        let salvaged = NoticeKind::Salvaged { n: 300 };
        for kind in [gap, salvaged, NoticeKind::Resume, NoticeKind::NewEpoch, shift] {
            let text = String::from_utf8(payload(0x5f3a, &notice(kind))).unwrap();
            assert!(document.contains(&text), "{text}");
        }
    }
}
