//! What an uplink's receivers are told of the devices: Home Assistant, and ThingsBoard.
//!
//! Facts only; how they are written is the uplink's. They are part of the uplink's plan, so that a
//! device that comes, goes or changes restarts the uplink, which then tells them anew.

use super::plan::{DevicePlan, Plan, Source, TagPlan, UplinkPlan};
use super::write_rule::Allowed;
use crate::model::{Coding, Decimal, Form, Kind, Name, TopicName, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct HomeAssistantPlan {
    /// Before every topic by which Home Assistant finds devices.
    pub discovery: TopicName,
    /// Where the gateway says that it is online (the prefix already applied).
    pub status: TopicName,
    /// What the identifiers of this gateway's devices begin with, and no other's.
    pub owner: String,
    pub devices: Vec<Described>,
}

impl HomeAssistantPlan {
    /// What is subscribed to: whether it starts, and which documents lie at its broker.
    pub fn subscribed(&self) -> [String; 2] {
        ["status", "device/+/config"].map(|below| format!("{}/{below}", self.discovery))
    }
}

/// A device with what can be seen and done there.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    pub name: Name,
    pub parts: Vec<Part>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub name: Name,
    pub unit: String,
    /// Where its readings go.
    pub state: TopicName,
    /// Where commands for it come; `None` if none may come this way.
    pub command: Option<TopicName>,
    pub entity: Entity,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    /// A value to look at; whether it is a number.
    Sensor {
        is_number: bool,
    },
    /// True or false to look at.
    BinarySensor,
    Switch,
    Number {
        min: f64,
        max: f64,
        step: f64,
    },
    /// One of these texts.
    Select(Vec<String>),
}

/// The smallest step that Home Assistant knows.
const STEP_MIN: f64 = 0.001;

impl Plan {
    /// Fills in what the uplinks tell of the devices.
    pub(super) fn describe_devices(&mut self) {
        let devices: Vec<&DevicePlan> = self.buses.iter().flat_map(|bus| &bus.devices).collect();
        for uplink in &mut self.uplinks {
            let wanted = |tag: &&TagPlan| {
                uplink.send.iter().any(|filter| filter.matches(tag.topic.as_str()))
            };
            let sent = devices.iter().filter(|device| device.tags.iter().any(|tag| wanted(&tag)));
            let boards = [&uplink.live, &uplink.backlog].contains(&&Form::ThingsBoard);
            let names: Vec<Name> = sent.map(|device| device.name.clone()).collect();
            uplink.thingsboard_devices = if boards { names } else { Vec::new() };
            let Some(mut described) = uplink.home_assistant.take() else { continue };
            described.devices = devices
                .iter()
                .map(|device| {
                    let tags = device.tags.iter().filter(wanted);
                    let parts = tags.filter_map(|tag| part(uplink, device, tag)).collect();
                    Described { name: device.name.clone(), parts }
                })
                .filter(|device| !device.parts.is_empty())
                .collect();
            uplink.home_assistant = Some(described);
        }
    }
}

/// `None` for a tag that has no topic, which was reported.
fn part(uplink: &UplinkPlan, device: &DevicePlan, tag: &TagPlan) -> Option<Part> {
    let state = uplink.live_topic.topic(&uplink.prefix, &tag.meta(device)).ok()?;
    let command = TopicName::new(&format!("{}{}/set", uplink.prefix, tag.topic)).ok()?;
    let is_received = uplink.receive.iter().any(|filter| filter.matches(command.as_str()));
    let operated = tag.write.as_ref().filter(|_| is_received);
    let operated = operated.and_then(|rule| operated_by(tag, &rule.allowed));
    let command = operated.is_some().then_some(command);
    Some(Part {
        name: tag.name.clone(),
        unit: tag.unit.clone(),
        state,
        command,
        entity: operated.unwrap_or_else(|| looked_at(tag)),
    })
}

fn looked_at(tag: &TagPlan) -> Entity {
    match &tag.source {
        Source::Registers(registers) if is_switch(&registers.coding) => Entity::BinarySensor,
        Source::Registers(registers) => Entity::Sensor { is_number: is_number(&registers.coding) },
        // The frame of a sensor may hold anything; what has a unit is a number.
        Source::Field(_) => Entity::Sensor { is_number: !tag.unit.is_empty() },
    }
}

fn operated_by(tag: &TagPlan, allowed: &Allowed) -> Option<Entity> {
    let coding = &tag.registers()?.coding;
    if is_switch(coding) {
        return Some(Entity::Switch);
    }
    if coding.count == 1 && !coding.labels.is_empty() {
        let may = |code: i64| match allowed {
            Allowed::Values(values) => values.contains(&Value::I64(code)),
            Allowed::Range { .. } => true,
        };
        let labels = coding.labels.iter().filter(|label| may(label.code));
        return Some(Entity::Select(labels.map(|label| label.text.to_string()).collect()));
    }
    match allowed {
        Allowed::Range { min, max, step } if is_number(coding) => {
            let (min, max) = (*min, *max);
            let step = step.and_then(Decimal::ratio).map(|(over, under)| over / under);
            let step = step.unwrap_or(if is_whole(coding) { 1.0 } else { STEP_MIN });
            let number = Entity::Number { min, max, step: step.max(STEP_MIN) };
            (min.is_finite() && max.is_finite()).then_some(number)
        }
        Allowed::Range { .. } | Allowed::Values(_) => None,
    }
}

fn is_switch(coding: &Coding) -> bool {
    let bit = matches!(coding.kind, Kind::Bool | Kind::Bit(_));
    bit && coding.count == 1 && coding.labels.is_empty()
}

fn is_number(coding: &Coding) -> bool {
    coding.count == 1
        && coding.labels.is_empty()
        && match coding.kind {
            Kind::Bits { .. }
            | Kind::Int8 { .. }
            | Kind::Int { .. }
            | Kind::F16
            | Kind::F32
            | Kind::F64
            | Kind::Bcd { .. }
            | Kind::Mod10k { .. } => true,
            Kind::Bool
            | Kind::Bit(_)
            | Kind::Text { .. }
            | Kind::Raw { .. }
            | Kind::UnixSeconds
            | Kind::UnixMillis
            | Kind::BcdTime
            | Kind::Ipv4
            | Kind::Mac => false,
        }
}

fn is_whole(coding: &Coding) -> bool {
    let float = matches!(coding.kind, Kind::F16 | Kind::F32 | Kind::F64);
    !float && coding.linear.is_none() && !coding.scale_register
}
