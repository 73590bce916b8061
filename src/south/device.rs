//! One device: its tags, what was learned about it, and the requests that read a due set.
//!
//! Plans are made once per due set and kept until something new is learned. Knows no line and no
//! clock: words come in, readings go out.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::latency::Latency;
use super::pipeline::{Chosen, choose};
use super::publish;
use super::schedule::{Due, INTERVALS_MAX};
use super::status::{BlockStatus, table_name};
use crate::codec::registers::{at_power, decode};
use crate::config::blocks::{Block, Change, Healer, Item, Learned, Limits, Planned, Report};
use crate::config::wire::LineTime;
use crate::config::{DevicePlan, Registers, TagPlan};
use crate::model::{Class, Fault, Mono, Quality, Reading, Table, TagId};

/// Requests that splitting refused blocks may add to one job; the rest is for the next tick.
const HEAL_REQUESTS_MAX: usize = 64;
/// Due sets whose plans are kept.
const PLANS_MAX: usize = 256;

/// Blocks kept of which nothing behind can be read.
const TIGHT_MAX: usize = 4_096;

const TABLES: [Table; 4] = [Table::Coil, Table::Discrete, Table::Holding, Table::Input];

/// One read of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) table: Table,
    pub(crate) block: Block,
}

/// A read that is asked again alone, because it came to nothing in company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Again {
    /// More than its block was read, and the device refused that.
    pub(crate) too_far: bool,
}

/// What a refused or silent block leads to.
#[derive(Debug, Default)]
pub(crate) struct Healed {
    /// Requests put in front of the job in the block's place.
    pub(crate) added: usize,
    /// Something was learned that is to be kept.
    pub(crate) learned: bool,
    /// Tags that get no value in this job, with the reason.
    pub(crate) bad: Vec<(usize, Fault)>,
}

/// See the module.
pub(crate) struct Device {
    pub(crate) plan: DevicePlan,
    pub(crate) latency: Latency,
    /// Functions that the device refused as unknown.
    pub(crate) lacks: Lacks,
    /// No other device of its bus is asked, so nobody waits while it takes its time.
    pub(crate) only: bool,
    intervals: Vec<Duration>,
    /// Of the tags that are not of the normal class.
    classes: HashMap<TagId, Class>,
    /// Per tag, what was published last.
    published: Vec<Option<Reading>>,
    /// One per table that has tags.
    tables: Vec<(Table, Healer)>,
    plans: HashMap<Due, Plans>,
    job: VecDeque<Request>,
    /// The part of the job that goes first, and alone.
    alone: VecDeque<(Request, Again)>,
    /// Blocks behind which nothing can be read.
    tight: HashSet<(Table, u16, u16)>,
    heal_requests: usize,
    time: LineTime,
    block_time_max: Option<Duration>,
    pub(crate) suppressed: u64,
}

/// Write functions that a device does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// Function 22: bits are written by reading, changing and writing the register.
    pub(crate) mask_write: bool,
    /// Function 6 (or 5): single items are written with function 16 (or 15).
    pub(crate) single_write: bool,
    /// Function 16 (or 15): items are written one by one with function 6 (or 5).
    pub(crate) many_write: bool,
}

#[derive(Debug, Clone)]
struct Plans {
    requests: Vec<Request>,
    resting: Vec<(usize, Fault)>,
    /// When a bad tag is to be tried again, and so the plan made anew.
    until: Option<Mono>,
}

impl Device {
    /// `facts` are those of this device, by table name.
    pub(crate) fn new(
        plan: DevicePlan,
        time: LineTime,
        block_time_max: Option<Duration>,
        facts: &BTreeMap<String, String>,
    ) -> Self {
        let mut intervals: Vec<Duration> = plan.tags.iter().filter_map(|tag| tag.every).collect();
        intervals.sort_unstable();
        intervals.dedup();
        intervals.truncate(INTERVALS_MAX);
        let learned = |table: Table| {
            facts
                .get(table_name(table))
                .and_then(|text| Learned::parse(text).ok())
                .unwrap_or_default()
        };
        let tables = TABLES
            .into_iter()
            .filter(|table| plan.in_table(*table).next().is_some())
            .map(|table| (table, Healer::new(learned(table))))
            .collect();
        let time = time.with_pause(plan.pause);
        Self {
            classes: plan
                .tags
                .iter()
                .filter(|tag| tag.class != Class::default())
                .map(|tag| (tag.id, tag.class))
                .collect(),
            published: vec![None; plan.tags.len()],
            lacks: facts.get("writes").map_or_else(Lacks::default, |text| Lacks::parse(text)),
            plan,
            latency: Latency::remembering(facts.get("answers").map(String::as_str)),
            only: false,
            intervals,
            tables,
            plans: HashMap::new(),
            job: VecDeque::new(),
            alone: VecDeque::new(),
            tight: HashSet::new(),
            heal_requests: 0,
            time,
            block_time_max,
            suppressed: 0,
        }
    }

    pub(crate) fn intervals(&self) -> &[Duration] {
        &self.intervals
    }

    /// Makes the due set's requests the job; returns their number and the tags that rest.
    pub(crate) fn start_job(&mut self, due: Due, now: Mono) -> (usize, Vec<(usize, Fault)>) {
        if self.plans.get(&due).is_some_and(|plans| plans.until.is_some_and(|until| until <= now)) {
            self.plans.remove(&due);
        }
        if !self.plans.contains_key(&due) {
            if self.plans.len() >= PLANS_MAX {
                self.plans.clear();
            }
            let plans = self.plan_due(due, now);
            self.plans.insert(due, plans);
        }
        self.heal_requests = 0;
        self.alone.clear();
        let Some(plans) = self.plans.get(&due) else { return (0, Vec::new()) };
        self.job = plans.requests.iter().cloned().collect();
        (self.job.len(), plans.resting.clone())
    }

    pub(crate) fn next_request(&mut self) -> Option<(Request, Option<Again>)> {
        if let Some((request, again)) = self.alone.pop_front() {
            return Some((request, Some(again)));
        }
        Some((self.job.pop_front()?, None))
    }

    /// Takes up to `most` reads out of the job that may be in flight together; none when there are
    /// not several.
    pub(crate) fn company(&mut self, most: usize) -> Vec<Chosen> {
        if !self.alone.is_empty() || self.job.len() < 2 || !self.plan.pause.is_zero() {
            return Vec::new();
        }
        let (registers, bits) = (self.plan.registers_max, self.plan.bits_max);
        let limit = |table: Table| if table.is_bits() { bits } else { registers };
        choose(&mut self.job, most, limit, |request| self.tight.contains(&key(request)))
    }

    /// Puts a read that came to nothing in company back into the job.
    pub(crate) fn ask_alone(&mut self, request: Request, again: Again) {
        self.alone.push_back((request, again));
    }

    /// What was read behind this block is not there: alone it was answered.
    pub(crate) fn note_tight(&mut self, request: &Request) {
        if self.tight.len() >= TIGHT_MAX {
            self.tight.clear();
        }
        self.tight.insert(key(request));
    }

    fn plan_due(&self, due: Due, now: Mono) -> Plans {
        let mut plans = Plans { requests: Vec::new(), resting: Vec::new(), until: None };
        for (table, healer) in &self.tables {
            let items = self.items(*table, |tag| {
                tag.every.is_some_and(|every| {
                    due.has(self.intervals.binary_search(&every).unwrap_or(INTERVALS_MAX))
                })
            });
            let planned = self.plan_items(*table, healer, &items, now);
            plans.requests.extend(requests(*table, &planned));
            plans.resting.extend(planned.resting.iter().map(|(tag, cause)| (*tag, cause.fault())));
            let probe = healer.next_probe(&items);
            plans.until = [plans.until, probe].into_iter().flatten().min();
        }
        plans
    }

    fn items(&self, table: Table, wanted: impl Fn(&TagPlan) -> bool) -> Vec<Item> {
        let tags = self.plan.in_table(table);
        tags.filter(|(_, tag, _)| wanted(tag))
            .map(|(index, _, from)| Item::of(from, index))
            .collect()
    }

    fn plan_items(&self, table: Table, healer: &Healer, items: &[Item], now: Mono) -> Planned {
        let limits = Limits {
            max_span: self.most(table),
            forbidden: Vec::new(),
            block_time_max: self.block_time_max,
        };
        healer.plan(items, self.time.cost(table), &limits, now)
    }

    /// The requests that read these tags, also those that rest.
    pub(crate) fn requests_for(&self, tags: &[usize], now: Mono) -> Vec<Request> {
        let mut all = Vec::new();
        for (table, healer) in &self.tables {
            let of_table = self.plan.in_table(*table).filter(|(index, _, _)| tags.contains(index));
            let items: Vec<_> = of_table.map(|(index, _, from)| Item::of(from, index)).collect();
            let planned = self.plan_items(*table, healer, &items, now);
            all.extend(requests(*table, &planned));
            all.extend(planned.resting.iter().filter_map(|(tag, _)| self.request_for(*tag)));
        }
        all
    }

    /// The request that reads this tag alone.
    pub(crate) fn request_for(&self, tag: usize) -> Option<Request> {
        let from = self.plan.tags.get(tag)?.registers()?;
        let block =
            Block { start: from.address, count: from.coding.span().max(1), items: vec![tag] };
        Some(Request { table: from.table, block })
    }

    /// Most registers or bits in one request.
    pub(crate) fn most(&self, table: Table) -> u16 {
        if table.is_bits() { self.plan.bits_max } else { self.plan.registers_max }
    }

    /// How long to wait for the answer to such a read, its frames included. A device that missed
    /// its last request may have become slow: it is given all the time that is configured.
    pub(crate) fn timeout(&self, frames: Duration, is_doubtful: bool) -> Duration {
        frames + if is_doubtful { self.plan.timeout } else { self.patience() }
    }

    /// What is learned spares others the wait for a device that is dead; where there are no others, an
    /// answer that is late for once is worth waiting for.
    pub(crate) fn patience(&self) -> Duration {
        let configured = self.plan.timeout;
        if self.only { configured } else { self.latency.timeout(configured) }
    }

    /// Whether it ever did, be it in an earlier life.
    pub(crate) fn has_answered(&self) -> bool {
        self.latency.fact().is_some()
    }

    /// Notes how a read went, and for one that failed what is to be done about it at once.
    pub(crate) fn report(&mut self, request: &Request, report: Report, now: Mono) -> Healed {
        // An answer says all by its range.
        let items = match report {
            Report::Answered => Vec::new(),
            Report::Exception(_) | Report::Silent => self.items_of(&request.block),
        };
        let mut healed = Healed::default();
        let Some(at) = self.tables.iter().position(|(table, _)| *table == request.table) else {
            return healed;
        };
        let mut change = Change::Nothing;
        for (i, (_, healer)) in self.tables.iter_mut().enumerate() {
            if i == at {
                change = healer.report(&request.block, &items, report, now);
            } else if report != Report::Silent {
                healer.device_answered();
            }
        }
        healed.learned = change == Change::Learned;
        if change != Change::Nothing {
            self.plans.clear();
        }
        let fault = match report {
            Report::Answered => return healed,
            Report::Exception(code) => Fault::Exception(code),
            Report::Silent => Fault::NoAnswer,
        };
        let Some((table, healer)) = self.tables.get(at) else { return healed };
        if change == Change::Nothing || self.heal_requests >= HEAL_REQUESTS_MAX {
            healed.bad = request.block.items.iter().map(|tag| (*tag, fault)).collect();
            return healed;
        }
        let planned = self.plan_items(*table, healer, &items, now);
        healed.bad = planned.resting.iter().map(|(tag, cause)| (*tag, cause.fault())).collect();
        let retry = requests(*table, &planned);
        if retry.first().is_some_and(|first| first.block == request.block) {
            // The plan did not change for this block, so asking again now would only repeat it.
            healed.bad = request.block.items.iter().map(|tag| (*tag, fault)).collect();
            return healed;
        }
        healed.added = retry.len();
        self.heal_requests += retry.len();
        for request in retry.into_iter().rev() {
            self.job.push_front(request);
        }
        healed
    }

    /// After a silence or an outage.
    pub(crate) fn came_back(&mut self) {
        for (_, healer) in &mut self.tables {
            healer.device_came_back();
        }
        self.plans.clear();
    }

    fn items_of(&self, block: &Block) -> Vec<Item> {
        let tag = |index: &usize| Some(Item::of(self.plan.tags.get(*index)?.registers()?, *index));
        block.items.iter().filter_map(tag).collect()
    }

    /// The readings of an answer, those that are due by their publish rules, ready to be sent.
    pub(crate) fn readings(&mut self, block: &Block, words: &[u16], at: Mono) -> Vec<Reading> {
        let mut readings = Vec::with_capacity(block.items.len());
        for index in &block.items {
            let Some(tag) = self.plan.tags.get(*index) else { continue };
            let Some(from) = tag.registers() else { continue };
            let part = block.part(&Item::of(from, *index)).and_then(|part| words.get(part));
            let reading = match part {
                Some(part) => reading(tag.id, from, part, at),
                None => Reading::bad(tag.id, at, Fault::BadAnswer),
            };
            readings.extend(self.offer(*index, reading));
        }
        readings
    }

    /// Bad readings for tags of a poll that failed.
    pub(crate) fn failed(&mut self, tags: &[(usize, Fault)], at: Mono) -> Vec<Reading> {
        let mut readings = Vec::new();
        for (index, fault) in tags {
            let Some(tag) = self.plan.tags.get(*index) else { continue };
            let reading = Reading::bad(tag.id, at, *fault);
            readings.extend(self.offer(*index, reading));
        }
        readings
    }

    /// Bad readings for all tags, while the device or its link is down: at first, and now and then.
    pub(crate) fn silent(&mut self, fault: Fault, at: Mono) -> Vec<Reading> {
        let mut readings = Vec::new();
        let tags = self.plan.tags.iter().zip(&mut self.published);
        for (tag, last) in tags.filter(|(tag, _)| tag.every.is_some()) {
            let quality = Quality::Bad(fault);
            if publish::is_silence_due(&tag.publish, last.as_ref(), at, quality) {
                let reading = Reading::bad(tag.id, at, fault);
                *last = Some(reading.clone());
                readings.push(reading);
            }
        }
        readings
    }

    /// A reading that is published whatever its rule says: what a write was followed by.
    pub(crate) fn written(&mut self, index: usize, words: &[u16], at: Mono) -> Option<Reading> {
        let tag = self.plan.tags.get(index)?;
        let reading = reading(tag.id, tag.registers()?, words, at);
        *self.published.get_mut(index)? = Some(reading.clone());
        Some(reading)
    }

    /// Readings of this device, split by class, in order.
    pub(crate) fn by_class(&self, readings: Vec<Reading>) -> Vec<(Class, Vec<Reading>)> {
        let class = |reading: &Reading| self.classes.get(&reading.tag()).copied();
        let mut split: Vec<(Class, Vec<Reading>)> = Vec::new();
        for reading in readings {
            let class = class(&reading).unwrap_or_default();
            match split.iter_mut().find(|(of, _)| *of == class) {
                Some((_, readings)) => readings.push(reading),
                None => split.push((class, vec![reading])),
            }
        }
        split
    }

    /// The reading if it is due by its publish rule.
    pub(crate) fn offer(&mut self, index: usize, reading: Reading) -> Option<Reading> {
        let rule = &self.plan.tags.get(index)?.publish;
        let last = self.published.get_mut(index)?;
        if publish::is_due(rule, last.as_ref(), &reading) {
            *last = Some(reading.clone());
            Some(reading)
        } else {
            self.suppressed += 1;
            None
        }
    }

    /// What was learned, by table name, `writes` and `answers`; only what says something.
    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        let tables = self.tables.iter().filter(|(_, healer)| !healer.learned().is_empty());
        let mut facts: BTreeMap<String, String> = tables
            .map(|(table, healer)| (table_name(*table).to_owned(), healer.learned().to_string()))
            .collect();
        facts.extend(self.latency.fact().map(|fact| ("answers".to_owned(), fact)));
        if self.lacks != Lacks::default() {
            facts.insert("writes".to_owned(), self.lacks.to_text());
        }
        facts
    }

    /// The blocks that read everything, for the status.
    pub(crate) fn all_blocks(&self, now: Mono) -> Vec<BlockStatus> {
        self.plan_due(Due(u64::MAX), now)
            .requests
            .iter()
            .map(|Request { table, block }| BlockStatus {
                table: table_name(*table),
                start: block.start,
                count: block.count,
                tags: block.items.len(),
            })
            .collect()
    }
}

impl Lacks {
    fn parse(text: &str) -> Self {
        let has = |word: &str| text.split(' ').any(|w| w == word);
        Self {
            mask_write: has("no-22"),
            single_write: has("no-single"),
            many_write: has("no-many"),
        }
    }

    fn to_text(self) -> String {
        let words = [
            (self.mask_write, "no-22"),
            (self.single_write, "no-single"),
            (self.many_write, "no-many"),
        ];
        let words: Vec<_> = words.into_iter().filter(|(on, _)| *on).map(|(_, w)| w).collect();
        words.join(" ")
    }
}

fn key(request: &Request) -> (Table, u16, u16) {
    (request.table, request.block.start, request.block.count)
}

fn requests(table: Table, planned: &Planned) -> Vec<Request> {
    planned.blocks.iter().map(|block| Request { table, block: block.clone() }).collect()
}

/// What these words mean: those of [`Registers::range`].
pub(crate) fn reading(tag: TagId, from: &Registers, words: &[u16], at: Mono) -> Reading {
    let is_bits = from.table.is_bits();
    match from.split(words) {
        Some((own, None)) => decode(&from.coding, is_bits, own).reading(tag, at),
        Some((own, Some(power))) => match at_power(&from.coding, power) {
            Ok(coding) => decode(&coding, is_bits, own).reading(tag, at),
            Err(fault) => Reading::bad(tag, at, fault),
        },
        None => Reading::bad(tag, at, Fault::BadAnswer),
    }
}
