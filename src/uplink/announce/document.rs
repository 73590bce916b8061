//! A device as Home Assistant's discovery has it, in its abbreviated keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::config::{Described, Entity, HomeAssistantPlan, Part};
use crate::model::TopicName;

/// Units with the device class and state class that Home Assistant knows for them. One that is not here
/// is shown as it is; `%` may be anything.
pub const CLASSES: [(&str, &str, &str); 41] = [
    ("V", "voltage", "measurement"),
    ("mV", "voltage", "measurement"),
    ("kV", "voltage", "measurement"),
    ("A", "current", "measurement"),
    ("mA", "current", "measurement"),
    ("W", "power", "measurement"),
    ("kW", "power", "measurement"),
    ("MW", "power", "measurement"),
    ("VA", "apparent_power", "measurement"),
    ("var", "reactive_power", "measurement"),
    ("kvar", "reactive_power", "measurement"),
    ("Wh", "energy", "total_increasing"),
    ("kWh", "energy", "total_increasing"),
    ("MWh", "energy", "total_increasing"),
    ("varh", "reactive_energy", "total_increasing"),
    ("kvarh", "reactive_energy", "total_increasing"),
    ("Hz", "frequency", "measurement"),
    ("kHz", "frequency", "measurement"),
    ("°C", "temperature", "measurement"),
    ("°F", "temperature", "measurement"),
    ("K", "temperature", "measurement"),
    ("Pa", "pressure", "measurement"),
    ("hPa", "pressure", "measurement"),
    ("kPa", "pressure", "measurement"),
    ("mbar", "pressure", "measurement"),
    ("bar", "pressure", "measurement"),
    ("psi", "pressure", "measurement"),
    ("m³/h", "volume_flow_rate", "measurement"),
    ("L/min", "volume_flow_rate", "measurement"),
    ("m/s", "speed", "measurement"),
    ("km/h", "speed", "measurement"),
    ("g", "weight", "measurement"),
    ("kg", "weight", "measurement"),
    ("mm", "distance", "measurement"),
    ("cm", "distance", "measurement"),
    ("m", "distance", "measurement"),
    ("km", "distance", "measurement"),
    ("lx", "illuminance", "measurement"),
    ("W/m²", "irradiance", "measurement"),
    ("s", "duration", "measurement"),
    ("min", "duration", "measurement"),
];

/// Of our payload; what has no value is `None`, which Home Assistant shows as unknown.
const VALUE: &str = "{{ value_json.v }}";
/// How its templates write what a bit holds.
const TRUE: &str = "True";
const FALSE: &str = "False";

/// The document of each device, by its topic.
pub fn documents(plan: &HomeAssistantPlan) -> BTreeMap<TopicName, Json> {
    let topic = |device: &Described| {
        let id = object_id(&format!("{}{}", plan.owner, device.name));
        TopicName::new(&format!("{}/device/{id}/config", plan.discovery)).ok()
    };
    let document = |device| Some((topic(device)?, document(plan, device)));
    plan.devices.iter().filter_map(document).collect()
}

fn document(plan: &HomeAssistantPlan, device: &Described) -> Json {
    let id = format!("{}{}", plan.owner, device.name);
    let parts: Map<String, Json> = device
        .parts
        .iter()
        .map(|tag| (object_id(tag.name.as_str()), part(tag, &format!("{id}/{}", tag.name))))
        .collect();
    json!({
        "dev": { "ids": [id], "name": device.name.as_str() },
        "o": { "name": "Fieldhold", "sw": env!("CARGO_PKG_VERSION") },
        "avty_t": plan.status.as_str(),
        "qos": 1,
        "cmps": parts,
    })
}

fn part(tag: &Part, id: &str) -> Json {
    let mut json = json!({
        "uniq_id": id,
        "name": tag.name.as_str(),
        "stat_t": tag.state.as_str(),
        "val_tpl": VALUE,
    });
    let more = match &tag.entity {
        Entity::Sensor { is_number } => sensor(&tag.unit, *is_number),
        Entity::BinarySensor => json!({ "p": "binary_sensor", "pl_on": TRUE, "pl_off": FALSE }),
        Entity::Switch => json!({
            "p": "switch", "pl_on": "true", "pl_off": "false", "stat_on": TRUE, "stat_off": FALSE,
        }),
        Entity::Number { min, max, step } if tag.unit.is_empty() => {
            json!({ "p": "number", "min": min, "max": max, "step": step })
        }
        Entity::Number { min, max, step } => json!({
            "p": "number", "min": min, "max": max, "step": step, "unit_of_meas": tag.unit.as_str(),
        }),
        // A text is a JSON string to us.
        Entity::Select(texts) => {
            json!({ "p": "select", "ops": texts, "cmd_tpl": "{{ value | tojson }}" })
        }
    };
    if let (Some(json), Json::Object(more)) = (json.as_object_mut(), more) {
        json.extend(more);
        if let Some(command) = &tag.command {
            json.insert("cmd_t".to_owned(), command.as_str().into());
        }
    }
    json
}

fn sensor(unit: &str, is_number: bool) -> Json {
    if !is_number {
        return json!({ "p": "sensor" });
    }
    match CLASSES.iter().find(|(known, ..)| *known == unit) {
        Some((_, class, state)) => json!({
            "p": "sensor", "unit_of_meas": unit, "dev_cla": class, "stat_cla": state,
        }),
        None if unit.is_empty() => json!({ "p": "sensor", "stat_cla": "measurement" }),
        None => json!({ "p": "sensor", "unit_of_meas": unit, "stat_cla": "measurement" }),
    }
}

/// A name in the letters that Home Assistant allows in topics; two names never become one.
fn object_id(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.chars().all(plain) {
        return name.to_owned();
    }
    let letters: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("{letters}_{:08x}", crc32fast::hash(name.as_bytes()))
}
