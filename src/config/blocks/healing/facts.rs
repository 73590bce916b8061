//! What was learned about one table of a device, as data and as the short text the store keeps.

use std::fmt;
use std::ops::Range;

/// Facts about one table of one device. The text form is `gaps 11-40 60-60; max 62; bad 100-102`,
/// ends exclusive; parts that say nothing are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Learned {
    /// Addresses that must not be read across; an empty range is a place that must not be crossed.
    pub gaps: Vec<Range<u32>>,
    /// Most registers or bits in one request, if fewer than configured.
    pub max_span: Option<u16>,
    /// Tags, by their addresses, that are refused when read alone.
    pub bad: Vec<Range<u32>>,
}

/// Why a text is not [`Learned`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fact about a device")]
pub struct NoFact(String);

impl Learned {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add_gap(&mut self, gap: Range<u32>) {
        add(&mut self.gaps, gap);
    }

    pub(super) fn add_bad(&mut self, bad: Range<u32>) {
        add(&mut self.bad, bad);
    }

    /// The inverse of `to_string`.
    pub fn parse(text: &str) -> Result<Self, NoFact> {
        let mut learned = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let no_fact = || NoFact(part.to_owned());
            let (what, rest) = part.split_once(' ').ok_or_else(no_fact)?;
            let ranges = || rest.split_whitespace().map(range).collect::<Option<Vec<_>>>();
            match what {
                "gaps" => learned.gaps = ranges().ok_or_else(no_fact)?,
                "bad" => learned.bad = ranges().ok_or_else(no_fact)?,
                "max" => {
                    let max = rest.trim().parse().ok().filter(|max| *max > 0);
                    learned.max_span = Some(max.ok_or_else(no_fact)?);
                }
                _ => return Err(no_fact()),
            }
        }
        Ok(learned)
    }
}

fn add(ranges: &mut Vec<Range<u32>>, new: Range<u32>) {
    if !ranges.contains(&new) {
        ranges.push(new);
        ranges.sort_by_key(|range| (range.start, range.end));
    }
}

fn range(text: &str) -> Option<Range<u32>> {
    let (start, end) = text.split_once('-')?;
    let (start, end): (u32, u32) = (start.parse().ok()?, end.parse().ok()?);
    (start <= end && end <= 0x1_0000).then_some(start..end)
}

impl fmt::Display for Learned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut ranges = |f: &mut fmt::Formatter<'_>, what: &str, ranges: &[Range<u32>]| {
            if !ranges.is_empty() {
                write!(f, "{separator}{what}")?;
                separator = "; ";
                ranges.iter().try_for_each(|r| write!(f, " {}-{}", r.start, r.end))?;
            }
            Ok(())
        };
        ranges(f, "gaps", &self.gaps)?;
        ranges(f, "bad", &self.bad)?;
        match self.max_span {
            Some(max) => write!(f, "{separator}max {max}"),
            None => Ok(()),
        }
    }
}
