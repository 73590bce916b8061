//! A part of a configuration by itself, as a page sends it to be tried before it is in any file. It
//! goes through the checker of a whole configuration, so a key means the same.

use std::sync::Arc;

use super::{DevicePlan, Link, Loaded, Problem, Problems, parse};

/// How problems call it.
const NAME: &str = "request";
const BUS: &str = "bus";
const DEVICE: &str = "device";
/// The name that the tag has in [`tag`].
pub const TAG: &str = "tag";

/// The line of a bus; `bus` is its section, as YAML or JSON in one line.
///
/// # Errors
/// Problems with paths within the section.
pub fn bus(bus: &str) -> Result<Link, Problems> {
    let text = format!("{{ gateway: {{ name: g }}, buses: {{ {BUS}: {bus} }} }}");
    let loaded = within(parse(&text, NAME), &format!("buses.{BUS}"))?;
    let first = loaded.plan.buses.into_iter().next();
    first.map(|bus| bus.link).ok_or_else(|| Problems(Vec::new()))
}

/// A device with one tag, called [`TAG`]. `tag` is the tag's section, `more` what the device's has
/// besides `bus`, `unit` and `tags`: both as YAML or JSON in one line, the latter without braces.
///
/// # Errors
/// Problems with paths within the tag or the device.
pub fn tag(unit: u8, more: &str, tag: &str) -> Result<DevicePlan, Problems> {
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    let text = format!(
        "{{ gateway: {{ name: g }}, buses: {{ {BUS}: {{ modbus-tcp: {{ host: h }} }} }}, devices: \
         {{ {DEVICE}: {{ bus: {BUS}, unit: {unit}, tags: {{ {TAG}: {tag} }}{more} }} }} }}"
    );
    let loaded = within(parse(&text, NAME), &format!("devices.{DEVICE}"))?;
    let devices = loaded.plan.buses.into_iter().flat_map(|bus| bus.devices);
    devices.into_iter().next().ok_or_else(|| Problems(Vec::new()))
}

/// Lines and columns are those of a text that nobody wrote.
fn within(loaded: Result<Loaded, Problems>, section: &str) -> Result<Loaded, Problems> {
    loaded.map_err(|Problems(all)| {
        let problem = |problem: Problem| {
            let path = problem.path.strip_prefix(section).unwrap_or(&problem.path);
            let path = path.trim_start_matches('.').to_owned();
            Problem { file: Arc::from(""), line: 0, column: 0, path, ..problem }
        };
        Problems(all.into_iter().map(problem).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Order};

    #[test]
    fn a_bus_and_a_tag_mean_what_they_mean_in_a_file() {
        let link = bus(r#"{"modbus-tcp":{"host":"plc","port":1502},"pause":"5ms"}"#).unwrap();
        assert_eq!(link, Link::modbus_tcp("plc", 1502));
        let more = r#""order":"CDAB","every":"5s""#;
        let device = tag(3, more, r#"{"holding":0,"type":"f32"}"#).unwrap();
        let registers = device.tags[0].registers().unwrap();
        assert_eq!((device.unit, registers.address), (3, 0));
        assert_eq!((registers.coding.kind, registers.coding.order), (Kind::F32, Order::Cdab));
    }

    #[test]
    fn problems_have_paths_within_what_was_sent() {
        let problems = bus(r#"{"modbus-rtu":{"port":"/dev/ttyS0","baud":"fast"}}"#).unwrap_err();
        assert_eq!(problems.0[0].path, "modbus-rtu.baud");
        let problems = tag(1, "", r#"{"holding":0,"type":"f32x"}"#).unwrap_err();
        assert_eq!(problems.0[0].path, "tags.tag.type");
        assert!(problems.0[0].hint.as_ref().is_some_and(|hint| hint.contains("f32")));
        for broken in ["", "{", "}", "1", "[]", "\"\u{7}\"", "{\"modbus-tcp\":{}}"] {
            assert!(bus(broken).is_err() && tag(1, "", broken).is_err(), "{broken}");
        }
    }
}
