//! Remote configuration: keys, topics, groups, the time to prove a change.

use std::collections::HashSet;

use base64ct::{Base64, Encoding};

use super::topics::Topics;
use crate::config::defaults::{
    CONFIRM, CONFIRM_RANGE, REMOTE_GROUPS_MAX, REMOTE_KEYS_MAX, TOPIC_GROUP, TOPIC_REMOTE,
};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings};
use crate::config::remote::{RemoteGroup, RemoteKey, RemotePlan};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::{Name, TopicName};

/// A public key for Ed25519 in DER (RFC 8410, 4): always this, then its 32 bytes.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// How the private one begins, and how many bytes it has.
const PKCS8: ([u8; 5], usize) = ([0x30, 0x2e, 0x02, 0x01, 0x00], 48);

/// `None` only after something was reported.
pub(super) fn check(
    field: &Field<'_>,
    topics: &Topics<'_>,
    prefix: &str,
    out: &mut Findings,
) -> Option<RemotePlan> {
    let section = field.section(&keys::REMOTE, out);
    section.missing("keys", out);
    let keys = section.get("keys").map(|field| public_keys(field, out)).unwrap_or_default();
    let own = |text: &str| {
        TopicName::new(&format!("{prefix}{}", topics.render(text)?))
            .map_err(|error| Complaint::new(error.to_string()))
    };
    let topic = match section.get("topic") {
        Some(field) => field.scalar(out, own),
        None => own(TOPIC_REMOTE).ok(),
    };
    let groups = groups(&section, topics, out);
    let confirm = section.scalar("confirm", out, values::duration(CONFIRM_RANGE));
    let plan = RemotePlan { keys, topic: topic?, groups, confirm: confirm.unwrap_or(CONFIRM) };
    let mut seen = HashSet::new();
    if let Some(twice) = plan.subscribed().find(|topic| !seen.insert(topic.clone())) {
        out.error(&section.spot_of("topic"), format!("the topic {} is used twice", quoted(&twice)));
    }
    Some(plan)
}

fn public_keys(field: &Field<'_>, out: &mut Findings) -> Vec<RemoteKey> {
    let errors = out.errors();
    let named = field.named(out);
    if named.len() > REMOTE_KEYS_MAX {
        out.error(&field.key_spot(), format!("more than {REMOTE_KEYS_MAX} keys"));
    }
    let key = |(id, field): (Name, Field<'_>)| {
        Some(RemoteKey { id, public: field.scalar(out, public_key)? })
    };
    let keys: Vec<_> = named.into_iter().filter_map(key).collect();
    if keys.is_empty() && out.errors() == errors {
        out.error(&field.key_spot(), "names no key, so nobody could change anything");
    }
    keys
}

fn groups(section: &Section<'_>, topics: &Topics<'_>, out: &mut Findings) -> Vec<RemoteGroup> {
    let template = section.scalar("group-topic", out, |text| {
        // Any name shows whether it can be a topic.
        topics.of_group(text, "a").map(|_| text)
    });
    let template = template.unwrap_or(TOPIC_GROUP);
    let Some(field) = section.get("groups") else { return Vec::new() };
    let items = field.items();
    if items.len() > REMOTE_GROUPS_MAX {
        out.error(&field.key_spot(), format!("more than {REMOTE_GROUPS_MAX} groups"));
    }
    let group = |item: &Field<'_>| {
        item.scalar(out, |text| {
            let name = values::name(text)?;
            let topic = topics.of_group(template, name.as_str())?;
            Ok(RemoteGroup { name, topic })
        })
    };
    items.iter().filter_map(group).collect()
}

/// What `openssl pkey -pubout` prints, or the one line of it between BEGIN and END. What stands
/// there is not repeated in a message: it may be the private key.
fn public_key(text: &str) -> Result<[u8; 32], Complaint> {
    let form = "write what stands between BEGIN and END of `openssl pkey -in ops.pem -pubout`";
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let wrong = || Complaint::new("this is no Ed25519 public key").hint(form);
    let der = Base64::decode_vec(&lines.collect::<String>()).map_err(|_| wrong())?;
    if der.starts_with(&PKCS8.0) && der.len() == PKCS8.1 {
        return Err(Complaint::new("this is a private key, which belongs to nobody but its owner")
            .hint("make a new one, and write its public key here"));
    }
    let key = der.strip_prefix(&SPKI).ok_or_else(wrong)?;
    key.try_into().map_err(|_| wrong())
}
