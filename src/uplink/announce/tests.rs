//! What Home Assistant and ThingsBoard are told, and when.

use super::*;
use crate::config::{UplinkPlan, parse};

fn plan(devices: &str, keys: &str) -> UplinkPlan {
    let text = format!(
        "gateway: {{ name: g1, site: s1 }}\nbuses: {{ b: {{ modbus-tcp: {{ host: h }} }} }}\n\
         devices: {{ {devices} }}\nuplinks: {{ u: {{ url: 'mqtt://h', {keys} }} }}"
    );
    parse(&text, "t").unwrap().plan.uplinks.remove(0)
}

const TAGS: &str = "\
    u: { input: 0, type: f32, unit: V }, n: { input: 2, type: u16 }, \
    on: { discrete: 0 }, run: { coil: 0, write: true }, \
    mode: { holding: 10, type: u16, labels: { 0: off, 1: auto, 2: test }, write: { values: [off, auto] } }, \
    goal: { holding: 11, type: i16, scale: 0.1, unit: °C, write: { min: 5, max: 80, step: 0.5 } }, \
    name: { holding: 20, type: 'text:4' }, Öl: { input: 4, type: u16, unit: kWh }";

fn told_of(plan: &UplinkPlan) -> Announcer {
    Announcer::new(plan, plan.packet_bytes)
}

fn all(announcer: &mut Announcer) -> Vec<Announcement> {
    std::iter::from_fn(|| announcer.pop()).collect()
}

fn with(tags: &str) -> Announcer {
    let device = format!("m1: {{ bus: b, tags: {{ {tags} }} }}");
    told_of(&plan(&device, "receive: 's1/g1/+/+/set', home-assistant: {}"))
}

#[test]
fn a_device_is_described_part_by_part() {
    let told = all(&mut with(TAGS));
    let [document, online] = &told[..] else { panic!("{told:?}") };
    assert_eq!(document.topic.as_str(), "homeassistant/device/fieldhold_s1_g1_m1_97c96cc0/config");
    assert!(document.retain && online.retain);
    assert_eq!((online.topic.as_str(), &online.payload[..]), ("s1/g1/status", ONLINE));
    let json: Json = serde_json::from_slice(&document.payload).unwrap();
    assert_eq!(json["dev"], serde_json::json!({ "ids": ["fieldhold/s1/g1/m1"], "name": "m1" }));
    let parts = json["cmps"].as_object().unwrap();
    let platform = |name: &str| parts[name]["p"].as_str().unwrap();
    let platforms = ["u", "n", "on", "run", "mode", "goal", "name"].map(platform);
    let want = ["sensor", "sensor", "binary_sensor", "switch", "select", "number", "sensor"];
    assert_eq!(platforms, want);
    assert_eq!(
        parts["u"],
        serde_json::json!({
            "p": "sensor", "name": "u", "uniq_id": "fieldhold/s1/g1/m1/u", "stat_t": "s1/g1/m1/u",
            "val_tpl": "{{ value_json.v }}", "unit_of_meas": "V", "dev_cla": "voltage",
            "stat_cla": "measurement",
        })
    );
    assert_eq!(parts["mode"]["ops"], serde_json::json!(["off", "auto"]));
    assert_eq!(parts["goal"]["cmd_t"], "s1/g1/m1/goal/set");
    let bounds = ["min", "max", "step"].map(|key| parts["goal"][key].as_f64().unwrap());
    assert_eq!(bounds, [5.0, 80.0, 0.5]);
    assert!(parts["name"].get("stat_cla").is_none());
    let oil = parts.iter().find(|(key, _)| key.starts_with("_l_")).unwrap().1;
    assert_eq!((&oil["stat_cla"], &oil["name"]), (&"total_increasing".into(), &"Öl".into()));
}

/// What Home Assistant's own schema says (`schema.json` names its source).
struct Schema(Json);

impl Schema {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("schema.json")).unwrap())
    }

    /// The keys of an object in full, of which all are known and none is missing.
    fn check(&self, object: &Json, shorts: &str, allowed: &Json) {
        let full = |key: &String| self.0[shorts][key.as_str()].as_str().unwrap_or(key).to_owned();
        let keys: Vec<String> = object.as_object().unwrap().keys().map(full).collect();
        let has = |list: &str, key: &str| {
            allowed[list].as_array().unwrap().iter().any(|known| known == key)
        };
        for key in &keys {
            assert!(has("required", key) || has("optional", key), "{key} is unknown in {object}");
        }
        for key in allowed["required"].as_array().unwrap() {
            assert!(keys.iter().any(|have| key == have), "{key} is missing in {object}");
        }
    }
}

#[test]
fn a_document_is_as_the_schema_of_home_assistant_wants_it() {
    let schema = Schema::read();
    let document = all(&mut with(TAGS)).remove(0);
    let json: Json = serde_json::from_slice(&document.payload).unwrap();
    schema.check(&json, "abbreviations", &schema.0["document"]);
    let of = |known: &[&str]| serde_json::json!({ "required": ["name"], "optional": known });
    schema.check(&json["dev"], "device_abbreviations", &of(&["identifiers", "sw_version"]));
    schema.check(&json["o"], "origin_abbreviations", &of(&["sw_version", "support_url"]));
    let parts = json["cmps"].as_object().unwrap();
    let mut platforms: Vec<&str> = parts.values().map(|part| part["p"].as_str().unwrap()).collect();
    for part in parts.values() {
        let allowed = &schema.0["platforms"][part["p"].as_str().unwrap()];
        schema.check(part, "abbreviations", allowed);
    }
    platforms.sort_unstable();
    platforms.dedup();
    assert_eq!(platforms, ["binary_sensor", "number", "select", "sensor", "switch"]);
}

#[test]
fn units_have_the_classes_that_home_assistant_has_for_them() {
    let schema = Schema::read();
    for (unit, class, state) in document::CLASSES {
        let units = schema.0["units"][class].as_array().unwrap();
        assert!(units.iter().any(|known| known == unit), "{unit} is no unit of {class}");
        let states = &schema.0["state_classes"][class];
        let any = states == "any" || states.as_array().unwrap().iter().any(|known| known == state);
        assert!(any, "{state} is no state class of {class}");
    }
}

#[test]
fn what_does_not_receive_commands_can_only_be_looked_at() {
    let plan = plan(&format!("m1: {{ bus: b, tags: {{ {TAGS} }} }}"), "home-assistant: {}");
    let [document, _] = &all(&mut told_of(&plan))[..] else { panic!("one device") };
    let json: Json = serde_json::from_slice(&document.payload).unwrap();
    for part in json["cmps"].as_object().unwrap().values() {
        assert!(part["p"].as_str().unwrap().ends_with("sensor") && part.get("cmd_t").is_none());
    }
}

#[test]
fn a_start_of_home_assistant_gets_them_again() {
    let mut announcer = with("u: { input: 0, type: u16 }");
    assert_eq!(announcer.filters().len(), 2);
    assert_eq!(all(&mut announcer).len(), 2);
    assert!(announcer.received("homeassistant/status", b"online", true));
    assert!(announcer.received("homeassistant/status", b"offline", false));
    assert!(!announcer.received("homeassistant/sensor/x/config", b"{}", true));
    assert!(!announcer.received("s1/g1/m1/u/set", b"1", false));
    assert_eq!(all(&mut announcer), []);
    for _ in 0..3 {
        assert!(announcer.received("homeassistant/status", b"online", false));
    }
    let told = all(&mut announcer);
    assert_eq!(told.iter().filter(|one| one.topic.as_str().ends_with("/config")).count(), 1);
}

/// They lie at the broker, so it does not matter when they were taken out of the configuration.
#[test]
fn what_is_no_longer_configured_is_removed_and_nothing_else() {
    let before = all(&mut with("u: { input: 0, type: u16 }, i: { input: 1, type: u16 }")).remove(0);
    let mut announcer = with("u: { input: 0, type: u16 }");
    let now = all(&mut announcer).remove(0);
    // A part: first it says nothing but its platform, then it is left out.
    announcer.received(before.topic.as_str(), &before.payload, true);
    let [removing, last] = &all(&mut announcer)[..] else { panic!("two documents") };
    let json: Json = serde_json::from_slice(&removing.payload).unwrap();
    assert_eq!(json["cmps"]["i"], serde_json::json!({ "p": "sensor" }));
    assert_eq!(json["cmps"]["u"]["p"], "sensor");
    assert_eq!(last, &now);
    // What is there already needs nothing, nor does what we say ourselves.
    announcer.received(now.topic.as_str(), &now.payload, true);
    announcer.received(before.topic.as_str(), &before.payload, false);
    assert_eq!(all(&mut announcer), []);
    // A device of ours that is gone; then others', among them one whose gateway's name begins as ours.
    let lies = |id: &str| format!("{{\"dev\":{{\"ids\":[\"{id}\"]}},\"cmps\":{{}}}}");
    for (id, removed) in [
        ("fieldhold/s1/g1/m2", 1),
        ("fieldhold/s1/g11/m2", 0),
        ("fieldhold/s1/g/m2", 0),
        ("zigbee2mqtt_0x1", 0),
    ] {
        announcer.received("homeassistant/device/x/config", lies(id).as_bytes(), true);
        let told = all(&mut announcer);
        assert_eq!(told.len(), removed, "{id}");
        assert!(told.iter().all(|one| one.retain && one.payload.is_empty()));
    }
    announcer.received("homeassistant/device/x/config", b"no json", true);
    announcer.received("homeassistant/device/x/config", b"", true);
    assert_eq!(all(&mut announcer), []);
}

#[test]
fn thingsboard_hears_of_each_device() {
    let devices = "m1: { bus: b, tags: { u: { input: 0, type: u16 } } }, m2: { bus: b, tags: { i: { input: 1, type: u16 } } }";
    let told = all(&mut told_of(&plan(devices, "payload: thingsboard, send: 's1/g1/m2/#'")));
    let [one] = &told[..] else { panic!("{told:?}") };
    assert_eq!(one.topic.as_str(), "v1/gateway/connect");
    assert_eq!((&one.payload[..], one.retain), (&br#"{"device":"m2"}"#[..], false));
    assert!(all(&mut told_of(&plan(devices, "payload: tag"))).is_empty());
}

#[test]
fn a_document_that_the_broker_would_refuse_is_not_sent() {
    let tags: String = (0..100).map(|n| format!("tag{n}: {{ input: {n}, type: u16 }},")).collect();
    let device = format!(
        "big: {{ bus: b, tags: {{ {tags} }} }}, m1: {{ bus: b, tags: {{ u: {{ input: 0, type: u16 }} }} }}"
    );
    let told = all(&mut told_of(&plan(&device, "home-assistant: {}, packet-max: 4KiB")));
    let [document, _] = &told[..] else { panic!("{}", told.len()) };
    assert!(document.topic.as_str().contains("_m1_"), "{}", document.topic);
}
