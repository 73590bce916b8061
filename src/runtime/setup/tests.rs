//! A real gateway without devices, a real disk, a clock that stands still.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::history::VERSIONS_MAX;
use super::*;
use crate::config;
use crate::model::{Clock, ManualClock, Mono, Wall};
use crate::runtime::{ApplyError, Opened};

const WINDOW: Duration = Duration::from_secs(60);

/// A gateway on a disk of its own.
struct Rig {
    dir: tempfile::TempDir,
}

/// One run of it.
struct Life {
    gateway: Arc<Gateway>,
    setup: Setup,
}

/// Versions differ by what their uplinks are called; none of them is ever there.
fn text(uplink: &str) -> String {
    format!(
        "gateway: {{ name: edge }}\nstore: {{ path: state }}\n\
         uplinks: {{ {uplink}: {{ url: 'mqtt://127.0.0.1:1' }} }}\n"
    )
}

/// What a person does to the file, in place.
fn edit(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    File::create(path).unwrap().write_all(text.as_ref()).unwrap();
}

impl Rig {
    fn new() -> Self {
        let rig = Self { dir: tempfile::tempdir().unwrap() };
        edit(rig.path(), text("a"));
        rig
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("fieldhold.yaml")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn file(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn history(&self) -> Vec<(u64, State)> {
        let history = History::read(&self.state()).unwrap();
        history.records().iter().map(|record| (record.version, record.state.clone())).collect()
    }

    fn reason(&self, version: u64) -> String {
        match self.history().into_iter().find(|(v, _)| *v == version) {
            Some((_, State::RolledBack { reason })) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn start(&self) -> Life {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Mono(1), Wall(1_780_000_000_000)));
        let loaded = config::load(&self.path()).unwrap();
        let opened = Opened::new(&loaded.plan.store, Arc::clone(&clock)).unwrap();
        let (found, plan) = Found::look(&self.path(), loaded, &*clock);
        let gateway = Gateway::start_with(opened, plan, self.dir.path().to_owned());
        let gateway = Arc::new(gateway);
        let setup = Setup::start(&gateway, found);
        Life { gateway, setup }
    }
}

impl Life {
    async fn propose(&self, text: &str, confirm: Option<Duration>) -> Result<u64, Refused> {
        let author = Author::Remote { uplink: "a".into(), key: "ops".into(), serial: 12 };
        self.setup.propose(Proposal { text: text.to_owned(), author, confirm }).await
    }

    fn uplinks(&self) -> Vec<String> {
        self.gateway.plan().uplinks.iter().map(|uplink| uplink.name.to_string()).collect()
    }

    /// Those that the store keeps readings for.
    fn kept(&self) -> Vec<String> {
        let consumers = self.gateway.store_status().consumers;
        let mut names: Vec<String> = consumers.iter().map(|c| c.name.to_string()).collect();
        names.sort();
        names
    }

    /// Waits for a state, at most so long by the clock that stands still.
    async fn until(&self, wanted: impl Fn(&SetupStatus) -> bool, most: Duration) {
        let mut status = self.setup.status();
        let seen = tokio::time::timeout(most, status.wait_for(wanted)).await;
        assert!(seen.is_ok(), "{:?}", self.setup.status().borrow());
    }

    /// As a power cut would: nobody is told.
    async fn end(self) {
        self.gateway.stop().await;
    }
}

fn rolled_back(version: u64) -> impl Fn(&SetupStatus) -> bool {
    move |status| status.rolled_back.as_ref().is_some_and(|record| record.version == version)
}

fn version(status: &SetupStatus) -> Option<u64> {
    status.running.as_ref().map(|record| record.version)
}

#[tokio::test(start_paused = true)]
async fn a_change_stands_at_once_if_nobody_must_confirm_it() {
    let rig = Rig::new();
    let life = rig.start();
    assert_eq!(rig.history(), [(1, State::Stands)]);
    assert_eq!(life.propose(&text("b"), None).await.unwrap(), 2);
    assert_eq!(
        (rig.file(), life.uplinks(), life.kept()),
        (text("b"), vec!["b".into()], vec!["b".into()])
    );
    assert_eq!(rig.history(), [(1, State::Stands), (2, State::Stands)]);
    assert_eq!(version(&life.setup.status().borrow()), Some(2));
    assert_eq!(life.setup.text().await.unwrap(), text("b"));
    assert_eq!(life.propose(&text("b"), Some(WINDOW)).await.unwrap(), 2, "it runs already");
    let directory = rig.state().join(DIRECTORY);
    for (path, mode) in [(directory.clone(), 0o700), (directory.join("2.yaml"), 0o600)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
    }
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_confirmed_stands_and_its_deadline_passes() {
    let rig = Rig::new();
    let life = rig.start();
    assert_eq!(life.propose(&text("b"), Some(WINDOW)).await.unwrap(), 2);
    assert_eq!(rig.history()[1], (2, State::Pending { before: 1 }));
    assert_eq!(life.setup.status().borrow().until_ms, Some(1_780_000_060_000));
    assert_eq!(life.kept(), ["a", "b"], "what a is owed is kept until b stands");
    let wrong = life.setup.confirm(1).await.unwrap_err();
    assert!(matches!(wrong, Refused::NotPending(1)), "{wrong}");
    life.setup.confirm(2).await.unwrap();
    assert_eq!(life.kept(), ["b"]);
    tokio::time::sleep(2 * WINDOW).await;
    assert_eq!((rig.file(), life.uplinks()), (text("b"), vec!["b".to_owned()]));
    assert_eq!(rig.history(), [(1, State::Stands), (2, State::Stands)]);
    let twice = life.setup.confirm(2).await.unwrap_err();
    assert!(matches!(twice, Refused::NotPending(2)), "{twice}");
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_confirms_is_taken_back_at_its_deadline() {
    let rig = Rig::new();
    let life = rig.start();
    let begun = tokio::time::Instant::now();
    life.propose(&text("b"), Some(WINDOW)).await.unwrap();
    life.until(rolled_back(2), 2 * WINDOW).await;
    assert!(begun.elapsed() >= WINDOW, "{:?}", begun.elapsed());
    assert_eq!(
        (rig.file(), life.uplinks(), life.kept()),
        (text("a"), vec!["a".into()], vec!["a".into()])
    );
    assert_eq!(rig.reason(2), "nothing confirmed it in time");
    assert_eq!(version(&life.setup.status().borrow()), Some(1));
    // The next one is a version of its own.
    assert_eq!(life.propose(&text("c"), None).await.unwrap(), 3);
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_change_at_a_time() {
    let rig = Rig::new();
    let life = rig.start();
    life.propose(&text("b"), Some(WINDOW)).await.unwrap();
    let second = life.propose(&text("c"), None).await.unwrap_err();
    assert_eq!(
        second.to_string(),
        "version 2 waits for its confirmation until 2026-05-28T20:27:40.000Z"
    );
    assert_eq!(second.retry(), crate::model::Retry::Later);
    assert!(matches!(
        life.setup.roll_back(Some(7), Author::Local).await,
        Err(Refused::Pending { .. })
    ));
    // A person may end the wait.
    assert_eq!(life.setup.roll_back(None, Author::Local).await.unwrap(), 1);
    assert!(rig.reason(2).starts_with("a person at the gateway"));
    assert_eq!(life.uplinks(), ["a"]);
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_back_from_what_was_not_confirmed() {
    let rig = Rig::new();
    let life = rig.start();
    life.propose(&text("b"), Some(WINDOW)).await.unwrap();
    assert_eq!(rig.file(), text("b"));
    life.end().await;
    assert_eq!(rig.history()[1], (2, State::Pending { before: 1 }), "nothing was tidied up");
    let life = rig.start();
    assert_eq!((rig.file(), life.uplinks()), (text("a"), vec!["a".to_owned()]));
    assert_eq!(rig.reason(2), "the gateway ended before it was confirmed");
    let status = life.setup.status().borrow().clone();
    assert_eq!(version(&status), Some(1));
    assert!(rolled_back(2)(&status) && status.until_ms.is_none());
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_before_the_file_was_replaced_changes_nothing() {
    let rig = Rig::new();
    rig.start().end().await;
    let mut history = History::open(&rig.state()).unwrap();
    let mut record = history.records()[0].clone();
    record.sha256 = sha256(&text("b"));
    record.state = State::Pending { before: 1 };
    history.add(record, &text("b")).unwrap();
    let life = rig.start();
    assert_eq!((rig.file(), life.uplinks()), (text("a"), vec!["a".to_owned()]));
    assert_eq!(rig.reason(2), "the gateway ended before it was confirmed");
    assert_eq!(version(&life.setup.status().borrow()), Some(1));
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_file_is_never_overwritten() {
    let rig = Rig::new();
    let life = rig.start();
    edit(rig.path(), text("edited"));
    let refused = life.propose(&text("b"), Some(WINDOW)).await.unwrap_err();
    assert!(matches!(refused, Refused::Edited { .. }), "{refused}");
    edit(rig.path(), text("a"));
    // While it is pending: what runs goes back, the file stays.
    life.propose(&text("b"), Some(WINDOW)).await.unwrap();
    edit(rig.path(), text("edited"));
    life.until(rolled_back(2), 2 * WINDOW).await;
    assert_eq!((rig.file(), life.uplinks()), (text("edited"), vec!["a".to_owned()]));
    assert!(rig.reason(2).ends_with("the file was edited meanwhile: it is left as it is"));
    // Who edits it and says so is at the gateway and wins, also over a change that is pending.
    edit(rig.path(), text("a"));
    life.propose(&text("c"), Some(WINDOW)).await.unwrap();
    edit(rig.path(), text("edited"));
    life.setup.take_file().await.unwrap();
    life.until(|status| version(status) == Some(4), WINDOW / 2).await;
    assert_eq!((rig.file(), life.uplinks()), (text("edited"), vec!["edited".to_owned()]));
    assert_eq!(rig.reason(3), "someone edited the file instead");
    assert_eq!(life.kept(), ["edited"]);
    life.end().await;
    // And one that was made while a change was pending is what the next start runs.
    let life = rig.start();
    life.propose(&text("d"), Some(WINDOW)).await.unwrap();
    edit(rig.path(), text("again"));
    life.end().await;
    let life = rig.start();
    assert_eq!((rig.file(), life.uplinks()), (text("again"), vec!["again".to_owned()]));
    assert!(rig.reason(5).ends_with("someone edited the file: the edit runs"));
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_run_is_refused_without_a_trace() {
    let rig = Rig::new();
    let life = rig.start();
    let broken = text("b").replace("url", "ulr");
    match life.propose(&broken, Some(WINDOW)).await {
        Err(Refused::Problems(problems)) => {
            let said = problems.to_string();
            assert!(
                said.contains("fieldhold.yaml:3:") && said.contains("did you mean url"),
                "{said}"
            );
        }
        other => panic!("{other:?}"),
    }
    let moved = text("b").replace("path: state", "path: state, commit: 20ms");
    let refused = life.propose(&moved, Some(WINDOW)).await.unwrap_err();
    assert!(matches!(refused, Refused::Apply(ApplyError::Store)), "{refused}");
    assert!(refused.to_string().contains("`store`"), "{refused}");
    let renamed = text("b").replace("name: edge", "name: other");
    let refused = life.propose(&renamed, Some(WINDOW)).await.unwrap_err();
    assert!(matches!(refused, Refused::Identity), "{refused}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let deaf = format!("{}broker: {{ listeners: [ {{ tcp: '{address}' }} ] }}\n", text("b"));
    let refused = life.propose(&deaf, Some(WINDOW)).await.unwrap_err();
    assert!(matches!(refused, Refused::Apply(ApplyError::Broker(_))), "{refused}");
    assert_eq!(
        (rig.file(), life.uplinks(), life.kept()),
        (text("a"), vec!["a".into()], vec!["a".into()])
    );
    assert_eq!(rig.history(), [(1, State::Stands)]);
    let mut beside: Vec<_> =
        fs::read_dir(rig.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["fieldhold.yaml", "state"]);
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_can_not_be_written_is_a_clear_refusal() {
    let rig = Rig::new();
    let life = rig.start();
    // Root writes anywhere, so something that no file can replace stands in the way.
    fs::create_dir(rig.dir.path().join("fieldhold.yaml.new")).unwrap();
    let refused = life.propose(&text("b"), Some(WINDOW)).await.unwrap_err();
    assert!(matches!(refused, Refused::Save(_)), "{refused}");
    assert!(crate::runtime::in_full(&refused).contains("can't write"), "{refused}");
    assert_eq!((rig.file(), life.uplinks()), (text("a"), vec!["a".to_owned()]));
    assert_eq!(rig.history(), [(1, State::Stands)]);
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_can_not_write_goes_on_until_it_can() {
    let rig = Rig::new();
    let life = rig.start();
    life.propose(&text("b"), Some(WINDOW)).await.unwrap();
    let in_the_way = rig.dir.path().join("fieldhold.yaml.new");
    fs::create_dir(&in_the_way).unwrap();
    life.until(|status| version(status) == Some(1), 2 * WINDOW).await;
    assert_eq!((rig.file(), life.uplinks()), (text("b"), vec!["a".to_owned()]));
    assert!(matches!(life.propose(&text("c"), None).await, Err(Refused::Owed(2))));
    life.end().await;
    // The next start can't either, and still runs what was before.
    let life = rig.start();
    assert_eq!((rig.file(), life.uplinks()), (text("b"), vec!["a".to_owned()]));
    assert_eq!(version(&life.setup.status().borrow()), Some(1));
    fs::remove_dir(&in_the_way).unwrap();
    life.until(rolled_back(2), 2 * WINDOW).await;
    assert_eq!(rig.file(), text("a"));
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn back_to_any_version_that_is_kept() {
    let rig = Rig::new();
    let life = rig.start();
    assert!(matches!(life.setup.roll_back(None, Author::Local).await, Err(Refused::Nothing)));
    for (uplink, number) in [("b", 2), ("c", 3)] {
        assert_eq!(life.propose(&text(uplink), None).await.unwrap(), number);
    }
    assert_eq!(life.setup.roll_back(None, Author::Local).await.unwrap(), 4);
    assert_eq!((rig.file(), life.uplinks()), (text("b"), vec!["b".to_owned()]));
    assert_eq!(life.setup.roll_back(Some(1), Author::Local).await.unwrap(), 5);
    assert_eq!(life.uplinks(), ["a"]);
    let history = History::read(&rig.state()).unwrap();
    assert!(history.records()[4].what.ends_with("(as version 1)"), "{:?}", history.records()[4]);
    let unknown = life.setup.roll_back(Some(77), Author::Local).await.unwrap_err();
    assert!(matches!(unknown, Refused::History(HistoryError::Unknown(77))), "{unknown}");
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_state_directory_nothing_is_changed_but_by_the_file() {
    let rig = Rig::new();
    let in_memory = |uplink: &str| text(uplink).replace("path: state", "path: none");
    edit(rig.path(), in_memory("a"));
    let life = rig.start();
    assert!(matches!(life.propose(&in_memory("b"), None).await, Err(Refused::NoState)));
    edit(rig.path(), in_memory("b"));
    life.setup.take_file().await.unwrap();
    let sha256 = sha256(&in_memory("b"));
    life.until(|status| status.sha256 == sha256, WINDOW).await;
    assert_eq!(life.uplinks(), ["b"]);
    life.end().await;
}

fn record(version: u64, text: &str, state: State) -> Record {
    Record {
        version,
        sha256: sha256(text),
        at_ms: 5,
        clock_synced: false,
        author: Author::Local,
        what: "x".to_owned(),
        state,
    }
}

#[test]
fn the_history_keeps_the_newest_and_what_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    for n in 1..=60 {
        assert_eq!(history.add(record(0, "x", State::Stands), "x").unwrap(), n);
    }
    let first = |history: &History| history.records().first().map(|record| record.version);
    assert_eq!((history.records().len(), first(&history)), (VERSIONS_MAX, Some(11)));
    assert!(matches!(history.text(10), Err(HistoryError::Unknown(10))));
    assert_eq!(fs::read_dir(dir.path().join(DIRECTORY)).unwrap().count(), VERSIONS_MAX + 1);
    // However often something is taken back, what runs stays.
    for _ in 0..60 {
        let pending = history.add(record(0, "y", State::Pending { before: 60 }), "y").unwrap();
        history.mark(pending, State::RolledBack { reason: "so".to_owned() }).unwrap();
    }
    assert_eq!(history.current().map(|record| record.version), Some(60));
    assert_eq!(history.text(60).unwrap(), "x");
    assert_eq!(History::read(dir.path()).unwrap().records(), history.records());
}

#[test]
fn a_history_that_is_damaged_is_set_aside_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::open(dir.path()).unwrap();
    history.add(record(0, "x", State::Stands), "x").unwrap();
    let directory: &Path = &dir.path().join(DIRECTORY);
    edit(directory.join("1.yaml"), "y");
    assert!(matches!(history.text(1), Err(HistoryError::Damaged { .. })), "not what it was");
    for bad in ["", "{", "[{}]", "[{\"version\":\"x\"}]"] {
        edit(directory.join("history.json"), bad);
        assert!(matches!(History::read(dir.path()), Err(HistoryError::Damaged { .. })), "{bad}");
    }
    let mut history = History::open(dir.path()).unwrap();
    assert!(directory.join("history.damaged").exists() && history.records().is_empty());
    assert_eq!(history.add(record(0, "z", State::Stands), "z").unwrap(), 2);
}
