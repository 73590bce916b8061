//! `fieldhold profile`: the device profiles, and what is wrong with them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::BAD_INPUT;
use crate::config::file;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check profiles: every mistake at once
    Check {
        /// Files of profiles
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every command")]
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Check { files } => Ok(check(files)),
    }
}

fn check(files: &[PathBuf]) -> ExitCode {
    let mut wrong = false;
    for path in files {
        match file::load_profile(path) {
            Ok((profile, warnings)) => {
                for warning in warnings {
                    eprintln!("{warning}");
                }
                println!(
                    "{}: {} tags in {} groups",
                    path.display(),
                    profile.device.tags.len(),
                    profile.groups.len()
                );
            }
            Err(problems) => {
                eprintln!("{problems}");
                wrong = true;
            }
        }
    }
    if wrong { ExitCode::from(BAD_INPUT) } else { ExitCode::SUCCESS }
}
