//! Looking into files that are in use, were copied, or are damaged.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::sync::mpsc;

use super::*;
use crate::model::{
    Batch, Class, Message, Mono, Name, Qos, Reading, Seq, TagId, TagMeta, TopicFilter,
};
use crate::model::{TopicName, Value};
use crate::store::entry::Settled;
use crate::store::row::{Filter, Row};
use crate::store::salvage::quick_check;
use crate::store::tests::{Bench, required};
use crate::store::{Store, checkpoint, schema};

fn meta(name: &str) -> TagMeta {
    TagMeta {
        topic: TopicName::new(&format!("works/{name}")).unwrap(),
        device: Name::new("press").unwrap(),
        name: Name::new(name).unwrap(),
        unit: String::new(),
        coding: String::new(),
        class: Class::Normal,
    }
}

/// Batches of 100 readings of two tags, each its own number, every batch a chunk.
async fn fill(bench: &Bench, store: &Store, class: Class, batches: u64) -> Vec<TagId> {
    let tags = store.register_tags(&[meta("oil"), meta("air")]);
    for batch in 0..batches {
        let readings = (0..100_u64).map(|n| {
            // No two alike, so that chunks are as large as in a plant.
            let value = (batch * 100 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let at = Mono(bench.clock.mono().0 + i64::try_from(n).unwrap());
            Reading::good(tags[usize::from(n % 2 == 1)], at, Value::U64(value))
        });
        store.append(Batch { class, readings: readings.collect() });
        bench.clock.advance(Duration::from_secs(1));
        store.flush().await;
    }
    tags
}

fn export(file: &Inspector, filter: &Filter, consumer: Option<&str>) -> (Vec<Row>, Vec<Damage>) {
    let mut pages = file.pages(filter, consumer).unwrap();
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next_page().unwrap() {
        rows.extend(page.rows);
        damaged.extend(page.damaged);
    }
    (rows, damaged)
}

fn positions(rows: &[Row], class: &str) -> Vec<u64> {
    rows.iter().filter(|row| row.class == class).map(|row| row.position).collect()
}

#[tokio::test]
async fn a_store_in_use_gives_everything_and_what_waits_for_one() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud"), required("other")]);
    fill(&bench, &store, Class::Normal, 3).await;
    fill(&bench, &store, Class::Bulk, 1).await;
    let message = Message {
        topic: TopicName::new("lan/door").unwrap(),
        payload: b"open".as_slice().into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        at: bench.clock.mono(),
    };
    store.append_message(Class::Normal, message).wait().await.unwrap();
    let cloud = store.consumer("cloud").unwrap();
    cloud.settle(Class::Normal, &[Seq(0)..Seq(150), Seq(160)..Seq(170)], Settled::Delivered);
    store.flush().await;

    let file = bench.inspector();
    let (rows, damaged) = export(&file, &Filter::default(), None);
    assert_eq!(damaged, []);
    assert_eq!(positions(&rows, "normal"), (0..301).collect::<Vec<_>>());
    assert_eq!(positions(&rows, "bulk"), (0..100).collect::<Vec<_>>());
    let (rows, damaged) = export(&file, &Filter::default(), Some("cloud"));
    assert_eq!(damaged, []);
    assert_eq!(positions(&rows, "normal"), (150..160).chain(170..301).collect::<Vec<_>>());
    let status = file.status(&*bench.clock).unwrap();
    let waiting: u64 = status.consumers[0].classes.iter().map(|class| class.waiting).sum();
    assert_eq!((&*status.consumers[0].name, waiting), ("cloud", rows.len() as u64));

    let topics = vec![TopicFilter::new("lan/#").unwrap()];
    let (rows, _) = export(&file, &Filter { topics, ..Filter::default() }, None);
    assert_eq!(rows[0].payload.as_deref(), Some("open"));
    assert_eq!(rows.len(), 1);
    assert!(matches!(
        file.pages(&Filter::default(), Some("clout")).err(),
        Some(StoreError::NoConsumer { known, .. }) if known == ["cloud", "other"]
    ));
}

#[tokio::test]
async fn the_newest_rows_are_found_however_few_match() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    fill(&bench, &store, Class::Alarm, 1).await;
    let topics = vec![TopicFilter::new("works/air").unwrap()];
    for _ in 0..60 {
        fill(&bench, &store, Class::Bulk, 1).await;
    }
    let file = bench.inspector();
    let newest = file.last(3, &Filter::default()).unwrap().rows;
    assert_eq!(positions(&newest, "bulk"), [5_997, 5_998, 5_999]);
    let air = Filter { topics, classes: vec![Class::Alarm], ..Filter::default() };
    assert_eq!(positions(&file.last(2, &air).unwrap().rows, "alarm"), [97, 99]);
    let early = Filter { to_ms: Some(newest[0].ms.unwrap() - 50_000), ..Filter::default() };
    let rows = file.last(1, &early).unwrap().rows;
    assert_eq!(positions(&rows, "bulk"), [996]);
    assert_eq!(file.last(10_000, &Filter::default()).unwrap().rows.len(), 6_100);
}

#[tokio::test]
async fn a_file_that_comes_into_use_is_read_beside_its_user() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    fill(&bench, &store, Class::Normal, 2).await;
    store.close();
    let file = bench.inspector();
    let mut pages = file.pages(&Filter::default(), None).unwrap();
    let store = bench.open();
    fill(&bench, &store, Class::Normal, 1).await;
    assert_eq!(pages.next_page().unwrap().unwrap().rows.len(), 200, "as it was when asked");
    assert!(pages.next_page().unwrap().is_none());
    assert_eq!(export(&file, &Filter::default(), None).0.len(), 300);
}

/// Two rows far from each other, that are the same at every moment.
fn write_both(writer: &Connection, n: u64) {
    let many = fastrand::u8(1..60);
    let both = format!(
        "BEGIN IMMEDIATE; INSERT OR REPLACE INTO fact VALUES('a', '{n}');
         DELETE FROM fact WHERE k LIKE 'between%';
         WITH RECURSIVE count(n) AS (SELECT 1 UNION SELECT n + 1 FROM count WHERE n < {many})
             INSERT INTO fact SELECT 'between' || n, hex(randomblob(400)) FROM count;
         INSERT OR REPLACE INTO fact VALUES('z', '{n}'); COMMIT;"
    );
    writer.execute_batch(&both).unwrap();
}

fn one(connection: &Connection, key: &str) -> Result<String, StoreError> {
    let row = connection.query_row("SELECT v FROM fact WHERE k = ?1", [key], |row| row.get(0));
    row.map_err(failed("look"))
}

/// The number in both, if the file is sound at that moment.
fn read_both(file: &Inspector) -> u64 {
    let look = |connection: &Connection| {
        let unsound = quick_check(connection).map_err(failed("look"))?;
        Ok((one(connection, "a")?, one(connection, "z")?, unsound))
    };
    let (a, z, unsound) = file.look("look", look).unwrap();
    assert_eq!((&a, unsound), (&z, vec![]));
    a.parse().unwrap()
}

/// A log that is in the file as a whole is begun again by the next commit, whoever looks.
#[test]
fn a_look_whose_moment_did_not_hold_is_taken_again() {
    let bench = Bench::new();
    bench.open().close();
    let writer = schema::connect(&schema::QUEUE, &bench.database(), 1 << 30).unwrap();
    for mode in ["PASSIVE", "TRUNCATE"] {
        write_both(&writer, 1);
        assert_eq!(checkpoint::run(&writer, mode).unwrap().left(), 0);
        let mut tries = 0;
        let look = |connection: &Connection| {
            tries += 1;
            let a = one(connection, "a")?;
            if tries == 1 {
                write_both(&writer, 2);
                assert!(checkpoint::run(&writer, "TRUNCATE").is_err(), "not while somebody looks");
            }
            Ok((a, one(connection, "z")?))
        };
        let both = bench.inspector().look("look", look).unwrap();
        assert_eq!((tries, both), (2, ("2".to_owned(), "2".to_owned())), "{mode}");
    }
}

/// Beside a writer that brings its log into the file and begins it again all the time, in every way
/// there is, each look is one moment of the file, and the writer is not disturbed.
#[test]
fn each_look_is_one_moment_however_busy_the_writer() {
    let bench = Bench::new();
    bench.open().close();
    let writer = schema::connect(&schema::QUEUE, &bench.database(), 1 << 30).unwrap();
    write_both(&writer, 0);
    let (goes_on, watched) = mpsc::sync_channel::<()>(0);
    let write = move || {
        let (mut n, mut refused) = (0, 0);
        while watched.try_recv() == Err(mpsc::TryRecvError::Empty) {
            n += 1;
            write_both(&writer, n);
            let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][usize::try_from(n % 4).unwrap()];
            refused += u64::from(checkpoint::run(&writer, mode).is_err());
        }
        assert!(n > refused + 100, "{n} commits, {refused} times it was not brought in");
        write_both(&writer, n + 1);
        (n + 1, writer)
    };
    let file = bench.inspector();
    let writer = std::thread::spawn(write);
    let (mut looks, mut moments) = (0, HashSet::new());
    while looks < 2_000 || moments.len() < 200 {
        looks += 1;
        moments.insert(read_both(&file));
    }
    drop(goes_on);
    let (last, _writer) = writer.join().unwrap();
    assert_eq!(read_both(&file), last, "what is in the log alone");
}

/// Every page of the file in turn is overwritten, in three ways. Whatever comes out is exactly what
/// went in, and what a required consumer waits for and does not come out is told.
#[tokio::test]
async fn damage_anywhere_is_told_and_nothing_comes_out_wrong() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_consumers(&[required("cloud")]);
    fill(&bench, &store, Class::Normal, 160).await;
    store.close();
    let path = bench.database();
    let writer = schema::connect(&schema::QUEUE, &path, 1 << 30).unwrap();
    checkpoint::run(&writer, "TRUNCATE").unwrap();
    drop(writer);
    let (rows, _) = export(&bench.inspector(), &Filter::default(), Some("cloud"));
    assert_eq!(rows.len(), 16_000);
    let right: BTreeMap<u64, Row> = rows.into_iter().map(|row| (row.position, row)).collect();

    let copies = tempfile::tempdir().unwrap();
    let pages = path.metadata().unwrap().len() / schema::PAGE_BYTES;
    assert!(pages > 40, "{pages}");
    let (mut whole, mut parts, mut none) = (0, 0, 0);
    for page in 0..pages {
        for bad in [&[0_u8; 64][..], &[0xff; 64], &[0x55; 1]] {
            let copy = copies.path().join("queue.db");
            fs::copy(&path, &copy).unwrap();
            let mut damaged = fs::File::options().write(true).open(&copy).unwrap();
            // Where a page has its head; of the first page, after the file's.
            let head = if page == 0 { 100 } else { 0 };
            damaged.seek(SeekFrom::Start(page * schema::PAGE_BYTES + head)).unwrap();
            damaged.write_all(bad).unwrap();
            let Ok(file) = Inspector::open(&copy) else {
                none += 1;
                continue;
            };
            let Ok(mut pages) = file.pages(&Filter::default(), Some("cloud")) else {
                none += 1;
                continue;
            };
            let knows = pages.remarks.is_empty();
            let (mut got, mut lost) = (HashSet::new(), Vec::new());
            while let Some(page) = pages.next_page().unwrap() {
                for row in &page.rows {
                    if knows {
                        assert_eq!(right.get(&row.position), Some(row));
                    }
                    assert_eq!(right[&row.position].value, row.value);
                    assert!(got.insert(row.position), "twice: {}", row.position);
                }
                lost.extend(page.damaged.into_iter().map(|damage| damage.positions));
            }
            for position in right.keys() {
                let told = lost.iter().any(|range| range.contains(position));
                assert!(got.contains(position) || told, "page {page}: {position} silently lost");
            }
            if got.len() == right.len() { whole += 1 } else { parts += 1 }
        }
    }
    assert!(parts > 100 && none < parts, "{whole} whole, {parts} in parts, {none} not at all");
}
