//! Archives of whole gateways, without running one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::config::file;
use crate::model::Wall;

const WORDS: &[u8] = b"tea for two and more";
const NOW: Wall = Wall(1_800_000_000_000);
const TEXT: &str = "gateway: { name: press }\nstore: { path: state }\n\
    uplinks: { cloud: { url: \"mqtts://h\", username: u, password: { file: up.password }, \
    ca: /etc/ssl/none.pem } }\n";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        file::replace(&path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// All files, as `name=text`.
    fn all(&self) -> Vec<String> {
        let (mut found, mut waiting) = (Vec::new(), vec![self.path("")]);
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let name = path.strip_prefix(self.0.path()).unwrap().display().to_string();
                    found.push(format!("{name}={}", self.read(&name)));
                }
            }
        }
        found.sort();
        found
    }

    fn configured() -> Self {
        let home = Self::new();
        home.write("fieldhold.yaml", TEXT);
        home.write("up.password", "hunter2\n");
        home.write("state/accounts.json", "{\"users\":[],\"tokens\":[]}");
        home.write("state/configurations/1.yaml", "old");
        home.write("state/queue.part", "left over");
        home.write("state/store/lock", "");
        home
    }

    fn make(&self) -> Result<Made, BackupError> {
        make(&Wanted {
            config: &self.path("fieldhold.yaml"),
            archive: &self.path("g.backup"),
            passphrase: WORDS,
            queue: true,
            broker: None,
            now: NOW,
        })
    }
}

#[test]
fn a_gateway_moves_to_another_machine() {
    let old = Home::configured();
    let made = old.make().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(made.manifest.gateway, "press");
    assert_eq!(made.missing, [PathBuf::from("/etc/ssl/none.pem")]);
    let archive = fs::read(old.path("g.backup")).unwrap();
    for secret in ["hunter2", "press", "accounts"] {
        let is_there = archive.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!is_there, "{secret} lies open");
    }
    assert_eq!(fs::metadata(old.path("g.backup")).unwrap().permissions().mode() & 0o777, 0o600);
    let new = Home::new();
    let restored = restore(&old.path("g.backup"), WORDS, &new.path("fieldhold.yaml"), NOW).unwrap();
    assert!(restored.replaced.is_empty() && restored.aside.is_empty());
    assert_eq!(
        new.all(),
        [
            format!("fieldhold.yaml={TEXT}"),
            "state/accounts.json={\"users\":[],\"tokens\":[]}".to_owned(),
            "state/configurations/1.yaml=old".to_owned(),
            "up.password=hunter2\n".to_owned(),
        ]
    );
    assert_eq!(fs::metadata(new.path("up.password")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(old.make(), Err(BackupError::There(_))), "it stays");
}

#[test]
fn what_is_replaced_is_kept_aside_and_showing_changes_nothing() {
    let old = Home::configured();
    old.make().unwrap();
    let new = Home::configured();
    new.write("up.password", "its own\n");
    new.write("state/other.json", "stays");
    let (before, config) = (new.all(), new.path("fieldhold.yaml"));
    let shown = show(&old.path("g.backup"), WORDS, &config, NOW).unwrap();
    assert_eq!(new.all(), before);
    let restored = restore(&old.path("g.backup"), WORDS, &config, NOW).unwrap();
    assert_eq!((shown.written, shown.replaced), (restored.written, restored.replaced));
    assert_eq!(new.read("up.password"), "hunter2\n");
    assert_eq!(new.read("state/other.json"), "stays");
    let aside = "before-restore-2027-01-15T08-00-00-000Z";
    assert_eq!(restored.aside, [new.path(aside), new.path("state").join(aside)]);
    assert_eq!(new.read(&format!("{aside}/up.password")), "its own\n");
    assert_eq!(new.read(&format!("state/{aside}/configurations/1.yaml")), "old");
}

#[test]
fn what_can_not_be_restored_changes_nothing() {
    let old = Home::configured();
    old.make().unwrap();
    let archive = old.path("g.backup");
    let new = Home::configured();
    let (before, config) = (new.all(), new.path("fieldhold.yaml"));
    let wrong = restore(&archive, b"tea for three and more", &config, NOW);
    assert!(matches!(wrong, Err(BackupError::Seal(SealError::Passphrase))));
    let bytes = fs::read(&archive).unwrap();
    file::create(&old.path("cut.backup"), &bytes[..bytes.len() - 20], 0o600).unwrap();
    let cut = restore(&old.path("cut.backup"), WORDS, &config, NOW);
    assert!(matches!(cut, Err(BackupError::Seal(SealError::Damaged))), "{cut:?}");
    let foreign = restore(&old.path("fieldhold.yaml"), WORDS, &config, NOW);
    assert!(matches!(foreign, Err(BackupError::Seal(SealError::Foreign))));
    // A file in the way of a directory: what was done before is taken back.
    fs::remove_dir_all(new.path("state/configurations")).unwrap();
    new.write("state/configurations", "in the way");
    let (with_it, blocked) = (new.all(), restore(&archive, WORDS, &config, NOW));
    assert!(blocked.is_err());
    let names: Vec<_> = new.all().into_iter().filter(|name| !name.contains("before-")).collect();
    assert_eq!(names, with_it);
    fs::remove_file(new.path("state/configurations")).unwrap();
    new.write("state/configurations/1.yaml", "old");
    assert_eq!(new.all(), before);
}

/// A restore over a gateway, and the power goes after so many of its moves.
fn interrupted(archive: &Path, after: usize) -> Home {
    let new = Home::configured();
    new.write("up.password", "its own\n");
    let config = new.path("fieldhold.yaml");
    let (staging, moves, _) = restore::stage(archive, WORDS, &config, NOW).unwrap();
    staging.write(&moves).unwrap();
    let steps: Vec<_> = moves.aside.iter().chain(&moves.in_place).collect();
    assert_eq!(steps.len(), MOVES);
    steps.iter().take(after).for_each(|step| moves::put(&step.from, &step.to).unwrap());
    new
}

/// Four files there, and their successors.
const MOVES: usize = 8;

#[test]
fn a_restore_that_was_interrupted_is_ended_by_who_comes_next() {
    let old = Home::configured();
    old.make().unwrap();
    let (archive, whole) = (old.path("g.backup"), Home::configured());
    whole.write("up.password", "its own\n");
    restore(&archive, WORDS, &whole.path("fieldhold.yaml"), NOW).unwrap();
    assert_eq!(whole.read("up.password"), "hunter2\n");
    for after in 0..=MOVES {
        let new = interrupted(&archive, after);
        let config = new.path("fieldhold.yaml");
        let shown = show(&archive, WORDS, &config, NOW);
        assert!(matches!(shown, Err(BackupError::Interrupted)), "{after}: {shown:?}");
        assert!(matches!(resume(&config), Ok(Some(Left::Ended))), "{after}");
        assert_eq!(new.all(), whole.all(), "after {after} moves");
        assert!(matches!(resume(&config), Ok(None)), "{after}");
    }
}

#[test]
fn what_can_not_be_ended_is_taken_back_and_what_can_not_be_taken_back_waits() {
    let old = Home::configured();
    old.make().unwrap();
    let (archive, before) = (old.path("g.backup"), Home::configured());
    before.write("up.password", "its own\n");
    // The last one, which is lost.
    let last = "state/configurations/1.yaml";
    for after in 0..MOVES {
        let new = interrupted(&archive, after);
        let config = new.path("fieldhold.yaml");
        fs::remove_file(new.path("restoring").join(last)).unwrap();
        let left = resume(&config);
        assert!(matches!(left, Ok(Some(Left::TakenBack(_)))), "{after}: {left:?}");
        assert_eq!(new.all(), before.all(), "after {after} moves");
    }
    let new = interrupted(&archive, MOVES / 2);
    let config = new.path("fieldhold.yaml");
    fs::remove_dir(new.path("state/configurations")).unwrap();
    new.write("state/configurations", "in the way");
    let stuck = resume(&config);
    assert!(matches!(stuck, Err(BackupError::HalfDone { .. })), "{stuck:?}");
    fs::remove_file(new.path("state/configurations")).unwrap();
    assert!(matches!(resume(&config), Ok(Some(Left::Ended))));
    assert_eq!(new.read("up.password"), "hunter2\n");
}

#[test]
fn what_was_unpacked_by_who_was_killed_is_removed_and_by_who_works_is_not() {
    let old = Home::configured();
    old.make().unwrap();
    let new = Home::configured();
    let (archive, config) = (old.path("g.backup"), new.path("fieldhold.yaml"));
    let before = new.all();
    let (at_work, ..) = restore::stage(&archive, WORDS, &config, NOW).unwrap();
    let other = restore(&archive, WORDS, &config, NOW);
    assert!(matches!(other, Err(BackupError::Restoring)), "{other:?}");
    assert!(matches!(resume(&config), Err(BackupError::Restoring)));
    drop(at_work);
    new.write("restoring/config/up.password", "half of");
    assert!(matches!(resume(&config), Ok(Some(Left::Removed))));
    assert_eq!(new.all(), before);
    new.write("restoring/config/up.password", "half of");
    restore(&archive, WORDS, &config, NOW).unwrap();
    assert!(!new.path("restoring").exists());
}

#[test]
fn a_short_passphrase_and_a_bad_configuration_make_no_backup() {
    let home = Home::configured();
    let config = home.path("fieldhold.yaml");
    let archive = home.path("g.backup");
    let wanted = |passphrase| Wanted {
        config: &config,
        archive: &archive,
        passphrase,
        queue: false,
        broker: None,
        now: NOW,
    };
    assert!(matches!(make(&wanted(b"tea for two")), Err(BackupError::Short)));
    home.write("fieldhold.yaml", "gateway: 3\n");
    assert!(matches!(make(&wanted(WORDS)), Err(BackupError::Config(_))));
    assert!(!archive.exists());
}

/// What root restores for a service, all of it, belongs to whom the directory belongs.
#[test]
fn directories_on_the_way_belong_to_the_service_too() {
    const SERVICE: u32 = 4_242;
    let old = Home::configured();
    let text = TEXT.replace("up.password", "secrets/cloud/up.password");
    old.write("fieldhold.yaml", &text);
    old.write("secrets/cloud/up.password", "hunter2\n");
    old.make().unwrap();
    let new = Home::new();
    if std::os::unix::fs::chown(new.path(""), Some(SERVICE), Some(SERVICE)).is_err() {
        eprintln!("SKIPPED: only root restores for somebody else");
        return;
    }
    restore(&old.path("g.backup"), WORDS, &new.path("fieldhold.yaml"), NOW).unwrap();
    let mut waiting = vec![new.path("")];
    while let Some(path) = waiting.pop() {
        assert_eq!(fs::metadata(&path).unwrap().uid(), SERVICE, "{}", path.display());
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert_eq!(new.read("secrets/cloud/up.password"), "hunter2\n");
}
