//! The files under `configs/`: they load, and the reference is complete and true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::{clouds, defaults, keys};
use super::*;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)
}

#[test]
fn every_file_of_a_service_is_part_of_the_program() {
    let files: BTreeSet<String> = std::fs::read_dir(path("clouds"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known = clouds::services().map(|service| format!("{}.yaml", service.name));
    assert_eq!(files, known.collect());
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn loaded(name: &str) -> Loaded {
    load(&path(name)).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn all_load_without_warnings() {
    for name in [
        "minimal.yaml",
        "demo.yaml",
        "reference.yaml",
        "examples/modbus-tcp.yaml",
        "examples/modbus-rtu.yaml",
        "examples/sensors.yaml",
        "examples/modbus-dialects.yaml",
        "examples/broker-secure.yaml",
    ] {
        let loaded = loaded(name);
        assert!(loaded.warnings.is_empty(), "{name}: {:?}", loaded.warnings);
        assert!(loaded.plan.tags().count() > 0, "{name}");
    }
}

#[test]
fn the_reference_shows_every_key() {
    let mut out = Findings::new("reference.yaml");
    let root = raw::tree(&text("reference.yaml")).unwrap();
    let profiles = Profiles::gather(&Wanted::of(&root).names, Own::default());
    check::check(&root, &profiles, &mut out).unwrap();
    let all: BTreeSet<(&str, String)> = keys::ALL
        .iter()
        .flat_map(|shape| shape.keys.iter().map(|key| (shape.name, (*key).to_owned())))
        .collect();
    let missing: Vec<_> = all.difference(&out.met).collect();
    assert!(missing.is_empty(), "not in reference.yaml: {missing:?}");
    let names: BTreeSet<&str> = keys::ALL.iter().map(|shape| shape.name).collect();
    assert_eq!(names.len(), keys::ALL.len(), "two sections share a name");
}

/// Every key says what holds without it: on its own line, or in the comment above it.
#[test]
fn the_reference_names_every_default() {
    let known: BTreeSet<&str> =
        keys::ALL.iter().flat_map(|shape| shape.keys.iter().copied()).collect();
    let mut explained: BTreeSet<&str> = BTreeSet::new();
    let mut comment = String::new();
    let reference = text("reference.yaml");
    for line in reference.lines().map(|l| l.trim_start().trim_start_matches("- ")) {
        if line.starts_with('#') {
            comment.push_str(line);
            continue;
        }
        let key = line.split(':').next().unwrap_or_default();
        let tail = line.split_once(" #").map_or("", |(_, tail)| tail);
        let says = [comment.as_str(), tail].concat().to_lowercase();
        if says.contains("default") || says.contains("required") {
            explained.insert(key);
        }
        comment.clear();
    }
    let silent: Vec<_> = known.difference(&explained).collect();
    assert!(silent.is_empty(), "no default and not required: {silent:?}");
}

#[test]
fn the_reference_shows_the_defaults_of_the_code() {
    let reference = loaded("reference.yaml").plan;
    let bare = parse(
        "gateway: { name: reference, site: plant1 }\nbroker:\nuplinks:\n  cloud: { url: 'mqtts://b' }\n",
        "t",
    );
    let bare = bare.unwrap().plan;
    assert_eq!(reference.store, bare.store);
    let (mut shown, default) = (reference.broker.unwrap(), bare.broker.unwrap());
    // The first is the default; the others show what there is besides.
    shown.listeners.truncate(1);
    shown.users.clear();
    assert_eq!(shown, default);
    let shown = reference.uplinks.first().unwrap().clone();
    let default = bare.uplinks.first().unwrap().clone();
    // What has no default to show, in the reference's words.
    let shown = UplinkPlan {
        brokers: default.brokers.clone(),
        alpn: Vec::new(),
        server_name: None,
        proxy: None,
        username: None,
        password: None,
        receive: Vec::new(),
        local: Vec::new(),
        prefix: String::new(),
        tls: default.tls.clone(),
        live: default.live.clone(),
        live_topic: default.live_topic.clone(),
        backlog_topic: default.backlog_topic.clone(),
        notices_topic: default.notices_topic.clone(),
        remote: None,
        ..shown
    };
    assert_eq!(shown, default);
    assert_eq!(loaded("reference.yaml").plan.uplinks[0].prefix, "plants/berlin/");

    let mut devices = reference.buses.iter().flat_map(|bus| &bus.devices);
    let device = devices.find(|device| device.name.as_str() == "meter1").unwrap();
    assert_eq!(device.timeout, defaults::TIMEOUT);
    assert_eq!(device.registers_max, defaults::REGISTERS_MAX);
    assert_eq!(device.bits_max, defaults::BITS_MAX);
    let every = device.tags.iter().find(|tag| tag.name.as_str() == "temperature").unwrap().every;
    assert_eq!(every, Some(defaults::EVERY));
    assert!(text("reference.yaml").contains(&format!("tag: {:?}", defaults::TOPIC_TAG)));
}

/// The numbers that stand in comments: a bound that is changed must be changed there too.
#[test]
fn the_reference_names_the_bounds_of_the_code() {
    let reference = text("reference.yaml");
    for bound in [
        format!("At most {} devices and {} tags", defaults::DEVICES_MAX, defaults::TAGS_MAX),
        format!("connected. At most {}.", defaults::BUSES_MAX),
        format!("get the readings. At most {}.", defaults::UPLINKS_MAX),
        format!("127.0.0.1:1883; at most {}", defaults::LISTENERS_MAX),
        format!("a list of up to {}", defaults::NOT_AVAILABLE_MAX),
        format!("may have {} MiB and nest {} deep", raw::FILE_BYTES_MAX >> 20, raw::DEPTH_MAX),
    ] {
        assert!(reference.contains(&bound), "{bound}");
    }
}

/// One template for a fleet, and what each site says beside it.
#[test]
fn a_template_takes_its_variables_from_the_file_beside_it() {
    let write = |path: &Path, text: &str| {
        std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), text.as_bytes())
            .unwrap();
    };
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("fieldhold.yaml");
    let text = "variables: site.yaml\ngateway:\n  name: press-${line}\n  site: ${site}\nbroker:\n";
    write(&template, text);
    let site = dir.path().join("site.yaml");
    let problems = load(&template).unwrap_err().to_string();
    assert!(problems.contains(":1:12 variables: "), "{problems}");
    assert!(problems.contains("site.yaml can't be read"), "{problems}");
    write(&site, "site: berlin\nline: [4]\n");
    let problems = load(&template).unwrap_err().to_string();
    assert!(problems.contains("site.yaml:2:7 a variable stands for a single value"), "{problems}");
    write(&site, "site: berlin\nline: 4\n");
    let gateway = load(&template).unwrap().plan.gateway;
    assert_eq!(gateway.name.as_str(), "press-4");
    assert_eq!(gateway.site.unwrap().as_str(), "berlin");
}

#[test]
fn the_demo_fits_its_own_register_map() {
    let demo = loaded("demo.yaml").plan;
    assert_eq!(demo.buses.len(), 2);
    let tags: Vec<&str> = demo.tags().map(|(_, _, tag)| tag.topic.as_str()).collect();
    assert!(tags.contains(&"plant1/demo/press/pressure"), "{tags:?}");
    assert!(demo.tags().any(|(_, _, tag)| tag.write.is_some()));
}
