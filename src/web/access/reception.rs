//! What routes and the command line ask: sign somebody in, make an account, say who this is.
//!
//! Every attempt goes through the throttle before anything is compared, and again when its turn comes;
//! what fails counts, whatever was wrong. Everything that changes something is noted in the journal,
//! and on the disk, before it is answered. A change of an account ends the sessions that it no longer
//! covers.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::accounts::{AccountError, Accounts, Token, User, check_password};
use super::book::{Book, BookError};
use super::journal::{Journal, Row};
use super::passwords::{Passwords, PasswordsError};
use super::role::{Key, Role, Who};
use super::secret::{Digest, NoRandomness, TOKEN_CHARACTERS_MAX, token};
use super::sessions::Sessions;
use super::setup_code::SetupCode;
use super::throttle::Throttle;
use crate::model::{Blame, Clock, Mono, Retry};

/// What a program's token begins with, so that people and scanners of leaks know it.
const TOKEN_PREFIX: &str = "fhk_";
/// Characters of a token's digest that name it.
const ID_CHARACTERS: usize = 12;
/// Longest name that the throttle tells apart, and the audit shows.
const NAME_BYTES_MAX: usize = 256;
/// The account of those who try codes, and of names that nobody can have.
const SETUP: &str = "";
const DAY_MS: i64 = 86_400_000;

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum Opening {
    #[error("the accounts of the web page can't be read")]
    Accounts(#[source] BookError),
    #[error("the audit in {} can't be read", directory.display())]
    Journal { directory: PathBuf, source: io::Error },
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("the gateway is stopping")]
    Stopping,
}

impl Opening {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Accounts(error) => error.blame(),
            Self::Journal { .. } => Blame::Disk,
            Self::NoRandomness(_) | Self::Stopping => Blame::Us,
        }
    }
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the name or the password is wrong")]
    WrongLogin,
    #[error("the code is wrong")]
    WrongCode,
    #[error("too many attempts failed from here")]
    Wait(Duration),
    #[error("the first account was made already")]
    SetUp,
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Password(#[from] PasswordsError),
    #[error("what was changed can't be kept")]
    Disk(#[source] BookError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("the gateway is stopping")]
    Stopping,
}

impl Refused {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Disk(error) => error.blame(),
            Self::Stopping | Self::NoRandomness(_) => Blame::Us,
            _ => Blame::Config,
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::Wait(_) | Self::Password(_) | Self::Disk(_) | Self::Stopping => Retry::Later,
            _ => Retry::Never,
        }
    }
}

impl From<BookError> for Refused {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Refused(error) => Self::Account(error),
            other => Self::Disk(other),
        }
    }
}

/// Somebody who just proved who they are; only the browser gets the token.
pub struct SignedIn {
    pub token: String,
    pub name: String,
    pub role: Role,
}

/// Only its owner gets the secret, once.
pub struct NewToken {
    pub id: String,
    pub secret: String,
}

pub struct Access {
    clock: Arc<dyn Clock>,
    book: Book,
    journal: Journal,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    passwords: Passwords,
    code: SetupCode,
    announced: AtomicBool,
}

impl Access {
    /// Reads files. Without a directory everything ends with the process.
    pub fn open(state_dir: Option<&Path>, clock: Arc<dyn Clock>) -> Result<Self, Opening> {
        let (book, journal) = match state_dir {
            Some(directory) => (
                Book::open(directory).map_err(Opening::Accounts)?,
                Journal::open(directory).map_err(|source| Opening::Journal {
                    directory: directory.to_owned(),
                    source,
                })?,
            ),
            None => (Book::in_memory(), Journal::in_memory()),
        };
        Ok(Self {
            clock,
            book,
            journal,
            sessions: Mutex::default(),
            throttle: Mutex::default(),
            passwords: Passwords::new(),
            code: SetupCode::new()?,
            announced: AtomicBool::new(false),
        })
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Mono {
        self.clock.mono()
    }

    /// Whether there is no account yet.
    pub fn needs_setup(&self) -> bool {
        self.book.with(|accounts| accounts.users().is_empty())
    }

    /// The code for the first account; `None` once there is one.
    pub fn setup_code(&self) -> Option<String> {
        self.needs_setup().then(|| self.code.shown())
    }

    /// Says in the log how to begin, once per run.
    pub fn announce(&self, address: &str) {
        let Some(code) = self.setup_code() else { return };
        if !self.announced.swap(true, Ordering::Relaxed) {
            tracing::info!(setup_code = code, address, "the web page has no account yet");
        }
    }

    /// Makes the first account. Who is at the machine itself needs no code.
    pub async fn set_up(
        self: &Arc<Self>,
        from: IpAddr,
        at_machine: bool,
        code: Option<&str>,
        name: &str,
        password: &str,
    ) -> Result<SignedIn, Refused> {
        if !self.needs_setup() {
            return Err(Refused::SetUp);
        }
        if !at_machine {
            self.admit(SETUP, from)?;
            if !code.is_some_and(|code| self.code.is(code)) {
                self.throttle().failed(SETUP, from, self.now());
                self.refusal(name, from, "setup-refused", "a wrong code").await?;
                return Err(Refused::WrongCode);
            }
            self.throttle().succeeded(SETUP, from);
        }
        let hash = self.hash(name, password).await?;
        let (first, now) = (name.to_owned(), self.clock.wall());
        let made = self.change(move |accounts| match accounts.users().is_empty() {
            true => accounts.add_user(&first, Role::Admin, hash, now).map(|()| true),
            false => Ok(false),
        });
        if !made.await? {
            return Err(Refused::SetUp);
        }
        self.note(name, Some(from), "set-up", "made the first account").await?;
        self.start_session(name, Role::Admin)
    }

    pub async fn sign_in(
        self: &Arc<Self>,
        from: IpAddr,
        name: &str,
        password: &str,
    ) -> Result<SignedIn, Refused> {
        if !self.is_right(from, name, password).await? {
            self.refusal(name, from, "sign-in-refused", "a wrong name or password").await?;
            return Err(Refused::WrongLogin);
        }
        // The account as it is now: the verification took its time.
        let role = self.book.with(|accounts| accounts.user(name).map(|user| user.role));
        let role = role.ok_or(Refused::WrongLogin)?;
        let (user, now) = (name.to_owned(), self.clock.wall());
        let seen = self.change(move |accounts| {
            accounts.saw_user(&user, now);
            Ok(())
        });
        // A full disk keeps nobody out.
        if let Err(error) = seen.await {
            tracing::warn!(%error, "that somebody signed in can't be noted");
        }
        self.note(name, Some(from), "signed-in", role.word()).await?;
        self.start_session(name, role)
    }

    /// Whether a password is that of an account; what is wrong counts in the throttle.
    async fn is_right(&self, from: IpAddr, name: &str, password: &str) -> Result<bool, Refused> {
        let account = if name.len() > NAME_BYTES_MAX { SETUP } else { name };
        self.admit(account, from)?;
        let turn = self.passwords.turn().await?;
        // Looked at after the wait: those before may have been wrong.
        self.admit(account, from)?;
        let hash = self.book.with(|accounts| accounts.user(name).map(|user| user.hash.clone()));
        let is_right = turn.verify(password.to_owned(), hash).await;
        let mut throttle = self.throttle();
        match is_right {
            true => throttle.succeeded(account, from),
            false => throttle.failed(account, from, self.now()),
        }
        Ok(is_right)
    }

    fn admit(&self, account: &str, from: IpAddr) -> Result<(), Refused> {
        match self.throttle().wait(account, from, self.now()) {
            Some(left) => Err(Refused::Wait(left)),
            None => Ok(()),
        }
    }

    /// A new token with every sign-in: one that was known before is worth nothing.
    fn start_session(&self, name: &str, role: Role) -> Result<SignedIn, Refused> {
        let token = token()?;
        self.sessions().start(Digest::of(&token), name, self.now());
        Ok(SignedIn { token, name: name.to_owned(), role })
    }

    pub async fn sign_out(self: &Arc<Self>, who: &Who) -> Result<(), Refused> {
        if let Key::Session(digest) = &who.key {
            self.sessions().end(digest);
        }
        self.audit(who, "signed-out", "").await
    }

    /// Who shows the token of a session.
    pub async fn of_session(self: &Arc<Self>, secret: &str, address: IpAddr) -> Option<Who> {
        let digest = Digest::of(secret);
        let name = self.sessions().user(&digest, self.now())?.to_owned();
        let user = self.book.with(|accounts| accounts.user(&name).cloned())?;
        let now = self.clock.wall();
        if Accounts::is_news(user.last_seen_wall_ms, now) {
            let seen = name.clone();
            self.note_use(move |accounts| accounts.saw_user(&seen, now)).await;
        }
        Some(Who { name, role: user.role, address, key: Key::Session(digest) })
    }

    /// Who shows an API token.
    pub async fn of_token(self: &Arc<Self>, secret: &str, address: IpAddr) -> Option<Who> {
        if secret.len() > TOKEN_CHARACTERS_MAX {
            return None;
        }
        let (digest, now) = (Digest::of(secret), self.clock.wall());
        let token = self.book.with(|accounts| accounts.token(&digest, now).cloned())?;
        if Accounts::is_news(token.last_used_wall_ms, now) {
            let seen = token.id.clone();
            self.note_use(move |accounts| accounts.saw_token(&seen, now)).await;
        }
        let name = format!("token {}", token.name);
        Some(Who { name, role: token.role, address, key: Key::Token(token.id) })
    }

    /// That a use can't be noted is no reason to refuse it.
    async fn note_use(self: &Arc<Self>, saw: impl FnOnce(&mut Accounts) + Send + 'static) {
        let noted = self.change(move |accounts| {
            saw(accounts);
            Ok(())
        });
        if let Err(error) = noted.await {
            tracing::debug!(%error, "a use of an account can't be noted");
        }
    }

    /// Whether somebody who was let in still is. Open streams ask all the time: a page that is
    /// looked at is in use.
    pub fn is_still_in(&self, who: &Who) -> bool {
        match &who.key {
            Key::Everyone | Key::Console => true,
            Key::Session(digest) => self.sessions().user(digest, self.now()).is_some(),
            Key::Token(id) => self.book.with(|a| a.tokens().iter().any(|token| token.id == *id)),
        }
    }

    pub fn users(&self) -> Vec<User> {
        self.book.with(|accounts| accounts.users().to_vec())
    }

    pub fn tokens(&self) -> Vec<Token> {
        self.book.with(|accounts| accounts.tokens().to_vec())
    }

    pub async fn add_user(
        self: &Arc<Self>,
        by: &Who,
        name: &str,
        role: Role,
        password: &str,
    ) -> Result<(), Refused> {
        let hash = self.hash(name, password).await?;
        let (user, now) = (name.to_owned(), self.clock.wall());
        self.change(move |accounts| accounts.add_user(&user, role, hash, now)).await?;
        self.audit(by, "user-added", &format!("{name}, {}", role.word())).await
    }

    pub async fn remove_user(self: &Arc<Self>, by: &Who, name: &str) -> Result<(), Refused> {
        let user = name.to_owned();
        self.change(move |accounts| accounts.remove_user(&user)).await?;
        self.sessions().end_of(name, None);
        self.audit(by, "user-removed", name).await
    }

    pub async fn set_role(
        self: &Arc<Self>,
        by: &Who,
        name: &str,
        role: Role,
    ) -> Result<(), Refused> {
        let user = name.to_owned();
        self.change(move |accounts| accounts.set_role(&user, role)).await?;
        self.audit(by, "user-changed", &format!("{name} is {} now", role.word())).await
    }

    /// Ends the account's sessions, but the one that it is changed in.
    pub async fn set_password(
        self: &Arc<Self>,
        by: &Who,
        name: &str,
        password: &str,
    ) -> Result<(), Refused> {
        if self.book.with(|accounts| accounts.user(name).is_none()) {
            return Err(AccountError::Unknown(name.to_owned()).into());
        }
        let hash = self.hash(name, password).await?;
        let user = name.to_owned();
        self.change(move |accounts| accounts.set_hash(&user, hash)).await?;
        let own = match &by.key {
            Key::Session(digest) if by.name == name => Some(digest),
            _ => None,
        };
        self.sessions().end_of(name, own);
        self.audit(by, "password-changed", name).await
    }

    /// One's own, for which the old one is needed: an unlocked screen is not enough.
    pub async fn change_password(
        self: &Arc<Self>,
        who: &Who,
        old: &str,
        new: &str,
    ) -> Result<(), Refused> {
        if !self.is_right(who.address, &who.name, old).await? {
            self.refusal(&who.name, who.address, "sign-in-refused", "a wrong old password").await?;
            return Err(Refused::WrongLogin);
        }
        self.set_password(who, &who.name, new).await
    }

    pub async fn add_token(
        self: &Arc<Self>,
        by: &Who,
        name: &str,
        role: Role,
        days: Option<u32>,
    ) -> Result<NewToken, Refused> {
        let secret = format!("{TOKEN_PREFIX}{}", token()?);
        let (sha256, now) = (Digest::of(&secret), self.clock.wall());
        let id: String = String::from(sha256).chars().take(ID_CHARACTERS).collect();
        let end = |days| now.0.saturating_add(i64::from(days) * DAY_MS);
        let token = Token {
            id: id.clone(),
            name: name.to_owned(),
            role,
            sha256,
            created_wall_ms: now.0,
            expires_wall_ms: days.map(end),
            last_used_wall_ms: None,
        };
        self.change(move |accounts| accounts.add_token(token)).await?;
        let until = days.map_or_else(|| "no end".to_owned(), |days| format!("{days} days"));
        self.audit(by, "token-added", &format!("{name}, {}, {until}", role.word())).await?;
        Ok(NewToken { id, secret })
    }

    pub async fn remove_token(self: &Arc<Self>, by: &Who, id: &str) -> Result<(), Refused> {
        let gone = id.to_owned();
        let token = self.change(move |accounts| accounts.remove_token(&gone)).await?;
        self.audit(by, "token-removed", &token.name).await
    }

    async fn hash(&self, name: &str, password: &str) -> Result<String, Refused> {
        check_password(name, password)?;
        let turn = self.passwords.turn().await?;
        Ok(turn.hash(password.to_owned()).await?)
    }

    /// Changes the list, on the disk and then in memory, away from the async threads.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Accounts) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, Refused> {
        let access = Arc::clone(self);
        let done = crate::runtime::blocking(move || access.book.change(change)).await;
        Ok(done.map_err(|_| Refused::Stopping)??)
    }

    /// Notes what somebody did.
    pub async fn audit(
        self: &Arc<Self>,
        who: &Who,
        what: &str,
        detail: &str,
    ) -> Result<(), Refused> {
        let from = (who.key != Key::Console).then_some(who.address);
        self.note(&who.name, from, what, detail).await
    }

    async fn note(
        self: &Arc<Self>,
        who: &str,
        from: Option<IpAddr>,
        what: &str,
        detail: &str,
    ) -> Result<(), Refused> {
        let (who, what, detail) = (who.to_owned(), what.to_owned(), detail.to_owned());
        self.blocking(move |access| {
            access.journal.note(&who, from, &what, &detail, access.clock.wall());
        })
        .await
    }

    async fn refusal(
        self: &Arc<Self>,
        who: &str,
        from: IpAddr,
        what: &'static str,
        detail: &'static str,
    ) -> Result<(), Refused> {
        let who: String = who.chars().take(NAME_BYTES_MAX).collect();
        self.blocking(move |access| {
            access.journal.note_refusal(&who, from, what, detail, access.clock.wall());
        })
        .await
    }

    /// Rows of the audit, newest first.
    pub async fn rows(
        self: &Arc<Self>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<io::Result<Vec<Row>>, Refused> {
        self.blocking(move |access| access.journal.page(before, limit)).await
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let access = Arc::clone(self);
        let done = crate::runtime::blocking(move || work(&access)).await;
        done.map_err(|_| Refused::Stopping)
    }
}

#[cfg(test)]
mod tests;
