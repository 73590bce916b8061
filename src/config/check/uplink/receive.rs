//! What an uplink receives: filters for commands, and filters whose messages are published on the
//! LAN broker.

use super::topics::{Topics, filter};
use crate::config::defaults::{FILTERS_MAX, RECEIVE_QOS};
use crate::config::keys;
use crate::config::plan::LocalPlan;
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::section::Field;
use crate::config::values::{self, quoted};
use crate::model::{Qos, TopicFilter};

/// What `receive` says.
#[derive(Default)]
pub(super) struct Received {
    pub commands: Vec<TopicFilter>,
    pub local: Vec<LocalPlan>,
}

pub(super) fn check(field: &Field<'_>, topics: &Topics<'_>, out: &mut Findings) -> Received {
    let items = field.items();
    if items.len() > FILTERS_MAX {
        out.error(&field.key_spot(), format!("more than {FILTERS_MAX} filters"));
    }
    let mut received = Received::default();
    let mut seen: Vec<TopicFilter> = Vec::new();
    for item in items {
        let (filter, spot) = if item.is_mapping() {
            let Some((local, spot)) = local(&item, topics, out) else { continue };
            let filter = local.filter.clone();
            received.local.push(local);
            (filter, spot)
        } else {
            let Some(filter) = item.scalar(out, filter) else { continue };
            received.commands.push(filter.clone());
            (filter, item.spot())
        };
        if seen.contains(&filter) {
            out.error(&spot, format!("the filter {} is written twice", quoted(filter.as_str())));
        }
        seen.push(filter);
    }
    received
}

/// With the place of its filter; `None` only after something was reported.
fn local(item: &Field<'_>, topics: &Topics<'_>, out: &mut Findings) -> Option<(LocalPlan, Spot)> {
    let section = item.section(&keys::RECEIVE, out);
    let filter = section.required("filter", out, filter);
    let under = section.required("under", out, |text| {
        let under = topics.render(text.trim_end_matches('/'))?;
        if under.as_str().starts_with('$') {
            return Err("topics that start with $ belong to the broker".into());
        }
        Ok(under)
    });
    let words = [("0", Qos::AtMostOnce), ("1", Qos::AtLeastOnce), ("2", Qos::ExactlyOnce)];
    let qos = section.scalar("qos", out, values::word(&words)).unwrap_or(RECEIVE_QOS);
    let retain = section.scalar("retain", out, values::boolean);
    let (filter, under) = (filter?, under?);
    let levels = format!("/{filter}/");
    if levels.contains(&format!("/{under}/")) {
        let message = format!(
            "nothing would be published: a topic that holds {} is taken for one that was here before",
            quoted(under.as_str())
        );
        out.error(&section.spot_of("under"), Complaint::new(message).hint("choose another one"));
    }
    let local = LocalPlan { filter, under, qos, retain: retain.unwrap_or(false) };
    Some((local, section.spot_of("filter")))
}
