//! People and programs that may use the page, and the rules of the list. Pure.
//!
//! Invariants: once there is an account there is an administrator; no two of a kind share a name;
//! passwords and tokens are here as hashes only. There is no account that was not made by someone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::role::Role;
use super::secret::Digest;
use crate::model::{Name, NameError, Wall};

/// People, and tokens.
const USERS_MAX: usize = 256;
const TOKENS_MAX: usize = 256;
/// Characters of a password; a phrase may be long.
const PASSWORD_MIN: usize = 10;
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Used is noted that often: each note is written to the disk.
const NOTE_EVERY: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub role: Role,
    /// argon2id, in the PHC string format.
    pub hash: String,
    pub created_wall_ms: i64,
    pub last_seen_wall_ms: Option<i64>,
}

/// What a program shows instead of a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub sha256: Digest,
    pub created_wall_ms: i64,
    /// `None`: it does not end.
    pub expires_wall_ms: Option<i64>,
    pub last_used_wall_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    users: Vec<User>,
    tokens: Vec<Token>,
}

/// Why the list is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("there is an account {0} already")]
    Taken(String),
    #[error("there is no account {0}")]
    Unknown(String),
    #[error("there is no token {0}")]
    UnknownToken(String),
    #[error("{0} is the last administrator; make another one first")]
    LastAdmin(String),
    #[error("the first account has to be an administrator")]
    FirstAdmin,
    #[error("there is room for {0} of them")]
    TooMany(usize),
    #[error(
        "a password has at least {PASSWORD_MIN} characters; a few words in a row are a good one"
    )]
    PasswordShort,
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    PasswordLong,
    #[error("this password is the first that others would try")]
    PasswordGuessed,
}

/// Whether this may become the password of this account.
pub fn check_password(user: &str, password: &str) -> Result<(), AccountError> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(AccountError::PasswordLong);
    }
    if password.chars().count() < PASSWORD_MIN {
        return Err(AccountError::PasswordShort);
    }
    let plain = password.to_lowercase();
    let first = plain.chars().next();
    let is_one_letter = plain.chars().all(|c| Some(c) == first);
    let is_a_row = |row: &str| row.starts_with(&plain);
    let rows = ["1234567890123456", "0123456789012345", "qwertyuiopasdfgh", "qwertzuiopasdfgh"];
    // What is left without the words that everybody knows here.
    let mut rest = plain.clone();
    for word in [&user.to_lowercase(), "password", "passwort", "fieldhold", "gateway", "admin"] {
        rest = if word.is_empty() { rest } else { rest.replace(word, "") };
    }
    let is_known = rest.chars().filter(|c| c.is_alphabetic()).count() == 0 && rest.len() <= 6;
    if is_one_letter || is_known || rows.into_iter().any(is_a_row) {
        return Err(AccountError::PasswordGuessed);
    }
    Ok(())
}

impl Accounts {
    pub fn users(&self) -> &[User] {
        &self.users
    }

    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    pub fn add_user(
        &mut self,
        name: &str,
        role: Role,
        hash: String,
        now: Wall,
    ) -> Result<(), AccountError> {
        Name::new(name)?;
        if self.user(name).is_some() {
            return Err(AccountError::Taken(name.to_owned()));
        }
        if self.users.is_empty() && role != Role::Admin {
            return Err(AccountError::FirstAdmin);
        }
        if self.users.len() >= USERS_MAX {
            return Err(AccountError::TooMany(USERS_MAX));
        }
        let (name, created_wall_ms) = (name.to_owned(), now.0);
        self.users.push(User { name, role, hash, created_wall_ms, last_seen_wall_ms: None });
        Ok(())
    }

    pub fn remove_user(&mut self, name: &str) -> Result<(), AccountError> {
        self.leave_an_admin(name)?;
        self.users.retain(|user| user.name != name);
        Ok(())
    }

    pub fn set_role(&mut self, name: &str, role: Role) -> Result<(), AccountError> {
        if role != Role::Admin {
            self.leave_an_admin(name)?;
        }
        self.user_mut(name)?.role = role;
        Ok(())
    }

    pub fn set_hash(&mut self, name: &str, hash: String) -> Result<(), AccountError> {
        self.user_mut(name)?.hash = hash;
        Ok(())
    }

    pub fn add_token(&mut self, token: Token) -> Result<(), AccountError> {
        Name::new(&token.name)?;
        if self.tokens.iter().any(|other| other.name == token.name) {
            return Err(AccountError::Taken(token.name));
        }
        if self.tokens.len() >= TOKENS_MAX {
            return Err(AccountError::TooMany(TOKENS_MAX));
        }
        self.tokens.push(token);
        Ok(())
    }

    /// Gives back the one that is gone.
    pub fn remove_token(&mut self, id: &str) -> Result<Token, AccountError> {
        let at = self.tokens.iter().position(|token| token.id == id);
        at.map(|at| self.tokens.remove(at)).ok_or_else(|| AccountError::UnknownToken(id.to_owned()))
    }

    /// The token with this digest, if it holds now. While the clock is not set nobody can say that of
    /// one which ends.
    pub fn token(&self, digest: &Digest, now: Wall) -> Option<&Token> {
        let token = self.tokens.iter().find(|token| token.sha256 == *digest)?;
        match token.expires_wall_ms {
            Some(end) if !now.is_plausible() || now.0 >= end => None,
            _ => Some(token),
        }
    }

    /// Whether that somebody was seen is worth a note.
    pub fn is_news(last: Option<i64>, now: Wall) -> bool {
        let every = i64::try_from(NOTE_EVERY.as_millis()).unwrap_or(i64::MAX);
        last.is_none_or(|last| !(last..last.saturating_add(every)).contains(&now.0))
    }

    pub fn saw_user(&mut self, name: &str, now: Wall) {
        if let Ok(user) = self.user_mut(name) {
            user.last_seen_wall_ms = Some(now.0);
        }
    }

    pub fn saw_token(&mut self, id: &str, now: Wall) {
        if let Some(token) = self.tokens.iter_mut().find(|token| token.id == id) {
            token.last_used_wall_ms = Some(now.0);
        }
    }

    fn user_mut(&mut self, name: &str) -> Result<&mut User, AccountError> {
        let user = self.users.iter_mut().find(|user| user.name == name);
        user.ok_or_else(|| AccountError::Unknown(name.to_owned()))
    }

    /// That there is one beside this account, which has to exist.
    fn leave_an_admin(&self, name: &str) -> Result<(), AccountError> {
        if self.user(name).is_none() {
            return Err(AccountError::Unknown(name.to_owned()));
        }
        let other = |user: &User| user.name != name && user.role == Role::Admin;
        match self.users.iter().any(other) {
            true => Ok(()),
            false => Err(AccountError::LastAdmin(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_800_000_000_000);

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        accounts.add_user("anna", Role::Admin, "h1".into(), NOW).unwrap();
        accounts.add_user("ben", Role::Viewer, "h2".into(), NOW).unwrap();
        accounts
    }

    fn token(name: &str, expires_wall_ms: Option<i64>) -> Token {
        Token {
            id: format!("id-{name}"),
            name: name.to_owned(),
            role: Role::Operator,
            sha256: Digest::of(name),
            created_wall_ms: NOW.0,
            expires_wall_ms,
            last_used_wall_ms: None,
        }
    }

    #[test]
    fn the_first_account_is_an_administrator_and_the_last_one_stays() {
        let mut none = Accounts::default();
        let first = none.add_user("ben", Role::Operator, "h".into(), NOW);
        assert_eq!(first, Err(AccountError::FirstAdmin));
        let mut accounts = accounts();
        let last = || Err(AccountError::LastAdmin("anna".into()));
        assert_eq!(accounts.remove_user("anna"), last());
        assert_eq!(accounts.set_role("anna", Role::Operator), last());
        assert_eq!(accounts.set_role("anna", Role::Admin), Ok(()));
        accounts.set_role("ben", Role::Admin).unwrap();
        accounts.remove_user("anna").unwrap();
        assert_eq!(accounts.remove_user("ben"), Err(AccountError::LastAdmin("ben".into())));
        assert_eq!(accounts.users().len(), 1);
    }

    #[test]
    fn names_are_told_apart_and_what_is_not_there_is_said() {
        let mut accounts = accounts();
        let again = accounts.add_user("ben", Role::Admin, "h".into(), NOW);
        assert_eq!(again, Err(AccountError::Taken("ben".into())));
        assert!(matches!(
            accounts.add_user("b/en", Role::Admin, "h".into(), NOW),
            Err(AccountError::Name(_))
        ));
        let unknown = || Err(AccountError::Unknown("cleo".into()));
        assert_eq!(accounts.remove_user("cleo"), unknown());
        assert_eq!(accounts.set_role("cleo", Role::Admin), unknown());
        assert_eq!(accounts.set_role("cleo", Role::Viewer), unknown());
        assert_eq!(accounts.set_hash("cleo", "h".into()), unknown());
        assert_eq!(accounts.user("ben").unwrap().hash, "h2");
        for n in 2..USERS_MAX {
            accounts.add_user(&format!("u{n}"), Role::Viewer, "h".into(), NOW).unwrap();
        }
        let more = accounts.add_user("more", Role::Viewer, "h".into(), NOW);
        assert_eq!(more, Err(AccountError::TooMany(USERS_MAX)));
    }

    #[test]
    fn a_token_holds_until_it_ends_and_only_if_the_time_is_known() {
        let mut accounts = accounts();
        accounts.add_token(token("scada", None)).unwrap();
        accounts.add_token(token("probe", Some(NOW.0 + 10))).unwrap();
        assert_eq!(
            accounts.add_token(token("scada", None)),
            Err(AccountError::Taken("scada".into()))
        );
        let found = |accounts: &Accounts, name: &str, now| {
            accounts.token(&Digest::of(name), now).map(|token| token.name.clone())
        };
        assert_eq!(found(&accounts, "scada", Wall(0)).as_deref(), Some("scada"));
        assert_eq!(found(&accounts, "probe", Wall(NOW.0 + 9)).as_deref(), Some("probe"));
        assert_eq!(found(&accounts, "probe", Wall(NOW.0 + 10)), None);
        assert_eq!(found(&accounts, "probe", Wall(0)), None, "the clock is not set");
        assert_eq!(found(&accounts, "else", NOW), None);
        assert_eq!(accounts.remove_token("id-scada").unwrap().name, "scada");
        assert_eq!(
            accounts.remove_token("id-scada"),
            Err(AccountError::UnknownToken("id-scada".into()))
        );
        assert_eq!(found(&accounts, "scada", NOW), None);
    }

    #[test]
    fn passwords_that_everybody_tries_are_refused() {
        for (password, want) in [
            ("short", AccountError::PasswordShort),
            ("ääääää789", AccountError::PasswordShort),
            ("aaaaaaaaaaaa", AccountError::PasswordGuessed),
            ("1234567890", AccountError::PasswordGuessed),
            ("qwertzuiop", AccountError::PasswordGuessed),
            ("Password12", AccountError::PasswordGuessed),
            ("annaanna12", AccountError::PasswordGuessed),
            ("anna123456", AccountError::PasswordGuessed),
            ("FieldholdAdmin1!", AccountError::PasswordGuessed),
            (&"x".repeat(1_025), AccountError::PasswordLong),
        ] {
            assert_eq!(check_password("anna", password), Err(want), "{password}");
        }
        for password in
            ["korrekt pferd batterie", "äöüßäöüßäöü", "9f3b-11c0-77aa", "anna likes tea"]
        {
            assert_eq!(check_password("anna", password), Ok(()), "{password}");
        }
    }

    #[test]
    fn that_somebody_was_seen_is_noted_once_an_hour() {
        assert!(Accounts::is_news(None, NOW));
        assert!(!Accounts::is_news(Some(NOW.0), Wall(NOW.0 + 3_599_999)));
        assert!(Accounts::is_news(Some(NOW.0), Wall(NOW.0 + 3_600_000)));
        assert!(Accounts::is_news(Some(NOW.0), Wall(NOW.0 - 1)), "the clock was set back");
        let mut accounts = accounts();
        accounts.saw_user("ben", NOW);
        assert_eq!(accounts.user("ben").unwrap().last_seen_wall_ms, Some(NOW.0));
    }
}
