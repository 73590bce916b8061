//! What is sent, and under which topics beside those of the tags.

use crate::config::defaults::{FILTERS_MAX, SEND, TOPIC_NOTICES};
use crate::config::keys;
use crate::config::plan::Gateway;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::config::template::Template;
use crate::config::values::{self, quoted};
use crate::model::{Name, TopicFilter, TopicName};

const PLACEHOLDERS: [&str; 8] =
    ["enterprise", "site", "area", "line", "cell", "gateway", "uplink", "client-id"];
/// Of the topics of a group of gateways.
const GROUP: &str = "group";

/// Makes the topics of one uplink from what is written.
pub(super) struct Topics<'a> {
    pub(super) values: Vec<(&'static str, Option<&'a str>)>,
}

impl<'a> Topics<'a> {
    pub(super) fn new(gateway: &'a Gateway, uplink: &'a Name, client_id: &'a str) -> Self {
        let mut values = gateway.places().to_vec();
        values.push(("uplink", Some(uplink.as_str())));
        values.push(("client-id", Some(client_id)));
        Self { values }
    }

    /// Known to every topic of an uplink.
    pub(super) fn placeholders() -> &'static [&'static str] {
        &PLACEHOLDERS
    }

    pub(super) fn render(&self, text: &str) -> Result<TopicName, Complaint> {
        Template::parse(text, &PLACEHOLDERS)?.render(&self.values)
    }

    /// That of a group: its name too may stand in the text, and must.
    pub(super) fn of_group(&self, text: &str, group: &str) -> Result<TopicName, Complaint> {
        let template = Template::parse(text, &[&PLACEHOLDERS[..], &[GROUP]].concat())?;
        if !template.has(GROUP) {
            return Err(Complaint::new("names no {group}, so all groups would share one topic"));
        }
        template.render(&[&self.values[..], &[(GROUP, Some(group))]].concat())
    }
}

/// What goes before every topic: empty or ending in a slash.
pub(super) fn prefix(section: &Section<'_>, topics: &Topics<'_>, out: &mut Findings) -> String {
    match section.scalar("prefix", out, |text| topics.render(text.trim_end_matches('/'))) {
        Some(topic) => format!("{topic}/"),
        None => String::new(),
    }
}

/// A filter of `send` or `receive`. A gateway shares its rows and commands with nobody.
pub(super) fn filter(text: &str) -> Result<TopicFilter, Complaint> {
    let filter = values::filter(text)?;
    if filter.is_shared() {
        let message = format!("{} is a shared subscription, which has no use here", quoted(text));
        return Err(Complaint::new(message).hint("write the filter without $share and the group"));
    }
    Ok(filter)
}

/// The filters of `send`; all, if it is not written.
pub(super) fn send(section: &Section<'_>, out: &mut Findings) -> Vec<TopicFilter> {
    let Some(field) = section.get("send") else {
        return values::filter(SEND).into_iter().collect();
    };
    let items = field.items();
    if items.len() > FILTERS_MAX {
        out.error(&field.key_spot(), format!("more than {FILTERS_MAX} filters"));
    }
    items.iter().filter_map(|item| item.scalar(out, filter)).collect()
}

/// Where notices go, or `notices: off`. `None` only after something was reported.
pub(super) fn notices(
    section: &Section<'_>,
    prefix: &str,
    topics: &Topics<'_>,
    out: &mut Findings,
) -> Option<Option<TopicName>> {
    if section.get("notices").is_some_and(|field| field.text() == Some("off")) {
        return Some(None);
    }
    let notices = section.section("notices", &keys::NOTICES, out);
    let topic = notices.scalar("topic", out, |text| topics.render(text));
    let topic = topic.or_else(|| topics.render(TOPIC_NOTICES).ok());
    let topic = topic.and_then(|topic| TopicName::new(&format!("{prefix}{topic}")).ok());
    if topic.is_none() {
        out.error(&notices.spot, "the notices have no valid topic");
    }
    topic.map(Some)
}
