//! The LAN broker: where it listens and its bounds.

mod limits;
mod listener;

use crate::config::broker::BrokerPlan;
use crate::config::keys;
use crate::config::problem::Findings;
use crate::config::section::Section;

/// `None` when there is no section `broker`.
pub(super) fn check(root: &Section<'_>, out: &mut Findings) -> Option<BrokerPlan> {
    let field = root.get("broker")?;
    let section = field.section(&keys::BROKER, out);
    let limits = limits::check(&section, out);
    let listeners = listener::check(&section, &limits, out);
    Some(BrokerPlan { listeners, limits })
}
