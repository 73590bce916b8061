//! The cases: what is counted, and how much of it.

mod broker;
mod plant;

use std::hint::black_box;

use fieldhold::codec::columnar::{Builder, Notation};
use fieldhold::codec::json::Key;
use fieldhold::codec::payload::{self, Sample, TagText};
use fieldhold::codec::registers;
use fieldhold::config::blocks::{self, Item, Limits};
use fieldhold::config::wire::Cost;
use fieldhold::model::{
    Class, Coding, Form, Kind, Mono, Name, Reading, Seq, TagId, TopicName, Wall,
};
use fieldhold::store::{Settled, pack_readings};

pub struct Case {
    pub name: &'static str,
    /// The function of which the instructions are counted, with all that it calls.
    pub counted: &'static str,
    pub units: u64,
    pub unit: &'static str,
    pub run: fn(),
}

/// Counted where nothing else is said.
const MEASURED: &str = "*cases*measured*";

/// Its result counts as used, so that no work is left out.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) {
    black_box(work());
}

pub const CASES: [Case; 8] = [
    Case { name: "decode", counted: MEASURED, units: 6_200, unit: "value", run: decode },
    Case { name: "blocks", counted: MEASURED, units: 1_000, unit: "tag", run: plan_blocks },
    Case { name: "parse", counted: MEASURED, units: 1, unit: "reference", run: parse },
    Case { name: "append", counted: MEASURED, units: 10_000, unit: "reading", run: append },
    Case { name: "pack", counted: MEASURED, units: 10_000, unit: "reading", run: pack },
    Case { name: "tag", counted: MEASURED, units: 10_000, unit: "reading", run: one_by_one },
    Case { name: "columnar", counted: MEASURED, units: 10_000, unit: "reading", run: columnar },
    Case {
        name: "route",
        counted: broker::COUNTED,
        units: broker::MESSAGES * broker::SUBSCRIBERS,
        unit: "copy",
        run: broker::route,
    },
];

/// A hundred answers of 124 registers, each of 62 floating-point numbers.
fn decode() {
    let coding = Coding::plain(Kind::F32);
    let words: Vec<u16> = (0..62_u16).flat_map(|n| [0x4348, n * 1_000]).collect();
    measured(|| {
        for round in 0..100 {
            for (tag, words) in (1..).zip(words.chunks_exact(2)) {
                let value = registers::decode(&coding, false, words);
                black_box(value.reading(TagId(tag), Mono(round)));
            }
        }
    });
}

/// A thousand tags of two registers, with gaps.
fn plan_blocks() {
    let starts = (0..1_000_u16).map(|n| n * 5 + n % 7 * 3);
    let items: Vec<Item> = (0..)
        .zip(starts)
        .map(|(index, start)| Item { start, end: u32::from(start) + 2, index })
        .collect();
    measured(|| blocks::plan(&items, Cost { fixed: 0.025, each: 0.002 }, &Limits::new(125)));
}

/// The whole configuration reference.
fn parse() {
    let text = include_str!("../../../configs/reference.yaml");
    measured(|| fieldhold::config::parse(text, "reference.yaml").map_err(|p| p.to_string()));
}

/// Into memory and out of it again, settled as an uplink does.
fn append() {
    let store = plant::store();
    let cloud = store.consumer("cloud").unwrap();
    let batches = plant::batches();
    measured(|| {
        for batch in batches {
            let range = store.append(batch);
            let read = plant::wait(cloud.read(Class::Normal, range.clone(), 64 << 10)).unwrap();
            black_box(&read);
            cloud.settle(Class::Normal, &[range], Settled::Delivered);
        }
    });
    assert!(store.status().balances());
    store.close();
}

fn pack() {
    let readings = plant::readings();
    let readings: Vec<&Reading> = readings.iter().collect();
    let mut out = Vec::new();
    measured(|| pack_readings(Seq(1), &readings, &mut out));
}

fn one_by_one() {
    let tag = TagText {
        topic: TopicName::new("plant/edge/meter/power").unwrap(),
        device: Name::new("meter").unwrap(),
        name: Name::new("power").unwrap(),
        unit: "kW".to_owned(),
    };
    let readings = plant::readings();
    measured(|| {
        let mut out = Vec::new();
        for (reading, seq) in readings.iter().zip(1..) {
            out.clear();
            let key = Key { epoch: 7, class: Class::Normal, seq: Seq(seq) };
            let wall = Wall(1_700_000_000_000 + reading.at().0);
            payload::one(&Form::Tag, &Sample::new(reading, wall, &tag, key), &mut out);
            black_box(&out);
        }
    });
}

fn columnar() {
    let topics: Vec<TopicName> = (0..plant::TAGS)
        .map(|tag| TopicName::new(&format!("plant/edge/meter/tag{tag}")).unwrap())
        .collect();
    let readings = plant::readings();
    measured(|| {
        let mut builder = Builder::new(7, Class::Normal, 1 << 20, Notation::Json);
        for ((reading, seq), topic) in readings.iter().zip(1..).zip(topics.iter().cycle()) {
            let wall = Wall(1_700_000_000_000 + reading.at().0);
            assert!(!builder.push(reading, Seq(seq), wall, topic));
        }
        builder.finish()
    });
}
