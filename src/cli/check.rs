//! `fieldhold check`: every mistake of a configuration at once, or the plan it makes.

use std::process::ExitCode;

use super::ConfigArgument;
use crate::config::{BusPlan, Link, Plan, blocks};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every command")]
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Ok(match super::load(&arguments.config.config) {
        Ok(plan) => {
            print!("{}", describe(&plan));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    })
}

/// What the gateway would do: requests and load per line, topics, uplinks, the loss bound.
fn describe(plan: &Plan) -> String {
    let mut out = format!("gateway {}\n", plan.gateway.name);
    for bus in &plan.buses {
        out += &describe_bus(bus);
    }
    if let Some(broker) = &plan.broker {
        let at: Vec<_> = broker.listeners.iter().map(ToString::to_string).collect();
        out += &format!("LAN broker on {}\n", at.join(", "));
    }
    for uplink in &plan.uplinks {
        let tls = if uplink.tls.is_some() { "TLS" } else { "no TLS" };
        let send: Vec<_> = uplink.send.iter().map(ToString::to_string).collect();
        out += &format!(
            "uplink {} to {}:{} ({tls}), sends {}\n",
            uplink.name,
            uplink.host,
            uplink.port,
            send.join(" ")
        );
    }
    match &plan.store.path {
        Some(path) => {
            out += &format!(
                "store in {}: a crash or power cut loses at most the last {:?} of readings\n",
                path.display(),
                plan.store.commit
            );
        }
        None => out += "store in memory only: a crash loses all that is waiting\n",
    }
    out
}

fn describe_bus(bus: &BusPlan) -> String {
    let load = blocks::load(bus);
    let link = match &bus.link {
        Link::ModbusTcp { host, port } => format!("Modbus TCP {host}:{port}"),
        Link::ModbusRtu(line) => {
            format!("Modbus RTU {} at {} baud", line.port.display(), line.baud)
        }
    };
    let mut out = format!(
        "bus {}: {link}, {:.1} requests/s, {:.1} % of the line's time\n",
        bus.name,
        load.requests_per_second,
        load.utilisation * 100.0
    );
    for device in &bus.devices {
        let share = load.devices.iter().find(|(name, _)| *name == device.name);
        out += &format!(
            "  device {} (unit {}): {:.1} %\n",
            device.name,
            device.unit,
            share.map_or(0.0, |(_, share)| share * 100.0)
        );
        for tag in &device.tags {
            let set = if tag.write.is_some() { "  (and /set)" } else { "" };
            out += &format!("    {} every {:?}{set}\n", tag.topic, tag.every);
        }
    }
    out
}
