//! The faults that a simulation is asked for, from the command line and from a file.

use std::fmt::Write as _;
use std::path::Path;

use crate::cli::BadInput;
use crate::config::Framing;
use crate::south::simulator::{Line, Rule, fault_names};

/// Bytes of a file of faults.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A rule and the bus it is for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BusRule {
    bus: Option<String>,
    pub(super) rule: Rule,
}

impl BusRule {
    pub(super) fn is_for(&self, bus: &str) -> bool {
        self.bus.as_ref().is_none_or(|own| own == bus)
    }
}

/// All rules, or everything that is wrong with them.
pub(super) fn read(
    given: &[String],
    file: Option<&Path>,
    lines: &[Line],
) -> anyhow::Result<Vec<BusRule>> {
    let mut rules = Vec::new();
    let mut problems = String::new();
    let mut take = |place: &str, text: &str| match parse(text, lines) {
        Ok(rule) => rules.push(rule),
        Err(problem) => {
            let _ = write!(
                problems,
                "{}{place}: {problem}",
                if problems.is_empty() { "" } else { "\n" }
            );
        }
    };
    for text in given {
        take(&format!("--fault {text}"), text);
    }
    if let Some(path) = file {
        let name = path.display();
        let unreadable =
            |error: &dyn std::fmt::Display| BadInput(format!("{name} can't be read: {error}"));
        let bytes = std::fs::metadata(path).map_err(|error| unreadable(&error))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(BadInput(format!("{name} has {bytes} bytes; at most 1 MiB is read")).into());
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        for (line, number) in text.lines().zip(1..) {
            let rule = line.split('#').next().unwrap_or_default();
            if !rule.trim().is_empty() {
                let column = 1 + rule.chars().take_while(|c| c.is_whitespace()).count();
                take(&format!("{name}:{number}:{column}"), rule.trim());
            }
        }
    }
    if problems.is_empty() { Ok(rules) } else { Err(BadInput(problems).into()) }
}

/// A rule with its bus: `silent:unit=3:bus=line3`.
fn parse(text: &str, lines: &[Line]) -> Result<BusRule, String> {
    let (own, rest): (Vec<_>, Vec<_>) =
        text.split(':').partition(|part| part.trim().starts_with("bus="));
    let bus = own.first().and_then(|part| Some(part.split_once('=')?.1.trim().to_owned()));
    let rule: Rule = rest.join(":").parse()?;
    let rule = BusRule { bus, rule };
    let meant: Vec<_> = lines.iter().filter(|line| rule.is_for(line.name.as_str())).collect();
    if meant.is_empty() {
        let known: Vec<_> = lines.iter().map(|line| line.name.as_str()).collect();
        return Err(format!("there is no such bus; there is {}", known.join(", ")));
    }
    let framing = |line: &&Line| line.link.modbus().map(|modbus| modbus.framing);
    if !meant.iter().filter_map(framing).any(|framing| rule.rule.fault.fits(framing)) {
        let kind = if rule.rule.fault.fits(Framing::Tcp) { "Modbus TCP" } else { "a serial line" };
        return Err(format!("only {kind} can have this fault, and this bus is none"));
    }
    Ok(rule)
}

/// The names of the faults.
pub(super) fn help() -> String {
    let names: Vec<_> = fault_names().collect();
    format!(
        "the faults: {}\n\n\
         late=300ms           every answer comes 300 ms late\n\
         late=20%             a fifth of the answers, 1.5 s late\n\
         silent:unit=7        the device with unit 7 does not answer\n\
         exception-2:every=3  each third answer is exception 2\n\
         noise-before=16:share=5%:from=10s:to=1min\n\n\
         Several --fault add up.\n",
        names.join(", ")
    )
}
