//! The rules as text, whom they hit, and what they make of an answer.

use super::*;

const RIGHT: [u8; 6] = [3, 4, 0, 1, 0, 2];

fn asked(framing: Framing) -> Asked {
    let pdu = vec![3, 0, 5, 0, 2];
    let frame = answer(framing, &Asked { tid: [1, 7], ..Asked::default() }, 3, &pdu);
    Asked { unit: 3, pdu, tid: [1, 7], frame }
}

fn deed(rules: &[&str], framing: Framing) -> Deed {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let mut faults = Faults::new(rules, 1);
    let asked = asked(framing);
    let hits = faults.hits(&asked, framing, Duration::ZERO);
    faults.deed(&hits, &asked, Some(&RIGHT), framing)
}

#[test]
fn rules_read_as_they_are_written() {
    let rule = |text: &str| text.parse::<Rule>();
    assert_eq!(rule("late"), Ok(Rule::always(Fault::Late(Duration::from_millis(1500)))));
    assert_eq!(
        rule("late=300ms:every=3:share=20%:unit=7:from=1s:to=1min"),
        Ok(Rule {
            fault: Fault::Late(Duration::from_millis(300)),
            unit: Some(7),
            every: 3,
            share: 0.2,
            from: Duration::from_secs(1),
            to: Duration::from_secs(60),
        })
    );
    assert_eq!(rule("late=20%:every=3").map(|r| (r.share, r.every)), Ok((0.2, 3)));
    assert_eq!(rule("exception-2").map(|r| r.fault), Ok(Fault::Exception(2)));
    assert_eq!(rule("exception=11").map(|r| r.fault), Ok(Fault::Exception(11)));
    assert_eq!(rule(" drip = 4 : unit = 1 ").map(|r| r.fault), Ok(Fault::Drip(4)));
    for name in names().filter(|name| *name != "exception") {
        assert!(rule(name).is_ok(), "{name}");
    }
    for (wrong, word) in [
        ("", "there is no fault"),
        ("latte", "late, silent"),
        ("silent=3", "no value"),
        ("exception", "exception-2"),
        ("exception-0", "1 to 255"),
        ("late=3", "unit"),
        ("late:every", "KEY=VALUE"),
        ("late:every=0", "1 to 1000000"),
        ("late:unit=256", "0 to 255"),
        ("late:share=0%", "20%"),
        ("late:never=1", "the keys are"),
        ("late:from=2s:to=1s", "before it begins"),
        ("noise=999999", "4096"),
    ] {
        let said = rule(wrong).unwrap_err();
        assert!(said.contains(word), "{wrong}: {said}");
    }
}

#[test]
fn rules_hit_their_unit_their_time_and_their_share() {
    let rules = ["late:every=3", "silent:unit=9", "cut:from=1s:to=2s", "echo", "wrong-tid"];
    let mut faults = Faults::new(rules.iter().map(|rule| rule.parse().unwrap()).collect(), 1);
    let mut hits =
        |ms| faults.hits(&asked(Framing::Rtu), Framing::Rtu, Duration::from_millis(ms)).len();
    // Always the echo; the cut in its second; every third one late.
    assert_eq!([0, 500, 999, 1000, 1999, 2000].map(&mut hits), [1, 1, 2, 2, 2, 2]);
    let mut some = Faults::new(vec!["silent=25%".parse().unwrap()], 42);
    let mut count = 0;
    for _ in 0..4000 {
        count += some.hits(&asked(Framing::Tcp), Framing::Tcp, Duration::ZERO).len();
    }
    assert!((900..1100).contains(&count), "{count} of 4000 at 25 %");
}

#[test]
fn each_fault_does_what_it_is_called() {
    let rtu = answer(Framing::Rtu, &asked(Framing::Rtu), 3, &RIGHT);
    let tcp = answer(Framing::Tcp, &asked(Framing::Tcp), 3, &RIGHT);
    let instead = |rule: &str, framing| deed(&[rule], framing).instead.unwrap();
    assert_eq!(deed(&[], Framing::Rtu), Deed::default());
    assert!(instead("silent", Framing::Rtu).is_empty());
    assert_eq!(instead("short", Framing::Rtu)[..5], [3, 3, 2, 0, 1]);
    assert_eq!(instead("long", Framing::Tcp)[4..], [0, 9, 3, 3, 6, 0, 1, 0, 2, 0, 0]);
    assert_eq!(instead("cut", Framing::Rtu), rtu[..rtu.len() / 2]);
    let damaged = instead("crc-damage", Framing::Rtu);
    assert_eq!(damaged.iter().zip(&rtu).filter(|(a, b)| a != b).count(), 1);
    assert_eq!(damaged[..2], rtu[..2]);
    assert_eq!(instead("wrong-tid", Framing::Tcp)[..2], [1, 6]);
    assert_eq!(instead("broken-header", Framing::Tcp)[2..4], [0, 1]);
    assert_eq!(instead("noise=5", Framing::Rtu).len(), 5);
    assert_eq!(deed(&["wrong-unit-first"], Framing::Rtu).before[0], 4);
    assert_eq!(deed(&["noise-before=9"], Framing::Rtu).before.len(), 9);
    assert_eq!(deed(&["noise-after=9"], Framing::Rtu).after.len(), 9);
    assert_eq!(deed(&["duplicate"], Framing::Tcp).after, tcp);
    assert_eq!(deed(&["foreign-master"], Framing::Rtu).before.len(), 8 + 9);
    assert_eq!(deed(&["drip=2"], Framing::Rtu).pieces, Some(2));
    assert!(deed(&["echo"], Framing::Rtu).echo);
    let swapped = deed(&["swapped=50ms"], Framing::Rtu);
    assert_eq!((swapped.overtaken, swapped.late), (true, Duration::from_millis(50)));
    let gone = deed(&["disconnect", "noise-before"], Framing::Tcp);
    assert!(gone.close && gone.before.is_empty() && gone.instead == Some(Vec::new()));
    // What a line can't have does not happen on it.
    assert_eq!(deed(&["crc-damage", "echo", "foreign-master"], Framing::Tcp), Deed::default());
    assert_eq!(deed(&["wrong-tid", "broken-header"], Framing::Rtu), Deed::default());
}

#[test]
fn faults_add_up() {
    let all =
        deed(&["noise-before=3", "late=80ms", "crc-damage", "drip", "duplicate"], Framing::Rtu);
    assert_eq!(all.before.len(), 3);
    assert_eq!((all.late, all.pieces), (Duration::from_millis(80), Some(1)));
    assert_eq!(Some(&all.after), all.instead.as_ref(), "the damaged answer comes twice");
}

#[test]
fn with_nobody_there_only_the_line_is_heard() {
    let mut faults =
        Faults::new(["duplicate", "noise-before=4"].map(|r| r.parse().unwrap()).into(), 1);
    let asked = asked(Framing::Rtu);
    let hits = faults.hits(&asked, Framing::Rtu, Duration::ZERO);
    let deed = faults.deed(&hits, &asked, None, Framing::Rtu);
    assert_eq!((deed.before.len(), deed.instead, deed.after.len()), (4, None, 0));
}
