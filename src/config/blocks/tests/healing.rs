//! Healing against a simulated device that refuses some addresses.

#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::{TEN, items};
use crate::model::{Fault, Mono};

/// 9600 baud: a hole of 14 registers is worth bridging, nearly.
const SLOW: Cost = Cost { fixed: 0.028, each: 0.002 };
const NOW: Mono = Mono(1_000);

struct Device {
    illegal: Vec<Range<u32>>,
    longest: u32,
    refusal: Report,
}

impl Device {
    fn refusing(illegal: &[Range<u32>], refusal: Report) -> Self {
        Self { illegal: illegal.to_vec(), longest: 125, refusal }
    }

    fn read(&self, range: &Range<u32>) -> Report {
        if range.end - range.start > self.longest {
            return Report::Exception(3);
        }
        let hit = |i: &Range<u32>| i.start < range.end && range.start < i.end;
        if self.illegal.iter().any(hit) { self.refusal } else { Report::Answered }
    }
}

/// Polls until nothing changes any more; gives the number of polls that led to a new plan.
fn settle(healer: &mut Healer, device: &Device, items: &[Item], cost: Cost) -> u32 {
    let mut rounds = 0;
    let mut quiet = 0;
    for _ in 0..400 {
        let mut change = Change::Nothing;
        for block in healer.plan(items, cost, &Limits::new(125), NOW).blocks {
            let report = device.read(&block.range());
            change = change.max(healer.report(&block, items, report, NOW));
        }
        rounds += u32::from(change != Change::Nothing);
        quiet = if change == Change::Nothing { quiet + 1 } else { 0 };
        if quiet > 8 {
            return rounds;
        }
    }
    panic!("never settles: {healer:?}");
}

fn line_time(blocks: &[Block], cost: Cost) -> f64 {
    blocks.iter().map(|b| cost.of(u32::from(b.count))).sum()
}

#[test]
fn finds_the_one_bad_gap_and_bridges_the_others() {
    let tags = items(&[0..2, 4..6, 8..10, 12..14, 16..18, 20..22]);
    let mut healer = Healer::new(Learned::default());
    let device = Device::refusing(&[11..12], Report::Exception(2));
    let rounds = settle(&mut healer, &device, &tags, TEN);
    assert!(rounds <= 4, "{rounds} rounds");
    assert_eq!(healer.learned(), &Learned { gaps: vec![10..12], ..Learned::default() });
    let blocks = healer.plan(&tags, TEN, &Limits::new(125), NOW).blocks;
    assert_eq!(blocks.iter().map(Block::range).collect::<Vec<_>>(), [0..10, 12..22]);
}

#[test]
fn a_block_full_of_holes_takes_five_rounds() {
    let tags = items(&(0..63).map(|i| i * 2..i * 2 + 1).collect::<Vec<_>>());
    for gap in holes(&tags) {
        let device = Device::refusing(std::slice::from_ref(&gap), Report::Exception(2));
        let mut healer = Healer::new(Learned::default());
        let rounds = settle(&mut healer, &device, &tags, TEN);
        assert!(rounds <= 5, "{rounds} rounds for {gap:?}");
        assert_eq!(healer.learned().gaps, [gap]);
    }
}

#[test]
fn a_tag_the_device_does_not_have_rests_and_is_tried_again() {
    let tags = items(&[0..1, 1..2, 2..3, 3..4, 4..5]);
    let mut healer = Healer::new(Learned::default());
    let device = Device::refusing(&[3..4], Report::Exception(2));
    settle(&mut healer, &device, &tags, TEN);
    let planned = healer.plan(&tags, TEN, &Limits::new(125), NOW);
    assert_eq!(planned.blocks.iter().map(Block::range).collect::<Vec<_>>(), [0..3, 4..5]);
    assert_eq!(planned.resting, [(3, Cause::Exception(2))]);
    assert_eq!(planned.resting[0].1.fault(), Fault::Exception(2));

    // Still refused when it is tried again: the rest doubles.
    let first = NOW + Duration::from_secs(10);
    assert_eq!(healer.next_probe(&tags), Some(first));
    let planned = healer.plan(&tags, TEN, &Limits::new(125), first);
    let alone = planned.blocks.last().unwrap();
    assert_eq!((alone.range(), planned.resting.len()), (3..4, 0));
    let change = healer.report(alone, &tags, Report::Exception(2), first);
    assert_eq!(change, Change::Replan, "nothing new to persist");
    assert_eq!(healer.next_probe(&tags), Some(first + Duration::from_secs(20)));

    // Answered: it is a tag like any other.
    let second = first + Duration::from_secs(20);
    let planned = healer.plan(&tags, TEN, &Limits::new(125), second);
    let alone = planned.blocks.last().unwrap();
    assert_eq!(healer.report(alone, &tags, Report::Answered, second), Change::Learned);
    assert!(healer.learned().is_empty());
    assert_eq!(healer.plan(&tags, TEN, &Limits::new(125), second).blocks.len(), 1);
}

#[test]
fn a_long_block_refused_as_illegal_value_halves_the_limit() {
    let tags = items(&[0..40, 40..80, 80..120]);
    let mut healer = Healer::new(Learned::default());
    let device = Device { longest: 60, ..Device::refusing(&[], Report::Answered) };
    assert_eq!(settle(&mut healer, &device, &tags, TEN), 1);
    assert_eq!(healer.learned().max_span, Some(60));
    // A gap answered as "illegal value" is first taken for the length, then found.
    let tags = items(&(0..31).map(|i| i * 4..i * 4 + 2).collect::<Vec<_>>());
    let mut healer = Healer::new(Learned::default());
    let device = Device::refusing(&[31..32], Report::Exception(3));
    settle(&mut healer, &device, &tags, TEN);
    assert_eq!(healer.learned(), &Learned { gaps: vec![30..32], ..Learned::default() });
}

#[test]
fn other_exceptions_and_a_dead_device_change_nothing() {
    let tags = items(&[0..1, 3..4, 100..101]);
    let mut healer = Healer::new(Learned::default());
    for report in [Report::Exception(4), Report::Exception(6), Report::Silent] {
        let device = Device::refusing(&[0..200], report);
        assert_eq!(settle(&mut healer, &device, &tags, TEN), 0, "{report:?}");
    }
    assert!(healer.learned().is_empty() && !healer.is_searching());
}

#[test]
fn silence_is_held_against_a_block_only_if_others_answer() {
    let tags = items(&[0..2, 4..6, 8..10, 100..101]);
    let mut healer = Healer::new(Learned::default());
    let device = Device::refusing(&[7..8], Report::Silent);
    settle(&mut healer, &device, &tags, TEN);
    assert_eq!(healer.learned(), &Learned { gaps: vec![6..8], ..Learned::default() });
}

#[test]
fn trouble_that_passes_leaves_no_gap() {
    let tags = items(&[0..2, 4..6, 8..10, 12..14, 16..18, 20..22, 100..101]);
    let limits = Limits::new(125);
    for trouble in [Report::Silent, Report::Exception(2), Report::Exception(3)] {
        let mut healer = Healer::new(Learned::default());
        let booting = Device::refusing(&[0..22], trouble);
        let mut polls = 0;
        while !healer.is_searching() && polls < 10 {
            for block in healer.plan(&tags, TEN, &limits, NOW).blocks {
                let up = trouble != Report::Silent && polls > 0;
                let report = if up { Report::Answered } else { booting.read(&block.range()) };
                healer.report(&block, &tags, report, NOW);
            }
            polls += 1;
        }
        let up = Device::refusing(&[], trouble);
        settle(&mut healer, &up, &tags, TEN);
        assert!(healer.learned().is_empty(), "{trouble:?}: {}", healer.learned());
        assert!(!healer.is_searching());
        assert_eq!(healer.plan(&tags, TEN, &limits, NOW).blocks.len(), 2);
    }
}

#[test]
fn overlapping_tags_are_told_apart() {
    let tags = items(&[0..10, 5..15, 6..7]);
    let mut healer = Healer::new(Learned::default());
    let device = Device::refusing(&[12..13], Report::Exception(2));
    settle(&mut healer, &device, &tags, TEN);
    let planned = healer.plan(&tags, TEN, &Limits::new(125), NOW);
    assert_eq!(planned.resting, [(1, Cause::Exception(2))]);
    assert_eq!(planned.blocks.iter().map(Block::range).collect::<Vec<_>>(), [0..10]);
}

#[test]
fn what_is_learned_survives_as_text() {
    let learned = Learned { gaps: vec![11..40, 60..60], max_span: Some(62), bad: vec![100..102] };
    assert_eq!(learned.to_string(), "gaps 11-40 60-60; bad 100-102; max 62");
    assert_eq!(Learned::parse(&learned.to_string()), Ok(learned.clone()));
    assert_eq!(Learned::parse(""), Ok(Learned::default()));
    assert_eq!(Learned::default().to_string(), "");
    for wrong in ["gaps", "gaps 4-3", "gaps 1-70000", "max 0", "max x", "min 3", "gaps 1_2"] {
        assert!(Learned::parse(wrong).is_err(), "{wrong}");
    }
    // A bad tag is tried once, alone, before it spoils a block again.
    let tags = items(&[98..100, 100..102]);
    let healer = Healer::new(learned);
    let blocks = healer.plan(&tags, TEN, &Limits::new(125), NOW).blocks;
    assert_eq!(blocks.iter().map(Block::range).collect::<Vec<_>>(), [98..100, 100..102]);
}

/// Tags of 1 to 4 registers with holes of 0 to 12 in between.
fn any_tags(most: usize) -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec((0_u16..12, 1_u16..5), 2..most).prop_map(|pairs| {
        let mut at = 0;
        let ranges: Vec<_> = pairs
            .into_iter()
            .map(|(hole, width)| {
                let start = at + hole;
                at = start + width;
                start..at
            })
            .collect();
        items(&ranges)
    })
}

fn holes(tags: &[Item]) -> Vec<Range<u32>> {
    tags.windows(2)
        .map(|pair| pair[0].end..u32::from(pair[1].start))
        .filter(|hole| !hole.is_empty())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_gap_is_found_within_five_rounds(
        tags in any_tags(150),
        which in any::<prop::sample::Index>(),
        tcp in any::<bool>(),
    ) {
        let all = holes(&tags);
        prop_assume!(!all.is_empty());
        let gap = which.get(&all).clone();
        let cost = if tcp { Cost { fixed: 0.01, each: 1e-6 } } else { SLOW };
        let device = Device::refusing(std::slice::from_ref(&gap), Report::Exception(2));
        let mut healer = Healer::new(Learned::default());
        let rounds = settle(&mut healer, &device, &tags, cost);
        prop_assert!(rounds <= 5, "{rounds} rounds");
        let oracle = Limits { forbidden: vec![gap], ..Limits::new(125) };
        let best = line_time(&plan(&tags, cost, &oracle), cost);
        let got = line_time(&healer.plan(&tags, cost, &Limits::new(125), NOW).blocks, cost);
        prop_assert!((got - best).abs() < 1e-9, "{got} instead of {best}");
    }

    #[test]
    fn any_illegal_addresses_leave_every_other_tag_readable(
        tags in any_tags(60),
        illegal in prop::collection::vec((0_u32..400, 1_u32..9), 0..5),
        silent in any::<bool>(),
    ) {
        // One tag far away that always answers, so that silence means something.
        let mut tags = tags;
        tags.push(Item { start: 9_000, end: 9_001, index: tags.len() });
        let illegal: Vec<_> = illegal.into_iter().map(|(at, width)| at..at + width).collect();
        let refusal = if silent { Report::Silent } else { Report::Exception(2) };
        let device = Device::refusing(&illegal, refusal);
        let mut healer = Healer::new(Learned::default());
        settle(&mut healer, &device, &tags, SLOW);
        let planned = healer.plan(&tags, SLOW, &Limits::new(125), NOW);
        let bad: Vec<usize> = tags
            .iter()
            .filter(|tag| device.read(&tag.range()) != Report::Answered)
            .map(|tag| tag.index)
            .collect();
        let mut resting: Vec<usize> = planned.resting.iter().map(|(index, _)| *index).collect();
        resting.sort_unstable();
        prop_assert_eq!(&resting, &bad);
        for block in &planned.blocks {
            prop_assert_eq!(device.read(&block.range()), Report::Answered);
        }
        let good: Vec<Item> =
            tags.iter().filter(|tag| !bad.contains(&tag.index)).copied().collect();
        let oracle = Limits { forbidden: illegal, ..Limits::new(125) };
        let best = line_time(&plan(&good, SLOW, &oracle), SLOW);
        let got = line_time(&planned.blocks, SLOW);
        prop_assert!((got - best).abs() < 1e-9, "{got} instead of {best}: {}", healer.learned());
    }
}

#[test]
fn when_one_bad_tag_answers_again_the_others_are_tried_at_once() {
    let tags = items(&[0..2, 2..4, 4..6]);
    let mut healer = Healer::new(Learned::default());
    // While it starts, the device refuses everything.
    let starting = Device::refusing(&[0..200], Report::Exception(2));
    let mut now = NOW;
    for _ in 0..60 {
        for block in healer.plan(&tags, TEN, &Limits::new(125), now).blocks {
            healer.report(&block, &tags, starting.read(&block.range()), now);
        }
        now = now + Duration::from_secs(5);
    }
    assert_eq!(healer.learned().bad.len(), 3);
    let first = healer.next_probe(&tags).unwrap();
    healer.report(&block_of(0..2), &tags, Report::Answered, first);
    let planned = healer.plan(&tags, TEN, &Limits::new(125), first);
    assert_eq!(planned.resting, []);
    assert_eq!(planned.blocks.len(), 3);
}

#[test]
fn a_device_that_came_back_has_its_bad_tags_tried_at_once() {
    let tags = items(&[0..2, 2..4]);
    let mut healer = Healer::new(Learned::default());
    settle(&mut healer, &Device::refusing(&[2..4], Report::Exception(2)), &tags, TEN);
    let resting = |healer: &Healer| healer.plan(&tags, TEN, &Limits::new(125), NOW).resting.len();
    assert_eq!(resting(&healer), 1);
    healer.device_came_back();
    assert_eq!(resting(&healer), 0);
    assert_eq!(healer.next_probe(&items(&[0..2])), None, "nothing of these is bad");
}

fn block_of(range: Range<u32>) -> Block {
    Block {
        start: u16::try_from(range.start).unwrap(),
        count: u16::try_from(range.end - range.start).unwrap(),
        items: vec![0],
    }
}
