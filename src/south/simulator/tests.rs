//! The simulator against the demonstration's register map.

use std::time::Duration;

use proptest::prelude::*;

use super::slave::take;
use super::{Bank, Devices, Faults, Meter, Press, Rule, fault_names};
use crate::config::Framing;
use crate::model::Table;

fn f32_at(bank: &Bank, unit: u8, table: Table, address: u16, swapped: bool) -> f32 {
    let mut words = [0, 1].map(|at| bank.get(unit, table, address + at).unwrap());
    if swapped {
        words.reverse();
    }
    f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]))
}

#[test]
fn the_bank_answers_like_a_device() {
    let mut bank = Bank::default();
    bank.set(1, Table::Holding, 10, &[0x1234, 2, 3]);
    bank.set(1, Table::Coil, 0, &[1, 0, 1, 1, 0, 0, 0, 0, 1]);
    bank.allow_writes(1, Table::Holding, 10..=11);
    bank.allow_writes(1, Table::Coil, 0..=8);
    bank.limit(1, 125, 9);
    let rows: [(&[u8], &[u8]); 17] = [
        (&[3, 0, 10, 0, 2], &[3, 4, 0x12, 0x34, 0, 2]),
        (&[1, 0, 0, 0, 9], &[1, 2, 0b1101, 1]),
        (&[3, 0, 12, 0, 2], &[0x83, 2]),
        (&[3, 0, 10, 0, 0], &[0x83, 3]),
        (&[3, 0, 10, 0, 126], &[0x83, 3]),
        (&[4, 0, 10, 0, 1], &[0x84, 2]),
        (&[6, 0, 10, 0, 7], &[6, 0, 10, 0, 7]),
        (&[6, 0, 12, 0, 7], &[0x86, 2]),
        (&[5, 0, 1, 0xFF, 0], &[5, 0, 1, 0xFF, 0]),
        (&[5, 0, 1, 0xFE, 0], &[0x85, 3]),
        (&[15, 0, 0, 0, 3, 1, 0], &[15, 0, 0, 0, 3]),
        (&[16, 0, 10, 0, 2, 4, 0, 0xF2, 0, 9], &[16, 0, 10, 0, 2]),
        (&[22, 0, 10, 0, 0xF2, 0, 0x25], &[22, 0, 10, 0, 0xF2, 0, 0x25]),
        (&[43, 14, 1, 0], &[0xAB, 1]),
        (&[1, 0, 0, 0, 10], &[0x81, 3]),
        (&[23, 0, 11, 0, 2, 0, 11, 0, 1, 2, 0, 5], &[23, 4, 0, 5, 0, 3]),
        (&[23, 0, 11, 0, 2, 0, 12, 0, 1, 2, 0, 5], &[0x97, 2]),
    ];
    for (request, answer) in rows {
        assert_eq!(bank.answer(1, request).as_deref(), Some(answer), "{request:?}");
    }
    // The specification's own example: 0x12 with masks 0xF2 and 0x25; here 0xF2 & 0xF2 | 0x25 & !0xF2.
    assert_eq!(bank.get(1, Table::Holding, 10), Some(0xF7));
    assert_eq!(bank.get(1, Table::Coil, 2), Some(0));
    assert_eq!(bank.answer(2, &[3, 0, 10, 0, 1]), None);
    bank.broadcast(&[6, 0, 10, 0, 99]);
    assert_eq!(bank.get(1, Table::Holding, 10), Some(99));
    bank.switch(1, false);
    assert_eq!(bank.answer(1, &[3, 0, 10, 0, 1]), None);
}

#[test]
fn the_plants_values_move_within_the_ranges_of_the_map() {
    let (press, meter) = (Press::new(), Meter::new());
    let mut strokes = 0;
    let mut energy = 0;
    let mut states = std::collections::BTreeSet::new();
    for second in 0..2000_u64 {
        let time = Duration::from_millis(second * 700);
        press.advance(time);
        meter.advance(time);
        let bank = press.devices().bank();
        let get = |at| bank.get(1, Table::Holding, at).unwrap();
        states.insert(get(0));
        assert!((350..=620).contains(&get(1)), "oil {}", get(1));
        assert!((200..=1850).contains(&get(2)), "tool {}", get(2));
        assert!(get(3) <= 27_648);
        let now = u32::from(get(4)) << 16 | u32::from(get(5));
        assert!(now >= strokes, "strokes count up: {strokes} {now}");
        strokes = now;
        assert!((0.0..=1600.0).contains(&f32_at(&bank, 1, Table::Holding, 6, false)));
        let bank = meter.devices().bank();
        for at in [0, 2, 4] {
            let volts = f32_at(&bank, 3, Table::Input, at, true);
            assert!((225.0..=238.0).contains(&volts), "{volts} V");
        }
        let hertz = f32_at(&bank, 3, Table::Input, 70, true);
        assert!((49.95..=50.05).contains(&hertz), "{hertz} Hz");
        let now = (0..4)
            .fold(0_u64, |e, at| e << 16 | u64::from(bank.get(3, Table::Input, 72 + at).unwrap()));
        assert!(now >= energy);
        energy = now;
    }
    assert_eq!(states.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn the_press_obeys_its_drive_and_its_setpoints() {
    let press = Press::new();
    press.devices().bank().set(1, Table::Coil, 0, &[0]);
    press.advance(Duration::from_secs(60));
    assert_eq!(press.devices().bank().get(1, Table::Holding, 0), Some(0), "stopped");
    press.devices().bank().set(1, Table::Holding, 100, &[600]);
    press.advance(Duration::from_secs(60));
    let oil = press.devices().bank().get(1, Table::Holding, 1).unwrap();
    assert!((555..=645).contains(&oil), "{oil}");
}

proptest! {
    /// Whatever a master sends, the answer is one or an exception, and nothing panics.
    #[test]
    fn any_request_has_an_answer(pdu in proptest::collection::vec(any::<u8>(), 1..260)) {
        let mut bank = Bank::default();
        bank.set(1, Table::Holding, 0, &[7; 300]);
        bank.set(1, Table::Coil, 0, &[1; 300]);
        bank.allow_writes(1, Table::Holding, 0..=299);
        bank.allow_writes(1, Table::Coil, 0..=299);
        bank.name(1, 0, "Acme");
        let answer = bank.answer(1, &pdu).unwrap();
        prop_assert!(answer.len() <= 253, "{} bytes", answer.len());
        prop_assert!(answer[0] == pdu[0] || answer[0] == pdu[0] | 0x80);
        bank.broadcast(&pdu);
    }

    /// Whatever comes in, requests are taken out of it or it is kept within bounds, under any faults.
    #[test]
    fn any_bytes_are_requests_or_noise(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        framing in proptest::sample::select(vec![Framing::Tcp, Framing::Rtu, Framing::Ascii]),
        name in 0..19_usize,
    ) {
        let name = fault_names().nth(name).unwrap();
        let rule = if name == "exception" { "exception-4" } else { name };
        let rules = vec![rule.parse::<Rule>().unwrap()];
        let devices = Devices::new(Bank::default()).with_faults(Faults::new(rules, 1));
        let mut input = Vec::new();
        for chunk in chunks {
            input.extend(chunk);
            loop {
                match take(framing, &mut input) {
                    Ok(Some(asked)) => drop(devices.respond(&asked, framing)),
                    Ok(None) => break,
                    // The connection ends.
                    Err(_) => input.clear(),
                }
            }
            prop_assert!(input.len() <= 2048);
        }
    }

    /// No text is more than a mistake.
    #[test]
    fn any_text_is_a_rule_or_refused(
        text in "(late|silent|noise|exception|drip)?[=:a-z0-9% .-]{0,40}",
    ) {
        let _ = text.parse::<Rule>();
    }
}
