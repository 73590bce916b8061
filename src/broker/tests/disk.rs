//! A disk for the broker's file: nothing is durable before [`Disk::commit`], and a crash loses the
//! rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::broker::record::Saved;
use crate::broker::router::{Commit, KeepFile};
use crate::model::Wall;
use crate::store::{Change, Key, Table};

#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    durable: BTreeMap<Key, Bytes>,
    put: Vec<Change>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    wall: Wall,
    is_full: bool,
    is_renewed: bool,
    /// Changes that were written.
    written: usize,
}

impl Disk {
    pub fn new() -> Self {
        let disk = Self::default();
        disk.set_wall(Wall(1_800_000_000_000));
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn set_wall(&self, wall: Wall) {
        self.lock().wall = wall;
    }

    pub fn wall(&self) -> Wall {
        self.lock().wall
    }

    /// From now on nothing can be written, or it can again.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// Makes durable what was put, and tells.
    pub fn commit(&self) {
        let mut state = self.lock();
        if state.is_full {
            for waiter in state.waiting.drain(..) {
                let _ = waiter.send(Err("full".to_owned()));
            }
            return;
        }
        for Change { key, value } in std::mem::take(&mut state.put) {
            state.written += 1;
            match value {
                Some(value) => state.durable.insert(key, value),
                None => state.durable.remove(&key),
            };
        }
        for waiter in state.waiting.drain(..) {
            let _ = waiter.send(Ok(()));
        }
    }

    /// The power is gone: what was not durable never was.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.put.clear();
        state.waiting.clear();
    }

    /// The file is gone and was begun anew.
    pub fn lose(&self) {
        let mut state = self.lock();
        state.durable.clear();
        state.is_renewed = true;
    }

    pub fn rows(&self) -> Vec<Key> {
        self.lock().durable.keys().cloned().collect()
    }

    /// Changes that were put so far and not made durable.
    pub fn waiting_changes(&self) -> usize {
        self.lock().put.len()
    }

    pub fn read(&self) -> Saved {
        let state = self.lock();
        Saved::read(|table, each| {
            for (key, value) in state.durable.iter().filter(|(key, _)| table_of(key) == table) {
                each(key.clone(), value);
            }
            true
        })
    }

    /// Writes something over all rows of a table.
    pub fn damage(&self, table: Table) {
        let mut state = self.lock();
        let rows = state.durable.iter_mut().filter(|(key, _)| table_of(key) == table);
        rows.for_each(|(_, value)| *value = Bytes::from_static(b"\xFFnothing"));
    }
}

fn table_of(key: &Key) -> Table {
    match key {
        Key::Session(_) => Table::Session,
        Key::Progress(_) => Table::Progress,
        Key::Message(_) => Table::Message,
        Key::Retained(_) => Table::Retained,
    }
}

impl KeepFile for Disk {
    fn put(&self, changes: &mut Vec<Change>) {
        self.lock().put.append(changes);
    }

    fn committed(&self) -> Commit {
        let (tell, told) = oneshot::channel();
        self.lock().waiting.push(tell);
        Box::pin(async move { told.await.unwrap_or(Err("gone".to_owned())) })
    }

    fn take_renewed(&self) -> bool {
        std::mem::take(&mut self.lock().is_renewed)
    }
}
