//! A password typed by a person or given on standard input.
//!
//! It comes from the terminal, unseen and twice, or from standard input: a command line stands in the
//! list of processes and in the shell's history.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::BadInput;

/// A new one, of at most so many bytes.
pub fn read(bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    if !io::stdin().is_terminal() {
        return line(bytes_max);
    }
    let first = ask("Password: ", bytes_max)?;
    if ask("Once more: ", bytes_max)? != first {
        return Err(BadInput("the two passwords differ".to_owned()).into());
    }
    Ok(first)
}

/// One that was made already, of at most so many bytes.
pub fn read_again(bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    match io::stdin().is_terminal() {
        true => ask("Passphrase: ", bytes_max),
        false => line(bytes_max),
    }
}

/// One line of standard input, without its end.
fn line(bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(3);
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

fn ask(prompt: &str, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let silent = Silent::start().context("can't switch off the terminal's echo")?;
    // The command's own output goes to standard output, which may be a file.
    eprint!("{prompt}");
    io::stderr().flush().context("can't write to the terminal")?;
    let line = line(bytes_max);
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
