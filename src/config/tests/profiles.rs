//! Device profiles: their mistakes, and what a device makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::super::keys;
use super::super::profile::{self, OwnText, SHIPPED};
use super::problems::{Rows, compare};
use super::*;
use crate::model::Table;

/// A profile with something of everything.
const METER: &str = "\
profile: meter
version: 3
title: A meter
kind: meter
source: its manual
device: { order: CDAB, registers-max: 40, every: 5s }
parameters: { base: { default: 100, min: 0, max: 65000 } }
labels: { state: { 0: off, 1: on } }
groups:
  basic:
    every: 2s
    tags:
      voltage: { input: 'base + 2', type: f32, unit: V }
      state: { holding: base, type: u16, labels: state, write: true }
  energy:
    default: false
    tags:
      import: { input: 20, type: u32, scale: 0.1, every: 1min }
      export: { input: 22, type: u32 }
";

/// A directory of profiles.
struct Shelf<'a>(&'a [(&'a str, &'a str)]);

impl Beside for Shelf<'_> {
    fn profiles(&self, _: &Wanted<'_>) -> Own {
        let text = |(name, text): &(&str, &str)| {
            let file = format!("own/{name}.yaml");
            ((*name).to_owned(), OwnText { file, text: Ok((*text).to_owned()) })
        };
        let texts: BTreeMap<_, _> = self.0.iter().map(text).collect();
        Own { names: texts.keys().cloned().collect(), texts, refusal: None }
    }

    fn text(&self, name: &str) -> (String, Result<String, (raw::Place, Complaint)>) {
        Alone.text(name)
    }

    fn environment(&self, _: &str) -> Option<String> {
        None
    }
}

fn with_own(text: &str, own: &[(&str, &str)]) -> Result<Loaded, Problems> {
    parse_with(text, "t", &Shelf(own))
}

/// The device `d` with this in it and the profile [`METER`].
fn device(fragment: &str) -> DevicePlan {
    let text = format!("{AROUND}devices: {{ d: {{ bus: tcp1, profile: meter, {fragment} }} }}");
    let mut loaded = with_own(&text, &[("meter", METER)]).unwrap_or_else(|p| panic!("{p}"));
    loaded.plan.buses[0].devices.pop().unwrap()
}

fn names(device: &DevicePlan) -> Vec<&str> {
    device.tags.iter().map(|tag| tag.name.as_str()).collect()
}

fn find<'a>(device: &'a DevicePlan, name: &str) -> &'a TagPlan {
    device.tags.iter().find(|tag| tag.name.as_str() == name).unwrap()
}

#[test]
fn a_device_has_the_tags_and_settings_of_its_profile() {
    let plain = device("");
    assert_eq!(names(&plain), ["voltage", "state"]);
    assert_eq!((plain.registers_max, plain.unit), (40, 1));
    let voltage = find(&plain, "voltage");
    let registers = voltage.registers().unwrap();
    assert_eq!((registers.table, registers.address), (Table::Input, 102));
    assert_eq!(registers.coding.order, crate::model::Order::Cdab);
    assert_eq!(
        (voltage.every, voltage.topic.as_str()),
        (Some(Duration::from_secs(2)), "g/d/voltage")
    );
    let state = find(&plain, "state").registers().unwrap();
    assert_eq!(&*state.coding.labels[1].text, "on");
    assert_eq!(state.address, 100);
}

#[test]
fn a_device_overrides_key_by_key() {
    let own = device(
        "registers-max: 20, every: 10s, parameters: { base: 0x200 }, groups: [energy], tags: { \
         export: off, import: { scale: 0.01, unit: kWh }, voltage: { holding: 7 }, \
         own: { coil: 3 } }",
    );
    assert_eq!(names(&own), ["import", "voltage", "own"]);
    assert_eq!(own.registers_max, 20);
    let import = find(&own, "import");
    let linear = import.registers().unwrap().coding.linear.unwrap();
    assert_eq!((linear.divisor, import.unit.as_str()), (100.0, "kWh"));
    assert_eq!(import.every, Some(Duration::from_secs(60)), "the tag's own interval");
    let voltage = find(&own, "voltage");
    assert_eq!(voltage.every, Some(Duration::from_secs(10)), "the device's, not the group's");
    let registers = voltage.registers().unwrap();
    assert_eq!((registers.table, registers.address), (Table::Holding, 7));
    let moved = device("parameters: { base: 0x200 }");
    assert_eq!(find(&moved, "voltage").registers().unwrap().address, 0x202);
    assert_eq!(find(&device("groups: [energy]"), "export").every, Some(Duration::from_secs(5)));
}

#[test]
fn an_override_of_the_scale_replaces_the_other_ways_to_scale() {
    let map = "map: { raw: [0, 10], value: [0, 1] }";
    let own = device(&format!("groups: [energy], tags: {{ import: {{ {map} }} }}"));
    assert_eq!(find(&own, "import").registers().unwrap().coding.linear.unwrap().divisor, 10.0);
}

#[test]
fn what_a_device_says_wrong_about_its_profile() {
    let rows: &Rows = &[
        (
            "profile: metre",
            &["t:6:37 devices.d.profile: there is no profile \"metre\"; did you mean meter?"],
        ),
        (
            "groups: [basic], parameters: { base: 1 }",
            &[
                "t:6:12 devices.d: the key tags is missing",
                "t:6:28 devices.d.groups: belongs to a profile, and none is named",
                "t:6:45 devices.d.parameters: belongs to a profile, and none is named",
            ],
        ),
        (
            "profile: meter, groups: [basics, x], parameters: { bass: 1, base: 70000 }",
            &[
                "t:6:53 devices.d.groups[0]: the profile has no group \"basics\"; did you mean basic?",
                "t:6:61 devices.d.groups[1]: the profile has no group \"x\"; it has basic, energy",
                "t:6:79 devices.d.parameters.bass: the profile has no such parameter; did you mean base?",
                "t:6:94 devices.d.parameters.base: 70000 is out of range; allowed are 0 to 65000",
            ],
        ),
        (
            "profile: meter, tags: { volt: { unit: V }, gone: off, voltage: { input: 'base + 70000' } }",
            &[
                "t:6:52 devices.d.tags.volt: the profile has no such tag; did you mean voltage?",
                "t:6:71 devices.d.tags.gone: the profile has no such tag; a tag of your own needs its table and address, as in holding: 0",
                "t:6:100 devices.d.tags.voltage.input: \"base + 70000\" is no address; allowed are 0 to 65535",
            ],
        ),
        // A tag of a profile that does not fit the device stands in the profile's file.
        (
            "profile: meter, registers-max: 1",
            &[
                "own/meter.yaml:13:7 groups.basic.tags.voltage: takes 2 registers, more than the 1 of one request (registers-max) (used by devices.d)",
            ],
        ),
    ];
    compare(rows, |fragment| {
        let text = format!("{AROUND}devices: {{ d: {{ bus: tcp1, {fragment} }} }}");
        match with_own(&text, &[("meter", METER)]) {
            Ok(loaded) => Problems(loaded.warnings).to_string(),
            Err(problems) => problems.to_string(),
        }
    });
}

#[test]
fn a_profile_with_mistakes_tells_them_once_and_who_uses_it() {
    let wrong = METER.replace("type: f32", "type: float").replace("kind: meter", "kind: metre");
    let text = format!(
        "{AROUND}devices: {{ d: {{ bus: tcp1, profile: meter }}, e: {{ bus: tcp1, unit: 2, profile: meter }} }}"
    );
    let problems = with_own(&text, &[("meter", &wrong)]).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "own/meter.yaml:4:7 kind: \"metre\" is unknown (used by devices.d); did you mean meter?\n\
         own/meter.yaml:13:43 groups.basic.tags.voltage.type: \"float\" is unknown (used by devices.d); did you mean f32?"
    );
    let problems = with_own(&text, &[("meter", "groups: [")]).unwrap_err().to_string();
    assert!(problems.starts_with("own/meter.yaml:1:"), "{problems}");
}

#[test]
fn of_profiles() {
    let rows: &Rows = &[
        (
            "",
            &[
                "p:1:1 the key profile is missing",
                "p:1:1 the key version is missing",
                "p:1:1 the key title is missing",
                "p:1:1 the key kind is missing",
                "p:1:1 the key source is missing",
                "p:1:1 the key groups is missing",
            ],
        ),
        (
            "profile: q\nversion: 0\ntitle: ''\nkind: car\nsource: []\ntags: {}\ngroups: {}\n",
            &[
                "p:1:10 profile: the file is called p.yaml; a profile is found by the name of its file, so both must be the same",
                "p:2:10 version: 0 is out of range; allowed are 1 to 1000000",
                "p:3:8 title: is empty",
                "p:4:7 kind: \"car\" is unknown; one of meter, inverter, drive, controller, io, sensor, other",
                "p:5:9 source: names no source; write the manual and its edition",
                "p:6:1 tags: tags stand in a group: groups: { basic: { tags: { … } } }",
                "p:7:1 groups: there is no group",
            ],
        ),
        (
            "profile: p\nversion: 1\ntitle: t\nkind: io\nsource: s\ndevice: { bus: b, evry: 1s }\nparameters: { 1: {}, a: { default: 5, min: 6, max: 7 } }\nserial: { baud: 1 }\ngroups: { a: { tags: { x: { coil: 0 } } }, b: { tags: { x: { coil: 1 }, y: { coil: b } }, name: z }, c: {} }\n",
            &[
                "p:6:11 device.bus: every device says this for itself",
                "p:6:19 device.evry: this key is unknown; did you mean every?",
                "p:7:15 parameters.1: a name here begins with a letter",
                "p:7:36 parameters.a.default: 5 is out of range; allowed are 6 to 7",
                "p:8:17 serial.baud: 1 is out of range; allowed are 300 to 4000000",
                "p:9:57 groups.b.tags.x: is also a tag of another group, in line 9",
                "p:9:84 groups.b.tags.y.coil: \"b\" is not a whole number; write it as in 100 or 0x64",
                "p:9:91 groups.b.name: this key is unknown; known here: about, default, every, tags",
                "p:9:102 groups.c: the key tags is missing",
            ],
        ),
        (
            "profile: p\nversion: 1\ntitle: t\nkind: io\nsource: s\nparameters: { a: { default: 5, min: 0, max: 65535 } }\ngroups: { a: { tags: { x: { holding: a + 1, type: u16, labels: state } } } }\n",
            &[
                "p:7:64 groups.a.tags.x.labels: there are no labels \"state\"; write { 0: stopped, 1: running }",
            ],
        ),
        (
            "profile: p\nversion: 1\ntitle: t\nkind: io\nsource: s\nparameters: { a: { default: 5, min: 0, max: 65535 } }\ngroups: { a: { tags: { x: { holding: a + 1, type: u16 } } } }\n",
            &[
                "p:7:38 groups.a.tags.x.holding: with a = 65535: \"a + 1\" is no address; allowed are 0 to 65535",
            ],
        ),
    ];
    compare(rows, |text| match profile::check(text, "p", "p") {
        Ok((_, warnings)) => Problems(warnings).to_string(),
        Err(problems) => problems.to_string(),
    });
}

#[test]
fn a_profile_stands_on_its_own() {
    let (profile, warnings) = profile::check(METER, "meter", "meter.yaml").unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!((profile.head.version, profile.head.kind), (3, "meter"));
    assert_eq!(profile.head.source, ["its manual"]);
    assert_eq!(names(&profile.device), ["voltage", "state", "import", "export"]);
    assert_eq!(profile.groups[1].tags, [2, 3]);
    assert!(profile.groups[0].is_default && !profile.groups[1].is_default);
}

#[test]
fn the_documentation_shows_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profiles.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let mut out = Findings::new("acme-em3.yaml");
    let root = raw::tree(blocks[1]).unwrap();
    check::profile(&root, "acme-em3", &mut out).unwrap();
    let shapes = keys::OF_PROFILES.iter();
    let all = shapes.flat_map(|s| s.keys.iter().map(|key| (s.name, (*key).to_owned())));
    let missing: Vec<_> = all.filter(|key| !out.met.contains(key)).collect();
    assert!(missing.is_empty(), "not in docs/profiles.md: {missing:?}");
    assert!(out.into_problems().is_empty());
    // The device beside it works with it.
    let text = format!("{AROUND}{}", blocks[0].replace("bus: rs485a", "bus: rtu1"));
    let loaded = with_own(&text, &[("acme-em3", blocks[1])]).unwrap_or_else(|p| panic!("{p}"));
    let tags: Vec<_> = loaded.plan.tags().map(|(_, _, tag)| tag.name.as_str()).collect();
    assert_eq!(tags, ["voltage_l1", "power_active", "contact_1", "energy_import", "door"]);
}

#[test]
fn the_shipped_profiles_are_those_of_the_directory_and_sound() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/profiles");
    let files: BTreeSet<String> = file::profile_names(&directory).unwrap().into_iter().collect();
    let shipped: BTreeSet<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(shipped, files, "compare src/config/profile/shipped.rs with configs/profiles");
    assert!(SHIPPED.is_sorted(), "the list is sorted by name");
    for (name, text) in SHIPPED {
        let (profile, warnings) =
            profile::check(text, name, name).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(warnings.is_empty(), "{}", Problems(warnings));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.chars().all(plain), "{name}");
        assert!(profile.groups.iter().any(|group| group.is_default), "{name} reads nothing");
        // The one in the program and the one in a directory mean the same.
        let text = format!("{AROUND}devices: {{ d: {{ bus: tcp1, profile: {name} }} }}");
        let plan = parse(&text, "t").unwrap_or_else(|problems| panic!("{problems}")).plan;
        let default = profile.groups.iter().filter(|group| group.is_default);
        assert_eq!(plan.tags().count(), default.map(|group| group.tags.len()).sum::<usize>());
    }
}

fn put(path: &Path, text: &str) {
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn own_profiles_win_by_name_and_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fieldhold.yaml");
    let text = format!("{AROUND}devices: {{ d: {{ bus: tcp1, profile: sunspec-common }} }}");
    put(&path, &text);
    let used = |path: &Path| load(path).unwrap_or_else(|p| panic!("{p}")).profiles;
    let shipped =
        profile::Used { name: "sunspec-common".to_owned(), file: None, hides_shipped: false };
    assert_eq!(used(&path), [shipped]);

    let own = directory.path().join("profiles/sunspec-common.yaml");
    std::fs::create_dir(own.parent().unwrap()).unwrap();
    put(&own, &METER.replace("profile: meter", "profile: sunspec-common"));
    let found = used(&path);
    assert!(found[0].hides_shipped && found[0].file == Some(own.display().to_string()));
    assert_eq!(load(&path).unwrap().plan.tags().count(), 2);

    put(&path, &format!("profiles: nowhere\n{text}"));
    let problems = load(&path).unwrap_err().to_string();
    assert!(problems.contains("fieldhold.yaml:1:11 profiles: "), "{problems}");
    assert!(problems.contains("nowhere can't be read: No such file"), "{problems}");
}
