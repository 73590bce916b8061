//! `fieldhold profile`: the device profiles, shipped and one's own; what is wrong with them, and
//! how to come by new ones.

mod catalogue;
mod import;
mod show;
mod times;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use self::catalogue::{Entry, catalogue};
use super::{BAD_INPUT, BadInput};
use crate::config::file;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the profiles, or those that have all of these words
    List {
        /// Words of the name, title, vendor, models or kind
        words: Vec<String>,
        /// Compare the line time of one pass over all tags with simpler ways to read them
        #[arg(long)]
        times: bool,
        #[command(flatten)]
        own: OwnArgument,
    },
    /// Show one profile: its tags, its source, its settings, and how to use it
    Show {
        name: String,
        #[command(flatten)]
        own: OwnArgument,
    },
    /// Check profiles: every mistake at once
    Check {
        /// Files of profiles
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Make a profile from what others wrote down
    Import(import::Arguments),
}

#[derive(Debug, clap::Args)]
struct OwnArgument {
    /// The directory with your own profiles
    #[arg(long, value_name = "DIR", default_value = file::PROFILES_DIRECTORY)]
    profiles: PathBuf,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::List { words, times, own } => list(words, *times, &own.profiles),
        Command::Show { name, own } => {
            let entry = find(name, &own.profiles)?;
            match &entry.profile {
                Ok(profile) => {
                    print!("{}", show::describe(profile, &entry.from));
                    Ok(ExitCode::SUCCESS)
                }
                Err(problems) => {
                    eprintln!("{problems}");
                    Ok(ExitCode::from(BAD_INPUT))
                }
            }
        }
        Command::Check { files } => Ok(check(files)),
        Command::Import(arguments) => import::run(arguments),
    }
}

fn list(words: &[String], times: bool, directory: &Path) -> anyhow::Result<ExitCode> {
    let mut entries = catalogue(directory)?;
    entries.retain(|entry| entry.has(words));
    if entries.is_empty() && !words.is_empty() {
        return Err(BadInput(format!("no profile has the words {}", words.join(" "))).into());
    }
    if times {
        print!("{}", times::table(entries.iter().filter_map(|entry| entry.profile.as_ref().ok())));
    } else {
        print!("{}", catalogue::table(&entries));
    }
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str, directory: &Path) -> anyhow::Result<Entry> {
    let mut entries = catalogue(directory)?;
    if let Some(at) = entries.iter().position(|entry| entry.name == name) {
        return Ok(entries.swap_remove(at));
    }
    let close = entries.iter().filter(|entry| entry.has(&[name.to_owned()]));
    let close: Vec<_> = close.take(8).map(|entry| entry.name.as_str()).collect();
    let hint = match close.as_slice() {
        [] => "fieldhold profile list shows all".to_owned(),
        close => format!("there is {}", close.join(", ")),
    };
    Err(BadInput(format!("there is no profile {name:?}; {hint}")).into())
}

fn check(files: &[PathBuf]) -> ExitCode {
    let mut wrong = false;
    for path in files {
        match file::load_profile(path) {
            Ok((profile, warnings)) => {
                for warning in warnings {
                    eprintln!("{warning}");
                }
                let (tags, groups) = (profile.device.tags.len(), profile.groups.len());
                let s = if groups == 1 { "" } else { "s" };
                println!("{}: {tags} tags in {groups} group{s}", path.display());
            }
            Err(problems) => {
                eprintln!("{problems}");
                wrong = true;
            }
        }
    }
    if wrong { ExitCode::from(BAD_INPUT) } else { ExitCode::SUCCESS }
}
