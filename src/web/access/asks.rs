//! What the command line asks of the accounts: of a running gateway over its control socket, or of
//! the files where none runs.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::{User, check_password};
use super::book::Book;
use super::journal::Journal;
use super::reception::Access;
use super::role::{Role, Who};
use crate::broker::hash_password;
use crate::model::{Clock, Wall};

/// Without `Debug`, as everything that holds a password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AccessAsk {
    List,
    Add { name: String, role: Role, password: String },
    Password { name: String, password: String },
    Remove { name: String },
    SetupCode,
}

/// The answer of a running gateway.
pub async fn answer(access: &Arc<Access>, ask: AccessAsk) -> Result<Value, String> {
    let console = Who::console();
    let done = match &ask {
        AccessAsk::List => return Ok(listed(&access.users())),
        AccessAsk::SetupCode => return Ok(json!({ "code": access.setup_code() })),
        AccessAsk::Add { name, role, password } => {
            access.add_user(&console, name, *role, password).await
        }
        AccessAsk::Password { name, password } => {
            access.set_password(&console, name, password).await
        }
        AccessAsk::Remove { name } => access.remove_user(&console, name).await,
    };
    done.map(|()| json!({})).map_err(|error| crate::runtime::in_full(&error))
}

/// The same on the files of a gateway that does not run.
pub fn answer_without_gateway(
    state_dir: &Path,
    ask: AccessAsk,
    clock: &dyn Clock,
) -> Result<Value, String> {
    let book = Book::open(state_dir).map_err(|error| crate::runtime::in_full(&error))?;
    let now = clock.wall();
    let (what, detail) = match ask {
        AccessAsk::List => return Ok(listed(book.accounts().users())),
        AccessAsk::SetupCode => return Err("each run of the gateway has its own".to_owned()),
        AccessAsk::Add { name, role, password } => {
            let hash = hashed(&name, &password)?;
            change(&book, |accounts| accounts.add_user(&name, role, hash, now))?;
            ("user-added", format!("{name}, {}", role.word()))
        }
        AccessAsk::Password { name, password } => {
            let hash = hashed(&name, &password)?;
            change(&book, |accounts| accounts.set_hash(&name, hash))?;
            ("password-changed", name)
        }
        AccessAsk::Remove { name } => {
            change(&book, |accounts| accounts.remove_user(&name))?;
            ("user-removed", name)
        }
    };
    note(state_dir, what, &detail, now);
    Ok(json!({}))
}

fn hashed(name: &str, password: &str) -> Result<String, String> {
    check_password(name, password).map_err(|error| error.to_string())?;
    hash_password(password.as_bytes()).map_err(|error| error.to_string())
}

fn change(
    book: &Book,
    change: impl FnOnce(&mut super::accounts::Accounts) -> Result<(), super::accounts::AccountError>,
) -> Result<(), String> {
    book.change(change).map_err(|error| crate::runtime::in_full(&error))
}

fn note(state_dir: &Path, what: &str, detail: &str, now: Wall) {
    if let Ok(journal) = Journal::open(state_dir) {
        journal.note(&Who::console().name, None, what, detail, now);
    }
}

fn listed(users: &[User]) -> Value {
    let row = |user: &User| {
        json!({
            "name": user.name,
            "role": user.role,
            "created_wall_ms": user.created_wall_ms,
            "last_seen_wall_ms": user.last_seen_wall_ms,
        })
    };
    json!({ "users": users.iter().map(row).collect::<Vec<_>>() })
}
