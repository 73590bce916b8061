//! Read Device Identification, function 43/14: what a device says about itself, as text.
//!
//! Three categories, each asked only if the device says that it has it, each in as many requests
//! as the device wants (Modbus Application Protocol V1.1b3, 6.21). Works on every kind of line. The
//! number of the next object only ever grows, so no device can keep the line for itself.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_modbus::prelude::{ConformityLevel, ReadCode};
use tokio_modbus::{Request, Response};

use super::line::{Failure, Line};

/// Longest text kept of an object, in characters; a PDU holds no more bytes.
const TEXT_MAX: usize = 253;

/// The categories with the first object of each.
const CATEGORIES: [(ReadCode, u8); 3] =
    [(ReadCode::Basic, 0), (ReadCode::Regular, 3), (ReadCode::Extended, 128)];

/// One answer, and what to ask for next.
struct Part {
    conforms: ConformityLevel,
    objects: Vec<(u8, String)>,
    next: Option<u8>,
}

impl Line {
    /// The device's objects by number. A category that fails after another one was read is left out.
    pub(crate) async fn identify(
        &mut self,
        unit: u8,
        timeout: Duration,
    ) -> Result<Vec<(u8, String)>, Failure> {
        let mut all = BTreeMap::new();
        for (category, first) in CATEGORIES {
            let has_more = match self.category(unit, category, first, timeout, &mut all).await {
                Ok(conforms) => has_beyond(conforms, category),
                Err(failure) if all.is_empty() => return Err(failure),
                Err(Failure::Link(error)) => return Err(Failure::Link(error)),
                Err(_) => false,
            };
            if !has_more {
                break;
            }
        }
        Ok(all.into_iter().collect())
    }

    async fn category(
        &mut self,
        unit: u8,
        category: ReadCode,
        first: u8,
        timeout: Duration,
        all: &mut BTreeMap<u8, String>,
    ) -> Result<ConformityLevel, Failure> {
        let mut object = first;
        loop {
            let request = Request::ReadDeviceIdentification(category, object);
            let answer = self.exchange(unit, request, timeout).await?;
            let Some(part) = Part::of(answer) else { return Err(Failure::BadAnswer) };
            all.extend(part.objects);
            match part.next {
                Some(next) if next > object => object = next,
                _ => return Ok(part.conforms),
            }
        }
    }
}

impl Part {
    fn of(answer: Response) -> Option<Self> {
        let Response::ReadDeviceIdentification(answer) = answer else { return None };
        let objects = answer.device_id_objects.iter();
        Some(Self {
            conforms: answer.conformity_level,
            objects: objects.map(|object| (object.id, text(&object.value))).collect(),
            next: answer.more_follows.then_some(answer.next_object_id),
        })
    }
}

/// Whether a device of this conformity has the category after this one.
fn has_beyond(conforms: ConformityLevel, category: ReadCode) -> bool {
    use ConformityLevel as Level;
    let level = match conforms {
        Level::BasicIdentification | Level::BasicIdentificationStreamOnly => 1,
        Level::RegularIdentification | Level::RegularIdentificationStreamOnly => 2,
        Level::ExtendedIdentification | Level::ExtendedIdentificationStreamOnly => 3,
    };
    level > category.value()
}

/// Readable, whatever the bytes are: ASCII by the specification, and sometimes not.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    plain.chars().map(|c| if c.is_control() { '·' } else { c }).take(TEXT_MAX).collect()
}

/// What the specification calls an object.
pub(crate) fn object_name(object: u8) -> Option<&'static str> {
    Some(match object {
        0 => "vendor",
        1 => "product code",
        2 => "revision",
        3 => "vendor url",
        4 => "product",
        5 => "model",
        6 => "application",
        _ => return None,
    })
}
