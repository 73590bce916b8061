//! The configuration file on disk: bounded reading, atomic saving.
//!
//! A save goes to a temporary file in the same directory, which is synced and then renamed over
//! the old one: after a power cut there is the old text or the new one, never half of either.
//! This is the only file of `config` that touches the file system.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::problem::{Complaint, Findings, Problem, Problems, Spot};
use super::profile::{self, FILE_SUFFIX, Own, OwnText, Profile, Wanted};
use super::raw::{FILE_BYTES_MAX, Place};
use super::{Beside, Loaded, Looked, Plan, look_with, parse_with};
use crate::model::{Blame, Retry};

const TEMPORARY_SUFFIX: &str = ".new";
/// systemd.exec(5), for `fieldhold.service`.
const OF_SERVICE: &str = "/run/credentials/fieldhold.service";

/// Where a user's own profiles are looked for, beside the configuration.
pub const PROFILES_DIRECTORY: &str = "profiles";
/// Own profiles that are listed.
const PROFILES_MAX: usize = 10_000;

/// Why a configuration could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Nothing was written.
    #[error("the configuration has problems")]
    Refused(#[source] Problems),
    #[error("can't {doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl SaveError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Refused(_) => Blame::Config,
            Self::Io { .. } => Blame::Disk,
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused(_) => Retry::Never,
            Self::Io { .. } => Retry::Later,
        }
    }
}

/// Reads and checks a file. That it can't be read is a problem like any other. Relative paths in
/// it start at its own directory, wherever the process was started.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    match read(path) {
        Ok(text) => parse_as(path, &text),
        Err((at, complaint)) => {
            let mut out = Findings::new(&path.display().to_string());
            out.error(&Spot::at(at), complaint);
            Err(Problems(out.into_problems()))
        }
    }
}

/// Checks a text as if it were this file's.
pub fn parse_as(path: &Path, text: &str) -> Result<Loaded, Problems> {
    parse_noting(path, text).map(|(loaded, _)| loaded)
}

/// As [`load`], with the files that belong to the configuration, be they there or not: its profiles,
/// the files that it includes, passwords, keys and certificates. Those in its own directory are
/// relative to that.
pub fn load_with_files(path: &Path) -> Result<(Loaded, Vec<PathBuf>), Problems> {
    let (loaded, read) = parse_noting(path, &read_text(path)?)?;
    let directory = directory_of(path);
    let named = loaded.plan.secret_files().into_iter().map(Path::to_owned);
    let own = |file: PathBuf| file.strip_prefix(directory).map(Path::to_owned).unwrap_or(file);
    let mut files: Vec<_> = read.into_iter().chain(named).map(own).collect();
    files.sort_unstable();
    files.dedup();
    Ok((loaded, files))
}

fn parse_noting(path: &Path, text: &str) -> Result<(Loaded, Vec<PathBuf>), Problems> {
    let directory = Directory { path: directory_of(path), read: RefCell::default() };
    let mut loaded = parse_with(text, &path.display().to_string(), &directory)?;
    anchor(&mut loaded.plan, directory.path);
    Ok((loaded, directory.read.into_inner()))
}

/// Where a file lies; empty for one in the working directory.
fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Looks at a text as if it were this file's, whatever is wrong with it.
pub fn look_at(path: &Path, text: &str) -> Looked {
    let directory = Directory { path: directory_of(path), read: RefCell::default() };
    let mut looked = look_with(text, &path.display().to_string(), &directory);
    if let Some(plan) = &mut looked.plan {
        anchor(plan, directory.path);
    }
    looked
}

/// Checks a text as if it were a file of this directory, with the profiles that are there.
pub fn parse_in(directory: &Path, text: &str, name: &str) -> Result<Loaded, Problems> {
    parse_with(text, name, &Directory { path: directory, read: RefCell::default() })
}

fn anchor(plan: &mut Plan, directory: &Path) {
    let places = SecretPlaces::new(directory.to_owned());
    plan.anchor(directory, |file| places.path(file));
}

/// Where files lie that the configuration names and that hold a password, a key or a certificate:
/// one rule for all of them.
#[derive(Debug, Clone)]
pub struct SecretPlaces {
    /// What systemd's `LoadCredential=` fills, if it does.
    pub credentials: Option<PathBuf>,
    /// Beside the configuration file.
    pub beside: PathBuf,
    /// The credentials of the service while it runs, for commands that look after it from outside.
    pub of_service: PathBuf,
}

impl SecretPlaces {
    pub fn new(beside: PathBuf) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { credentials, beside, of_service: PathBuf::from(OF_SERVICE) }
    }

    /// A credential of that name, or else the file beside the configuration; an absolute path is
    /// what it says.
    pub fn path(&self, file: &Path) -> PathBuf {
        let beside = self.beside.join(file);
        if file.is_absolute() {
            return beside;
        }
        let credential = self.credentials.as_ref().map(|dir| dir.join(file));
        let of_service = Some(self.of_service.join(file)).filter(|_| !beside.exists());
        let mut found = [credential, of_service].into_iter().flatten();
        found.find(|path| path.exists()).unwrap_or(beside)
    }

    /// The name of a credential, of a path that [`SecretPlaces::path`] gave.
    pub fn credential<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        let mut places = self.credentials.iter().chain([&self.of_service]);
        places.find_map(|place| path.strip_prefix(place).ok())
    }
}

/// Where a configuration lies, with all that is there.
struct Directory<'a> {
    path: &'a Path,
    /// What was read of it.
    read: RefCell<Vec<PathBuf>>,
}

impl Beside for Directory<'_> {
    fn profiles(&self, wanted: &Wanted<'_>) -> Own {
        let (own, read) = own_profiles(self.path, wanted);
        self.read.borrow_mut().extend(read);
        own
    }

    fn text(&self, name: &str) -> (String, Result<String, (Place, Complaint)>) {
        let path = self.path.join(name);
        self.read.borrow_mut().push(path.clone());
        (path.display().to_string(), read(&path))
    }

    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Reads and checks one profile.
pub fn load_profile(path: &Path) -> Result<(Profile, Vec<Problem>), Problems> {
    let name = path.display().to_string();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    profile::check(&read_text(path)?, &stem, &name)
}

/// Writes a new profile; a file that is there stays.
pub fn save_profile(path: &Path, text: &str) -> Result<(), SaveError> {
    let io = |source| SaveError::Io { doing: "create", path: path.to_owned(), source };
    let mut file = File::create_new(path).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)
}

/// A text to import, within the bounds of a configuration.
pub fn read_text(path: &Path) -> Result<String, Problems> {
    read(path).map_err(|(at, complaint)| {
        let mut out = Findings::new(&path.display().to_string());
        out.error(&Spot::at(at), Complaint { hint: None, ..complaint });
        Problems(out.into_problems())
    })
}

/// The names of the profiles in a directory, sorted; at most [`PROFILES_MAX`].
pub fn profile_names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)?.take(PROFILES_MAX) {
        let name = entry?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(FILE_SUFFIX));
        names.extend(name.map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// The user's own profiles that a configuration in `beside` wants. The directory need not exist,
/// unless the configuration names it. With the files that they are in.
fn own_profiles(beside: &Path, wanted: &Wanted<'_>) -> (Own, Vec<PathBuf>) {
    let directory = beside.join(wanted.directory.unwrap_or(PROFILES_DIRECTORY));
    let names = match profile_names(&directory) {
        Ok(names) => names,
        Err(error) => {
            let missing = error.kind() == io::ErrorKind::NotFound && wanted.directory.is_none();
            let refusal =
                || Complaint::new(format!("{} can't be read: {error}", directory.display()));
            return (Own { refusal: (!missing).then(refusal), ..Own::default() }, Vec::new());
        }
    };
    let here = names.iter().filter(|name| wanted.names.contains(name.as_str()));
    let files: Vec<_> =
        here.map(|name| (name.clone(), directory.join(format!("{name}{FILE_SUFFIX}")))).collect();
    let texts = files.iter().map(|(name, path)| {
        (name.clone(), OwnText { file: path.display().to_string(), text: read(path) })
    });
    let own = Own { texts: texts.collect(), names: names.clone(), refusal: None };
    (own, files.into_iter().map(|(_, path)| path).collect())
}

fn read(path: &Path) -> Result<String, (Place, Complaint)> {
    let failed = |error: io::Error| {
        let complaint = Complaint::new(format!("can't be read: {error}"));
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "say which file it is, or make it from configs/minimal.yaml",
            io::ErrorKind::PermissionDenied => "it must be readable for the user who runs this",
            io::ErrorKind::IsADirectory => "say which file in this directory it is",
            _ => return (Place::default(), complaint),
        };
        (Place::default(), complaint.hint(hint))
    };
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let column = 1 + String::from_utf8_lossy(last).chars().count();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = Place { line: number(line), column: number(column) };
        (place, Complaint::new("this is not UTF-8 text").hint("save the file as UTF-8"))
    })
}

/// Checks `text` and, only if it has no errors, writes it to `path` in one step.
pub fn save(path: &Path, text: &str) -> Result<Loaded, SaveError> {
    let loaded = parse_as(path, text).map_err(SaveError::Refused)?;
    replace(path, text)?;
    Ok(loaded)
}

/// Writes `text` to `path` in one step, unchecked. A file that was not there is the owner's alone.
pub fn replace(path: &Path, text: &str) -> Result<(), SaveError> {
    stage(path, text)?.commit()
}

/// Makes a file in one step, with its mode; fails where one is there already.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SaveError> {
    let temporary = temporary_of(path);
    let staged = Staged { path: path.to_owned(), temporary: Some(temporary.clone()) };
    write(path, &temporary, bytes, Some(mode)).map_err(io_at("write", &temporary))?;
    put_in_place(&temporary, path).map_err(io_at("make", path))?;
    drop(staged);
    sync_directory(path)
}

/// Gives a file that is written the name it is meant to have; one that has that name stays. The
/// temporary name may still be there.
pub fn put_in_place(temporary: &Path, path: &Path) -> io::Result<()> {
    // A link fails where a rename would replace.
    match fs::hard_link(temporary, path) {
        Err(_) if path.exists() => Err(io::ErrorKind::AlreadyExists.into()),
        // The file system has no links, as that of most sticks.
        Err(_) => fs::rename(temporary, path),
        Ok(()) => Ok(()),
    }
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(TEMPORARY_SUFFIX);
    temporary.into()
}

/// A text that is on the disk beside the file it will replace. Dropped, it is removed again.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    /// `None` once it took the place of the file.
    temporary: Option<PathBuf>,
}

/// Does all of a replacement but its last step, which hardly fails any more.
pub fn stage(path: &Path, text: &str) -> Result<Staged, SaveError> {
    // A link stays a link: what it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = temporary_of(&path);
    let staged = Staged { path, temporary: Some(temporary.clone()) };
    write(&staged.path, &temporary, text.as_bytes(), None).map_err(io_at("write", &temporary))?;
    Ok(staged)
}

impl Staged {
    pub fn commit(mut self) -> Result<(), SaveError> {
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.path).map_err(io_at("replace", &self.path))?;
        }
        self.temporary = None;
        sync_directory(&self.path)
    }
}

/// A new name is only safe once its directory is.
fn sync_directory(path: &Path) -> Result<(), SaveError> {
    let directory = directory_or_here(path);
    File::open(directory).and_then(|d| d.sync_all()).map_err(io_at("sync", directory))
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary); // It is overwritten by the next one.
        }
    }
}

fn io_at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SaveError {
    let path = path.to_owned();
    move |source| SaveError::Io { doing, path, source }
}

/// Where a file lies.
pub fn directory_or_here(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file keeps its mode, and a new one has that which is wanted. It belongs to whom it belonged to,
/// or to the owner of the directory: what root does for a service must stay readable to it.
fn write(path: &Path, temporary: &Path, bytes: &[u8], mode: Option<u32>) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
    let old = fs::metadata(path);
    let whose =
        old.as_ref().ok().cloned().map_or_else(|| fs::metadata(directory_or_here(path)), Ok);
    if let (Ok(whose), Ok(ours)) = (whose, file.metadata())
        && (whose.uid(), whose.gid()) != (ours.uid(), ours.gid())
    {
        let _ = fchown(&file, Some(whose.uid()), Some(whose.gid())); // Root alone may.
    }
    let mode = old.ok().map(|old| old.permissions()).or(mode.map(fs::Permissions::from_mode));
    if let Some(mode) = mode {
        file.set_permissions(mode)?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "gateway: { name: a }\nbroker: {}\n";

    #[test]
    fn saves_in_one_step_and_keeps_the_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fieldhold.yaml");
        save(&path, GOOD).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let changed = GOOD.replace("name: a", "name: b");
        let loaded = save(&path, &changed).unwrap();
        assert_eq!(loaded.plan.gateway.name.as_str(), "b");
        assert_eq!(fs::read_to_string(&path).unwrap(), changed);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn refuses_a_text_with_problems() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fieldhold.yaml");
        save(&path, GOOD).unwrap();
        let error = save(&path, "gateway: 3\n").unwrap_err();
        assert_eq!((error.blame(), error.retry()), (Blame::Config, Retry::Never));
        assert_eq!(fs::read_to_string(&path).unwrap(), GOOD);
    }

    #[test]
    fn follows_links() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real.yaml"), directory.path().join("link.yaml"));
        save(&real, GOOD).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        save(&link, &GOOD.replace("name: a", "name: b")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("name: b"));
    }

    #[test]
    fn credentials_come_before_files_beside_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let (credentials, beside) = (directory.path().join("c"), directory.path().join("b"));
        fs::create_dir(&credentials).unwrap();
        File::create(credentials.join("web.key")).unwrap();
        let of_service = directory.path().join("s");
        let places = SecretPlaces {
            credentials: Some(credentials.clone()),
            beside: beside.clone(),
            of_service: of_service.clone(),
        };
        assert_eq!(places.path(Path::new("web.key")), credentials.join("web.key"));
        let outside = SecretPlaces { credentials: None, ..places.clone() };
        assert_eq!(outside.path(Path::new("web.key")), beside.join("web.key"));
        fs::create_dir(&of_service).unwrap();
        File::create(of_service.join("web.key")).unwrap();
        assert_eq!(outside.path(Path::new("web.key")), of_service.join("web.key"));
        assert_eq!(places.path(Path::new("web.key")), credentials.join("web.key"));
        assert_eq!(outside.credential(&of_service.join("web.key")), Some(Path::new("web.key")));
        assert_eq!(places.path(Path::new("web.pem")), beside.join("web.pem"));
        assert_eq!(places.path(Path::new("/etc/web.key")), Path::new("/etc/web.key"));
        let tls = "tls: { certificate: web.pem, key: web.key }";
        let text = format!(
            "gateway: {{ name: g }}\nstore: {{ path: web.key }}\n\
             broker: {{ listeners: [ {{ tls: \"127.0.0.1:8883\", certificate: web.pem, key: web.key }} ] }}\n\
             web: {{ {tls} }}\n",
        );
        let mut plan =
            parse_in(directory.path(), &text, "t").unwrap_or_else(|e| panic!("{e}")).plan;
        plan.anchor(&beside, |file| places.path(file));
        let listener = plan.broker.unwrap().listeners.remove(0).tls.unwrap();
        assert_eq!(listener.key, credentials.join("web.key"));
        assert_eq!(listener.certificate, beside.join("web.pem"));
        let crate::config::WebTls::Files(web) = plan.web.unwrap().tls else { panic!() };
        assert_eq!(web.key, credentials.join("web.key"));
        assert_eq!(plan.store.path.unwrap(), beside.join("web.key"), "no secret");
    }

    #[test]
    fn what_is_put_in_place_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (part, path) = (directory.path().join("part"), directory.path().join("whole"));
        replace(&part, "new").unwrap();
        put_in_place(&part, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        replace(&part, "newer").unwrap();
        let refused = put_in_place(&part, &path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn what_is_staged_replaces_the_file_or_leaves_no_trace() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fieldhold.yaml");
        replace(&path, "old").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(stage(&path, "new").unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        stage(&path, "new").unwrap().commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let error = stage(&path.join("below"), "x").unwrap_err();
        assert_eq!((error.blame(), error.retry()), (Blame::Disk, Retry::Later));
    }

    #[test]
    fn what_cant_be_read_is_a_problem() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.yaml");
        let text = load(&path).unwrap_err().to_string();
        assert!(text.contains("x.yaml can't be read: No such file"), "{text}");
        File::create(&path).unwrap().write_all(b"gateway:\n  n\xC3\xA4me: \xFF\n").unwrap();
        let text = load(&path).unwrap_err().to_string();
        assert!(text.contains("x.yaml:2:9 this is not UTF-8 text"), "{text}");
        let text = load(directory.path()).unwrap_err().to_string();
        assert!(text.contains("can't be read"), "{text}");
    }
}
