//! The search for the one place that makes a device refuse a block.

use std::ops::Range;

use super::Cause;

/// A refused block and the places that may be the cause.
#[derive(Debug, Clone)]
pub(super) struct Hunt {
    range: Range<u32>,
    /// Holes, or places between adjacent tags, by address; never empty.
    suspects: Vec<Range<u32>>,
    /// The suspects that are cut on trial.
    cuts: Vec<Range<u32>>,
    /// What the cuts leave of `range`, and whether it was answered.
    pieces: Vec<(Range<u32>, bool)>,
    cause: Cause,
    /// Cut at all its suspects the block was answered: what refuses it now is one of them.
    is_answered_in_pieces: bool,
}

/// What a report means for a hunt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Unchanged,
    /// The trial cuts have changed.
    Cut,
    Found(Range<u32>, Cause),
    /// Every suspect was read across without harm.
    Innocent,
}

impl Verdict {
    pub(super) fn ends(&self) -> bool {
        matches!(self, Self::Found(..) | Self::Innocent)
    }
}

/// The holes between these parts, and the places where they touch without overlapping; the parts
/// are sorted.
pub(super) fn suspects(parts: &[Range<u32>]) -> (Vec<Range<u32>>, Vec<Range<u32>>) {
    let (mut holes, mut seams) = (Vec::new(), Vec::new());
    let mut covered = parts.first().map_or(0, |part| part.end);
    for part in parts.iter().skip(1) {
        if part.start >= covered {
            seams.push(covered..part.start);
        }
        if part.start > covered {
            holes.push(covered..part.start);
        }
        covered = covered.max(part.end);
    }
    (holes, seams)
}

impl Hunt {
    /// `seams` is not empty and includes the `holes`.
    pub(super) fn new(
        range: Range<u32>,
        holes: &[Range<u32>],
        seams: &[Range<u32>],
        cause: Cause,
    ) -> Self {
        let suspects = if holes.is_empty() { seams } else { holes }.to_vec();
        let mut hunt = Self {
            range,
            suspects,
            cuts: Vec::new(),
            pieces: Vec::new(),
            cause,
            is_answered_in_pieces: false,
        };
        hunt.cut(hunt.spread());
        hunt
    }

    pub(super) fn contains(&self, range: &Range<u32>) -> bool {
        within(range, &self.range)
    }

    pub(super) fn overlaps(&self, range: &Range<u32>) -> bool {
        self.range.start < range.end && range.start < self.range.end
    }

    /// What must not be crossed meanwhile: the cuts, and the block's own ends, so that its pieces
    /// don't join with their neighbours.
    pub(super) fn trial_cuts(&self) -> impl Iterator<Item = Range<u32>> {
        let (start, end) = (self.range.start, self.range.end);
        self.cuts.iter().cloned().chain([start..start, end..end])
    }

    pub(super) fn answered(&mut self, range: &Range<u32>) -> Verdict {
        self.suspects.retain(|suspect| !crossed(suspect, range));
        for (piece, passed) in &mut self.pieces {
            *passed |= within(piece, range);
        }
        if self.suspects.is_empty() {
            return Verdict::Innocent;
        }
        if !self.pieces.iter().all(|(_, passed)| *passed) {
            return Verdict::Unchanged;
        }
        self.suspects.retain(|suspect| self.cuts.contains(suspect));
        self.is_answered_in_pieces = true;
        match self.suspects.len() {
            0 => return Verdict::Innocent,
            1 => self.cut(Vec::new()), // read whole once more: the trouble may have passed by itself
            _ => self.cut(self.middle()),
        }
        Verdict::Cut
    }

    /// A block inside the hunt's was refused; `seams` are the places inside it where it can be cut.
    pub(super) fn refused(&mut self, range: &Range<u32>, seams: &[Range<u32>]) -> Verdict {
        self.suspects.retain(|suspect| crossed(suspect, range));
        if let ([one], true) = (self.suspects.as_slice(), self.is_answered_in_pieces) {
            return Verdict::Found(one.clone(), self.cause);
        }
        if self.suspects.is_empty() {
            self.suspects = seams.to_vec(); // no hole is left to blame
            self.is_answered_in_pieces = false;
        }
        self.range = range.clone();
        self.cut(if self.is_answered_in_pieces { self.middle() } else { self.spread() });
        Verdict::Cut
    }

    /// Suspects that divide the others evenly: enough of them that a register table's holes are
    /// through in five rounds.
    fn spread(&self) -> Vec<Range<u32>> {
        let n = self.suspects.len();
        let cuts = if n > 15 { 7 } else { n.min(3) };
        let places = (1..=cuts).map(|k| (k * (n + 1) / (cuts + 1)).saturating_sub(1));
        places.filter_map(|at| self.suspects.get(at).cloned()).collect()
    }

    fn middle(&self) -> Vec<Range<u32>> {
        self.suspects.get(self.suspects.len() / 2).cloned().into_iter().collect()
    }

    fn cut(&mut self, cuts: Vec<Range<u32>>) {
        let mut from = self.range.start;
        self.pieces.clear();
        for cut in &cuts {
            self.pieces.push((from..cut.start, false));
            from = cut.end;
        }
        self.pieces.push((from..self.range.end, false));
        self.cuts = cuts;
    }
}

fn within(inner: &Range<u32>, outer: &Range<u32>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Whether reading `range` reads across the place: its addresses and something on both sides.
fn crossed(place: &Range<u32>, range: &Range<u32>) -> bool {
    range.start < place.start && place.end < range.end
}
