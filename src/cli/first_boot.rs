//! A gateway that has no configuration yet: it takes one from a stick or the boot partition, or
//! begins with a small one of its own that the page can edit.
//!
//! Invariants: a configuration that somebody made is never touched; something is taken from outside
//! at most once ([`MARKER`]), and only if the gateway could run it; what is taken is what lies beside
//! it and what it names, and nothing else. Whoever can plug something in can configure a gateway
//! that nobody has configured yet, as they could take its card; afterwards, be it that there is but an
//! account, they can't.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::BadInput;
use crate::config::Loaded;
use crate::config::file::{self, SaveError};
use crate::model::{Clock, Name};
use crate::runtime::{SystemClock, backup, in_full};
use crate::web::access::{self, names};

/// What is looked for: a configuration, or else a backup with its passphrase beside it.
const FILE: &str = "fieldhold.yaml";
const BACKUP: &str = "fieldhold.backup";
const PASSPHRASE: &str = "fieldhold.passphrase";
/// That something was taken, beside the configuration.
const MARKER: &str = "imported.json";
/// Directories below a place that are looked into: mounted media, and those of a user's.
const DEPTH: usize = 2;
const DIRECTORIES_MAX: usize = 64;
/// What comes along with a configuration.
const FILES_MAX: usize = 256;
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Where the store is unless a configuration says so.
const STATE_DIR: &str = "/var/lib/fieldhold";
const NAME: &str = "gateway";

/// Sees to it that there is a configuration, as far as that is possible.
///
/// # Errors
/// There is none, and none can be made there.
pub fn provide(path: &Path, import_from: &[PathBuf]) -> anyhow::Result<()> {
    let untouched = match found(path) {
        Ok(Found::Nothing) => {
            // A link to a place that is not there (yet) is somebody's doing.
            anyhow::ensure!(
                !path.is_symlink(),
                missing(path, "it is a link to a file that is gone")
            );
            false
        }
        Ok(Found::Untouched) => true,
        // Somebody's, or said by who reads it.
        Ok(Found::Somebodys) | Err(_) => return Ok(()),
    };
    if take(path, import_from, untouched)? || untouched {
        return Ok(());
    }
    let text = first(path, &Wanted::of_this_machine());
    file::create(path, text.as_bytes(), 0o640).map_err(|error| match error {
        SaveError::Io { source, .. } => anyhow::anyhow!(missing(path, &source.to_string())),
        error @ SaveError::Refused(_) => error.into(),
    })?;
    tracing::info!(
        file = %path.display(),
        "there was no configuration: a first one was written; the web page configures the rest"
    );
    Ok(())
}

/// What is there in the place of a configuration.
pub enum Found {
    Nothing,
    /// A first configuration as it was written.
    Untouched,
    Somebodys,
}

pub fn found(path: &Path) -> io::Result<Found> {
    match fs::read_to_string(path) {
        Ok(text) if text == first(path, &Wanted::of_this_machine()) => Ok(Found::Untouched),
        Ok(_) => Ok(Found::Somebodys),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

fn missing(path: &Path, why: &str) -> BadInput {
    BadInput(format!(
        "there is no configuration {}, and a first one can't be written there ({why}); put one \
         there, or name a file in a directory that can be written",
        path.display()
    ))
}

/// Takes a configuration from the first place that has one which can run.
fn take(path: &Path, places: &[PathBuf], untouched: bool) -> anyhow::Result<bool> {
    let marker = path.with_file_name(MARKER);
    let mut found = Vec::new();
    for place in places {
        let mut left = DIRECTORIES_MAX;
        look_for(place, DEPTH, &mut left, &mut found);
    }
    if let Some(from) = found.first().filter(|_| marker.exists()) {
        tracing::warn!(
            from = %from.display(), marker = %marker.display(),
            "a configuration was taken once already, so this one is left alone; to take it, remove \
             the marker"
        );
        return Ok(false);
    }
    if let Some(from) = found.first().filter(|_| untouched && is_somebodys(path)) {
        tracing::warn!(
            from = %from.display(),
            "the page has an account already, so this configuration is left alone; the page takes it"
        );
        return Ok(false);
    }
    for from in found {
        let taken = match from.ends_with(BACKUP) {
            true => restore(&from, path),
            false => copy(&from, path, untouched)?,
        };
        let Some(files) = taken else { continue };
        file::replace(&marker, &json!({ "from": from, "files": files }).to_string())?;
        tracing::info!(
            from = %from.display(), file = %path.display(), files,
            "a configuration was taken; it is not needed there any more, and its secrets lie open there"
        );
        return Ok(true);
    }
    Ok(false)
}

/// Whether somebody has an account with a first configuration, which says where its state is.
fn is_somebodys(path: &Path) -> bool {
    let state = file::load(path).ok().and_then(|loaded| loaded.plan.store.path);
    state.is_some_and(|state| access::is_claimed(&state))
}

/// How many files came along; `None` if it has mistakes.
fn copy(from: &Path, path: &Path, untouched: bool) -> anyhow::Result<Option<usize>> {
    match file::load_with_files(from) {
        Ok((loaded, files)) => {
            bring(from, path, &loaded, &files, untouched)
                .with_context(|| format!("can't take the configuration {}", from.display()))?;
            Ok(Some(files.len()))
        }
        Err(problems) => {
            tracing::error!("a configuration to take has mistakes, it is not taken:\n{problems}");
            Ok(None)
        }
    }
}

/// How many files came out of a backup; `None` if it can't be opened. Whatever is the matter with a
/// stick, the gateway starts.
fn restore(from: &Path, path: &Path) -> Option<usize> {
    let Ok(words) = fs::read_to_string(from.with_file_name(PASSPHRASE)) else {
        tracing::error!(
            backup = %from.display(),
            "a backup is not taken: its passphrase has to be beside it, in {PASSPHRASE}"
        );
        return None;
    };
    let words = words.trim_end_matches(['\r', '\n']).as_bytes();
    match backup::restore(from, words, path, SystemClock::new().wall()) {
        Ok(restored) => Some(restored.written.len()),
        Err(error) => {
            let error = in_full(&error);
            tracing::error!(backup = %from.display(), error, "a backup is not taken");
            None
        }
    }
}

/// Configurations in a directory and those below it, in the order of their names.
fn look_for(directory: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    let here = [FILE, BACKUP].map(|name| directory.join(name));
    found.extend(here.into_iter().find(|file| file.is_file()));
    if depth == 0 {
        return;
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut below: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .take(DIRECTORIES_MAX)
        .collect();
    below.sort();
    below.iter().for_each(|below| look_for(below, depth - 1, left, found));
}

/// What belongs to it first, so that a configuration that is there is whole.
fn bring(
    from: &Path,
    to: &Path,
    loaded: &Loaded,
    files: &[PathBuf],
    untouched: bool,
) -> anyhow::Result<()> {
    let beside = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    anyhow::ensure!(files.len() <= FILES_MAX, "it names more than {FILES_MAX} files");
    for name in files {
        let source = beside(from).join(name);
        if !backup::is_inside(name) || !source.is_file() {
            continue; // Where it is meant to be on this machine, or missing there as here.
        }
        let target = beside(to).join(name);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("can't make {}", directory.display()))?;
        }
        let mut bytes = Vec::new();
        let read = fs::File::open(&source)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        read.with_context(|| format!("can't read {}", source.display()))?;
        let is_too_large = u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX;
        anyhow::ensure!(!is_too_large, "{} is too large", source.display());
        match file::create(&target, &bytes, 0o600) {
            Err(SaveError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                tracing::warn!(file = %target.display(), "is there already and stays as it is");
            }
            other => other?,
        }
    }
    if untouched {
        return Ok(file::replace(to, &loaded.text)?);
    }
    Ok(file::create(to, loaded.text.as_bytes(), 0o640)?)
}

/// What a first configuration says.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub name: String,
    pub site: Option<String>,
    /// Where the page listens, or `off`; `None`: the default.
    pub web: Option<String>,
    pub uplink: Option<Uplink>,
}

#[derive(Debug, Clone)]
pub struct Uplink {
    pub url: String,
    pub username: Option<String>,
    /// The name of the file with the password.
    pub password: Option<String>,
}

impl Wanted {
    /// Nothing but the machine's own name.
    pub fn of_this_machine() -> Self {
        let name = names::host_name().filter(|name| Name::new(name).is_ok());
        Self { name: name.unwrap_or_else(|| NAME.to_owned()), ..Self::default() }
    }
}

/// The text of a first configuration. Everything that people said is quoted.
pub fn first(path: &Path, wanted: &Wanted) -> String {
    let quoted = |text: &str| json!(text).to_string();
    let mut text = format!(
        "# The first configuration of this gateway. The web page edits it, and so can you: comments \
         stay.\n# What is not written here has its default. `fieldhold check {}` tells every \
         mistake at once.\n\ngateway:\n  name: {}\n",
        path.display(),
        quoted(&wanted.name)
    );
    if let Some(site) = &wanted.site {
        text += &format!("  site: {}\n", quoted(site));
    }
    text += "\n# Meters, controllers and sensors: the page looks for them, or write them here, as in\n\
             # buses:\n#   line1: { modbus-tcp: { host: 192.168.1.40 } }\n\
             # devices:\n#   plc:\n#     bus: line1\n#     tags:\n\
             #       temperature: { holding: 0, type: i16, scale: 0.1, unit: °C }\n";
    match &wanted.uplink {
        None => {
            text += "\n# Where readings go:\n\
                     # uplinks:\n#   cloud: { url: \"mqtts://broker.example:8883\" }\n";
        }
        Some(uplink) => {
            text += &format!("\nuplinks:\n  cloud:\n    url: {}\n", quoted(&uplink.url));
            if let Some(username) = &uplink.username {
                text += &format!("    username: {}\n", quoted(username));
            }
            if let Some(password) = &uplink.password {
                text += &format!("    password: {{ file: {} }}\n", quoted(password));
            }
        }
    }
    if !is_in_state_dir(path) {
        text += "\nstore:\n  path: state # beside this file\n";
    }
    match wanted.web.as_deref() {
        None => {}
        Some("off") => text += "\nweb: off\n",
        Some(address) => text += &format!("\nweb:\n  listen: {}\n", quoted(address)),
    }
    text
}

/// There the store's default place is that of the configuration.
fn is_in_state_dir(path: &Path) -> bool {
    let directory = path.parent().map(fs::canonicalize);
    directory.is_some_and(|directory| directory.is_ok_and(|d| d == Path::new(STATE_DIR)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        file::replace(path, text).unwrap();
    }

    fn config(name: &str) -> String {
        format!(
            "gateway: {{ name: {name} }}\nuplinks: {{ cloud: {{ url: \"mqtts://h\", username: u, \
             password: {{ file: up.password }}, ca: ca.pem }} }}\n"
        )
    }

    #[test]
    fn a_first_configuration_is_sound_and_for_its_group() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fieldhold.yaml");
        provide(&path, &[]).unwrap();
        let loaded = file::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        let warnings: Vec<_> = loaded.warnings.iter().map(|w| w.message.as_str()).collect();
        assert!(warnings.iter().all(|w| w.starts_with("there is nothing to do")), "{warnings:?}");
        assert!(loaded.plan.web.is_some() && loaded.plan.broker.is_none());
        assert_eq!(loaded.plan.store.path, Some(directory.path().join("state")));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let everything = Wanted {
            name: "123: # {".to_owned(),
            site: Some("Werk \"7\"".to_owned()),
            web: Some("127.0.0.1:9443".to_owned()),
            uplink: Some(Uplink {
                url: "mqtts://h:8883".to_owned(),
                username: Some("u: x".to_owned()),
                password: Some("up.password".to_owned()),
            }),
        };
        let text = first(&path, &Wanted { name: "123".to_owned(), ..everything.clone() });
        let plan = config::parse(&text.replace("Werk \\\"7\\\"", "w7"), "t").unwrap().plan;
        assert_eq!(plan.gateway.name.as_str(), "123");
        let uplink = &plan.uplinks[0];
        let username = uplink.username.as_ref().map(|username| username.at(&uplink.brokers[0]));
        assert_eq!(username.as_deref(), Some("u: x"));
        assert_eq!(plan.web.unwrap().listen.port(), 9443);
        assert!(file::parse_as(&path, &first(&path, &everything)).is_err(), "no such name");
    }

    #[test]
    fn what_somebody_wrote_is_never_touched() {
        let directory = tempfile::tempdir().unwrap();
        let (path, stick) = (directory.path().join("g/x.yaml"), directory.path().join("stick"));
        write(&stick.join(FILE), &config("stick"));
        write(&path, "gateway: [\n");
        provide(&path, &[stick]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "gateway: [\n");
        let link = directory.path().join("g/link.yaml");
        std::os::unix::fs::symlink("/nowhere/at/all.yaml", &link).unwrap();
        assert!(provide(&link, &[]).unwrap_err().to_string().contains("link"));
    }

    #[test]
    fn a_stick_is_taken_once_with_what_belongs_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let (home, media) = (directory.path().join("g"), directory.path().join("media"));
        let (path, stick) = (home.join("fieldhold.yaml"), media.join("user/STICK"));
        fs::create_dir_all(&home).unwrap();
        write(&media.join("a-bad-one/fieldhold.yaml"), "gateway: 3\n");
        write(&stick.join(FILE), &config("stick"));
        write(&stick.join("up.password"), "secret\n");
        write(&stick.join("ca.pem"), "from the stick");
        write(&stick.join("other.txt"), "not named");
        write(&home.join("ca.pem"), "own");
        provide(&path, &[directory.path().join("none"), media.clone()]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), config("stick"));
        assert_eq!(fs::read_to_string(home.join("up.password")).unwrap(), "secret\n");
        let mode = fs::metadata(home.join("up.password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_to_string(home.join("ca.pem")).unwrap(), "own", "it was there");
        assert!(!home.join("other.txt").exists());
        // The configuration is gone, the stick is still there: it is not taken again.
        fs::remove_file(&path).unwrap();
        provide(&path, &[media]).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("stick"));
    }

    #[test]
    fn a_stick_that_comes_later_is_taken_while_nobody_configured_anything() {
        let directory = tempfile::tempdir().unwrap();
        let (path, stick) = (directory.path().join("x.yaml"), directory.path().join("stick"));
        fs::create_dir(&stick).unwrap();
        provide(&path, std::slice::from_ref(&stick)).unwrap();
        write(&stick.join(FILE), &config("stick"));
        provide(&path, std::slice::from_ref(&stick)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), config("stick"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_stick_that_comes_after_the_first_account_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (path, stick) = (directory.path().join("x.yaml"), directory.path().join("stick"));
        provide(&path, &[]).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        write(&directory.path().join("state/accounts.json"), "{\"users\":[],\"tokens\":[]}");
        write(&stick.join(FILE), &config("stick"));
        provide(&path, &[stick]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert!(!directory.path().join(MARKER).exists());
    }

    #[test]
    fn a_file_outside_of_the_stick_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (path, stick) = (directory.path().join("g/x.yaml"), directory.path().join("stick"));
        fs::create_dir(directory.path().join("g")).unwrap();
        write(&directory.path().join("outside"), "x");
        write(&stick.join(FILE), &config("s").replace("ca.pem", "../outside"));
        provide(&path, &[stick]).unwrap();
        let names = fs::read_dir(directory.path().join("g")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [MARKER, "x.yaml"]);
    }
}
