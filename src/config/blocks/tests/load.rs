//! Utilisation against sums made by hand.

use std::sync::Arc;
use std::time::Duration;

use super::super::super::link::*;
use super::super::super::plan::*;
use super::super::super::wire::LineTime;
use super::super::*;
use crate::config::WriteWith;
use crate::model::{Class, Coding, Kind, Name, Table, TagId, TopicName};

fn tag(table: Table, address: u16, every_ms: u64) -> TagPlan {
    TagPlan {
        id: TagId(0),
        name: Name::new("t").unwrap(),
        topic: TopicName::new("t").unwrap(),
        class: Class::Normal,
        every: Some(Duration::from_millis(every_ms)),
        source: Source::Registers(Registers {
            table,
            address,
            coding: Coding::plain(Kind::Int { bits: 16, signed: false }),
            scale_register: None,
        }),
        unit: String::new(),
        publish: PublishRule::Always,
        write: None,
    }
}

fn bus(devices: Vec<Vec<TagPlan>>) -> BusPlan {
    let line = SerialLine {
        port: "/dev/ttyS0".into(),
        baud: 9_600,
        data_bits: 8,
        parity: Parity::Even,
        stop_bits: 1,
        switching: Switching::Adapter,
    };
    let device = |tags| DevicePlan {
        name: Name::new("d").unwrap(),
        unit: 1,
        timeout: Duration::from_secs(1),
        pause: Duration::ZERO,
        registers_max: 125,
        bits_max: 2000,
        write_with: WriteWith::Automatic,
        topic: None,
        tags: Arc::new(tags),
    };
    BusPlan {
        name: Name::new("b").unwrap(),
        link: Link::modbus_rtu(line),
        pause: Duration::ZERO,
        trace_bytes: 0,
        share: None,
        devices: devices.into_iter().map(device).collect(),
    }
}

fn seconds(bus: &BusPlan, registers: u16) -> f64 {
    LineTime::of(&bus.link).read_registers(registers).as_secs_f64()
}

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-6, "{got} instead of {want}");
}

#[test]
fn adds_up_blocks_per_second() {
    let far = bus(vec![
        vec![tag(Table::Holding, 0, 500), tag(Table::Holding, 900, 500)],
        vec![tag(Table::Input, 0, 1_000)],
    ]);
    let got = load(&far);
    assert_close(got.utilisation, 5.0 * seconds(&far, 1));
    assert_close(got.requests_per_second, 5.0);
    assert_close(got.devices[0].1, 4.0 * seconds(&far, 1));
    assert_close(got.devices[1].1, seconds(&far, 1));
    assert_close(utilisation(&bus(vec![])), 0.0);
    assert_close(utilisation(&bus(vec![vec![]])), 0.0);
}

#[test]
fn slow_tags_ride_free_inside_fast_blocks() {
    let fast = [tag(Table::Holding, 0, 1_000), tag(Table::Holding, 4, 1_000)];
    let alone = bus(vec![fast.to_vec()]);
    let with = bus(vec![[&fast[..], &[tag(Table::Holding, 2, 10_000)]].concat()]);
    assert_close(utilisation(&with), utilisation(&alone));
    // One that prolongs the block every tenth time costs only that.
    let beside = bus(vec![[&fast[..], &[tag(Table::Holding, 5, 10_000)]].concat()]);
    let want = (9.0 * seconds(&beside, 5) + seconds(&beside, 6)) / 10.0;
    assert_close(utilisation(&beside), want);
    assert_close(load(&beside).requests_per_second, 1.0);
}

#[test]
fn intervals_that_are_no_multiples_meet_when_they_do() {
    let odd = bus(vec![vec![tag(Table::Holding, 0, 2_000), tag(Table::Holding, 1, 3_000)]]);
    // In 6 s: once both, twice the first alone, once the second alone.
    let want = (seconds(&odd, 2) + 3.0 * seconds(&odd, 1)) / 6.0;
    assert_close(utilisation(&odd), want);
    let never = bus(vec![vec![tag(Table::Holding, 0, 1_000), tag(Table::Holding, 900, 1_001)]]);
    let got = utilisation(&never);
    let want = seconds(&never, 1) * (1.0 + 1.0 / 1.001);
    assert!((got - want).abs() < want * 0.01, "{got} for {want}");
}

#[test]
fn a_line_can_be_asked_for_too_much() {
    let tags = (0..50).map(|i| tag(Table::Holding, i * 200, 1_000)).collect();
    assert!(utilisation(&bus(vec![tags])) > 1.0);
}

#[test]
fn a_slow_line_is_counted_with_the_short_blocks_it_is_polled_with() {
    let mut slow = bus(vec![(0..100).map(|at| tag(Table::Holding, at, 10_000)).collect()]);
    if let Some(line) = slow.link.serial_mut() {
        line.baud = 2_400;
    }
    // One second in one block, which is cut in three.
    let busy = 2.0 * seconds(&slow, 33) + seconds(&slow, 34);
    assert!(busy > seconds(&slow, 100) + 0.1);
    assert_close(load(&slow).utilisation, busy / 10.0);
    assert_close(load(&slow).requests_per_second, 0.3);
}

#[test]
fn the_pause_of_a_device_is_its_own() {
    let mut two =
        bus(vec![vec![tag(Table::Holding, 0, 1_000)], vec![tag(Table::Holding, 0, 1_000)]]);
    two.devices[1].pause = Duration::from_millis(20);
    let shares: Vec<f64> = load(&two).devices.into_iter().map(|(_, share)| share).collect();
    assert_close(shares[1] - shares[0], 0.020);
}
