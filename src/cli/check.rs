//! `fieldhold check`: every mistake of a configuration at once, or the plan it makes.

use std::path::Path;
mod certificates;

use std::process::ExitCode;

use super::ConfigArgument;
use crate::config::blocks::{self, Item, Limits};
use crate::config::profile::Used;
use crate::config::wire::LineTime;
use crate::config::{
    BrokerPlan, BusPlan, DevicePlan, Loaded, NAMESPACE, Plan, SensorLink, ShareWrite, Source,
    SparkplugPlan, TagPlan, show_duration,
};
use crate::model::Table;
use crate::model::sensor::Ask;
use crate::store;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every command")]
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Ok(match super::load_all(&arguments.config.config) {
        Ok(loaded) if !certificates::say(&loaded) => ExitCode::from(super::BAD_INPUT),
        Ok(Loaded { plan, profiles, .. }) => {
            print!("{}", describe(&plan));
            print!("{}", profiles.iter().map(own_profile).collect::<String>());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    })
}

/// A profile that is the user's own; of a shipped one there is nothing to say.
fn own_profile(used: &Used) -> String {
    let Some(file) = &used.file else { return String::new() };
    let instead = if used.hides_shipped { ", in place of the shipped one" } else { "" };
    format!("profile {} from {file}{instead}\n", used.name)
}

/// What the gateway would do: requests and load per line, topics, uplinks, the loss bound.
fn describe(plan: &Plan) -> String {
    let mut out = format!("gateway {}\n", plan.gateway.name);
    for bus in &plan.buses {
        out += &describe_bus(bus);
    }
    if let Some(broker) = &plan.broker {
        out += &describe_broker(broker);
    }
    for uplink in &plan.uplinks {
        let brokers: Vec<_> = uplink.brokers.iter().map(ToString::to_string).collect();
        let tls = if uplink.tls.is_some() { "TLS" } else { "no TLS" };
        let send: Vec<_> = uplink.send.iter().map(ToString::to_string).collect();
        out += &format!(
            "uplink {} to {} ({tls}), sends {}\n",
            uplink.name,
            brokers.join(", else "),
            send.join(" ")
        );
        out += &uplink.sparkplug.as_ref().map(describe_node).unwrap_or_default();
    }
    match &plan.store.path {
        Some(path) => {
            out += &format!(
                "store in {}: a power cut loses at most the last {} of readings{}; \
                 what is acknowledged as safe is never lost\n",
                path.display(),
                show_duration(plan.store.commit),
                if plan.store.write_behind { "" } else { ", and every one is written" }
            );
            out += &describe_quota(path, plan.store.max_bytes);
        }
        None => out += "store in memory only: a crash loses all that is waiting\n",
    }
    out
}

/// The topics of an edge node.
fn describe_node(node: &SparkplugPlan) -> String {
    let mut out = format!("  edge node: {}, takes {}\n", node.topic("NBIRTH"), node.topic("NCMD"));
    if let Some(host) = &node.primary_host {
        out += &format!("  publishes while {NAMESPACE}/STATE/{host} says online\n");
    }
    for device in &node.devices {
        let (name, metrics) = (&device.name, device.metrics.len());
        let s = if metrics == 1 { "" } else { "s" };
        out += &format!("  {}/{name}: {metrics} metric{s}", node.topic("DDATA"));
        if device.is_writable() {
            out += &format!(", takes {}/{name}", node.topic("DCMD"));
        }
        out.push('\n');
    }
    out
}

/// How much of the disk the store may take.
fn describe_quota(path: &Path, max_bytes: Option<u64>) -> String {
    let megabytes = store::quota(path, max_bytes) / 1_000_000;
    let why = match max_bytes {
        Some(_) => "",
        None => " (a quarter of the file system, at most 4 GB)",
    };
    format!("  keeps up to {megabytes} MB on the disk{why}\n")
}

fn describe_broker(broker: &BrokerPlan) -> String {
    let mut out = String::new();
    for listener in &broker.listeners {
        let who = match (&listener.anonymous, listener.asks_for_certificates()) {
            (None, false) => "users with a password",
            (None, true) => "users with a certificate",
            (Some(_), false) => "everybody",
            (Some(_), true) => "everybody with a certificate",
        };
        out += &format!("LAN broker on {listener}, for {who}\n");
    }
    out
}

fn describe_bus(bus: &BusPlan) -> String {
    let load = blocks::load(bus);
    let link = &bus.link;
    if let Some(sensor) = link.sensor() {
        return describe_sensor(bus, sensor);
    }
    let mut out = format!(
        "bus {}: {link}, {:.1} requests/s, {:.1} % of the line's time\n",
        bus.name,
        load.requests_per_second,
        load.utilisation * 100.0
    );
    if let Some(share) = &bus.share {
        let may = match share.write {
            ShareWrite::Nothing => "read-only",
            ShareWrite::Everything => "writable",
            ShareWrite::Only(_) => "writable in part",
        };
        out += &format!("  shared on {}, {may}\n", share.listen);
    }
    let time = LineTime::of(&bus.link).with_pause(bus.pause);
    for device in &bus.devices {
        let share = load.devices.iter().find(|(name, _)| *name == device.name);
        out += &format!(
            "  device {} (unit {}): {:.1} %\n",
            device.name,
            device.unit,
            share.map_or(0.0, |(_, share)| share * 100.0)
        );
        out += &requests(device, time);
        out += &tags(device);
    }
    out
}

/// Where each tag comes from and goes to.
fn tags(device: &DevicePlan) -> String {
    let mut out = String::new();
    let places: Vec<_> = device.tags.iter().map(place).collect();
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let topics = width(&mut device.tags.iter().map(|tag| tag.topic.as_str().chars().count()));
    let from = width(&mut places.iter().map(String::len));
    for (tag, place) in device.tags.iter().zip(&places) {
        let set = if tag.write.is_some() { "  and /set" } else { "" };
        let how = match &tag.source {
            Source::Registers(_) => match tag.every {
                Some(every) => format!("every {}", show_duration(every)),
                None => "never read".to_owned(),
            },
            Source::Field(_) if tag.unit.is_empty() => "no unit".to_owned(),
            Source::Field(_) => format!("in {}", tag.unit),
        };
        let topic = tag.topic.as_str();
        out += &format!("    {topic:<topics$}  {place:<from$}  {how}{set}\n");
    }
    out
}

/// What a sensor bus does, in words.
fn describe_sensor(bus: &BusPlan, link: &SensorLink) -> String {
    let ask = match &link.sensor.ask {
        Ask::Push => "sends by itself".to_owned(),
        Ask::Poll(poll) => format!("asked every {}", show_duration(poll.every)),
    };
    let silent = match link.sensor.silent_after {
        Some(after) => format!("values older than {} are bad", show_duration(after)),
        None => "values never age".to_owned(),
    };
    let mut out = format!("bus {}: {}, {ask}, {silent}\n", bus.name, bus.link);
    for device in &bus.devices {
        out += &format!("  device {}\n{}", device.name, tags(device));
    }
    out
}

/// The requests that read all tags of a device at once, and what each takes of the line's time.
fn requests(device: &DevicePlan, time: LineTime) -> String {
    let mut out = String::new();
    for table in [Table::Coil, Table::Discrete, Table::Holding, Table::Input] {
        let tags = device.in_table(table).filter(|(_, tag, _)| tag.every.is_some());
        let items: Vec<_> = tags.map(|(index, _, from)| Item::of(from, index)).collect();
        let most = if table.is_bits() { device.bits_max } else { device.registers_max };
        for block in blocks::plan(&items, time.cost(table), &Limits::new(most)) {
            let took = time.read(table, block.count).as_secs_f64() * 1000.0;
            let (range, tags) = (span(block.start, block.count), block.items.len());
            let s = if tags == 1 { "" } else { "s" };
            out += &format!("    reads {} {range}: {tags} tag{s}, {took:.1} ms\n", table.name());
        }
    }
    out
}

/// Where a tag is on the device.
fn place(tag: &TagPlan) -> String {
    match &tag.source {
        Source::Registers(from) => {
            let place = format!("{} {}", from.table.name(), span(from.address, from.coding.span()));
            match from.scale_register {
                Some(scale) => format!("{place}, scale in {scale}"),
                None => place,
            }
        }
        Source::Field(from) => format!("field {}", from.name),
    }
}

/// The first and the last address.
pub(super) fn span(start: u16, count: u16) -> String {
    match count {
        0 | 1 => start.to_string(),
        _ => format!("{start} to {}", u32::from(start) + u32::from(count) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_bus_says_where_and_how() {
        for (write, words) in
            [("", "127.0.0.1:1502, read-only\n"), (", write: true", ":1502, writable\n")]
        {
            let share = format!("share: {{ listen: \"127.0.0.1:1502\"{write} }}");
            let text = format!(
                "gateway: {{ name: g }}\nstore: {{ path: none }}\n\
                 buses: {{ b: {{ modbus-tcp: {{ host: h }}, {share} }} }}\n\
                 devices: {{ d: {{ bus: b, tags: {{ t: {{ holding: 0, type: u16 }} }} }} }}\n"
            );
            let said = describe(&crate::config::parse(&text, "t").unwrap().plan);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn the_plan_says_which_registers_are_read_together_and_what_is_published_where() {
        let text = include_str!("../../configs/demo.yaml");
        let plan = crate::config::parse(text, "demo.yaml").unwrap().plan;
        let said = describe(&plan);
        for words in [
            "bus rs485a: Modbus RTU /tmp/fieldhold-demo-rs485 at 19200 baud",
            "reads coil 0 to 1: 2 tags, 10.0 ms",
            "plant1/demo/press/order_number             holding 12 to 19  every 5s\n",
            "plant1/demo/press/oil_setpoint             holding 100       every 2s  and /set\n",
            "loses at most the last 1s of readings",
            "MB on the disk (a quarter of the file system, at most 4 GB)",
        ] {
            assert!(said.contains(words), "{words} is missing:\n{said}");
        }
    }
}
