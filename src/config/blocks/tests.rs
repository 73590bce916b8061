//! The planner against brute force, the load against hand-made sums, healing against simulated
//! devices.

#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

mod healing;
mod load;
mod profiles;

use std::ops::Range;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn items(ranges: &[Range<u16>]) -> Vec<Item> {
    let item =
        |(index, r): (usize, &Range<u16>)| Item { start: r.start, end: u32::from(r.end), index };
    ranges.iter().enumerate().map(item).collect()
}

fn blocks(ranges: &[Range<u16>], cost: Cost, limits: &Limits) -> Vec<(u16, u16, Vec<usize>)> {
    plan(&items(ranges), cost, limits).into_iter().map(|b| (b.start, b.count, b.items)).collect()
}

/// Bridging pays below a hole of 10.
const TEN: Cost = Cost { fixed: 10.0, each: 1.0 };

#[test]
fn bridges_small_holes_and_leaves_large_ones() {
    let got = blocks(&[0..2, 11..12, 23..24], TEN, &Limits::new(125));
    assert_eq!(got, [(0, 12, vec![0, 1]), (23, 1, vec![2])]);
}

#[test]
fn keeps_every_limit() {
    let ranges = [0..2, 2..4, 4..6];
    let span = Limits::new(4);
    assert_eq!(blocks(&ranges, TEN, &span), [(0, 2, vec![0]), (2, 4, vec![1, 2])]);
    let time = Limits { block_time_max: Some(Duration::from_secs(14)), ..Limits::new(125) };
    assert_eq!(blocks(&ranges, TEN, &time).len(), 2);
    let gap = Limits { forbidden: vec![5..6], ..Limits::new(125) };
    assert_eq!(blocks(&[0..5, 6..7], TEN, &gap).len(), 2, "a hole that is forbidden");
    assert_eq!(blocks(&[0..6, 6..7], TEN, &gap).len(), 1, "a tag that is wanted is not");
    let place = Limits { forbidden: vec![4..4], ..Limits::new(125) };
    assert_eq!(blocks(&ranges, TEN, &place), [(0, 4, vec![0, 1]), (4, 2, vec![2])]);
    assert_eq!(blocks(&[0..9], TEN, &span), [(0, 9, vec![0])], "too wide goes alone");
    assert!(plan(&[], TEN, &span).is_empty());
}

#[test]
fn unsorted_overlapping_and_equal_items_share_a_block() {
    let got = blocks(&[7..8, 0..4, 2..3, 7..8, 1..6], TEN, &Limits::new(125));
    assert_eq!(got, [(0, 8, vec![1, 4, 2, 0, 3])]);
    let top = blocks(&[65_534..65_535], TEN, &Limits::new(125));
    assert_eq!(top, [(65_534, 1, vec![0])]);
}

#[test]
fn a_part_is_where_the_words_are() {
    let all = items(&[10..12, 13..14, 20..21]);
    let block = Block { start: 10, count: 4, items: vec![0, 1] };
    assert_eq!(block.part(&all[0]), Some(0..2));
    assert_eq!(block.part(&all[1]), Some(3..4));
    assert_eq!(block.part(&all[2]), None);
    let last = Item { start: 65_535, end: 65_536, index: 0 };
    assert_eq!(plan(&[last], TEN, &Limits::new(125))[0].part(&last), Some(0..1));
}

/// Cost of the best way to put the items into any sets, tried one by one.
fn brute_force(items: &[Item], cost: Cost, limits: &Limits) -> f64 {
    fn legal(set: &[Item], all: &[Item], limits: &Limits) -> Option<u32> {
        let start = set.iter().map(|i| u32::from(i.start)).min()?;
        let end = set.iter().map(|i| i.end).max()?;
        if set.len() > 1 {
            let bridged = |a: u32| !all.iter().any(|i| i.range().contains(&a));
            let forbidden = |a: u32| limits.forbidden.iter().any(|f| f.contains(&a));
            let illegal = (start..end).any(|a| bridged(a) && forbidden(a));
            if illegal || end - start > u32::from(limits.max_span) {
                return None;
            }
        }
        Some(end - start)
    }
    fn place(rest: &[Item], sets: &mut Vec<Vec<Item>>, all: &[Item], c: Cost, l: &Limits) -> f64 {
        let Some((item, rest)) = rest.split_first() else {
            let costs =
                sets.iter().map(|set| legal(set, all, l).map_or(f64::INFINITY, |s| c.of(s)));
            return costs.sum();
        };
        let mut best = f64::INFINITY;
        for at in 0..sets.len() {
            sets[at].push(*item);
            best = best.min(place(rest, sets, all, c, l));
            sets[at].pop();
        }
        sets.push(vec![*item]);
        best = best.min(place(rest, sets, all, c, l));
        sets.pop();
        best
    }
    place(items, &mut Vec::new(), items, cost, limits)
}

/// As `brute_force`, over the 2^(n-1) ways to cut the sorted items into runs.
fn brute_force_runs(items: &[Item], cost: Cost, limits: &Limits) -> f64 {
    let mut sorted = items.to_vec();
    sorted.sort_by_key(|i| (i.start, i.end));
    let bridged = |a: u32| !sorted.iter().any(|i| i.range().contains(&a));
    let one = |run: &[Item]| {
        let (start, end) = (u32::from(run[0].start), run.iter().map(|i| i.end).max().unwrap());
        let forbidden = |a: u32| limits.forbidden.iter().any(|f| f.contains(&a));
        let illegal = end - start > u32::from(limits.max_span)
            || (start..end).any(|a| bridged(a) && forbidden(a));
        if run.len() > 1 && illegal { f64::INFINITY } else { cost.of(end - start) }
    };
    (0..1_u32 << (sorted.len() - 1))
        .map(|cuts| {
            let (mut total, mut from) = (0.0, 0);
            for to in 1..=sorted.len() {
                if to == sorted.len() || cuts >> (to - 1) & 1 == 1 {
                    total += one(&sorted[from..to]);
                    from = to;
                }
            }
            total
        })
        .fold(f64::INFINITY, f64::min)
}

fn any_items(most: usize) -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec((0_u16..80, 1_u16..6), 1..=most).prop_map(|pairs| {
        let item = |(index, (start, width)): (usize, (u16, u16))| Item {
            start,
            end: u32::from(start + width),
            index,
        };
        pairs.into_iter().enumerate().map(item).collect()
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let gap = (0_u32..80, 1_u32..4).prop_map(|(start, width)| start..start + width);
    (6_u16..60, prop::collection::vec(gap, 0..3))
        .prop_map(|(max_span, forbidden)| Limits { forbidden, ..Limits::new(max_span) })
}

fn check_against(
    best: f64,
    items: &[Item],
    cost: Cost,
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let blocks = plan(items, cost, limits);
    let total: f64 = blocks.iter().map(|b| cost.of(u32::from(b.count))).sum();
    prop_assert!((total - best).abs() < 1e-9, "{total} instead of {best}: {blocks:?}");
    let mut placed: Vec<usize> = blocks.iter().flat_map(|b| b.items.clone()).collect();
    placed.sort_unstable();
    prop_assert_eq!(placed, (0..items.len()).collect::<Vec<_>>());
    for block in &blocks {
        let own = |i: &&Item| block.items.contains(&i.index);
        prop_assert!(items.iter().filter(own).all(|i| block.part(i).is_some()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_way_to_group_is_cheaper(items in any_items(6), limits in any_limits(), fixed in 1_u8..30) {
        let cost = Cost { fixed: f64::from(fixed), each: 1.0 };
        check_against(brute_force(&items, cost, &limits), &items, cost, &limits)?;
    }

    #[test]
    fn no_way_to_cut_is_cheaper(items in any_items(12), limits in any_limits(), fixed in 1_u8..30) {
        let cost = Cost { fixed: f64::from(fixed), each: 1.0 };
        check_against(brute_force_runs(&items, cost, &limits), &items, cost, &limits)?;
    }
}
