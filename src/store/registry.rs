//! What must outlive the configuration besides readings: the meaning of tag numbers, and facts
//! learned about devices.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{TagId, TagMeta};

/// Most facts kept; a gateway with every limit of every device learned stays far below.
pub const FACTS_MAX: usize = 16_384;

/// The append-only table of tags: a number, once given, keeps its meaning for ever.
#[derive(Debug, Clone, Default)]
pub struct Tags {
    by_id: BTreeMap<TagId, Arc<TagMeta>>,
    by_meta: HashMap<Arc<TagMeta>, TagId>,
    last: u32,
    /// Numbers up to here are in the file.
    written: u32,
}

impl Tags {
    /// `last` is the highest number ever given, also when its row can't be read any more.
    pub fn resume(rows: Vec<(TagId, TagMeta)>, last: u32) -> Self {
        let mut tags = Self { last, written: last, ..Self::default() };
        for (id, meta) in rows {
            tags.insert(id, Arc::new(meta));
        }
        tags
    }

    fn insert(&mut self, id: TagId, meta: Arc<TagMeta>) {
        self.by_meta.insert(Arc::clone(&meta), id);
        self.by_id.insert(id, meta);
    }

    pub fn register(&mut self, meta: &TagMeta) -> TagId {
        if let Some(id) = self.by_meta.get(meta) {
            return *id;
        }
        self.last = self.last.saturating_add(1);
        let id = TagId(self.last);
        self.insert(id, Arc::new(meta.clone()));
        id
    }

    pub fn get(&self, id: TagId) -> Option<Arc<TagMeta>> {
        self.by_id.get(&id).cloned()
    }

    pub fn all(&self) -> BTreeMap<TagId, Arc<TagMeta>> {
        self.by_id.clone()
    }

    pub fn is_dirty(&self) -> bool {
        self.written < self.last
    }

    pub fn last(&self) -> u32 {
        self.last
    }

    pub fn dirty(&self) -> Vec<(TagId, Arc<TagMeta>)> {
        let rows = self.by_id.range(TagId(self.written.saturating_add(1))..);
        rows.map(|(id, meta)| (*id, Arc::clone(meta))).collect()
    }

    pub fn written(&mut self, last: u32) {
        self.written = self.written.max(last);
    }

    /// A new file knows none of them.
    pub fn forget_writes(&mut self) {
        self.written = 0;
    }
}

/// What was learned about devices; `None` in [`Facts::dirty`] is a fact to be deleted.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    facts: BTreeMap<String, String>,
    dirty: BTreeSet<String>,
}

impl Facts {
    pub fn resume(facts: BTreeMap<String, String>) -> Self {
        Self { facts, dirty: BTreeSet::new() }
    }

    /// Says whether that changes anything.
    pub fn set(&mut self, key: &str, value: Option<&str>) -> bool {
        if self.facts.get(key).map(String::as_str) == value {
            return false;
        }
        match value {
            Some(value) => {
                if self.facts.len() >= FACTS_MAX && !self.facts.contains_key(key) {
                    tracing::warn!(key, "too many learned facts: this one is not kept");
                    return false;
                }
                self.facts.insert(key.to_owned(), value.to_owned());
            }
            None => {
                self.facts.remove(key);
            }
        }
        self.dirty.insert(key.to_owned());
        true
    }

    pub fn all(&self) -> Vec<(String, String)> {
        self.facts.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub fn dirty(&self) -> Vec<(String, Option<String>)> {
        self.dirty.iter().map(|key| (key.clone(), self.facts.get(key).cloned())).collect()
    }

    /// `written` is in the file now; what changed meanwhile stays dirty.
    pub fn written(&mut self, written: &[(String, Option<String>)]) {
        for (key, value) in written {
            if self.facts.get(key) == value.as_ref() {
                self.dirty.remove(key);
            }
        }
    }

    /// A new file knows none of them.
    pub fn forget_writes(&mut self) {
        self.dirty = self.facts.keys().cloned().collect();
    }
}
