//! `fieldhold broker password`: a password in, the line for the configuration out.
//!
//! The password comes from the terminal, unseen and twice, or from standard input: a command line
//! stands in the list of processes and in the shell's history.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::broker::{PASSWORD_BYTES_MAX, hash_password};
use crate::cli::BadInput;

#[derive(Debug, clap::Args)]
pub struct Arguments {}

pub fn run(_: &Arguments) -> anyhow::Result<ExitCode> {
    let password = if io::stdin().is_terminal() {
        let first = ask("Password: ")?;
        if ask("Once more: ")? != first {
            return Err(BadInput("the two passwords differ".to_owned()).into());
        }
        first
    } else {
        line()?
    };
    let hash = hash_password(&password).map_err(|error| BadInput(error.to_string()))?;
    // Quoted, since between braces its commas would end it.
    println!("password: \"{hash}\"");
    Ok(ExitCode::SUCCESS)
}

/// One line of standard input, without its end.
fn line() -> anyhow::Result<Vec<u8>> {
    let most = u64::try_from(PASSWORD_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(3);
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(most)
        .read_until(b'\n', &mut line)
        .context("can't read the password")?;
    if line.ends_with(b"\n") {
        line.pop();
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(line)
}

fn ask(prompt: &str) -> anyhow::Result<Vec<u8>> {
    let silent = Silent::start().context("can't switch off the terminal's echo")?;
    // The line itself goes to standard output, which may be a file.
    eprint!("{prompt}");
    io::stderr().flush().context("can't write to the terminal")?;
    let line = line();
    drop(silent);
    eprintln!();
    line
}

/// The terminal without echo, until this is dropped.
struct Silent(Termios);

impl Silent {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
