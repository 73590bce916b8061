//! The configuration file on disk: bounded reading, atomic saving.
//!
//! A save goes to a temporary file in the same directory, which is synced and then renamed over
//! the old one: after a power cut there is the old text or the new one, never half of either.
//! This is the only file of `config` that touches the file system.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::problem::{Complaint, Findings, Problem, Problems, Spot};
use super::profile::{self, FILE_SUFFIX, Own, OwnText, Profile, Wanted};
use super::raw::{FILE_BYTES_MAX, Place};
use super::{Beside, Loaded, Looked, look_with, parse_with};
use crate::model::{Blame, Retry};

const TEMPORARY_SUFFIX: &str = ".new";

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
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut loaded = parse_in(directory, text, &path.display().to_string())?;
    loaded.plan.anchor(directory);
    Ok(loaded)
}

/// Looks at a text as if it were this file's, whatever is wrong with it.
pub fn look_at(path: &Path, text: &str) -> Looked {
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut looked = look_with(text, &path.display().to_string(), &Directory(directory));
    if let Some(plan) = &mut looked.plan {
        plan.anchor(directory);
    }
    looked
}

/// Checks a text as if it were a file of this directory, with the profiles that are there.
pub fn parse_in(directory: &Path, text: &str, name: &str) -> Result<Loaded, Problems> {
    parse_with(text, name, &Directory(directory))
}

/// Where a configuration lies, with all that is there.
struct Directory<'a>(&'a Path);

impl Beside for Directory<'_> {
    fn profiles(&self, wanted: &Wanted<'_>) -> Own {
        own_profiles(self.0, wanted)
    }

    fn text(&self, name: &str) -> (String, Result<String, (Place, Complaint)>) {
        let path = self.0.join(name);
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
/// unless the configuration names it.
fn own_profiles(beside: &Path, wanted: &Wanted<'_>) -> Own {
    let directory = beside.join(wanted.directory.unwrap_or(PROFILES_DIRECTORY));
    let names = match profile_names(&directory) {
        Ok(names) => names,
        Err(error) => {
            let missing = error.kind() == io::ErrorKind::NotFound && wanted.directory.is_none();
            let refusal =
                || Complaint::new(format!("{} can't be read: {error}", directory.display()));
            return Own { refusal: (!missing).then(refusal), ..Own::default() };
        }
    };
    let here = names.iter().filter(|name| wanted.names.contains(name.as_str()));
    let texts = here.map(|name| {
        let path = directory.join(format!("{name}{FILE_SUFFIX}"));
        (name.clone(), OwnText { file: path.display().to_string(), text: read(&path) })
    });
    Own { texts: texts.collect(), names: names.clone(), refusal: None }
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
    let mut temporary = path.clone().into_os_string();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    let staged = Staged { path, temporary: Some(temporary.clone()) };
    write(&staged.path, &temporary, text.as_bytes()).map_err(io_at("write", &temporary))?;
    Ok(staged)
}

impl Staged {
    pub fn commit(mut self) -> Result<(), SaveError> {
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.path).map_err(io_at("replace", &self.path))?;
        }
        self.temporary = None;
        // The rename itself is only safe once the directory is.
        let directory = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        File::open(directory).and_then(|d| d.sync_all()).map_err(io_at("sync", directory))
    }
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

fn write(path: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
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
        use std::os::unix::fs::PermissionsExt;
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
    fn what_is_staged_replaces_the_file_or_leaves_no_trace() {
        use std::os::unix::fs::PermissionsExt;
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
