//! What is sent, and under which topics beside those of the tags.

use crate::config::defaults::{FILTERS_MAX, SEND, TOPIC_BACKLOG, TOPIC_NOTICES};
use crate::config::keys;
use crate::config::plan::{BacklogPayload, Gateway};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::config::template::Template;
use crate::config::values;
use crate::model::{Name, TopicFilter, TopicName};

const PLACEHOLDERS: [&str; 4] = ["site", "gateway", "uplink", "client-id"];

/// Makes the topics of one uplink from what is written.
pub(super) struct Topics<'a> {
    values: [(&'static str, Option<&'a str>); 4],
}

impl<'a> Topics<'a> {
    pub(super) fn new(gateway: &'a Gateway, uplink: &'a Name, client_id: &'a str) -> Self {
        let values = [
            ("site", gateway.site.as_ref().map(Name::as_str)),
            ("gateway", Some(gateway.name.as_str())),
            ("uplink", Some(uplink.as_str())),
            ("client-id", Some(client_id)),
        ];
        Self { values }
    }

    pub(super) fn render(&self, text: &str) -> Result<TopicName, Complaint> {
        Template::parse(text, &PLACEHOLDERS)?.render(&self.values)
    }
}

/// What goes before every topic: empty or ending in a slash.
pub(super) fn prefix(section: &Section<'_>, topics: &Topics<'_>, out: &mut Findings) -> String {
    match section.scalar("prefix", out, |text| topics.render(text.trim_end_matches('/'))) {
        Some(topic) => format!("{topic}/"),
        None => String::new(),
    }
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
    items.iter().filter_map(|item| item.scalar(out, values::filter)).collect()
}

/// Where a backlog goes and in which form. No topic only after something was reported.
pub(super) fn backlog(
    section: &Section<'_>,
    prefix: &str,
    topics: &Topics<'_>,
    out: &mut Findings,
) -> (Option<TopicName>, BacklogPayload) {
    let backlog = section.section("backlog", &keys::BACKLOG, out);
    let topic = backlog.scalar("topic", out, |text| topics.render(text));
    let topic = topic.or_else(|| topics.render(TOPIC_BACKLOG).ok());
    let topic = topic.and_then(|topic| TopicName::new(&format!("{prefix}{topic}")).ok());
    let words = [("columnar", BacklogPayload::Columnar), ("tag", BacklogPayload::Tag)];
    let payload = backlog.scalar("payload", out, values::word(&words));
    if topic.is_none() {
        out.error(&backlog.spot, "the backlog has no valid topic");
    }
    (topic, payload.unwrap_or(BacklogPayload::Columnar))
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
