//! The thread that salvages, and looks whether the file is sound after an unclean stop: at low pace,
//! beside the work of the gateway, which never waits for it.
//!
//! Each batch waits until the one before it is committed, and the writer takes it only when nothing
//! else is due: live readings go first. Where it got is in the claims, so a restart goes on there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::check::check;
use super::requeue::Request;
use super::survey::{OldFile, Survey};
use crate::model::{Clock, Reading};
use crate::store::chunk::Chunk;
use crate::store::entry::Body;
use crate::store::error::StoreError;
use crate::store::quarantine;
use crate::store::shared::Shared;
use crate::store::state::State;
use crate::store::status::Quarantined;
use crate::store::work::Piece;

/// Most memory of one batch, and most chunks.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_PIECES_MAX: usize = 64;
/// After each batch, and after each stretch of pages looked at.
const PAUSE_BATCH: Duration = Duration::from_millis(20);
const PAUSE_PAGES: Duration = Duration::from_millis(2);
const PAGES_PER_PAUSE: u32 = 256;
/// How often requests and the end are looked for, and how long a failed batch waits.
const TICK: Duration = Duration::from_secs(1);
/// Salvage waits while the file in use is fuller than this, or it would push out what is newer.
const FULL_PERCENT: u64 = 90;

/// The store is closed: everything is left as it is.
struct Stopped;

/// Starts the thread. `path` is the database in use.
pub fn start(shared: Arc<Shared>, path: PathBuf) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name("store-salvage".to_owned())
        .spawn(move || {
            let Stopped = Salvager { shared, path, given_up: BTreeSet::new() }.run();
        })
        .map_err(|error| StoreError::Thread(Arc::new(error)))
}

struct Salvager {
    shared: Arc<Shared>,
    path: PathBuf,
    /// Files that could not be read this time.
    given_up: BTreeSet<u64>,
}

impl Salvager {
    fn run(mut self) -> Stopped {
        let mut unchecked = !self.shared.lock().disk.clean_start;
        loop {
            let next = match self.next(unchecked) {
                Ok(next) => next,
                Err(stopped) => return stopped,
            };
            let done = match next {
                Some(aside) => self.salvage(&aside),
                None => {
                    unchecked = false;
                    check(&self.shared, &self.path);
                    Ok(())
                }
            };
            if let Err(stopped) = done {
                return stopped;
            }
        }
    }

    /// The next file to salvage, the newest first; `None` when the file in use is to be checked.
    fn next(&self, unchecked: bool) -> Result<Option<Quarantined>, Stopped> {
        let mut state = self.shared.lock();
        loop {
            if state.control.stop.is_some() {
                return Err(Stopped);
            }
            let open = state.disk.quarantined.iter().rev();
            let mut open = open.filter(|a| !a.done && !self.given_up.contains(&a.number));
            if let Some(aside) = open.next().filter(|_| state.consumers_known) {
                return Ok(Some(aside.clone()));
            }
            if unchecked {
                return Ok(None);
            }
            let waited = self.shared.background.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sleeps, unless the store is closed meanwhile.
    fn pause(&self, time: Duration) -> Result<(), Stopped> {
        let state = self.shared.lock();
        if state.control.stop.is_some() {
            return Err(Stopped);
        }
        let waited = self.shared.background.wait_timeout(state, time);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.control.stop.is_some() { Err(Stopped) } else { Ok(()) }
    }

    fn salvage(&mut self, aside: &Quarantined) -> Result<(), Stopped> {
        let old = match OldFile::open(Path::new(&aside.file)) {
            Ok(old) => old,
            Err(error) => {
                tracing::error!(file = %aside.file, %error, "could not be read to salvage it");
                self.given_up.insert(aside.number);
                return Ok(());
            }
        };
        let mut pages = 0;
        let mut pace = || {
            pages += 1;
            pages % PAGES_PER_PAUSE != 0 || self.pause(PAUSE_PAGES).is_ok()
        };
        let found = old.survey(&mut pace).ok_or(Stopped)?;
        {
            let mut state = self.shared.lock();
            if state.salvages.get(aside.number).is_none() {
                state.claim_found(aside.number, &found, aside.floors.as_ref());
            }
        }
        let mut after = Some((0, 0));
        while let Some(from) = after {
            let (places, next) = old.chunks(from, &mut pace).ok_or(Stopped)?;
            let mut batch = Vec::new();
            for place in places {
                if let Some(chunk) = old.chunk(place) {
                    let clock = &*self.shared.clock;
                    self.shared.lock().prepare(aside.number, &found, &chunk, clock, &mut batch);
                }
                let bytes: usize = batch.iter().map(Piece::bytes).sum();
                if bytes >= BATCH_BYTES || batch.len() >= BATCH_PIECES_MAX {
                    self.send(aside.number, &batch)?;
                    batch.clear();
                }
            }
            self.send(aside.number, &batch)?;
            after = next;
        }
        self.finish(aside.number);
        Ok(())
    }

    /// Has the batch committed, however long it takes.
    fn send(&self, file: u64, pieces: &[Piece]) -> Result<(), Stopped> {
        if pieces.is_empty() {
            return Ok(());
        }
        while self.shared.lock().is_full() {
            self.pause(TICK)?;
        }
        loop {
            let (reply, told) = sync_channel(1);
            let request = Request { file, pieces: pieces.to_vec(), reply };
            self.shared.lock().control.requeue = Some(request);
            self.shared.wake();
            let committed = loop {
                match told.recv_timeout(TICK) {
                    Ok(committed) => break committed,
                    Err(RecvTimeoutError::Disconnected) => break false,
                    Err(RecvTimeoutError::Timeout) => self.pause(Duration::ZERO)?,
                }
            };
            if committed {
                return self.pause(PAUSE_BATCH);
            }
            self.pause(TICK)?;
        }
    }

    /// Everything was looked at: what is owed still is lost.
    fn finish(&mut self, file: u64) {
        let aside = {
            let mut state = self.shared.lock();
            let (salvaged, lost) = state
                .salvages
                .get(file)
                .map_or((0, 0), |salvage| (salvage.salvaged, salvage.owed()));
            let Some(aside) = state.disk.quarantined.iter_mut().find(|a| a.number == file) else {
                return;
            };
            (aside.salvaged, aside.lost, aside.done) = (salvaged, lost, true);
            aside.clone()
        };
        let (file, salvaged, lost) = (&aside.file, aside.salvaged, aside.lost);
        if lost > 0 {
            tracing::error!(%file, salvaged, lost, "a part of the file set aside is lost");
        } else {
            tracing::warn!(%file, salvaged, "all of the file set aside that was needed is back");
        }
        // The claims go when the note says that it is done, or they would be made again.
        match quarantine::note(&aside) {
            Ok(()) => self.shared.lock().salvages.retain(|number| number != aside.number),
            Err(error) => tracing::warn!(%file, %error, "could not note that it was salvaged"),
        }
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.disk.bytes > self.disk.quota / 100 * FULL_PERCENT
    }

    /// Adds what someone is owed of a chunk to the batch, under the numbers of the file in use.
    fn prepare(
        &mut self,
        file: u64,
        found: &Survey,
        chunk: &Chunk,
        clock: &dyn Clock,
        batch: &mut Vec<Piece>,
    ) {
        let range = chunk.seq..chunk.seq + chunk.n;
        let wanted = self.salvages.get(file).is_some_and(|s| s.wants(chunk.class, &range));
        let Some(entries) = wanted.then(|| chunk.decode().ok()).flatten() else { return };
        let Some(boot) = self.boot_now(file, found, chunk.boot) else { return };
        // A row that was taken over is the newest one, and not the current one.
        self.observe_clock(clock);
        let now = clock.mono();
        let mut messages = Vec::new();
        for entry in entries {
            match entry.body {
                Body::Message(_) => messages.push(entry.body),
                Body::Readings(readings) => {
                    let tags = readings.iter().map(Reading::tag);
                    let tags = self.tags_now(file, found, tags);
                    let mut at = entry.seq.0;
                    let known = |a: &Reading| tags.contains_key(&a.tag());
                    for run in readings.chunk_by(|a, b| known(a) == known(b)) {
                        let first = at;
                        at += run.len() as u64;
                        let renamed = run.iter().filter_map(|reading| {
                            Some(reading.clone().with_tag(*tags.get(&reading.tag())?))
                        });
                        let renamed: Vec<_> = renamed.collect();
                        if !renamed.is_empty() {
                            let body = Body::Readings(renamed);
                            batch.push(Piece::salvaged(chunk.class, boot, first, now, vec![body]));
                        }
                    }
                }
            }
        }
        if !messages.is_empty() {
            batch.push(Piece::salvaged(chunk.class, boot, chunk.seq, now, messages));
        }
    }
}
