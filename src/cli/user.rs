//! `fieldhold user`: the accounts of the web page, of a running gateway or, where none runs, in its
//! files.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;

use super::place::StateArgument;
use super::{BadInput, run, secret};
use crate::codec::registers::utc;
use crate::runtime::{SystemClock, control};
use crate::web::access::{AccessAsk, Role, answer_without_gateway};

/// Longest line that is taken for a password; what is taken as one is decided elsewhere.
const PASSWORD_BYTES_MAX: usize = 4_096;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show who has an account
    List {
        #[command(flatten)]
        state: StateArgument,
    },
    /// Make an account; its password is asked for, or read from standard input
    Add {
        name: String,
        /// What it may do: look, operate, or change everything
        #[arg(long, value_enum)]
        role: Level,
        #[command(flatten)]
        state: StateArgument,
    },
    /// Give an account a new password, and end its sessions
    Passwd {
        name: String,
        #[command(flatten)]
        state: StateArgument,
    },
    /// Remove an account, and end its sessions
    Remove {
        name: String,
        #[command(flatten)]
        state: StateArgument,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    Viewer,
    Operator,
    Admin,
}

impl From<Level> for Role {
    fn from(level: Level) -> Self {
        match level {
            Level::Viewer => Self::Viewer,
            Level::Operator => Self::Operator,
            Level::Admin => Self::Admin,
        }
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::List { state } => {
            print!("{}", listed(&ask(&state.dir()?, AccessAsk::List)?));
        }
        Command::Add { name, role, state } => {
            let dir = state.dir()?;
            let (name, role) = (name.clone(), Role::from(*role));
            ask(&dir, AccessAsk::Add { name: name.clone(), role, password: password()? })?;
            println!("{name} can sign in, as {}", role.word());
        }
        Command::Passwd { name, state } => {
            let dir = state.dir()?;
            ask(&dir, AccessAsk::Password { name: name.clone(), password: password()? })?;
            println!("{name} has a new password and has to sign in again");
        }
        Command::Remove { name, state } => {
            ask(&state.dir()?, AccessAsk::Remove { name: name.clone() })?;
            println!("{name} is gone");
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub fn password() -> anyhow::Result<String> {
    let bytes = secret::read(PASSWORD_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| BadInput("a password is UTF-8 text".to_owned()).into())
}

/// Asks the gateway that runs here, or else its files.
pub fn ask(dir: &Path, ask: AccessAsk) -> anyhow::Result<Value> {
    let words = format!("access {}", serde_json::to_string(&ask)?);
    let asked = run::runtime()?.block_on(control::ask(&control::socket_path(dir), &words));
    let said = match asked {
        Ok(reply) => {
            let reply: Value =
                serde_json::from_str(&reply).context("the gateway has not answered yet")?;
            match reply.get("error").and_then(Value::as_str) {
                Some(error) => Err(error.to_owned()),
                None => Ok(reply),
            }
        }
        Err(error) if error.nobody_there() => answer_without_gateway(dir, ask, &SystemClock::new()),
        Err(error) => return Err(error.into()),
    };
    said.map_err(|error| BadInput(error).into())
}

fn listed(answer: &Value) -> String {
    let users = answer.get("users").and_then(Value::as_array).cloned().unwrap_or_default();
    if users.is_empty() {
        return "there is no account; the web page begins with its setup\n".to_owned();
    }
    let text = |user: &Value, key: &str| {
        user.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let width = users.iter().map(|user| text(user, "name").chars().count()).max().unwrap_or(0);
    let line = |user: &Value| {
        let seen = user.get("last_seen_wall_ms").and_then(Value::as_i64).and_then(utc);
        let seen = seen.map_or_else(|| "never signed in".to_owned(), |at| format!("seen {at}"));
        format!("{:width$}  {:8}  {seen}\n", text(user, "name"), text(user, "role"))
    };
    users.iter().map(line).collect()
}
