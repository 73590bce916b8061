//! The newest lines of the log, in memory, for whoever looks from elsewhere.
//!
//! Invariants: at most [`LINES_MAX`] lines and [`BYTES_MAX`] bytes are kept, the oldest go first; a
//! line has at most [`LINE_BYTES_MAX`]; every line has a number, so who reads on sees what was lost
//! in between. What must not be in a log is not in this one either: it is the same.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::locks::lock;
use crate::model::Clock;

const LINES_MAX: usize = 2_000;
const BYTES_MAX: usize = 512 << 10;
const LINE_BYTES_MAX: usize = 4 << 10;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    pub number: u64,
    pub at_wall_ms: i64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// Which part of the gateway says it.
    pub target: String,
    pub text: String,
}

/// Lines from a number on.
#[derive(Debug, Clone, Serialize)]
pub struct LogPage {
    /// What to ask for to go on.
    pub next: u64,
    /// Lines from the number asked for on that are no longer kept.
    pub lost: u64,
    pub lines: Vec<LogLine>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Logs(Arc<Kept>);

struct Kept {
    clock: Arc<dyn Clock>,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    next: u64,
}

impl Logs {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Kept { clock, ring: Mutex::default() }))
    }

    /// The lines from number `since` on.
    pub fn since(&self, since: u64) -> LogPage {
        let ring = lock(&self.0.ring);
        let oldest = ring.lines.front().map_or(ring.next, |line| line.number);
        let first = since.clamp(oldest, ring.next);
        let lines = ring.lines.iter().filter(|line| line.number >= first).cloned().collect();
        LogPage { next: ring.next, lost: first.saturating_sub(since), lines }
    }
}

impl Ring {
    fn push(&mut self, line: LogLine) {
        self.next += 1;
        self.bytes += line.bytes();
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }
}

impl LogLine {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.target.len() + self.text.len()
    }
}

impl<S: Subscriber> Layer<S> for Logs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let about = event.metadata();
        let at_wall_ms = self.0.clock.wall().0;
        let mut ring = lock(&self.0.ring);
        let line = LogLine {
            number: ring.next,
            at_wall_ms,
            level: match *about.level() {
                tracing::Level::ERROR => "error",
                tracing::Level::WARN => "warn",
                tracing::Level::INFO => "info",
                tracing::Level::DEBUG => "debug",
                tracing::Level::TRACE => "trace",
            },
            target: about.target().to_owned(),
            text: text.whole(),
        };
        ring.push(line);
    }
}

/// The message, and what is said beside it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn whole(mut self) -> String {
        self.message += &self.fields;
        if self.message.len() > LINE_BYTES_MAX {
            self.message.truncate(self.message.floor_char_boundary(LINE_BYTES_MAX));
            self.message.push('…');
        }
        self.message
    }

    fn put(&mut self, field: &Field, value: &dyn std::fmt::Display) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::model::{ManualClock, Mono, Wall};

    fn logs(work: impl FnOnce()) -> Logs {
        let logs = Logs::new(Arc::new(ManualClock::new(Mono(0), Wall(1_000))));
        let subscriber = tracing_subscriber::registry().with(logs.clone());
        tracing::subscriber::with_default(subscriber, work);
        logs
    }

    #[test]
    fn a_line_is_its_message_and_what_stands_beside_it() {
        let logs = logs(|| {
            tracing::info!(bus = %"hall", tries = 3, "bus is up");
            tracing::warn!(reason = "no port", "bus is down");
        });
        let page = logs.since(0);
        let said: Vec<_> = page.lines.iter().map(|l| (l.level, l.text.as_str())).collect();
        assert_eq!(
            said,
            [("info", "bus is up bus=hall tries=3"), ("warn", "bus is down reason=no port")]
        );
        assert!(page.lines[0].target.contains("logs"), "{:?}", page.lines[0]);
        assert_eq!((page.next, page.lost, page.lines[1].at_wall_ms), (2, 0, 1_000));
        assert_eq!(logs.since(1).lines.len(), 1);
        assert_eq!(logs.since(99).lines, []);
    }

    #[test]
    fn the_oldest_go_and_are_missed() {
        let many = logs(|| (0..LINES_MAX + 10).for_each(|n| tracing::info!(n, "line")));
        let page = many.since(3);
        assert_eq!((page.lines.len(), page.lost), (LINES_MAX, 7));
        assert_eq!(page.lines[0].text, "line n=10");
        let long = "ü".repeat(LINE_BYTES_MAX);
        let large = logs(|| (0..1_000).for_each(|_| tracing::info!("{long}")));
        let page = large.since(0);
        let bytes: usize = page.lines.iter().map(|line| line.text.len()).sum();
        assert!(bytes <= BYTES_MAX && page.lines.len() > 100, "{bytes} {}", page.lines.len());
        assert!(page.lines.iter().all(|line| line.text.ends_with('…')));
    }
}
