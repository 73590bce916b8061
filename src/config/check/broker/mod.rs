//! The LAN broker: where it listens, who may use it, and its bounds.

mod access;
mod hash;
mod limits;
mod listener;

use crate::config::broker::{BrokerPlan, ListenerPlan};
use crate::config::keys;
use crate::config::problem::Findings;
use crate::config::section::Section;

/// `None` when there is no section `broker`.
pub(super) fn check(root: &Section<'_>, out: &mut Findings) -> Option<BrokerPlan> {
    let field = root.get("broker")?;
    let section = field.section(&keys::BROKER, out);
    let limits = limits::check(&section, out);
    let roles = access::Roles::of(&section, out);
    let listeners = listener::check(&section, &roles, &limits, out);
    let certificates = listeners.iter().any(ListenerPlan::asks_for_certificates);
    let users = access::users(&section, &roles, certificates, out);
    Some(BrokerPlan { listeners, users, limits })
}
