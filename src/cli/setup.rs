//! `fieldhold setup`: a first configuration and the first account from a terminal, for machines that
//! have no screen for the page. What is not said by an option is asked for; without a terminal, or
//! with `--yes`, it has its default.
//!
//! It writes only where nobody configured anything yet, and all or nothing: the account is made last,
//! and whatever it fails on is said with the command that makes it.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::first_boot::{self, Found, Uplink, Wanted};
use super::{BadConfig, BadInput, ConfigArgument, secret, user};
use crate::config::file;
use crate::web::access::{AccessAsk, Role};

/// Longest line that is read as an answer.
const ANSWER_BYTES_MAX: u64 = 4_096;
const ADMIN: &str = "admin";
const LATER: &str = "later";
/// Beside the configuration.
const PASSWORD_FILE: &str = "cloud.password";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// How the gateway is called in topics [default: the name of the machine]
    #[arg(long)]
    name: Option<String>,
    /// The site it stands at, the first level of topics; '' for none
    #[arg(long)]
    site: Option<String>,
    /// Where the web page listens, as 0.0.0.0:8443, or off
    #[arg(long, value_name = "ADDRESS")]
    page: Option<String>,
    /// The first account of the page, or later: then the page asks for its setup code
    #[arg(long, value_name = "NAME")]
    admin: Option<String>,
    /// The first MQTT broker that readings go to, as mqtts://HOST:8883, or later
    #[arg(long, value_name = "URL")]
    uplink: Option<String>,
    /// Who the gateway is there
    #[arg(long, value_name = "USER")]
    uplink_username: Option<String>,
    /// A file with the password there; it is copied beside the configuration
    #[arg(long, value_name = "FILE")]
    uplink_password_file: Option<PathBuf>,
    /// Ask nothing: what is not said has its default
    #[arg(long, short)]
    yes: bool,
}

/// Asks, or takes what was said.
struct Questions {
    asks: bool,
}

impl Questions {
    /// The answer: as it was said, as it is typed, or `default`.
    fn ask(&self, said: Option<&String>, what: &str, default: &str) -> anyhow::Result<String> {
        if let Some(said) = said {
            return Ok(said.clone());
        }
        if !self.asks {
            return Ok(default.to_owned());
        }
        let shown = if default.is_empty() { "none" } else { default };
        eprint!("{what} [{shown}]: ");
        io::stderr().flush().context("can't write to the terminal")?;
        let mut line = String::new();
        let mut input = io::Read::take(io::stdin().lock(), ANSWER_BYTES_MAX);
        if input.read_line(&mut line).context("can't read from the terminal")? == 0 {
            return Err(BadInput("nothing was written: the questions broke off".to_owned()).into());
        }
        let line = line.trim();
        Ok(if line.is_empty() { default } else { line }.to_owned())
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = &arguments.config.config;
    let untouched = is_untouched(path)?;
    let here = Wanted::of_this_machine();
    let questions = Questions { asks: !arguments.yes && io::stdin().is_terminal() };
    let name = questions.ask(arguments.name.as_ref(), "Name of this gateway", &here.name)?;
    let site = questions.ask(arguments.site.as_ref(), "Site, the first level of topics", "")?;
    let page = questions.ask(arguments.page.as_ref(), "Web page on", "0.0.0.0:8443")?;
    let url = questions.ask(arguments.uplink.as_ref(), "Broker for readings (URL)", LATER)?;
    let password = password_of_uplink(arguments, &questions, &url)?;
    let username = match url.as_str() {
        LATER => String::new(),
        _ => questions.ask(arguments.uplink_username.as_ref(), "User there", "")?,
    };
    let uplink = Uplink {
        url: url.clone(),
        username: Some(username).filter(|username| !username.is_empty()),
        password: password.as_ref().map(|_| PASSWORD_FILE.to_owned()),
    };
    let wanted = Wanted {
        name,
        site: Some(site).filter(|site| !site.is_empty()),
        web: Some(page).filter(|page| page != "0.0.0.0:8443"),
        uplink: (url != LATER).then_some(uplink),
    };
    let text = first_boot::first(path, &wanted);
    let loaded = file::parse_as(path, &text).map_err(|problems| {
        eprintln!("this can't be the configuration:\n{problems}");
        BadConfig
    })?;
    let account = account(arguments, &questions, loaded.plan.web.is_some())?;
    if let Some(password) = &password {
        let file = path.with_file_name(PASSWORD_FILE);
        file::create(&file, password, 0o600)?;
        println!("wrote {}", file.display());
    }
    match untouched {
        true => file::replace(path, &text)?,
        false => file::create(path, text.as_bytes(), 0o640)?,
    }
    println!("wrote {}", path.display());
    let state = loaded.plan.store.path.context("this gateway has no state directory")?;
    if let Some((name, password)) = account {
        fs::create_dir_all(&state).with_context(|| format!("can't make {}", state.display()))?;
        let ask = AccessAsk::Add { name: name.clone(), role: Role::Admin, password };
        let hint = format!("`fieldhold user add {name} --role admin {}` makes it", path.display());
        user::ask(&state, ask).with_context(|| format!("the account is missing; {hint}"))?;
        println!("{name} can sign in, as {}", Role::Admin.word());
    }
    let check = format!("fieldhold check {}", path.display());
    println!("next: `{check}`, then start the gateway, or `systemctl restart fieldhold`");
    Ok(ExitCode::SUCCESS)
}

/// Whether there is a first configuration that nobody touched, and not nothing.
fn is_untouched(path: &Path) -> anyhow::Result<bool> {
    let found = first_boot::found(path);
    match found.with_context(|| format!("can't look whether there is {}", path.display()))? {
        Found::Nothing => Ok(false),
        Found::Untouched => Ok(true),
        Found::Somebodys => Err(BadInput(format!(
            "{} is there already; edit it, or let the web page do that",
            path.display()
        ))
        .into()),
    }
}

/// `None` without one.
fn password_of_uplink(
    arguments: &Arguments,
    questions: &Questions,
    url: &str,
) -> anyhow::Result<Option<Vec<u8>>> {
    if url == LATER {
        return Ok(None);
    }
    if let Some(file) = &arguments.uplink_password_file {
        let read = fs::read(file);
        return Ok(Some(read.with_context(|| format!("can't read {}", file.display()))?));
    }
    if !questions.asks || questions.ask(None, "Does it ask for a password?", "no")? != "yes" {
        return Ok(None);
    }
    eprintln!("For {url}:");
    Ok(Some(secret::read(usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX))?))
}

/// Name and password of the first account.
fn account(
    arguments: &Arguments,
    questions: &Questions,
    has_page: bool,
) -> anyhow::Result<Option<(String, String)>> {
    if !has_page {
        return Ok(None);
    }
    let default = if questions.asks { ADMIN } else { LATER };
    let what = "First account of the page (or later)";
    let name = questions.ask(arguments.admin.as_ref(), what, default)?;
    if name == LATER {
        println!("the page asks for the setup code in the log: `fieldhold setup-code` shows it");
        return Ok(None);
    }
    if questions.asks {
        eprintln!("For {name}, at least ten characters:");
    }
    Ok(Some((name, user::password()?)))
}
