//! Who takes which message, and when.

use super::*;

const NOW: Wall = Wall(1_780_000_000_000);
const NOW_S: u64 = 1_780_000_000;

fn set(claims: &str) -> Set {
    let rest = r#""aud":["works/edge"],"config":"gateway: { name: edge }""#;
    read(format!("{{{claims},{rest}}}").as_bytes()).unwrap()
}

fn here() -> Here<'static> {
    Here { id: "works/edge", groups: &["line-a"], wall: NOW, synced: true }
}

fn seen(serial: u64, config: &str, held: bool) -> Seen {
    Seen { serial, sha256: sha256(config), held }
}

fn refused(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refused(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn claims_are_read_strictly() {
    let good = r#"{"serial":7,"aud":["a"],"exp":9,"confirm":"operator","within":60,
        "stage":{"percent":25,"salt":"s"},"config":"x"}"#;
    let set: Set = read(good.as_bytes()).unwrap();
    assert_eq!((set.serial, set.confirm, set.within), (7, By::Operator, Some(60)));
    let plain: Set = read(br#"{"serial":7,"aud":["a"],"config":"x"}"#).unwrap();
    assert_eq!(
        (plain.confirm, plain.within(Duration::from_secs(120)).as_secs()),
        (By::Reachable, 120)
    );
    for bad in [
        "",
        "[]",
        r#"{"serial":7,"aud":["a"]}"#,
        r#"{"serial":7,"aud":"a","config":"x"}"#,
        r#"{"serial":-1,"aud":["a"],"config":"x"}"#,
        r#"{"serial":1.5,"aud":["a"],"config":"x"}"#,
        r#"{"serial":18446744073709551616,"aud":["a"],"config":"x"}"#,
        r#"{"serial":7,"serial":8,"aud":["a"],"config":"x"}"#,
        r#"{"serial":7,"aud":["a"],"config":"x","confrim":"operator"}"#,
        r#"{"serial":7,"aud":["a"],"config":"x","confirm":"nobody"}"#,
        r#"{"serial":7,"aud":["a"],"config":"x","stage":{"percent":25}}"#,
        r#"{"confirms":7,"aud":["a"]}"#,
    ] {
        assert!(read::<Set>(bad.as_bytes()).is_err(), "{bad}");
    }
    // A message that sets can't be taken for one that confirms.
    assert!(read::<Confirm>(good.as_bytes()).is_err());
    assert!(read::<Confirm>(br#"{"confirms":7,"aud":["a"],"exp":9}"#).is_ok());
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (claims, words) in [
        (r#""serial":1,"within":4"#, "5 to 3600 s"),
        (r#""serial":1,"within":3601"#, "5 to 3600 s"),
        (r#""serial":1,"stage":{"percent":101,"salt":""}"#, "more than 100 percent"),
    ] {
        let reason = refused(set(claims).judge(here(), None));
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_message_is_for_those_it_names() {
    let to = |aud: &str| {
        let claims = format!(r#"{{"serial":1,"aud":[{aud}],"config":"x"}}"#);
        read::<Set>(claims.as_bytes()).unwrap().judge(here(), None)
    };
    assert_eq!(to(r#""other/edge","works/edge""#), Verdict::Take);
    assert_eq!(to(r#""group:line-a""#), Verdict::Take);
    for aud in [
        "",
        r#""edge""#,
        r#""line-a""#,
        r#""group:line-b""#,
        r#""group:works/edge""#,
        r#""works/edge ""#,
    ] {
        let reason = refused(to(aud));
        assert!(reason.contains("which is works/edge, group:line-a"), "{reason}");
    }
}

#[test]
fn a_serial_only_grows() {
    let config = "gateway: { name: edge }";
    let judge =
        |serial: u64, seen: &Seen| set(&format!(r#""serial":{serial}"#)).judge(here(), Some(seen));
    assert_eq!(judge(8, &seen(7, "old", false)), Verdict::Take);
    assert_eq!(judge(7, &seen(7, config, false)), Verdict::Repeat);
    assert!(refused(judge(7, &seen(7, "old", false))).contains("another configuration"));
    assert!(refused(judge(6, &seen(7, config, false))).contains("not newer than 7"));
    assert!(refused(judge(6, &seen(7, config, true))).contains("not newer than 7"));
    // Held by its stage, it may come again, be it with other words.
    assert_eq!(judge(7, &seen(7, config, true)), Verdict::Take);
    assert_eq!(judge(7, &seen(7, "old", true)), Verdict::Take);
}

#[test]
fn an_end_is_told_by_a_clock_that_can_be_believed() {
    let until = |exp: u64| set(&format!(r#""serial":1,"exp":{exp}"#));
    assert_eq!(until(NOW_S + 1).judge(here(), None), Verdict::Take);
    let reason = refused(until(NOW_S).judge(here(), None));
    assert!(reason.contains("has expired at 2026-") && !reason.contains("confirmed"), "{reason}");
    let doubtful = Here { synced: false, ..here() };
    let reason = refused(until(NOW_S).judge(doubtful, None));
    assert!(reason.contains("which no time source has confirmed"), "{reason}");
    let unset = Here { wall: Wall(86_400_000), synced: false, ..here() };
    let reason = refused(until(NOW_S).judge(unset, None));
    assert!(reason.contains("clock is not set, it reads 1970-01-02"), "{reason}");
    assert_eq!(set(r#""serial":1"#).judge(unset, None), Verdict::Take, "without an end no clock");
    // What was seen is a repetition for good, whatever the time.
    let config = "gateway: { name: edge }";
    assert_eq!(until(NOW_S).judge(here(), Some(&seen(1, config, false))), Verdict::Repeat);
}

#[test]
fn a_stage_reaches_its_share_and_keeps_it() {
    let ids = || (0..10_000).map(|n| format!("plant{}/gateway-{n}", n % 40));
    for salt in ["", "12", "spring"] {
        let mut before: Vec<String> = Vec::new();
        for percent in [0, 1, 25, 50, 100] {
            let stage = Stage { percent, salt: salt.to_owned() };
            let reached: Vec<String> = ids().filter(|id| stage.place(id) < percent).collect();
            let (reached_now, due) = (reached.len(), usize::from(percent) * 100);
            assert!(reached_now.abs_diff(due) <= 200, "{salt:?} {percent} %: {reached_now}");
            assert!(before.iter().all(|id| reached.contains(id)), "{salt:?} {percent} %");
            before = reached;
        }
    }
}

#[test]
fn a_place_is_what_anyone_can_work_out() {
    // printf '12works/edge' | sha256sum: 39b7e7b1a63aa537…, which is 87 modulo 100.
    let staged = |percent| {
        let stage = Some(Stage { percent, salt: "12".to_owned() });
        Set { stage, ..set(r#""serial":1"#) }.judge(here(), None)
    };
    let held = "it is for 87 % of the gateways, and this one comes at 87 %";
    assert_eq!(staged(87), Verdict::Held(held.to_owned()));
    assert_eq!(staged(88), Verdict::Take);
}
