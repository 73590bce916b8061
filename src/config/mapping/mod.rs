//! The mapping: every tag of a configuration from its register to its topic, as rows.
//!
//! A row says what holds for its tag, written or inherited, and also of a configuration that has
//! problems as far as it can be read. [`table`] is the same as CSV, out and in. Pure.

mod table;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::edit::Value;
use super::kinds::{show_kind, show_order};
use super::plan::{DevicePlan, Plan, Source, TagPlan};
use super::problem::Problem;
use super::show_duration;

pub use table::{CellProblem, Import, export, import};

/// One tag.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub device: String,
    pub tag: String,
    /// The profile that it is from, if nothing of it stands in the configuration itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    pub bus: String,
    pub unit_id: Option<u8>,
    /// `holding`, `input`, `coil` or `discrete`; `field` for a field of a sensor's frame.
    pub table: Option<&'static str>,
    /// As it is written; of a profile, as it is on the wire.
    pub address: Option<Value>,
    #[serde(rename = "type")]
    pub kind: String,
    pub order: Option<String>,
    pub scale: Option<Value>,
    pub offset: Option<Value>,
    pub unit: String,
    pub every: String,
    pub topic: String,
    pub write: bool,
    pub class: String,
    /// What is wrong with it, and what is odd.
    #[serde(skip)]
    pub problems: Vec<Problem>,
}

/// The keys that say where a tag is read.
pub(super) const SOURCES: [&str; 5] = ["holding", "input", "coil", "discrete", "field"];

/// All tags: of each device first those that are written, then those of its profile. `plan` is what
/// could be read of the configuration, sound or not.
pub fn rows(tree: &Value, plan: Option<&Plan>, problems: &[Problem]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut open: Vec<&Problem> =
        problems.iter().filter(|problem| problem.path.starts_with("devices.")).collect();
    open.sort_by(|a, b| a.path.cmp(&b.path));
    for (name, device) in tree.get("devices").map(Value::entries).unwrap_or_default() {
        let planned = plan.and_then(|plan| find(plan, name));
        let bus = text(device.get("bus"));
        let written = device.get("tags").map(Value::entries).unwrap_or_default();
        let scope = Scope { name, device, bus: &bus, planned };
        for (tag, section) in written {
            let plan =
                planned.and_then(|device| device.tags.iter().find(|t| t.name.as_str() == tag));
            let at = format!("devices.{name}.tags.{tag}");
            rows.push(Row { problems: below(&open, &at), ..scope.row(tag, section, plan) });
        }
        for plan in planned.iter().flat_map(|device| device.tags.iter()) {
            if !written.iter().any(|(tag, _)| tag == plan.name.as_str()) {
                let profile = Some(text(device.get("profile")));
                rows.push(Row {
                    profile,
                    ..scope.row(plan.name.as_str(), &Value::Null, Some(plan))
                });
            }
        }
    }
    rows
}

/// The problems of what stands at a path and below.
fn below(sorted: &[&Problem], path: &str) -> Vec<Problem> {
    let from = sorted.partition_point(|problem| problem.path.as_str() < path);
    let near = sorted.get(from..).unwrap_or_default().iter();
    let near = near.take_while(|problem| problem.path.starts_with(path));
    let own = near.filter(|problem| {
        let rest = problem.path.get(path.len()..).unwrap_or_default();
        rest.is_empty() || rest.starts_with(['.', '['])
    });
    own.map(|problem| (*problem).clone()).collect()
}

fn find<'p>(plan: &'p Plan, device: &str) -> Option<&'p DevicePlan> {
    plan.devices().find(|known| known.name.as_str() == device)
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::text).unwrap_or_default().into_owned()
}

/// What holds for all tags of a device.
struct Scope<'a> {
    name: &'a str,
    device: &'a Value,
    bus: &'a str,
    planned: Option<&'a DevicePlan>,
}

impl Scope<'_> {
    fn row(&self, tag: &str, section: &Value, plan: Option<&TagPlan>) -> Row {
        let registers = plan.and_then(TagPlan::registers);
        let field = plan.and_then(TagPlan::field);
        let written = SOURCES.into_iter().find(|key| section.get(key).is_some());
        let planned = match (registers, field) {
            (Some(registers), _) => Some(registers.table.name()),
            (None, Some(_)) => Some("field"),
            (None, None) => None,
        };
        let table = written.or(planned);
        let on_wire = || match plan.map(|plan| &plan.source)? {
            Source::Registers(registers) => Some(Value::Number(registers.address.into())),
            Source::Field(field) => Some(Value::Text(field.name.to_string())),
        };
        let or_written =
            |known: Option<String>, key: &str| known.unwrap_or_else(|| text(section.get(key)));
        let several = |count: u16| if count > 1 { format!(" × {count}") } else { String::new() };
        let kind = registers.map(|r| show_kind(r.coding.kind) + &several(r.coding.count));
        Row {
            device: self.name.to_owned(),
            tag: tag.to_owned(),
            profile: None,
            bus: self.bus.to_owned(),
            unit_id: self.planned.map(|device| device.unit),
            table,
            address: table.and_then(|table| section.get(table)).cloned().or_else(on_wire),
            kind: or_written(kind, "type"),
            order: registers.map(|r| show_order(r.coding.order).to_owned()).or_else(|| {
                section
                    .get("order")
                    .or_else(|| self.device.get("order"))
                    .map(|order| text(Some(order)))
            }),
            scale: section.get("scale").cloned(),
            offset: section.get("offset").cloned(),
            unit: or_written(plan.map(|plan| plan.unit.clone()), "unit"),
            every: match plan {
                Some(plan) => plan.every.map_or_else(|| "never".to_owned(), show_duration),
                None => text(section.get("every")),
            },
            topic: or_written(plan.map(|plan| plan.topic.to_string()), "topic"),
            write: match plan {
                Some(plan) => plan.write.is_some(),
                None => section.get("write").is_some(),
            },
            class: or_written(plan.map(|plan| plan.class.as_str().to_owned()), "class"),
            problems: Vec::new(),
        }
    }
}
