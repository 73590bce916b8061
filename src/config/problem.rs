//! Problems of a configuration: what is wrong, where, and what to write instead.

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::raw::Place;
use crate::model::{Blame, Retry};

/// Errors kept of one file, and as many warnings; whoever has more fixes these first.
pub const PROBLEMS_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration can't be used.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

/// One problem. Reads like
/// `fieldhold.yaml:41:9 devices.meter1.tags.flow.type: "float" is unknown; did you mean f32?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub file: Arc<str>,
    /// Counted from 1; 0 when the problem is the whole file's.
    pub line: u32,
    pub column: u32,
    /// Keys joined by dots, list positions in brackets; empty for the whole file.
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Who shows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUser {
    /// A listener of the broker, by its place among those of the plan.
    Listener(usize),
    Web,
}

/// Where a part of the gateway names its files: problems that still have nothing to say, for
/// whoever reads certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub user: TlsUser,
    pub certificate: Problem,
    pub key: Problem,
    pub client_ca: Problem,
}

/// Everything that is wrong with a configuration: at least one error, and the warnings, in the
/// order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Always the configuration's.
    pub fn blame(&self) -> Blame {
        Blame::Config
    }

    pub fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// What a reader of one value has to say against it; place and path are added by its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub message: String,
    pub hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds `did you mean …?` if one of `known` is close to `word`.
    pub(super) fn suggest<'k>(self, word: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        match closest(word, known) {
            Some(close) => self.hint(format!("did you mean {close}?")),
            None => self,
        }
    }
}

impl From<String> for Complaint {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Complaint {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// Similarity from which a word is taken for a slip of another (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.88;
/// Longer words than this are not compared: nobody misspells a known key that long.
const WORD_MAX: usize = 64;

/// The known word that `word` was probably meant to be.
pub(super) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > WORD_MAX {
        return None;
    }
    let word = word.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|k| (similarity(&word, &k.to_lowercase()), k))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// Short words score low by Jaro-Winkler, so one slip in three letters or two in six count too.
fn similarity(word: &str, known: &str) -> f64 {
    let slip = strsim::osa_distance(word, known) <= (word.len() / 3).min(2);
    strsim::jaro_winkler(word, known).max(if slip { SIMILAR } else { 0.0 })
}

/// Another file that a configuration draws on, and what draws on it there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub file: Arc<str>,
    /// Keys of the configuration, as in `devices.meter1`; `None` for a file checked on its own.
    pub user: Option<Rc<str>>,
}

/// Where something stands: the path of keys, the place, and the file if it is not the one that is
/// checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Spot {
    pub at: Place,
    pub path: Rc<str>,
    pub origin: Option<Rc<Origin>>,
}

impl Spot {
    /// A place in the file that is checked.
    pub(super) fn at(at: Place) -> Self {
        Self { at, ..Self::default() }
    }

    /// For other messages that point here.
    pub(super) fn line(&self) -> String {
        match &self.origin {
            Some(origin) => format!("line {} of {}", self.at.line, origin.file),
            None => format!("line {}", self.at.line),
        }
    }
}

/// Collects problems while a file is checked.
pub(super) struct Findings {
    file: Arc<str>,
    problems: Vec<Problem>,
    errors: usize,
    warnings: usize,
    /// What was said about other files: their mistakes are told once, however many use them.
    told: HashSet<(Arc<str>, Place, String)>,
    /// The files of those who show a certificate: what is in them is looked at elsewhere.
    tls_files: Vec<(TlsUser, [Spot; 3])>,
    /// Which keys of which section were met, for the test of the reference configuration.
    #[cfg(test)]
    pub met: std::collections::BTreeSet<(&'static str, String)>,
}

impl Findings {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            problems: Vec::new(),
            errors: 0,
            warnings: 0,
            told: HashSet::new(),
            tls_files: Vec::new(),
            #[cfg(test)]
            met: std::collections::BTreeSet::new(),
        }
    }

    pub(super) fn error(&mut self, spot: &Spot, complaint: impl Into<Complaint>) {
        self.errors += 1;
        if self.errors <= PROBLEMS_MAX {
            self.push(Severity::Error, spot, complaint.into());
        }
    }

    pub(super) fn warning(&mut self, spot: &Spot, complaint: impl Into<Complaint>) {
        self.warnings += 1;
        if self.warnings <= PROBLEMS_MAX {
            self.push(Severity::Warning, spot, complaint.into());
        }
    }

    fn push(&mut self, severity: Severity, spot: &Spot, complaint: Complaint) {
        let (mut file, mut message) = (&self.file, complaint.message);
        if let Some(origin) = &spot.origin {
            file = &origin.file;
            if !self.told.insert((file.clone(), spot.at, message.clone())) {
                return;
            }
            if let Some(user) = &origin.user {
                message = format!("{message} (used by {user})");
            }
        }
        self.problems.push(Problem {
            severity,
            file: file.clone(),
            line: spot.at.line,
            column: spot.at.column,
            path: spot.path.to_string(),
            message,
            hint: complaint.hint,
        });
    }

    /// Notes where somebody names its certificate, its key and its client-ca.
    pub(super) fn note_tls_files(&mut self, user: TlsUser, spots: [Spot; 3]) {
        self.tls_files.push((user, spots));
    }

    /// What was noted, ready for what may be found there.
    pub(super) fn take_tls_files(&mut self) -> Vec<TlsFiles> {
        let file = &self.file;
        let open = |spot: Spot| Problem {
            severity: Severity::Error,
            file: file.clone(),
            line: spot.at.line,
            column: spot.at.column,
            path: spot.path.to_string(),
            message: String::new(),
            hint: None,
        };
        let noted = std::mem::take(&mut self.tls_files).into_iter();
        noted
            .map(|(user, [certificate, key, client_ca])| TlsFiles {
                user,
                certificate: open(certificate),
                key: open(key),
                client_ca: open(client_ca),
            })
            .collect()
    }

    /// An empty collection for the same file.
    pub(super) fn fresh(&self) -> Self {
        Self::new(&self.file)
    }

    /// Takes over the errors of another look at the same file, with the reason for the look.
    pub(super) fn take_errors(&mut self, other: Self, why: &str) {
        for problem in other.problems.into_iter().filter(|p| p.severity == Severity::Error) {
            self.errors += 1;
            if self.errors <= PROBLEMS_MAX {
                let message = format!("{why}{}", problem.message);
                self.problems.push(Problem { message, ..problem });
            }
        }
    }

    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// All problems in the order of the file, those of other files after them.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        let own = self.file.clone();
        self.problems.sort_by(|a, b| {
            let order = |p: &Problem| (p.file != own, p.line, p.column);
            (a.file != own, &a.file).cmp(&(b.file != own, &b.file)).then(order(a).cmp(&order(b)))
        });
        let hidden = [self.errors, self.warnings].map(|n| n.saturating_sub(PROBLEMS_MAX));
        let hidden: usize = hidden.iter().sum();
        if hidden > 0 {
            let severity = if self.errors > 0 { Severity::Error } else { Severity::Warning };
            self.push(
                severity,
                &Spot::default(),
                format!("{hidden} more problems are not shown").into(),
            );
        }
        self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_compiler() {
        let mut findings = Findings::new("fieldhold.yaml");
        let spot = Spot {
            path: "devices.meter1.tags.flow.type".into(),
            ..Spot::at(Place { line: 41, column: 9 })
        };
        findings.error(
            &spot,
            Complaint::new("\"float\" is unknown").suggest("f23", ["f32", "u16", "text"]),
        );
        findings.warning(&Spot::default(), "odd");
        assert_eq!(findings.errors(), 1);
        assert_eq!(
            Problems(findings.into_problems()).to_string(),
            "fieldhold.yaml warning: odd\n\
             fieldhold.yaml:41:9 devices.meter1.tags.flow.type: \"float\" is unknown; \
             did you mean f32?"
        );
    }

    #[test]
    fn suggests_only_what_is_close() {
        let known = ["registers-max", "bits-max", "every", "timeout"];
        assert_eq!(closest("register_max", known), Some("registers-max"));
        assert_eq!(closest("Evry", known), Some("every"));
        assert_eq!(closest("colour", known), None);
        assert_eq!(closest("", known), None);
        assert_eq!(closest(&"every".repeat(50), known), None);
    }
}
