//! What is written, on top of a preset.
//!
//! What the preset says is read by the same code, but its problems are ours and never those of the
//! file: the tests let no preset with a problem pass.

use crate::config::keys;
use crate::config::problem::{Complaint, Findings, Spot};
use crate::config::raw::Node;
use crate::config::section::{Field, Section};

/// A section and, where it says nothing, that of a preset.
pub(super) struct Layers<'s, 'a> {
    pub own: &'s Section<'a>,
    base: Option<Section<'a>>,
}

impl<'s, 'a> Layers<'s, 'a> {
    pub(super) fn new(own: &'s Section<'a>, preset: Option<&'a Node>) -> Self {
        let base =
            preset.map(|node| unreported(|out| Field::root(node).section(&keys::SERIAL, out)));
        Self { own, base }
    }

    /// The field that counts, and whether it is the preset's.
    pub(super) fn get(&self, key: &str) -> Option<(Field<'a>, bool)> {
        let own = self.own.get(key).map(|field| (field.clone(), false));
        own.or_else(|| self.base(key).map(|field| (field, true)))
    }

    /// The preset's field.
    pub(super) fn base(&self, key: &str) -> Option<Field<'a>> {
        self.base.as_ref().and_then(|base| base.get(key)).cloned()
    }

    pub(super) fn has_preset(&self) -> bool {
        self.base.is_some()
    }

    /// Reads the field that counts.
    pub(super) fn read<T>(
        &self,
        key: &str,
        out: &mut Findings,
        read: impl FnOnce(&Field<'a>, &mut Findings) -> Option<T>,
    ) -> Option<T> {
        let (field, of_preset) = self.get(key)?;
        if of_preset { unreported(|out| read(&field, out)) } else { read(&field, out) }
    }

    pub(super) fn scalar<T>(
        &self,
        key: &str,
        out: &mut Findings,
        parse: impl FnOnce(&'a str) -> Result<T, Complaint>,
    ) -> Option<T> {
        self.read(key, out, |field, out| field.scalar(out, parse))
    }

    /// One value or a list of them.
    pub(super) fn list<T>(
        &self,
        key: &str,
        out: &mut Findings,
        parse: impl Fn(&'a str) -> Result<T, Complaint>,
    ) -> Vec<T> {
        let all = self.read(key, out, |field, out| {
            Some(field.items().iter().filter_map(|item| item.scalar(out, &parse)).collect())
        });
        all.unwrap_or_default()
    }

    /// Where a problem with a value stands: the preset's are the fault of whoever chose it.
    pub(super) fn spot(&self, key: &str) -> Spot {
        match (self.own.get(key), self.own.get("preset")) {
            (Some(field), _) => field.spot(),
            (None, Some(preset)) if self.base(key).is_some() => preset.spot(),
            (None, _) => self.own.spot_of(key),
        }
    }
}

/// Reads a part of a preset.
pub(super) fn unreported<T>(read: impl FnOnce(&mut Findings) -> T) -> T {
    let mut out = Findings::new("preset");
    let value = read(&mut out);
    debug_assert!(out.errors() == 0, "{:?}", out.into_problems());
    value
}
