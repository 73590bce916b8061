//! The view on made-up states: what has to be seen is seen, on every size of terminal.

use serde_json::{Value, json};

use super::*;

/// A plant with `tags` tags on two devices, one of them not good.
fn plant(tags: usize, waiting: u64, online: bool) -> Value {
    let tag = |i: usize| {
        let device = if i.is_multiple_of(2) { "press" } else { "meter" };
        let bad = i + 1 == tags;
        json!({
            "topic": format!("plant1/demo/{device}/t{i:03}"), "device": device, "tag": format!("t{i:03}"),
            "unit": "kW", "value": "0.00000000000012858791", "value_age_ms": 61_000,
            "quality": if bad { "bad:no-answer" } else { "good" }, "age_ms": 400,
        })
    };
    let mut uplink = json!({ "state": "online", "peer": "127.0.0.1:1884", "acked_rows_per_s": 31.7, "eta_s": 3 });
    if !online {
        uplink = json!({ "state": "offline", "peer": "127.0.0.1:1884", "since": 995_000, "next_try_ms": 2_500,
            "reason": "127.0.0.1:1884 closed the connection" });
    }
    let row = |class| {
        json!({ "class": class, "appended": 100 + waiting, "delivered": 90, "waiting": waiting,
        "dropped": 10, "excluded": 0, "dropped_why": { "quota": 10 }, "oldest_ms": 5_200 })
    };
    json!({
        "gateway": { "name": "demo", "site": "plant1", "version": "0.1.0", "clock_synced": true,
            "wall_ms": 1_000_000, "mono_ms": 50_000 },
        "buses": {
            "hall1": { "link": "modbus-tcp 127.0.0.1:502", "utilisation": 0.021, "state": { "state": "up" },
                "devices": [{ "name": "press", "unit": 1, "ok": 84, "timeouts": 4, "next_probe_at": 51_500,
                    "state": { "state": "silent", "since": 42_000, "fault": "no-answer" } }] },
            "rs485a": { "link": "modbus-rtu /dev/ttyUSB0 19200 8E1", "utilisation": 0.0,
                "state": { "state": "down", "since": 47_000, "reason": "no such port" },
                "devices": [{ "name": "meter", "unit": 3, "ok": 9, "state": { "state": "ok" } }] },
        },
        "tags": (0..tags).map(tag).collect::<Vec<_>>(),
        "uplinks": { "cloud": uplink },
        "store": { "state": "ok", "disk_bytes_max": 2_000_000_000_u64,
            "consumers": [{ "name": "cloud", "classes": [row("alarm"), row("normal"), row("bulk")] }] },
        "broker": { "connections": 1 },
        "commands": { "received": 3, "done": 2, "refused": { "retained": 1 } },
        "units": { "broker": { "state": "running" } },
    })
}

fn drawn(status: &Value, width: usize, height: usize) -> Vec<String> {
    let foot = ["[c] cut  [q] quit".into(), "watch the LAN".into()];
    let lines = picture(status, Size { width, height }, 1000, &foot);
    lines.iter().map(ToString::to_string).collect()
}

fn has(lines: &[String], words: &str) -> bool {
    lines.iter().any(|line| line.contains(words))
}

#[test]
fn what_matters_is_seen_on_every_size_and_the_tags_give_way() {
    let status = plant(40, 250, false);
    for (width, height) in [(80, 24), (120, 40), (160, 50), (80, 60)] {
        let lines = drawn(&status, width, height);
        let all = lines.join("\n");
        assert!(lines.len() <= height, "{width}x{height}\n{all}");
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}x{height}\n{all}");
        for words in [
            "✕ offline",
            "closed the connection · for 5.0 s · next try in 2.5 s",
            "750 waiting, oldest 5.2 s",
            "= delivered",
            "✕ silent",
            "no-answer · for 8.0 s · next try in 1.5 s",
            "✕ down",
            "no such port · for 3.0 s",
            "✕ link-down",
            "✕ bad:no-answer",
            "[c] cut  [q] quit",
            "watch the LAN",
        ] {
            assert!(has(&lines, words), "{words} is missing on {width}x{height}\n{all}");
        }
    }
    assert!(has(&drawn(&status, 80, 24), "more tags"));
    assert!(!has(&drawn(&status, 80, 90), "more tags"));
}

#[test]
fn a_tiny_terminal_still_has_the_keys() {
    for height in 0..20 {
        for width in [0, 1, 7, 40] {
            assert!(drawn(&plant(9, 5, true), width, height).len() <= height);
        }
    }
    assert!(has(&drawn(&plant(9, 5, true), 40, 3), "[q] quit"));
}

#[test]
fn each_device_has_its_share_of_a_short_list_and_what_is_not_good_comes_first() {
    let status = plant(40, 0, true);
    let lines: Vec<_> = tags::lines(&status, 80, 6).iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(has(&lines, "press/t000") && has(&lines, "press/t002"), "{lines:?}");
    assert!(has(&lines, "meter/t001") && has(&lines, "meter/t039"), "{lines:?}");
    assert!(has(&lines, "and 36 more tags, all good"), "{lines:?}");
    // The old value of a tag that can't be read is marked as such, with its own age.
    let bad = lines.iter().find(|line| line.contains("t039")).unwrap();
    assert!(bad.contains("(1.28588e-13 kW)") && bad.ends_with("61 s"), "{bad}");
    for height in 0..50 {
        assert!(tags::lines(&status, 80, height).len() <= height);
    }
}

#[test]
fn the_bar_grows_with_the_queue() {
    let filled = |waiting| {
        let lines = drawn(&plant(3, waiting, false), 80, 24);
        lines.iter().map(|line| line.matches('█').count()).sum::<usize>()
    };
    assert_eq!((filled(0), filled(1), filled(160), filled(10_000)), (0, 1, 10, 20));
}

#[test]
fn a_listing_shows_every_class_every_tag_and_what_was_dropped() {
    let lines: Vec<_> = listing(&plant(40, 1, true), 120).iter().map(ToString::to_string).collect();
    for words in
        ["alarm ", "normal ", "bulk ", "t039", "dropped: quota 30", "2 carried out", "1 client"]
    {
        assert!(has(&lines, words), "{words} is missing: {lines:#?}");
    }
}

#[test]
fn an_equation_that_does_not_hold_is_said_wherever_it_stands() {
    let mut status = plant(3, 1, true);
    status["store"]["consumers"][0]["classes"][1]["delivered"] = json!(1);
    assert!(has(&drawn(&status, 80, 24), "DOES NOT ADD UP"));
    let lines: Vec<_> = listing(&status, 80).iter().map(ToString::to_string).collect();
    assert!(has(&lines, "DOES NOT ADD UP"));
}

#[test]
fn units_and_stores_that_are_not_well_say_why() {
    let mut status = plant(3, 1, true);
    status["units"]["broker"] =
        json!({ "state": "waiting", "reason": "can't listen on 127.0.0.1:1883" });
    status["store"]["state"] = json!("ram-only");
    status["store"]["why"] = json!("no space left on device");
    status["gateway"]["clock_synced"] = json!(false);
    let lines: Vec<_> = listing(&status, 80).iter().map(ToString::to_string).collect();
    for words in
        ["✕ broker: waiting · can't listen", "✕ ram-only", "no space left", "▲ clock not set"]
    {
        assert!(has(&lines, words), "{words} is missing: {lines:#?}");
    }
    status["gateway"]["wall_ms"] = json!(1_790_000_000_000_i64);
    let lines: Vec<_> = listing(&status, 80).iter().map(ToString::to_string).collect();
    assert!(has(&lines, "· clock not confirmed"), "{lines:#?}");
}

#[test]
fn what_the_broker_keeps_is_told_and_what_is_wrong_with_it() {
    let mut status = plant(3, 1, true);
    status["broker_file"] = json!({ "state": "ok", "file_bytes": 24_576, "waiting": 2,
        "counters": { "rows_damaged": 0, "left_out": 0 }, "quarantined": [] });
    let told = |status: &Value| -> Vec<_> {
        listing(status, 80).iter().map(ToString::to_string).collect()
    };
    assert!(has(&told(&status), "sessions and messages on disk: 24 kB, 2 changes waiting"));
    status["broker_file"] = json!({ "state": "ram-only", "why": "the disk is full",
        "counters": { "rows_damaged": 1, "left_out": 7 }, "incomplete": true,
        "quarantined": [{ "file": "broker-000001.db", "why": "a page is damaged", "salvaged": 12 }] });
    let lines = told(&status);
    for words in [
        "sessions and messages can't be written: the disk is full",
        "1 row damaged, and left out",
        "7 rows not written for want of memory, and not all written since",
        "broker-000001.db was set aside: a page is damaged; 12 rows of it are in use",
    ] {
        assert!(has(&lines, words), "{words} is missing: {lines:#?}");
    }
}

#[test]
fn an_empty_status_is_shown_without_panic() {
    assert!(!listing(&Value::Null, 80).is_empty());
    assert!(!drawn(&Value::Null, 80, 24).is_empty());
}

#[test]
fn what_disturbs_a_line_is_said_under_it() {
    let mut status = plant(4, 0, true);
    let quiet = drawn(&status, 120, 40);
    assert!(!has(&quiet, "another master"), "{quiet:#?}");
    status["buses"]["hall1"]["line"] = json!({ "collisions": 12, "noise_bytes": 1, "late": 0 });
    status["buses"]["hall1"]["echo"] = json!(true);
    status["buses"]["hall1"]["remarks"] = json!(["the driver has no RS-485 mode"]);
    let lines = drawn(&status, 120, 40);
    assert!(
        has(&lines, "12 frames of another master · 1 byte of noise · local echo"),
        "{lines:#?}"
    );
    assert!(has(&lines, "the driver has no RS-485 mode"), "{lines:#?}");
    assert!(!has(&lines, "late"), "{lines:#?}");
}

#[test]
fn the_store_says_what_a_power_cut_costs_and_how_long_the_card_lasts() {
    let mut status = plant(3, 1, true);
    status["store"]["loss_bound_ms"] = json!(1_000);
    assert!(has(&drawn(&status, 120, 40), "a power cut loses at most the last 1.0 s"));
    status["store"]["wear"] = json!({ "store_bytes_per_day": 1_200_000_000_u64,
        "endurance_bytes": 4_000_000_000_000_u64, "card_years": 9.1 });
    assert!(has(&drawn(&status, 120, 40), "1.2 GB/day, card of 4 TB lasts 9.1 years"));
    status["store"]["wear"]["card_years"] = json!(250.0);
    status["store"]["wear"]["process_bytes_per_day"] = json!(2_000_000_000_u64);
    let lines = drawn(&status, 120, 40);
    assert!(has(&lines, "1.2 GB/day (2 GB/day with all else), card of 4 TB lasts more than 100"));
    status["store"]["violations"] = json!(["cloud bulk: 5 appended without a fate"]);
    assert!(has(&drawn(&status, 120, 40), "contradict themselves: cloud bulk: 5 appended"));
}
