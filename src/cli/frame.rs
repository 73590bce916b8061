//! `fieldhold frame`: shows what a sensor's bytes mean, from a paste, a file or a live wire.

mod show;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use self::show::Show;
use super::{BadInput, run};
use crate::codec::sensor::{Decoder, Splitter};
use crate::config::{self, Link, Parity, SensorLink, SensorWire};
use crate::south::sensor::capture;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A known format; --list shows them, and with a preset its fields
    #[arg(long, conflicts_with = "config", required_unless_present_any = ["config", "list"])]
    preset: Option<String>,
    /// A configuration file with a serial bus
    #[arg(long, requires = "bus")]
    config: Option<PathBuf>,
    /// The bus of the configuration file
    #[arg(long, requires = "config")]
    bus: Option<String>,
    /// List the presets, or the fields of one
    #[arg(long)]
    list: bool,
    /// Capture from this serial port; with --config from the bus's own: --live
    #[arg(long, conflicts_with_all = ["file", "hex", "text"])]
    port: Option<PathBuf>,
    /// Capture from the wire of the configured bus
    #[arg(long, requires = "config", conflicts_with_all = ["port", "file", "hex", "text"])]
    live: bool,
    /// Baud rate of the port, if not the preset's
    #[arg(long, requires = "port", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: Option<u32>,
    /// Characters of the port as in 8N1 or 7E1, if not the preset's
    #[arg(long, requires = "port", value_parser = character)]
    character: Option<(u8, Parity, u8)>,
    /// How many seconds to capture
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Bytes as hexadecimal digits, blanks between them at will
    #[arg(long, conflicts_with = "text")]
    hex: Option<String>,
    /// Bytes as text; \r, \n, \t, \\ and \xNN stand for themselves
    #[arg(long)]
    text: Option<String>,
    /// The file holds hexadecimal digits
    #[arg(long)]
    file_hex: bool,
    /// A file with the bytes; - for standard input, which is also the default
    file: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.list && arguments.config.is_none() {
        return list(arguments.preset.as_deref());
    }
    let link = match link(arguments)? {
        Ok(link) => link,
        Err(code) => return Ok(code),
    };
    if arguments.list {
        show::fields(&link);
        return Ok(ExitCode::SUCCESS);
    }
    let decoder = Decoder::new(&link.sensor)?;
    let mut show = Show::new(Splitter::new(&link.sensor), decoder);
    if arguments.port.is_some() || arguments.live {
        let time = Duration::from_secs(arguments.seconds);
        eprintln!("listening for {} s, Ctrl-C ends it", arguments.seconds);
        let listen = capture::listen(&link, time, |silent, bytes| show.take(silent, bytes));
        run::runtime()?.block_on(listen).context("can't listen to the sensor")?;
    } else {
        show.take(true, &source::bytes(arguments)?);
    }
    show.take(true, &[]);
    Ok(show.finish())
}

fn list(preset: Option<&str>) -> anyhow::Result<ExitCode> {
    match preset {
        Some(name) => show::fields(&config::sensor_preset(name).map_err(BadInput)?),
        None => config::sensor_presets().for_each(|name| println!("{name}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// What describes the frames, and the wire to listen to.
fn link(arguments: &Arguments) -> anyhow::Result<Result<SensorLink, ExitCode>> {
    let mut link = match (&arguments.preset, &arguments.config, &arguments.bus) {
        (Some(name), ..) => config::sensor_preset(name).map_err(BadInput)?,
        (None, Some(file), Some(bus)) => match super::load(file) {
            Ok(plan) => of_bus(&plan, bus)?,
            Err(code) => return Ok(Err(code)),
        },
        _ => return Err(BadInput("give --preset, or --config and --bus".to_owned()).into()),
    };
    if let (Some(port), SensorWire::Serial(line)) = (&arguments.port, &mut link.wire) {
        line.port.clone_from(port);
        line.baud = arguments.baud.unwrap_or(line.baud);
        if let Some((data_bits, parity, stop_bits)) = arguments.character {
            (line.data_bits, line.parity, line.stop_bits) = (data_bits, parity, stop_bits);
        }
    }
    Ok(Ok(link))
}

fn of_bus(plan: &config::Plan, name: &str) -> anyhow::Result<SensorLink> {
    let sensors = || plan.buses.iter().filter(|bus| bus.link.sensor().is_some());
    let found = sensors().find(|bus| bus.name.as_str() == name);
    match found.map(|bus| &bus.link) {
        Some(Link::Sensor(link)) => Ok((**link).clone()),
        _ => {
            let names: Vec<_> = sensors().map(|bus| bus.name.as_str()).collect();
            let known = match names.as_slice() {
                [] => "the configuration has no serial bus".to_owned(),
                names => format!("the serial buses are {}", names.join(", ")),
            };
            Err(BadInput(format!("there is no serial bus {name}; {known}")).into())
        }
    }
}

/// `8N1`, `7E1`, `8O2`.
fn character(text: &str) -> Result<(u8, Parity, u8), String> {
    let wrong = || format!("{text:?} is not as in 8N1 or 7E1");
    let [data, parity, stop] = *text.as_bytes() else { return Err(wrong()) };
    let parity = match parity.to_ascii_uppercase() {
        b'N' => Parity::None,
        b'E' => Parity::Even,
        b'O' => Parity::Odd,
        _ => return Err(wrong()),
    };
    match (data, stop) {
        (b'7' | b'8', b'1' | b'2') => Ok((data - b'0', parity, stop - b'0')),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_written_as_in_manuals() {
        assert_eq!(character("8N1"), Ok((8, Parity::None, 1)));
        assert_eq!(character("7e2"), Ok((7, Parity::Even, 2)));
        for wrong in ["", "8N", "9N1", "8X1", "8N3", "8N1 "] {
            assert!(character(wrong).is_err(), "{wrong}");
        }
    }
}
