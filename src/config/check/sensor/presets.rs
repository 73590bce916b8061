//! Descriptions of common sensors, as data: `configs/presets/*.yaml`, part of the program.

use crate::config::link::SensorLink;
use crate::config::problem::{Complaint, Findings};
use crate::config::raw::{self, Node};
use crate::config::section::Field;
use crate::config::values::quoted;

macro_rules! preset {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../configs/presets/", $name, ".yaml")))
    };
}

static PRESETS: [(&str, &str); 15] = [
    preset!("mt-sics"),
    preset!("mt-sics-stable"),
    preset!("mt-sics-continuous"),
    preset!("toledo-continuous"),
    preset!("toledo-continuous-checksum"),
    preset!("sartorius-sbi"),
    preset!("sartorius-sbi-push"),
    preset!("and"),
    preset!("and-stream"),
    preset!("nmea-0183"),
    preset!("barcode"),
    preset!("iec-62056-21"),
    preset!("iec-62056-21-push"),
    preset!("sml"),
    preset!("key-value"),
];

pub(in crate::config) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

pub(super) fn name(text: &str) -> Result<&'static str, Complaint> {
    names().find(|name| *name == text).ok_or_else(|| {
        let complaint = Complaint::new(format!("there is no preset {}", quoted(text)));
        let complaint = complaint.suggest(text, names());
        match complaint.hint {
            Some(_) => complaint,
            None => complaint.hint(format!("one of {}", names().collect::<Vec<_>>().join(", "))),
        }
    })
}

pub(super) fn tree(name: &str) -> Option<Node> {
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    let tree = raw::tree(text);
    debug_assert!(tree.is_ok(), "{name}: {:?}", tree.err());
    tree.ok()
}

/// A preset alone, on a port that has yet to be named.
pub(in crate::config) fn find(name: &str) -> Result<SensorLink, Complaint> {
    let name = self::name(name)?;
    let text = format!("{{ port: port, preset: {name} }}");
    let broken = || Complaint::new(format!("the preset {name} can't be read"));
    let tree = raw::tree(&text).map_err(|_| broken())?;
    let mut out = Findings::new("preset");
    let link = super::check(&Field::root(&tree), &mut out);
    link.filter(|_| out.errors() == 0).ok_or_else(broken)
}
