//! `fieldhold completions`: what a shell needs to complete commands and options, made from the command
//! line itself. The files in `docs/completions` are these texts, for packages.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Arguments as CommandLine;
use super::store::is_closed;

const NAME: &str = "fieldhold";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// For which shell
    #[arg(value_enum)]
    shell: Kind,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let written = io::stdout().lock().write_all(&text(arguments.shell));
    match written.map_err(anyhow::Error::from) {
        Err(error) if !is_closed(&error) => Err(error),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn text(kind: Kind) -> Vec<u8> {
    let shell = match kind {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), NAME, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::manual_tests::is_as_committed;

    #[test]
    fn the_files_for_packages_are_these() {
        for kind in [Kind::Bash, Kind::Zsh, Kind::Fish] {
            let ending = format!("{kind:?}").to_lowercase();
            is_as_committed(&format!("docs/completions/{NAME}.{ending}"), &text(kind));
        }
    }
}
