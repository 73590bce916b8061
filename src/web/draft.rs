//! The draft: the next configuration while people work on it. There is one, for all of them.
//!
//! It is a text and the *base* it was begun from: the file as it was then. Without changes there is
//! none, and the draft is the file. When the file changes meanwhile, by hand or by somebody's apply,
//! the draft's changes are made in the new file as long as both touch different entries; where they
//! meet, the draft stays as it is and says so, until somebody gives a text that settles it.
//! Whoever changes it says which state he saw (`If-Match`), so nothing is overwritten unseen.
//! Kept in the state directory, so that a restart keeps it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::App;
use super::hidden::masked;
use super::problem::Problem;
use super::refusal::{configuration, of_edit};
use crate::config::edit::compare::{self, Change};
use crate::config::edit::lines::difference;
use crate::config::edit::{self, show_path};
use crate::config::file;

/// Its file in the state directory.
const FILE: &str = "draft.json";
/// States that a difference can be told from, and bytes of all of them.
const PAST_MAX: usize = 16;
const PAST_BYTES_MAX: usize = 4 << 20;

/// The place where it is kept.
pub struct Drafts {
    path: Option<PathBuf>,
    inside: Mutex<Inside>,
    /// Changes that are not applied, for the head of every page.
    count: AtomicUsize,
}

#[derive(Default)]
struct Inside {
    kept: Option<Kept>,
    /// What it was before, by etag, for those who saw that.
    past: VecDeque<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    base: String,
    text: String,
}

/// The draft as it is now. Nobody else changes it while this is held.
pub struct Draft<'d> {
    drafts: &'d Drafts,
    inside: MutexGuard<'d, Inside>,
    /// The file on the disk.
    pub file: String,
    pub text: String,
    pub etag: String,
    /// Where its changes meet those that were made in the file.
    pub conflicts: Vec<String>,
}

impl Drafts {
    pub fn new(state_dir: Option<&Path>) -> Self {
        let path = state_dir.map(|dir| dir.join(FILE));
        let kept = path.as_deref().and_then(read_kept);
        let count = kept.as_ref().map_or(0, |kept| changes(&kept.base, &kept.text).len());
        let inside = Mutex::new(Inside { kept, past: VecDeque::new() });
        Self { path, inside, count: AtomicUsize::new(count) }
    }

    /// Changes that are not applied.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The draft, brought up to the file as it is now.
    pub async fn now(&self, app: &App) -> Result<Draft<'_>, Problem> {
        let inside = self.inside.lock().await;
        let path = app.setup().status().borrow().file.clone();
        let kept = inside.kept.clone();
        let settled = crate::runtime::blocking(move || {
            let file = file::read_text(&path).map_err(|problems| configuration(&problems.0))?;
            Ok::<_, Problem>(settle(kept, file))
        });
        let settled = settled.await.map_err(|_| Problem::unavailable("the gateway is stopping"))?;
        let Settled { file, kept, conflicts } = settled?;
        let mut draft = Draft {
            drafts: self,
            inside,
            etag: String::new(),
            text: kept.as_ref().map_or_else(|| file.clone(), |kept| kept.text.clone()),
            file,
            conflicts,
        };
        draft.keep(kept).await?;
        Ok(draft)
    }
}

impl Draft<'_> {
    /// Refuses whoever did not see this state.
    pub fn seen(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(tag) = headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()) else {
            let title = "Which state is meant is not said";
            let reason = "the header If-Match has to say which state of the draft is meant";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "no-etag", title, reason)
                .hint("take the etag of GET /draft"));
        };
        let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
        if tag == self.etag {
            return Ok(());
        }
        let past = self.inside.past.iter().find(|(etag, _)| etag == tag);
        let before = past.map_or(self.file.as_str(), |(_, text)| text);
        Err(self.changed("the draft or the file was changed meanwhile", before, &self.text))
    }

    /// Refuses to go on while the draft and the file contradict each other.
    pub fn settled(&self) -> Result<(), Problem> {
        if self.conflicts.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "the file was edited where the draft changes it as well: {}",
            self.conflicts.join(", ")
        );
        let base = self.inside.kept.as_ref().map_or("", |kept| &kept.base);
        Err(self.changed(&reason, base, &self.file))
    }

    fn changed(&self, reason: &str, before: &str, after: &str) -> Problem {
        Problem::conflict("changed", "Somebody else changed the configuration", reason)
            .hint("look at the difference, then make your change in what is there now, or discard the draft")
            .with("etag", self.etag.clone())
            .with("diff", masked(&difference(before, after)))
            .with("conflicts", self.conflicts.clone())
    }

    /// Makes it this text, whatever that says; it is meant for the file as it is now.
    pub async fn put(&mut self, text: String) -> Result<(), Problem> {
        self.conflicts.clear();
        let kept = Kept { base: self.file.clone(), text };
        self.keep(Some(kept)).await
    }

    /// As [`Draft::put`], but what it contradicts stays known.
    pub async fn edit(&mut self, edits: Vec<edit::Edit>) -> Result<(), Problem> {
        let text = self.text.clone();
        let made = crate::runtime::blocking(move || edit::apply(&text, &edits));
        let made = made.await.map_err(|_| Problem::unavailable("the gateway is stopping"))?;
        let text = made.map_err(|refusal| of_edit(&refusal))?;
        let base = match &self.inside.kept {
            Some(kept) => kept.base.clone(),
            None => self.file.clone(),
        };
        self.keep(Some(Kept { base, text })).await
    }

    /// Back to the file.
    pub async fn discard(&mut self) -> Result<(), Problem> {
        self.conflicts.clear();
        self.keep(None).await
    }

    /// It runs and is in the file.
    pub async fn applied(&mut self) -> Result<(), Problem> {
        self.file = self.text.clone();
        self.discard().await
    }

    /// Takes it over, in memory and on the disk.
    async fn keep(&mut self, kept: Option<Kept>) -> Result<(), Problem> {
        let kept = kept.filter(|kept| kept.text != kept.base);
        if kept != self.inside.kept {
            let path = self.drafts.path.clone();
            let next = kept.clone();
            let written = crate::runtime::blocking(move || {
                let count = next.as_ref().map_or(0, |kept| changes(&kept.base, &kept.text).len());
                (count, write_kept(path.as_deref(), next.as_ref()))
            });
            let (count, written) =
                written.await.map_err(|_| Problem::unavailable("the gateway is stopping"))?;
            if let Err(error) = written {
                // It is in memory all the same; a restart begins without it.
                tracing::warn!(error, "the draft of the configuration can't be kept on the disk");
            }
            self.drafts.count.store(count, Ordering::Relaxed);
            self.inside.kept = kept;
        }
        self.text = match &self.inside.kept {
            Some(kept) => kept.text.clone(),
            None => self.file.clone(),
        };
        self.etag = etag(&self.file, &self.text);
        self.remember();
        Ok(())
    }

    fn remember(&mut self) {
        let past = &mut self.inside.past;
        if past.iter().any(|(etag, _)| *etag == self.etag) {
            return;
        }
        past.push_back((self.etag.clone(), self.text.clone()));
        while past.len() > PAST_MAX
            || past.len() > 1
                && past.iter().map(|(_, text)| text.len()).sum::<usize>() > PAST_BYTES_MAX
        {
            past.pop_front();
        }
    }
}

struct Settled {
    file: String,
    kept: Option<Kept>,
    conflicts: Vec<String>,
}

/// The draft for the file as it is now.
fn settle(kept: Option<Kept>, file: String) -> Settled {
    let Some(kept) = kept.filter(|kept| kept.text != file) else {
        return Settled { file, kept: None, conflicts: Vec::new() };
    };
    if kept.base == file {
        return Settled { file, kept: Some(kept), conflicts: Vec::new() };
    }
    match merged(&kept, &file) {
        Ok(text) => {
            let kept = Kept { base: file.clone(), text };
            Settled { file, kept: Some(kept), conflicts: Vec::new() }
        }
        Err(conflicts) => Settled { file, kept: Some(kept), conflicts },
    }
}

/// The draft's changes made in another text, or where both changed the same.
fn merged(kept: &Kept, file: &str) -> Result<String, Vec<String>> {
    let all = || vec!["the text as a whole".to_owned()];
    let (Ok(base), Ok(ours), Ok(theirs)) =
        (edit::read(&kept.base), edit::read(&kept.text), edit::read(file))
    else {
        return Err(all());
    };
    let ours = compare::changes(&base, &ours);
    let met = compare::conflicts(&ours, &compare::changes(&base, &theirs));
    if !met.is_empty() {
        return Err(met.iter().map(|path| show_path(path)).collect());
    }
    edit::apply(file, &compare::edits(&ours)).map_err(|refusal| vec![refusal.path])
}

/// The changes from one text to another; none if one of them can't be read.
pub fn changes(old: &str, new: &str) -> Vec<Change> {
    match (edit::read(old), edit::read(new)) {
        (Ok(old), Ok(new)) => compare::changes(&old, &new),
        _ => Vec::new(),
    }
}

/// Names a draft of a file.
fn etag(file: &str, text: &str) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in [file, text] {
        context.update(&part.len().to_le_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn read_kept(path: &Path) -> Option<Kept> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, file = %path.display(), "the draft can't be read");
            return None;
        }
    };
    let kept = serde_json::from_str(&text);
    kept.inspect_err(|error| tracing::warn!(%error, file = %path.display(), "the draft is damaged"))
        .ok()
}

fn write_kept(path: Option<&Path>, kept: Option<&Kept>) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    match kept {
        Some(kept) => {
            let text = serde_json::to_string(kept).unwrap_or_default();
            file::replace(path, &text).map_err(|error| crate::runtime::in_full(&error))
        }
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "gateway: { name: g } # ours\nbuses:\n  a: { modbus-tcp: { host: h } }\n";

    fn kept(text: &str) -> Option<Kept> {
        Some(Kept { base: BASE.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn changes_move_to_an_edited_file_unless_both_touch_the_same() {
        let draft = BASE.replace("host: h", "host: other");
        let edited = BASE.replace("# ours", "# by hand") + "store: { path: /x }\n";
        let settled = settle(kept(&draft), edited.clone());
        let text = settled.kept.map(|kept| kept.text);
        assert_eq!(text.as_deref(), Some(edited.replace("host: h", "host: other").as_str()));
        assert!(settled.conflicts.is_empty());
        let met = settle(kept(&draft), BASE.replace("host: h", "host: third"));
        assert_eq!(met.conflicts, ["buses.a.modbus-tcp.host"]);
        assert_eq!(met.kept, kept(&draft), "nothing of it is lost");
        assert_eq!(settle(kept(&draft), draft.clone()).kept, None, "somebody applied it");
        let broken = settle(kept("a: ["), edited);
        assert_eq!(broken.conflicts, ["the text as a whole"]);
    }

    #[test]
    fn is_kept_and_forgotten_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let draft = BASE.replace("host: h", "host: other");
        write_kept(Some(&path), kept(&draft).as_ref()).unwrap();
        let drafts = Drafts::new(Some(dir.path()));
        assert_eq!(drafts.count(), 1);
        assert_eq!(read_kept(&path), kept(&draft));
        write_kept(Some(&path), None).unwrap();
        write_kept(Some(&path), None).unwrap();
        assert_eq!(Drafts::new(Some(dir.path())).count(), 0);
        let mut damaged = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut damaged, b"{").unwrap();
        assert_eq!(read_kept(&path), None);
    }
}
