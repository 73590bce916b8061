//! How what is salvaged gets back into the queue, and how the accounts stay true meanwhile. Pure.

use std::ops::Range;

use super::claims::{Claim, Salvage};
use super::survey::Survey;
use crate::model::{Class, TagId};
use crate::store::accounting::Reason;
use crate::store::boot::Boots;
use crate::store::cursor::Cursor;
use crate::store::entry::BootNo;
use crate::store::ledger::{Ledger, Loss};
use crate::store::per_class::PerClass;
use crate::store::schema::class_code;
use crate::store::state::{Consumer, State};
use crate::store::work::{Piece, ShareRow, Work};

/// What brings back chunks of one file; `range` of each piece is where it was in that file.
#[derive(Debug)]
pub struct Request {
    pub file: u64,
    pub pieces: Vec<Piece>,
    /// Told whether it was committed.
    pub reply: std::sync::mpsc::SyncSender<bool>,
}

/// A chunk that is in the file in use again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub file: u64,
    pub class: Class,
    pub old: Range<u64>,
    pub new: Range<u64>,
}

impl State {
    /// Goes on without a file: what it had and memory has not is owed by it, and counted as
    /// dropped until it is brought back.
    pub fn claim_gone(&mut self, file: u64, gone: &PerClass<Vec<Range<u64>>>) {
        let mut salvage = self.new_salvage(file);
        for consumer in &self.consumers {
            for class in Class::ALL {
                let cursor = &consumer.shares.get(class).cursor;
                let open =
                    gone.get(class).iter().flat_map(|range| cursor.unsettled_in(range.clone()));
                let claim = Claim::on(consumer.name.clone(), class, open);
                if claim.owed() > 0 {
                    salvage.claims.push(claim);
                }
            }
        }
        self.salvages.put(salvage);
    }

    /// Claims on a file that was set aside before anyone could say what it had: by its own cursors,
    /// or where those can't be read, by what there is of chunks. What is below `floors` is in the
    /// file in use.
    pub fn claim_found(&mut self, file: u64, found: &Survey, floors: Option<&PerClass<u64>>) {
        let mut salvage = self.new_salvage(file);
        if floors.is_none() {
            (salvage.tags_upto, salvage.boots_upto) = (0, 0);
            salvage.epoch = Some(found.epoch.unwrap_or(0));
        }
        let named = |consumer: &Consumer| {
            found.consumers.iter().find(|(_, name)| **name == consumer.name).map(|(id, _)| *id)
        };
        // A row of a consumer that can't be read leaves cursors without a name.
        let nameless = found.consumers.is_empty()
            || found.cursors.keys().any(|(id, _)| !found.consumers.contains_key(id));
        for consumer in &mut self.consumers {
            let id = named(consumer).or(floors.map(|_| consumer.id));
            if id.is_none() && !nameless {
                continue; // It was not there yet.
            }
            for class in Class::ALL {
                let end = *found.end.get(class);
                let first = found.first.get(class).unwrap_or(end);
                let noted = id.and_then(|id| found.cursors.get(&(id, class_code(class))));
                let mut settled = match (noted, floors) {
                    (Some(cursor), _) => cursor.clone(),
                    (None, Some(_)) => Cursor::default(),
                    (None, None) => Cursor::at(first),
                };
                settled.settle_gone(0..floors.map_or(0, |floors| *floors.get(class)));
                found.skipped(class).for_each(|range| {
                    settled.settle_gone(range);
                });
                let claim = Claim { consumer: consumer.name.clone(), class, settled, end };
                let n = claim.owed();
                if n == 0 {
                    continue;
                }
                let share = consumer.shares.get_mut(class);
                share.account.appended += n;
                share.account.drop(Reason::Corrupt, n);
                share.version += 1;
                let range = claim.settled.base()..end;
                let name = consumer.name.as_str();
                let loss = Loss::of(Reason::Corrupt, name, class, range);
                self.ledger.record(&Loss { n, epoch: salvage.epoch, ..loss });
                salvage.claims.push(claim);
            }
        }
        self.salvages.put(salvage);
    }

    fn new_salvage(&self, file: u64) -> Salvage {
        let (tags_upto, boots_upto) = (self.tags.last(), self.boots.last().0);
        Salvage { file, tags_upto, boots_upto, ..Salvage::default() }
    }

    /// Numbers of the tags in the file in use; what nobody can name is left out.
    pub fn tags_now(
        &mut self,
        file: u64,
        found: &Survey,
        of: impl Iterator<Item = TagId>,
    ) -> TagMap {
        let upto = self.salvages.get(file).map_or(0, |salvage| salvage.tags_upto);
        of.filter_map(|old| {
            let same = TagId(old.0.min(upto));
            let now = match found.tags.get(&old) {
                Some(meta) => self.tags.register(meta),
                None if same == old && self.tags.get(old).is_some() => old,
                None => return None,
            };
            Some((old, now))
        })
        .collect()
    }

    /// Number of a boot row in the file in use.
    pub fn boot_now(&mut self, file: u64, found: &Survey, old: BootNo) -> Option<BootNo> {
        let upto = self.salvages.get(file).map_or(0, |salvage| salvage.boots_upto);
        let of_ours = |boots: &Boots| boots.row(old).filter(|_| old.0 <= upto).map(|row| row.no);
        of_ours(&self.boots).or_else(|| Some(self.boots.import(found.boots.get(&old)?)))
    }

    /// Adds to `work`, which holds everything else that is unwritten, what brings `pieces` back.
    /// Until that is committed nobody is told of the new positions; should it fail they are simply
    /// never used.
    pub fn bring_back(&mut self, request: &Request, work: &mut Work) {
        let Some(mut salvage) = self.salvages.get(request.file).cloned() else { return };
        for piece in &request.pieces {
            if !salvage.wants(piece.class, &piece.range) {
                continue;
            }
            let lane = self.lanes.get_mut(piece.class);
            let new = lane.head..lane.head + (piece.range.end - piece.range.start);
            lane.held.get_or_insert(new.start);
            lane.head = new.end;
            *work.next.get_mut(piece.class) = lane.head;
            *work.reserved.get_mut(piece.class) = lane.reserve_to();
            for consumer in &mut self.consumers {
                consumer.shares.get_mut(piece.class).cursor.settle_gone(new.clone());
            }
            let (file, class, old) = (request.file, piece.class, piece.range.clone());
            work.returned.push(Returned { file, class, old, new: new.clone() });
            work.pieces.push(piece.clone().at(new.start));
        }
        // The rows as they will be.
        let mut consumers = self.consumers.clone();
        let mut ledger = self.ledger.clone();
        give_back(&mut consumers, &mut salvage, &mut ledger, &work.returned);
        for (now, then) in self.consumers.iter().zip(&consumers) {
            for class in Class::ALL {
                let (before, after) = (now.shares.get(class), then.shares.get(class));
                if after.version != before.version {
                    work.shares.retain(|row| (row.consumer, row.class) != (then.id, class));
                    work.shares.push(ShareRow::new(then.id, class, after, before.version));
                }
            }
        }
        work.ledger = ledger.dirty();
        self.ledger.diverges_from(&work.ledger);
        work.salvages = Some(self.salvages.rows_with(salvage));
    }

    /// What was brought back is in the file: it waits now, and is no longer dropped.
    pub fn brought_back(&mut self, returned: &[Returned]) {
        self.held_no_more();
        let Some(file) = returned.first().map(|returned| returned.file) else { return };
        let Some(mut salvage) = self.salvages.get(file).cloned() else { return };
        give_back(&mut self.consumers, &mut salvage, &mut self.ledger, returned);
        self.salvages.put(salvage);
    }

    /// New positions need not be kept from anyone any more.
    pub fn held_no_more(&mut self) {
        Class::ALL.iter().for_each(|class| self.lanes.get_mut(*class).held = None);
    }
}

/// Old numbers of tags → numbers in the file in use.
pub type TagMap = std::collections::BTreeMap<TagId, TagId>;

/// Moves what was owed from `dropped(corrupt)` to what waits.
fn give_back(
    consumers: &mut [Consumer],
    salvage: &mut Salvage,
    ledger: &mut Ledger,
    returned: &[Returned],
) {
    for Returned { class, old, new, .. } in returned {
        let owed_before = salvage.owed();
        for claim in salvage.claims.iter_mut().filter(|claim| claim.class == *class) {
            let owed: Vec<Range<u64>> = claim.open(old.clone()).collect();
            for range in owed {
                claim.settled.settle_gone(range.clone());
                let name = &claim.consumer;
                let Some(consumer) = consumers.iter_mut().find(|c| c.name == *name) else {
                    continue;
                };
                let n = range.end - range.start;
                let start = new.start + (range.start - old.start);
                let share = consumer.shares.get_mut(*class);
                share.cursor.unsettle(start..start + n);
                share.account.take_back(Reason::Corrupt, n);
                share.version += 1;
                let loss = Loss::of(Reason::Salvaged, name.as_str(), *class, range);
                ledger.record(&Loss { epoch: salvage.epoch, ..loss });
            }
        }
        salvage.salvaged += owed_before - salvage.owed();
    }
}

/// The claims on all files, and whether the file in use has them as they are.
#[derive(Debug, Default)]
pub struct Salvages {
    files: Vec<Salvage>,
    version: u64,
    version_written: u64,
}

impl Salvages {
    pub fn resume(files: Vec<Salvage>) -> Self {
        Self { files, ..Self::default() }
    }

    pub fn get(&self, file: u64) -> Option<&Salvage> {
        self.files.iter().find(|salvage| salvage.file == file)
    }

    pub fn put(&mut self, salvage: Salvage) {
        self.files.retain(|other| other.file != salvage.file);
        self.files.push(salvage);
        self.version += 1;
    }

    /// Forgets claims on files for which `keep` does not hold.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        let before = self.files.len();
        self.files.retain(|salvage| keep(salvage.file));
        self.version += u64::from(self.files.len() != before);
    }

    /// A consumer that is gone is owed nothing.
    pub fn forget_consumer(&mut self, name: &crate::model::Name) {
        for salvage in &mut self.files {
            salvage.claims.retain(|claim| claim.consumer != *name);
        }
        self.version += u64::from(!self.files.is_empty());
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn is_dirty(&self) -> bool {
        self.version != self.version_written
    }

    pub fn dirty(&self) -> Option<Rows> {
        self.is_dirty().then(|| Rows { files: self.files.clone(), version: self.version })
    }

    /// The rows as they will be with this one changed; that is another change still to be written.
    fn rows_with(&self, salvage: Salvage) -> Rows {
        let mut files = self.files.clone();
        files.retain(|other| other.file != salvage.file);
        files.push(salvage);
        Rows { files, version: self.version + 1 }
    }

    pub fn written(&mut self, rows: &Rows) {
        self.version_written = self.version_written.max(rows.version);
    }

    /// A new file knows none of them.
    pub fn forget_writes(&mut self) {
        self.version += 1;
    }
}

/// The rows of `salvage`, all of them.
#[derive(Debug, Clone)]
pub struct Rows {
    pub files: Vec<Salvage>,
    version: u64,
}
