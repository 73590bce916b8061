//! Who changed what over the page, when and from where: rows that are only ever added.
//!
//! `audit.jsonl` in the state directory has a row per line, written and synced before the action is
//! answered; a kill loses none of them. At a named size the file becomes `audit.1.jsonl`, whose
//! predecessor goes. Attempts to sign in that fail are many when somebody guesses: of each minute a
//! few are told one by one, the rest as their number. A line that a power cut tore is left out when
//! rows are read. Reads and writes files: not for an async task.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Wall;

const FILE: &str = "audit.jsonl";
const OLDER: &str = "audit.1.jsonl";
/// Of each of the two files: some ten thousand rows.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Longest text of a row.
const TEXT_BYTES_MAX: usize = 4_096;
/// Refusals of one minute that are told one by one.
const REFUSALS_PER_MINUTE: u32 = 20;
const MINUTE_MS: i64 = 60_000;
/// Rows of one page.
pub const PAGE_MAX: usize = 500;

/// One thing that somebody did, or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditRow)]
pub struct Row {
    /// Grows by one with each row.
    pub n: u64,
    pub at_wall_ms: i64,
    /// The account, `token NAME`, or `the console`.
    pub who: String,
    /// Nothing for who is at the machine itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub from: Option<IpAddr>,
    /// A word that never changes its meaning.
    pub what: String,
    pub detail: String,
}

#[derive(Debug)]
pub struct Journal {
    /// `None` for a demonstration, which keeps nothing.
    directory: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    bytes: u64,
    file: Option<File>,
    /// The minute whose refusals are counted, and how many there were.
    minute: i64,
    refusals: u32,
    /// Rows that could not be written; said once per failure.
    lost: u64,
}

impl Journal {
    pub fn in_memory() -> Self {
        Self { directory: None, state: Mutex::default() }
    }

    /// Takes up after the last row.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let (rows, _) = read(&state_dir.join(FILE))?;
        let last = match rows.last() {
            Some(row) => row.n,
            None => read(&state_dir.join(OLDER))?.0.last().map_or(0, |row| row.n),
        };
        let state = State { last, ..State::default() };
        Ok(Self { directory: Some(state_dir.to_owned()), state: Mutex::new(state) })
    }

    pub fn note(&self, who: &str, from: Option<IpAddr>, what: &str, detail: &str, at: Wall) {
        let mut state = self.lock();
        self.tell_the_rest(&mut state, at);
        self.write(&mut state, who, from, what, detail, at);
    }

    /// As [`Journal::note`], for what anybody can cause as often as they like.
    pub fn note_refusal(&self, who: &str, from: IpAddr, what: &str, detail: &str, at: Wall) {
        let mut state = self.lock();
        self.tell_the_rest(&mut state, at);
        state.minute = at.0.div_euclid(MINUTE_MS);
        state.refusals = state.refusals.saturating_add(1);
        if state.refusals <= REFUSALS_PER_MINUTE {
            self.write(&mut state, who, Some(from), what, detail, at);
        }
    }

    /// What was only counted in the minute before, as a row.
    fn tell_the_rest(&self, state: &mut State, at: Wall) {
        if state.minute == at.0.div_euclid(MINUTE_MS) {
            return;
        }
        let rest = state.refusals.saturating_sub(REFUSALS_PER_MINUTE);
        state.refusals = 0;
        if rest > 0 {
            let detail = format!("{rest} more within a minute");
            self.write(state, "(various)", None, "refused", &detail, at);
        }
    }

    fn write(
        &self,
        state: &mut State,
        who: &str,
        from: Option<IpAddr>,
        what: &str,
        detail: &str,
        at: Wall,
    ) {
        let Some(directory) = &self.directory else { return };
        let row = Row {
            n: state.last.saturating_add(1),
            at_wall_ms: at.0,
            who: short(who),
            from,
            what: what.to_owned(),
            detail: short(&masked(detail)),
        };
        match append(directory, state, &row) {
            Ok(()) => {
                state.last = row.n;
                if state.lost > 0 {
                    tracing::info!(lost = state.lost, "the audit of the web page is written again");
                }
                state.lost = 0;
            }
            Err(error) => {
                state.file = None;
                state.lost = state.lost.saturating_add(1);
                if state.lost == 1 {
                    tracing::error!(%error, "the audit of the web page can't be written");
                }
            }
        }
    }

    /// Rows older than `before`, or the newest ones; newest first.
    pub fn page(&self, before: Option<u64>, limit: usize) -> io::Result<Vec<Row>> {
        let Some(directory) = &self.directory else { return Ok(Vec::new()) };
        let _writing = self.lock(); // So that no file is renamed between the two looks.
        let mut rows = Vec::new();
        for file in [FILE, OLDER] {
            let (found, _) = read(&directory.join(file))?;
            let older = |row: &Row| before.is_none_or(|before| row.n < before);
            rows.extend(found.into_iter().rev().filter(older).take(limit - rows.len().min(limit)));
        }
        Ok(rows)
    }

    /// A row is complete by itself, so what a panic left behind is used all the same.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(directory: &Path, state: &mut State, row: &Row) -> io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
    if state.bytes.saturating_add(length) > FILE_BYTES_MAX && state.file.is_some() {
        state.file = None;
        rename(directory.join(FILE), directory.join(OLDER))?;
    }
    let mut file = match state.file.take() {
        Some(file) => file,
        None => {
            let (file, bytes) = open(&directory.join(FILE))?;
            state.bytes = bytes;
            file
        }
    };
    file.write_all(&line)?;
    file.sync_data()?;
    state.bytes = state.bytes.saturating_add(length);
    state.file = Some(file);
    Ok(())
}

/// What a power cut tore is ended, so that the next row begins a line.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(path)?;
    let (_, torn) = read(path)?;
    if torn {
        file.write_all(b"\n")?;
    }
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// The rows of a file, oldest first, and whether its last line has no end.
fn read(path: &Path) -> io::Result<(Vec<Row>, bool)> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(2 * FILE_BYTES_MAX).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), false)),
        Err(error) => return Err(error),
    };
    let lines = text.split(|byte| *byte == b'\n');
    let rows = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok((rows, text.last().is_some_and(|last| *last != b'\n')))
}

/// Without hashes of passwords: whoever may read the audit may not guess at them at leisure.
pub fn masked(text: &str) -> String {
    let mut parts = text.split("$argon2");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_hash = |c: char| c.is_ascii_alphanumeric() || "$=,+/.-".contains(c);
        plain.push_str("(a hash)");
        plain.push_str(part.trim_start_matches(is_hash));
    }
    plain
}

fn short(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn note(journal: &Journal, n: u64) {
        journal.note("anna", Some(HERE), "user-added", &format!("row {n}"), Wall(1));
    }

    fn numbers(journal: &Journal, before: Option<u64>, limit: usize) -> Vec<u64> {
        journal.page(before, limit).unwrap().iter().map(|row| row.n).collect()
    }

    #[test]
    fn rows_are_there_after_a_restart_newest_first_and_in_pages() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        (1..=5).for_each(|n| note(&journal, n));
        drop(journal); // Nothing is done at the end: a kill is the same.
        let journal = Journal::open(dir.path()).unwrap();
        note(&journal, 6);
        assert_eq!(numbers(&journal, None, 4), [6, 5, 4, 3]);
        assert_eq!(numbers(&journal, Some(3), 4), [2, 1]);
        let row = journal.page(None, 1).unwrap().remove(0);
        assert_eq!(
            (row.who.as_str(), row.from, row.detail.as_str()),
            ("anna", Some(HERE), "row 6")
        );
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_line_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        (1..=3).for_each(|n| note(&journal, n));
        let path = dir.path().join(FILE);
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 9).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        note(&journal, 3);
        assert_eq!(numbers(&journal, None, 9), [3, 2, 1]);
        assert_eq!(journal.page(None, 1).unwrap()[0].detail, "row 3");
    }

    #[test]
    fn it_is_bounded_and_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let long = "x".repeat(100_000);
        for _ in 0..2_200 {
            journal.note("anna", None, "test", &long, Wall(1));
        }
        let size = |file| std::fs::metadata(dir.path().join(file)).unwrap().len();
        assert!(size(FILE) <= FILE_BYTES_MAX && size(OLDER) <= FILE_BYTES_MAX);
        let all = numbers(&journal, None, 10_000);
        assert_eq!(all.first(), Some(&2_200));
        assert!(all.len() > 1_000 && all.is_sorted_by(|a, b| *a == b + 1), "{}", all.len());
        let (older, _) = read(&dir.path().join(OLDER)).unwrap();
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        note(&journal, 0);
        assert_eq!(numbers(&journal, None, 1)[0], older.last().unwrap().n + 1);
    }

    #[test]
    fn guessing_fills_no_file_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        for _ in 0..5_000 {
            journal.note_refusal("anna", HERE, "sign-in-refused", "", Wall(60_000));
        }
        journal.note("anna", Some(HERE), "signed-in", "", Wall(119_999));
        assert_eq!(journal.page(None, 99).unwrap().len(), 21);
        journal.note("ben", Some(HERE), "signed-in", "", Wall(120_000));
        let rows = journal.page(None, 2).unwrap();
        assert_eq!(rows[1].detail, "4980 more within a minute");
        assert_eq!(rows[0].who, "ben");
    }

    #[test]
    fn hashes_are_not_told_and_a_line_stays_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let diff = "- password: \"$argon2id$v=19$m=19456,t=2,p=1$c29t$qqSC+b/3\"\n+ password: \"x\" $argon2i$1";
        journal.note("a\nb", None, "config", diff, Wall(1));
        let row = journal.page(None, 1).unwrap().remove(0);
        assert_eq!(row.detail, "- password: \"(a hash)\"\n+ password: \"x\" (a hash)");
        assert_eq!(row.who, "a\nb");
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_full_disk_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("gone")).unwrap();
        note(&journal, 1);
        std::fs::create_dir(dir.path().join("gone")).unwrap();
        note(&journal, 2);
        assert_eq!(journal.page(None, 9).unwrap()[0].detail, "row 2");
    }
}
