//! Texts and what is said about them.

mod access_problems;
mod cloud_problems;
mod files;
mod mutations;
mod plans;
mod problems;
mod profiles;
mod remote_problems;
mod sensor_problems;
mod tag_problems;
mod web_problems;

use super::*;

/// A configuration with everything that a test's fragment needs around it.
const AROUND: &str = "\
gateway: { name: g }
buses:
  tcp1: { modbus-tcp: { host: 10.0.0.1 } }
  rtu1: { modbus-rtu: { port: /dev/ttyS0, baud: 19200 } }
broker: {}
";

/// The one tag that `fragment` describes, in flow style: `tag(\"input: 0, type: f32\")`.
fn tag(fragment: &str) -> Result<TagPlan, String> {
    let text =
        format!("{AROUND}devices: {{ d: {{ bus: tcp1, tags: {{ t: {{ {fragment} }} }} }} }}");
    let mut loaded = parse(&text, "t").map_err(|problems| problems.to_string())?;
    let device = loaded.plan.buses.first_mut().and_then(|bus| bus.devices.pop());
    device.and_then(|d| d.tags.last().cloned()).ok_or_else(|| "no tag".to_owned())
}

/// All problems of a text, warnings included, one per line.
fn said(text: &str) -> String {
    let problems = match parse(text, "t") {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    Problems(problems).to_string()
}
