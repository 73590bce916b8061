//! Files of every version there was, made by the code of that time (tests/fixtures/store/README.md),
//! opened by this code.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::accounting::Reason;
use super::state::Whom;
use super::tests::{
    Bench, account, asked, batch, best_effort, message, numbers, required, run, settle,
};
use super::*;
use crate::model::{Name, Reading, TopicName};

const VERSIONS: [u32; 3] = [1, 2, 3];

fn fixture(version: u32) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("tests/fixtures/store/version-{version}.db"))
}

fn opened(version: u32) -> (Bench, Store) {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.database().parent().unwrap()).unwrap();
    std::fs::copy(fixture(version), bench.database()).unwrap();
    let store = bench.open();
    assert_eq!(store.status().quarantined, vec![], "version {version}");
    (bench, store)
}

/// Position → number, and when it was read, of everything the consumer waits for; messages have no
/// number.
fn waiting(store: &Store, consumer: &str, class: Class) -> BTreeMap<u64, (Option<u64>, i64)> {
    let consumer = store.consumer(consumer).unwrap();
    let mut all = BTreeMap::new();
    for range in consumer.position(class).unsettled {
        let mut at = range.start;
        while at < range.end {
            let entries = run(consumer.read(class, at..range.end, 1 << 20)).unwrap();
            at = entries.last().unwrap().range().end;
            for entry in entries {
                let numbers = numbers(std::slice::from_ref(&entry));
                let times: Vec<Mono> = match &entry.body {
                    Body::Readings(readings) => readings.iter().map(Reading::at).collect(),
                    Body::Message(message) => vec![message.at],
                };
                for ((seq, number), time) in numbers.into_iter().zip(times) {
                    let wall = store.wall(entry.boot, time).0;
                    all.insert(seq, (Some(number).filter(|n| *n != u64::MAX), wall));
                }
            }
        }
    }
    all
}

/// What `fill` appended: position `i` has number `i`, read at `i` milliseconds
/// after the bench's clock began; the wall clock was set 5 s later, before number 500.
fn was(positions: impl Iterator<Item = u64>) -> BTreeMap<u64, (Option<u64>, i64)> {
    let wall = |i: u64| {
        let offset = if i < 500 { 1_700_000_000_000 } else { 1_710_000_000_000 - 5_000 };
        offset + i64::try_from(i).unwrap()
    };
    positions.map(|i| (i, (Some(i), wall(i)))).collect()
}

#[test]
fn every_version_has_every_reading_cursor_account_and_row() {
    for version in VERSIONS {
        let (_bench, store) = opened(version);
        look_at(&store, version);
    }
}

/// A step that was released is never changed: files that went it already would not follow.
#[test]
fn every_version_comes_to_the_same_tables() {
    let tables = |connection: &rusqlite::Connection| -> Vec<(String, Option<String>)> {
        let mut select =
            connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let new = tables(&schema::pattern().unwrap());
    for version in VERSIONS {
        let (bench, store) = opened(version);
        store.close();
        let connection = rusqlite::Connection::open(bench.database()).unwrap();
        assert_eq!(tables(&connection), new, "version {version}");
    }
}

/// The same of a file of this code; `FIELDHOLD_FIXTURE` keeps it as a fixture.
#[test]
fn a_new_file_has_every_reading_cursor_account_and_row() {
    let bench = Bench::new();
    fill(&bench);
    if let Some(to) = std::env::var_os("FIELDHOLD_FIXTURE") {
        std::fs::copy(bench.database(), to).unwrap();
    }
    look_at(&bench.open(), 0);
}

fn look_at(store: &Store, version: u32) {
    let cloud = [50..60, 70..100, 110..120, 125..200, 210..600];
    let cloud = was(cloud.into_iter().flatten());
    assert_eq!(waiting(store, "cloud", Class::Normal), cloud, "version {version}");
    let lab = was([0..200, 210..300, 310..600].into_iter().flatten());
    assert_eq!(waiting(store, "lab", Class::Normal), lab, "version {version}");
    let mut alarm = was(0..30);
    alarm.insert(30, (None, 1_700_000_000_000));
    assert_eq!(waiting(store, "cloud", Class::Alarm), alarm);
    assert_eq!(waiting(store, "lab", Class::Alarm), BTreeMap::new());
    let mut bulk = was([0..60, 70..150, 160..200].into_iter().flatten());
    bulk.insert(200, (None, 1_700_000_000_000));
    assert_eq!(waiting(store, "cloud", Class::Bulk), bulk);

    let sums = |consumer, class| {
        let a = account(store, consumer, class);
        let why: Vec<String> =
            a.dropped_why.iter().map(|(word, n)| format!("{word} {n}")).collect();
        format!("{} = {} + {} + {why:?} + {}", a.appended, a.delivered, a.excluded, a.waiting)
    };
    let (normal, bulk) = (Class::Normal, Class::Bulk);
    let expected = r#"600 = 60 + 10 + ["dead:too-large 5", "ram-full 10"] + 515"#;
    assert_eq!(sums("cloud", normal), expected, "version {version}");
    assert_eq!(sums("lab", normal), r#"600 = 10 + 0 + ["ram-full 10"] + 580"#);
    assert_eq!(sums("cloud", bulk), r#"201 = 10 + 0 + ["quota 10"] + 181"#);
    assert_eq!(sums("lab", bulk), r#"201 = 0 + 0 + ["consumer-lag 20", "quota 10"] + 171"#);

    let drops = store.status().drops.into_iter();
    let mut rows: Vec<String> = drops
        .map(|r| {
            format!("{} {} {} {}..{} {}", r.reason, r.consumer, r.class, r.seq_from, r.seq_to, r.n)
        })
        .collect();
    rows.sort();
    let expected = [
        "consumer-lag lab bulk 0..20 20",
        "consumer-removed old alarm 0..31 31",
        "consumer-removed old bulk 0..201 191",
        "consumer-removed old normal 0..600 590",
        "dead:too-large cloud normal 120..125 5",
        "quota cloud bulk 60..70 10",
        "quota lab bulk 60..70 10",
        "quota old bulk 60..70 10",
        "ram-full cloud normal 200..210 10",
        "ram-full lab normal 200..210 10",
        "ram-full old normal 200..210 10",
    ];
    assert_eq!(rows, expected, "version {version}");
    let facts = [("press.baud", "19200"), ("press.fc23", "no")];
    assert_eq!(store.facts(), facts.map(|(k, v)| (k.to_owned(), v.to_owned())));
    for (id, name) in [(1, "a"), (2, "b"), (3, "c")] {
        let meta = store.tag(TagId(id)).unwrap();
        assert_eq!((meta.name.as_str(), meta.unit.as_str()), (name, "°C"));
        assert_eq!(meta.topic.as_str(), format!("works/edge/{name}"));
    }
    assert!(store.tag(TagId(4)).is_none());
    run(store.flush());
}

/// A file of the first release has no records of commands; it can be looked into as it is, and gets
/// the table when it is opened.
#[test]
fn a_file_without_records_of_commands_gets_them() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.database().parent().unwrap()).unwrap();
    std::fs::copy(fixture(1), bench.database()).unwrap();
    assert!(bench.inspector().audit(10).unwrap().is_empty());
    assert_eq!(bench.inspector().status(&*bench.clock).unwrap().consumers.len(), 2);
    let store = bench.open();
    store.record(asked("1", true));
    run(store.flush());
    assert_eq!(bench.inspector().audit(10).unwrap().len(), 1);
    let (bench, _store) = opened(2);
    assert_eq!(bench.inspector().audit(10).unwrap().len(), 2);
}

#[test]
fn a_file_of_a_later_version_is_set_aside_and_kept() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.database().parent().unwrap()).unwrap();
    std::fs::copy(fixture(VERSIONS[0]), bench.database()).unwrap();
    {
        let connection = rusqlite::Connection::open(bench.database()).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
    }
    let before = std::fs::read(bench.database()).unwrap();
    let store = bench.open();
    let aside = &store.status().quarantined[0];
    assert!(aside.why.contains("a later version"), "{}", aside.why);
    assert_eq!(std::fs::read(&aside.file).unwrap(), before);
}

fn meta(name: &str, class: Class) -> TagMeta {
    TagMeta {
        topic: TopicName::new(&format!("works/edge/{name}")).unwrap(),
        device: Name::new("press").unwrap(),
        name: Name::new(name).unwrap(),
        unit: "°C".to_owned(),
        coding: "s16*0.1".to_owned(),
        class,
    }
}

/// Positions and numbers of the readings agree, also across the two boots.
fn fill(bench: &Bench) {
    let store = bench.open();
    store.register_tags(&[meta("a", Class::Alarm), meta("b", Class::Normal)]);
    store.set_consumers(&[required("cloud"), best_effort("lab"), required("old")]);
    store.set_fact("press.baud", Some("19200"));
    store.set_fact("press.fc23", Some("no"));
    store.append(batch(Class::Alarm, 0, 30));
    for i in 0..5 {
        store.append(batch(Class::Normal, i * 100, 100));
        run(store.flush());
    }
    store.append(batch(Class::Bulk, 0, 200));
    store.append_message(Class::Alarm, message(5));
    store.append_message(Class::Bulk, message(17));
    run(store.flush());

    bench.clock.advance(Duration::from_secs(5));
    bench.clock.set_wall(Wall(1_710_000_000_000));
    store.register_tags(&[meta("c", Class::Bulk)]);
    store.append(batch(Class::Normal, 500, 100));
    let (cloud, lab) = (store.consumer("cloud").unwrap(), store.consumer("lab").unwrap());
    settle(&cloud, Class::Normal, 0..50, Settled::Delivered);
    settle(&cloud, Class::Normal, 60..70, Settled::Delivered);
    settle(&cloud, Class::Normal, 100..110, Settled::Excluded);
    settle(&cloud, Class::Normal, 120..125, Settled::Dead("too-large"));
    settle(&cloud, Class::Bulk, 150..160, Settled::Delivered);
    settle(&lab, Class::Alarm, 0..31, Settled::Delivered);
    settle(&lab, Class::Normal, 300..310, Settled::Delivered);
    {
        let mut state = store.shared.lock();
        let read = Some((Wall(1_700_000_000_100), Wall(1_700_000_000_109)));
        let lab = state.find("lab").unwrap();
        state.drop_range(Class::Normal, 200..210, Reason::RamFull, Whom::Everyone, read);
        state.drop_range(Class::Bulk, 0..20, Reason::ConsumerLag, Whom::One(lab), None);
        state.drop_range(Class::Bulk, 60..70, Reason::Quota, Whom::Everyone, read);
    }
    store.set_consumers(&[required("cloud"), best_effort("lab")]);
    for carried_out in [true, false] {
        store.record(AuditRecord {
            origin: "lan:hmi".to_owned(),
            topic: "works/edge/press/a/set".to_owned(),
            tag: "press.a".to_owned(),
            old: Some("20".to_owned()),
            asked: "42.5".to_owned(),
            outcome: if carried_out { "done" } else { "refused" }.to_owned(),
            reason: None,
            read_back: None,
            carried_out,
            took_ms: 12,
        });
    }
    run(store.flush());
    store.close();
}
