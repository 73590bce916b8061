//! Whether and where Home Assistant is told of the devices.

use super::payload::Payloads;
use super::topics::Topics;
use crate::config::defaults::{HOME_ASSISTANT, TOPIC_STATUS};
use crate::config::home_assistant::HomeAssistantPlan;
use crate::config::keys;
use crate::config::plan::Gateway;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::model::{Form, Holds, TopicName};

/// The devices are added when all of them are known.
pub(super) fn check(
    section: &Section<'_>,
    Payloads { live, backlog, .. }: &Payloads,
    prefix: &str,
    gateway: &Gateway,
    topics: &Topics<'_>,
    out: &mut Findings,
) -> Option<HomeAssistantPlan> {
    let field = section.get("home-assistant")?;
    if field.text() == Some("off") {
        return None;
    }
    let part = field.section(&keys::HOME_ASSISTANT, out);
    if *live != Form::Tag {
        let complaint = Complaint::new("Home Assistant reads single readings in JSON");
        out.error(&field.key_spot(), complaint.hint("leave payload out, or write payload: tag"));
    } else if backlog.holds() == Holds::One {
        let message = "a backlog of single readings goes where the states go: Home Assistant would take \
                       old values for new ones";
        let hint = "leave backlog: { payload: … } out";
        out.error(&field.key_spot(), Complaint::new(message).hint(hint));
    }
    let discovery = part.scalar("discovery", out, |text| topics.render(text.trim_end_matches('/')));
    let discovery = discovery.or_else(|| TopicName::new(HOME_ASSISTANT).ok())?;
    let status = part.scalar("status", out, |text| topics.render(text));
    let status = status.or_else(|| topics.render(TOPIC_STATUS).ok());
    let status = status.and_then(|topic| TopicName::new(&format!("{prefix}{topic}")).ok());
    if status.is_none() {
        out.error(&part.spot, "the gateway's status has no valid topic");
    }
    let site = gateway.site.as_ref().map_or("", |site| site.as_str());
    let owner = format!("fieldhold/{site}/{}/", gateway.name);
    Some(HomeAssistantPlan { discovery, status: status?, owner, devices: Vec::new() })
}
