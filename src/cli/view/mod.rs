//! The status as lines of text, for `fieldhold status` and the demo. Reads the status as JSON, since
//! that is how it comes from a running gateway.
//!
//! On a screen of fixed size everything but the tags always has its place: the list of tags is what
//! gives way, and says how many it left out.

mod account;
mod commands;
mod configuration;
mod field;
pub mod json;
mod north;
mod paint;
mod store;
mod tags;

use serde_json::Value;

pub use account::{equation, equation_holds};
pub use north::uplinks;
pub use paint::painted;
pub use store::lines as store;

pub use crate::model::tone::{Line, Tone};

use crate::model::Wall;
use json::{flag, signed, text};

/// Tags that a listing without a fixed height shows at most.
const TAGS_LISTED_MAX: usize = 200;
/// From this height on a picture has room for empty lines and for every class of an uplink.
const HEIGHT_ROOMY: usize = 32;
/// Tags for which the details of uplinks give way.
const TAGS_WANTED: usize = 8;

/// What a picture has to fit into, in characters and lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// Everything, one part below the other.
pub fn listing(status: &Value, width: usize) -> Vec<Line> {
    let mut out = vec![head(status)];
    out.extend(configuration::line(status));
    out.push(Line::new());
    out.extend(field::buses(status));
    out.push(Line::new());
    out.extend(tags::lines(status, width, TAGS_LISTED_MAX));
    out.push(Line::new());
    out.extend(north::lines(status, north::Detail::Classes));
    out
}

/// A picture of exactly this size or less. `queue_full` is the number of waiting readings at which
/// the bar of a queue is full; `foot` is always shown.
pub fn picture(status: &Value, size: Size, queue_full: u64, foot: &[Line]) -> Vec<Line> {
    let roomy = size.height >= HEIGHT_ROOMY;
    let mut top = vec![head(status)];
    top.extend(field::buses(status));
    let gap = |lines: &mut Vec<Line>| lines.extend(roomy.then(Line::new));
    let below = |detail| {
        let mut below = Vec::new();
        gap(&mut below);
        below.extend(north::lines(status, detail));
        gap(&mut below);
        below.extend_from_slice(foot);
        below
    };
    let mut bottom = below(north::Detail::Queue { full: queue_full, classes: true });
    if !roomy || top.len() + bottom.len() + TAGS_WANTED > size.height {
        bottom = below(north::Detail::Queue { full: queue_full, classes: false });
    }
    gap(&mut top);
    // The foot is what a person needs to go on, so it is the last to go.
    let room = size.height.saturating_sub(bottom.len());
    top.truncate(room);
    let tags = tags::lines(status, size.width, room - top.len());
    let mut out = top;
    out.extend(tags);
    let below = out.len() + bottom.len();
    out.extend(bottom.into_iter().skip(below.saturating_sub(size.height)));
    out.iter().map(|line| line.fit(size.width)).collect()
}

/// The readings that wait for all uplinks.
pub fn waiting(status: &Value) -> u64 {
    json::items(status, "/store/consumers").map(|consumer| account::sum(consumer).waiting).sum()
}

fn head(status: &Value) -> Line {
    let site = status.pointer("/gateway/site").and_then(Value::as_str);
    let line = Line::new()
        .add(Tone::Strong, text(status, "/gateway/name"))
        .text(site.map(|site| format!(" at {site}")).unwrap_or_default())
        .add(Tone::Faint, format!(" · fieldhold {} · ", text(status, "/gateway/version")));
    if flag(status, "/gateway/clock_synced") {
        line.add(Tone::Faint, "clock set")
    } else if signed(status, "/gateway/wall_ms").is_some_and(|ms| Wall(ms).is_plausible()) {
        // A battery clock that no time source ever confirms is nothing to worry about.
        line.add(Tone::Faint, "clock not confirmed")
    } else {
        line.add(Tone::Doubt, "▲ clock not set")
    }
}

#[cfg(test)]
mod tests;
