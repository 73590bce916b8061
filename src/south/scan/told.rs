//! What was found, in words and as a configuration to paste.

use super::{Found, Question, Target};
use crate::codec::pdu::exception_name;
use crate::config::{Link, paste};
use crate::model::{Coding, Kind};

/// The settings of a line, or the address.
pub fn place(link: &Link) -> String {
    match link.serial() {
        Some(line) => format!("{} {}", line.baud, line.character()),
        None => link.to_string(),
    }
}

/// `unit 7 at 9600 8N1: holding 0 is 2301, 12 ms, ACME PM-3`.
pub fn describe(found: &Found, targets: &[Target], question: Question) -> String {
    let (table, address) = (question.table.name(), question.address);
    let unit = match found.any_unit {
        true => "any unit".to_owned(),
        false => format!("unit {}", found.unit),
    };
    let answer = match found.answer {
        Ok(word) => format!("{table} {address} is {word}"),
        Err(code) => {
            format!("refuses {table} {address} with exception {code} ({})", exception_name(code))
        }
    };
    let who = identity(found).map(|who| format!(", {who}")).unwrap_or_default();
    let took = found.took.as_secs_f64() * 1000.0;
    let place = targets.get(found.target).map(|target| place(&target.link)).unwrap_or_default();
    format!("{unit} at {place}: {answer}, {took:.0} ms{who}")
}

/// What was found, as a configuration with the rest in comments.
pub fn yaml(found: &[Found], targets: &[Target], question: Question) -> String {
    let mut out = String::new();
    let mut links: Vec<&Link> = Vec::new();
    for found in found {
        out += &format!("# {}\n", describe(found, targets, question));
        if let Some(target) = targets.get(found.target)
            && !links.contains(&&target.link)
        {
            links.push(&target.link);
        }
    }
    out += "buses:\n";
    for (index, link) in links.iter().enumerate() {
        out += &format!("  bus{}: {}\n", index + 1, paste::bus(link));
    }
    out += "devices:\n";
    let Question { table, address, .. } = question;
    for found in found {
        let link = targets.get(found.target).map(|target| &target.link);
        let Some(bus) = links.iter().position(|other| Some(*other) == link) else { continue };
        let (unit, bus) = (found.unit, bus + 1);
        let many = if links.len() > 1 { format!("bus{bus}_") } else { String::new() };
        out += &format!("  {many}unit{unit}: {{ bus: bus{bus}, unit: {unit}, tags: ");
        let kind = if table.is_bits() { Kind::Bool } else { Kind::Int { bits: 16, signed: false } };
        let tag = paste::tag(table, address, &Coding::plain(kind), None);
        out += &format!("{{ {}_{address}: {tag} }} }}", table.name());
        if found.answer.is_err() {
            out += "  # not this register: find one with fieldhold probe";
        }
        out += "\n";
    }
    out
}

/// Vendor, product and revision, as far as there are any.
fn identity(found: &Found) -> Option<String> {
    let text = |object: u8| {
        let (_, text) = found.identity.iter().find(|(own, _)| *own == object)?;
        (!text.is_empty()).then_some(text.as_str())
    };
    let all: Vec<&str> = [0, 1, 2].into_iter().filter_map(text).collect();
    (!all.is_empty()).then(|| all.join(" "))
}
