//! A disk for the broker's file: nothing is durable before [`Disk::commit`], and a crash loses the
//! rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::broker::record::Saved;
use crate::broker::router::{Commit, KeepFile};
use crate::model::Wall;
use crate::store::{Change, Key, LeftOut, Table};

/// What was left out is put once more in steps of this size.
const AGAIN_BYTES: usize = 500;

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
    /// Messages of the broker that still have room, where there is a bound.
    room: Option<usize>,
    left_out: LeftOut,
    has_left_out: bool,
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

    /// From now on only so many messages have room, all others are left out; or there is no bound.
    pub fn set_room(&self, messages: Option<usize>) {
        self.lock().room = messages;
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
        (state.left_out, state.has_left_out) = (LeftOut::default(), false);
    }

    /// The file is gone and was begun anew.
    pub fn lose(&self) {
        let mut state = self.lock();
        state.durable.clear();
        state.is_renewed = true;
        state.left_out = LeftOut::everything();
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
        let mut state = self.lock();
        let state = &mut *state;
        for mut change in changes.drain(..) {
            let is_bounded = matches!(change.key, Key::Message(_) | Key::Retained(_));
            if let Some(room) = state.room.as_mut().filter(|_| is_bounded && change.value.is_some())
            {
                if *room == 0 {
                    state.left_out.add(&change.key);
                    state.has_left_out = true;
                    change.value = None;
                } else {
                    *room -= 1;
                }
            }
            state.put.push(change);
        }
    }

    fn committed(&self) -> Commit {
        let (tell, told) = oneshot::channel();
        let mut state = self.lock();
        if std::mem::take(&mut state.has_left_out) {
            let _ = tell.send(Err("no room".to_owned()));
        } else {
            state.waiting.push(tell);
        }
        Box::pin(async move { told.await.unwrap_or(Err("gone".to_owned())) })
    }

    fn take_renewed(&self) -> bool {
        std::mem::take(&mut self.lock().is_renewed)
    }

    fn take_left_out(&self) -> Option<(LeftOut, usize)> {
        let mut state = self.lock();
        let has_room = state.room != Some(0) && !state.left_out.is_empty();
        has_room.then(|| (std::mem::take(&mut state.left_out), AGAIN_BYTES))
    }

    fn leave_out(&self, left_out: &LeftOut) {
        self.lock().left_out.merge(left_out);
    }
}
