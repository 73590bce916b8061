//! What is printed: the answer first, a picture, and every figure in words.

use std::collections::BTreeMap;

use super::*;
use crate::model::tone::Line;
use crate::runtime::rehearsal::{
    Account, ClassAnswer, FieldAnswer, Sample, StoreAnswer, UplinkAnswer, Way,
};
use crate::uplink::rehearsal::{Bound, Sent};

fn way(ms: u64) -> Way {
    Way {
        ms,
        machine_ms: 900,
        computed: false,
        sent: Sent {
            messages: 1_234,
            bytes: 45_000_000,
            readings: 3_600_000,
            excluded: 0,
            dead: 0,
        },
        bytes_per_reading: Some(12.5),
        bound: Bound::RateMessages,
        live_ms: Some((80, 310)),
        dropped: 0,
    }
}

/// An hour of a thousand readings a second, of which some were dropped if wanted.
fn answer_with(dropped: u64, drain: Drain) -> Answer {
    let account = |waiting: u64, dropped: u64| Account {
        appended: waiting + dropped,
        dropped,
        waiting,
        ..Account::default()
    };
    let sample = |at_ms: u64, waiting: u64| Sample {
        at_ms,
        bytes: waiting * 16,
        written_bytes: waiting * 17,
        uplinks: BTreeMap::from([("cloud".to_owned(), account(waiting, 0))]),
        computed: false,
    };
    let mut dropped_why = BTreeMap::new();
    if dropped > 0 {
        dropped_why.insert("quota".to_owned(), dropped);
    }
    let of_class = ClassAnswer { account: account(3_600_000 - dropped, dropped), dropped_why };
    Answer {
        outage_ms: 3_600_000,
        measured_ms: 3_600_000,
        field: FieldAnswer { tags: 1_000, reads_per_second: 1_000.0, readings_per_second: 1_000.0 },
        store: StoreAnswer {
            path: Some("/var/lib/fieldhold".to_owned()),
            readings: 3_600_000 - dropped,
            bytes: 58_000_000,
            bytes_per_reading: Some(16.1),
            quota_bytes: 4_000_000_000,
            allowed_bytes: 4_000_000_000,
            max_age_ms: 30 * 86_400_000,
            enough_ms: Some(if dropped > 0 { 3_000_000 } else { 30 * 86_400_000 }),
            written_bytes: 61_000_000,
            written_bytes_per_day: Some(1_464_000_000),
            endurance_bytes: 4_000_000_000_000,
            card_years: Some(7.48),
            power_cut_ms: Some(1_000),
            power_cut_readings: 1_000,
        },
        samples: vec![
            sample(0, 0),
            sample(1_800_000, 1_800_000),
            sample(3_600_000, 3_600_000),
            sample(3_840_000, 0),
        ],
        uplinks: vec![UplinkAnswer {
            name: "cloud".to_owned(),
            required: true,
            classes: BTreeMap::from([("normal", of_class)]),
            first_drop_ms: (dropped > 0).then_some(3_000_000),
            last_drop_ms: (dropped > 0).then_some(3_600_000),
            drain,
        }],
        assumed: vec!["the cloud acknowledges after 50ms".to_owned()],
    }
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_answer_comes_first_and_in_plain_words() {
    let answer = answer_with(0, Drain::Drained(way(240_000)));
    assert_eq!(
        text(&words::answer(&answer)),
        "After 1 h away 3,600,000 readings wait in 58 MB.\nNothing is dropped.\n\
         cloud has all of it 4 min after the link is back.\n"
    );
    assert!(is_lossless(&answer));
}

#[test]
fn a_loss_is_said_with_its_time_and_reason_and_fails() {
    let answer = answer_with(600_000, Drain::Drained(way(240_000)));
    let said = text(&words::answer(&answer)) + &text(&words::table(&answer));
    for words in [
        "600,000 readings of cloud are dropped from 50 min on.",
        "read 3,600,000 = delivered 0 + waiting 3,000,000 + dropped 600,000",
        "600,000 dropped: the store had used up its room (quota)",
        "from 50 min to 1 h after the beginning",
        "too little: the first reading goes after 50 min",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    assert!(!is_lossless(&answer));
    let mut best_effort = answer;
    for uplink in &mut best_effort.uplinks {
        uplink.required = false;
    }
    assert!(is_lossless(&best_effort), "who may miss some loses nothing that was promised");
}

#[test]
fn every_figure_is_in_the_table() {
    let said = text(&words::table(&answer_with(0, Drain::Drained(way(240_000)))));
    for words in [
        "uplink cloud (required)",
        "4 min after the link is back",
        "45 MB in 1,234 messages, 12.5 bytes per reading",
        "the messages in a second (rate: messages)",
        "80 ms old when they arrive meanwhile, 310 ms at most",
        "58 MB of 4 GB, 16.1 bytes per reading; kept for 30 d",
        "enough: the first reading goes after 30 d",
        "61 MB written in the outage, 1.4 GB in a day of one",
        "one for 4 TB lasts 7.5 years",
        "costs at most the last 1 s: 1,000 readings",
        "1000 tags, 1000.0 values read and 1000.0 readings made in a second",
        "- the cloud acknowledges after 50ms",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
}

#[test]
fn what_is_not_drained_is_said() {
    let behind = answer_with(0, Drain::FallsBehind(way(3_600_000)));
    assert!(text(&words::answer(&behind)).contains("cloud never gets through"));
    assert!(!is_lossless(&behind));
    let unknown = answer_with(0, Drain::Unknown { why: "its host decides".to_owned() });
    assert!(text(&words::answer(&unknown)).contains("can't be said: its host decides"));
    assert!(is_lossless(&unknown));
    let slow = Way { machine_ms: 500_000, ..way(240_000) };
    let slow = answer_with(0, Drain::Drained(slow));
    let said = text(&words::answer(&slow)) + &text(&words::table(&slow));
    assert!(
        said.contains("8 min 20 s") && said.contains("this machine, which needs about"),
        "{said}"
    );
}

#[test]
fn the_picture_rises_in_the_outage_and_falls_after_it() {
    let answer = answer_with(0, Drain::Drained(way(240_000)));
    let ascii = plot::lines(&answer, 60, plot::Marks::Ascii);
    let said = text(&ascii);
    assert!(said.is_ascii(), "{said}");
    assert!(ascii.iter().all(|line| line.width() <= 60), "{said}");
    assert!(said.contains("3.6 M|") && said.contains("1 h: the link is back"), "{said}");
    // The row at half height: empty on the left, full on the right, and empty again at the end.
    let row = ascii[2 + 4].to_string();
    let cells: Vec<char> = row.chars().skip(9).collect();
    assert_eq!((cells[5], cells[40], cells.last()), (' ', '#', Some(&'#')), "{said}");
    assert!(cells.len() < 51, "it has fallen at the end:\n{said}");
    let blocks = text(&plot::lines(&answer, 60, plot::Marks::Blocks));
    assert!(blocks.contains('█') && blocks.contains('▄') || blocks.contains('▃'), "{blocks}");
}

#[test]
fn spans_have_two_parts_at_most() {
    let shown = [0, 50, 400, 1_000, 4_300, 12_000, 250_000, 3_600_000, 99_000_000, 90_061_000];
    let shown: Vec<_> = shown.into_iter().map(words::span).collect();
    let wanted = [
        "0 s",
        "50 ms",
        "400 ms",
        "1 s",
        "4.3 s",
        "12 s",
        "4 min 10 s",
        "1 h",
        "1 d 3 h",
        "1 d 1 h",
    ];
    assert_eq!(shown, wanted);
}
