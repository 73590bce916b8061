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

/// One request: the objects of a category from a number on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    category: ReadCode,
    object: u8,
}

/// One answer, and what to ask for next.
pub(crate) struct Part {
    conforms: ConformityLevel,
    objects: Vec<(u8, String)>,
    next: Option<u8>,
}

/// What a device has said so far, and what is still to be asked.
pub(crate) struct Interview {
    said: BTreeMap<u8, String>,
    /// Index of the category.
    category: usize,
    /// `None` when all was asked.
    object: Option<u8>,
}

impl Interview {
    pub(crate) fn new() -> Self {
        Self { said: BTreeMap::new(), category: 0, object: Some(0) }
    }

    /// The next request; `None` at the end.
    pub(crate) fn question(&self) -> Option<Question> {
        let (category, _) = *CATEGORIES.get(self.category)?;
        Some(Question { category, object: self.object? })
    }

    pub(crate) fn answered(&mut self, part: Part) {
        let (Some(asked), Some((category, _))) = (self.object, CATEGORIES.get(self.category))
        else {
            return;
        };
        self.said.extend(part.objects);
        self.object = match part.next {
            Some(next) if next > asked => Some(next),
            _ if has_beyond(part.conforms, *category) => {
                self.category += 1;
                CATEGORIES.get(self.category).map(|(_, first)| *first)
            }
            _ => None,
        };
    }

    /// Whether nothing was said yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// The objects by number.
    pub(crate) fn said(self) -> Vec<(u8, String)> {
        self.said.into_iter().collect()
    }
}

impl Line {
    pub(crate) async fn identify(
        &mut self,
        unit: u8,
        question: Question,
        timeout: Duration,
    ) -> Result<Part, Failure> {
        let Question { category, object } = question;
        let request = Request::ReadDeviceIdentification(category, object);
        let answer = self.exchange(unit, request, timeout).await?;
        Part::of(answer).ok_or(Failure::BadAnswer)
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
