//! `fieldhold probe`: reads registers of a device once and shows them.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;

use super::link::LinkArguments;
use super::{BadInput, run};
use crate::codec::registers::{Decoded, decode};
use crate::model::{Coding, Kind, Order, Table};
use crate::south::probe;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    link: LinkArguments,
    /// Unit (slave) id of the device
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// How long to wait for the answer, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout_ms: u64,
    /// Where to read
    #[arg(value_enum)]
    table: TableWord,
    /// Zero-based address, decimal or 0x...
    #[arg(value_parser = address)]
    address: u16,
    /// How many registers or bits
    #[arg(default_value_t = 1)]
    count: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TableWord {
    Coil,
    Discrete,
    Holding,
    Input,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let table = match arguments.table {
        TableWord::Coil => Table::Coil,
        TableWord::Discrete => Table::Discrete,
        TableWord::Holding => Table::Holding,
        TableWord::Input => Table::Input,
    };
    let most = if table.is_bits() { 2000 } else { 125 };
    if !(1..=most).contains(&arguments.count) {
        return Err(bad(format!(
            "one request reads 1 to {most} of these, not {}",
            arguments.count
        )));
    }
    if arguments.address.checked_add(arguments.count - 1).is_none() {
        return Err(bad("the last address would be beyond 65535".to_owned()));
    }
    let link = arguments.link.link()?;
    if link.is_line() && !(1..=247).contains(&arguments.unit) {
        return Err(bad(format!(
            "a device on a line has a unit from 1 to 247, not {}",
            arguments.unit
        )));
    }
    let timeout = Duration::from_millis(arguments.timeout_ms);
    let words = run::runtime()?
        .block_on(probe::read(
            &link,
            arguments.unit,
            table,
            arguments.address,
            arguments.count,
            timeout,
        ))
        .with_context(|| format!("can't read unit {}", arguments.unit))?;
    for line in show(table, arguments.address, &words) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

fn bad(problem: String) -> anyhow::Error {
    BadInput(problem).into()
}

/// One line per register with the interpretations that start at it.
fn show(table: Table, first: u16, words: &[u16]) -> Vec<String> {
    if table.is_bits() {
        let bits = words.iter().zip(first..).map(|(bit, at)| format!("{at:>5}  {bit}"));
        return std::iter::once("addr   bit".to_owned()).chain(bits).collect();
    }
    let head = format!(
        "{:>5}  {:<4}  {:>5}  {:>6}  {:>14}  {:>14}  {:>11}  {:>11}",
        "addr", "hex", "u16", "i16", "f32 ABCD", "f32 CDAB", "i32 ABCD", "i32 CDAB"
    );
    let rows = words.iter().enumerate().zip(first..).map(|((i, &word), at)| {
        let pair = words.get(i..i + 2);
        let wide = |kind, order| {
            pair.map(|pair| text(&Coding { order, ..Coding::plain(kind) }, pair))
                .unwrap_or_default()
        };
        let i32 = Kind::Int { bits: 32, signed: true };
        format!(
            "{at:>5}  {word:04X}  {word:>5}  {:>6}  {:>14}  {:>14}  {:>11}  {:>11}",
            text(&Coding::plain(Kind::Int { bits: 16, signed: true }), &[word]),
            wide(Kind::F32, Order::Abcd),
            wide(Kind::F32, Order::Cdab),
            wide(i32, Order::Abcd),
            wide(i32, Order::Cdab),
        )
    });
    std::iter::once(head).chain(rows).collect()
}

fn text(coding: &Coding, words: &[u16]) -> String {
    match decode(coding, false, words) {
        Decoded::Good(value) | Decoded::Uncertain(value, _) => {
            let shown = value.to_string();
            // A number that is no measurement fills the line; its size is all that matters.
            if shown.len() <= 14 {
                shown
            } else {
                value.as_f64().map_or(shown, |f| format!("{f:.4e}"))
            }
        }
        Decoded::Bad(_) => "-".to_owned(),
    }
}

fn address(text: &str) -> Result<u16, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "an address is 0 to 65535, or 0x0 to 0xFFFF".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_register_with_what_starts_there() {
        let lines = show(Table::Holding, 6, &[0x4367, 0x6B85]);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("4367") && lines[1].contains("231.42"), "{}", lines[1]);
        assert!(!lines[2].contains("231.42"));
        assert_eq!(show(Table::Coil, 0, &[1])[1], "    0  1");
    }

    #[test]
    fn addresses_are_decimal_or_hex() {
        assert_eq!(address("0x10"), Ok(16));
        assert_eq!(address("0"), Ok(0));
        assert!(address("65536").is_err());
    }
}
