//! Commands of hosts: DCMD becomes what a message to `.../set` on this network is, under the same
//! contract (`docs/commands.md`). Pure; whether it is carried out is not decided here.

use super::book::Tag;
use super::node::{Node, REBIRTH};
use crate::codec::json;
use crate::codec::sparkplug::{self, DataType, DecodeError, Wanted};
use crate::config::NAMESPACE;
use crate::model::{TopicName, Value};

/// What a message of a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'t> {
    Node,
    Device(&'t str),
    State(&'t str),
    Other,
}

/// A command as it is handed on.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    pub topic: TopicName,
    pub payload: Vec<u8>,
}

/// Why a command is not handed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Payload(#[from] DecodeError),
    #[error("the device has no metric {0} that takes commands")]
    Unknown(String),
    #[error("a null can't be written")]
    Null,
}

pub fn kind<'t>(node: &Node, topic: &'t str) -> Kind<'t> {
    let Some(rest) = topic.strip_prefix(NAMESPACE).and_then(|rest| rest.strip_prefix('/')) else {
        return Kind::Other;
    };
    let levels: Vec<_> = rest.split('/').collect();
    let (group, name) = (node.plan.group.as_str(), node.plan.node.as_str());
    match levels.as_slice() {
        ["STATE", host] => Kind::State(host),
        [g, "NCMD", n] if (*g, *n) == (group, name) => Kind::Node,
        [g, "DCMD", n, device] if (*g, *n) == (group, name) => Kind::Device(device),
        _ => Kind::Other,
    }
}

/// Whether an NCMD asks for births.
pub fn is_rebirth(payload: &[u8]) -> Result<bool, CommandError> {
    let (_, wanted) = sparkplug::command(payload)?;
    let asks = |wanted: &Wanted| {
        wanted.name.as_deref() == Some(REBIRTH)
            && wanted.value(DataType::Boolean) == Ok(Some(Value::Bool(true)))
    };
    Ok(wanted.iter().any(asks))
}

/// The commands of a DCMD: one for all its metrics where the device takes such, otherwise one for
/// each. One that is wrong spoils them all.
pub fn commands(node: &Node, device: &str, payload: &[u8]) -> Result<Vec<Command>, CommandError> {
    let (sent, wanted) = sparkplug::command(payload)?;
    let mut sets: Vec<(&Tag, TopicName, Value, Option<u64>)> = Vec::with_capacity(wanted.len());
    for wanted in &wanted {
        let unknown = || {
            let name = wanted.name.clone();
            CommandError::Unknown(name.or(wanted.alias.map(|a| a.to_string())).unwrap_or_default())
        };
        let tag = node.book.named(device, wanted.name.as_deref(), wanted.alias);
        let tag = tag.filter(|tag| tag.is_writable).ok_or_else(unknown)?;
        let topic = tag.topic.clone().ok_or_else(unknown)?;
        let value = wanted.value(tag.datatype)?.ok_or(CommandError::Null)?;
        sets.push((tag, topic, value, wanted.timestamp.or(sent)));
    }
    let together = node.book.devices.iter().find(|known| known.name == device);
    let together = together.and_then(|device| device.topic.as_ref()).filter(|_| sets.len() > 1);
    if let Some(topic) = together {
        let mut body = b"{".to_vec();
        for (at, (tag, _, value, _)) in sets.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            json::put_text(&mut body, &tag.name);
            body.push(b':');
            json::put_value(&mut body, value);
        }
        body.push(b'}');
        let oldest = sets.iter().filter_map(|(_, _, _, sent)| *sent).min();
        return Ok(command(topic, &body, oldest).into_iter().collect());
    }
    let one = |(_, topic, value, sent): (&Tag, TopicName, Value, Option<u64>)| {
        let mut body = Vec::new();
        json::put_value(&mut body, &value);
        command(&topic, &body, sent)
    };
    Ok(sets.into_iter().filter_map(one).collect())
}

/// `None` only where the topic is too long for `/set`.
fn command(topic: &TopicName, value: &[u8], sent: Option<u64>) -> Option<Command> {
    let topic = TopicName::new(&format!("{topic}/set")).ok()?;
    let mut payload = b"{\"v\":".to_vec();
    payload.extend(value);
    if let Some(sent) = sent {
        payload.extend(format!(",\"ts\":{sent}").as_bytes());
    }
    payload.push(b'}');
    Some(Command { topic, payload })
}
