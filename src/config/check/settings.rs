//! How a device is asked: what a device section says about it, and a profile for all its devices.

use std::sync::Arc;
use std::time::Duration;

use crate::config::defaults::{
    BITS_MAX, EVERY_RANGE, PAUSE_RANGE, REGISTERS_MAX, TIMEOUT, TIMEOUT_RANGE, TURNAROUND,
    WRITE_EXPIRES, WRITE_EXPIRES_RANGE,
};
use crate::config::kinds;
use crate::config::plan::{DevicePlan, TagPlan};
use crate::config::problem::Findings;
use crate::config::section::Section;
use crate::config::values;
use crate::config::write_rule::WriteWith;
use crate::model::{Class, Name, Order};

/// Functions that write, by their number.
const WRITE_WITH: [(&str, WriteWith); 3] =
    [("6", WriteWith::Six), ("16", WriteWith::Sixteen), ("23", WriteWith::TwentyThree)];

const NUMBERINGS: [(&str, Numbering); 2] =
    [("from-0", Numbering::FromZero), ("from-1", Numbering::FromOne)];

/// See the module. What depends on where the device is stays open.
pub(super) struct Settings {
    pub every: Option<Duration>,
    pub timeout: Option<Duration>,
    pub pause: Duration,
    pub order: Order,
    pub numbering: Numbering,
    pub registers_max: u16,
    pub bits_max: u16,
    pub write_with: WriteWith,
    /// How long commands are valid that don't say so themselves.
    pub write_expires: Duration,
    /// That of tags that don't say theirs.
    pub class: Class,
}

/// How the addresses in the configuration of a device, and in its manual, are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Numbering {
    /// As on the wire.
    #[default]
    FromZero,
    /// Register 1 is address 0 on the wire.
    FromOne,
}

impl Settings {
    pub(super) fn of(section: &Section<'_>, out: &mut Findings) -> Self {
        let registers = values::integer(1..=i128::from(REGISTERS_MAX));
        let bits = values::integer(1..=i128::from(BITS_MAX));
        let expires = values::duration(WRITE_EXPIRES_RANGE);
        let numbering = values::word(&NUMBERINGS);
        Self {
            every: section.scalar("every", out, values::duration(EVERY_RANGE)),
            timeout: section.scalar("timeout", out, values::duration(TIMEOUT_RANGE)),
            pause: section
                .scalar("pause", out, values::duration(PAUSE_RANGE))
                .unwrap_or(Duration::ZERO),
            order: section.scalar("order", out, kinds::order).unwrap_or_default(),
            numbering: section.scalar("addresses", out, numbering).unwrap_or_default(),
            registers_max: section.scalar("registers-max", out, registers).unwrap_or(REGISTERS_MAX),
            bits_max: section.scalar("bits-max", out, bits).unwrap_or(BITS_MAX),
            write_with: section
                .scalar("write-with", out, values::word(&WRITE_WITH))
                .unwrap_or_default(),
            write_expires: section.scalar("write-expires", out, expires).unwrap_or(WRITE_EXPIRES),
            class: section.scalar("class", out, kinds::class).unwrap_or_default(),
        }
    }
}

impl Settings {
    /// A device that is asked in this way.
    pub(super) fn device(
        self,
        name: Name,
        unit: u8,
        broadcast: bool,
        tags: Vec<TagPlan>,
    ) -> DevicePlan {
        DevicePlan {
            name,
            unit,
            timeout: self.timeout.unwrap_or(if broadcast { TURNAROUND } else { TIMEOUT }),
            pause: self.pause,
            registers_max: self.registers_max,
            bits_max: self.bits_max,
            write_with: self.write_with,
            topic: None,
            tags: Arc::new(tags),
        }
    }
}

impl Numbering {
    /// The address on the wire of a number as it is written.
    pub(super) fn address(self, number: i128) -> Option<u16> {
        u16::try_from(number - i128::from(self.shown(0))).ok()
    }

    /// A wire address as it is written; one past the last too.
    pub(super) fn shown(self, address: u32) -> u32 {
        match self {
            Self::FromZero => address,
            Self::FromOne => address.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_wire_in_the_end() {
        assert_eq!(Numbering::FromZero.address(0), Some(0));
        assert_eq!(Numbering::FromZero.address(65_535), Some(65_535));
        assert_eq!(Numbering::FromZero.address(65_536), None);
        assert_eq!(Numbering::FromOne.address(0), None);
        assert_eq!(Numbering::FromOne.address(1), Some(0));
        assert_eq!(Numbering::FromOne.address(65_536), Some(65_535));
        assert_eq!(Numbering::FromOne.address(65_537), None);
        assert_eq!(Numbering::FromOne.shown(0), 1);
    }
}
