//! What commands say: `print!` and `println!` on standard output, `eprint!` and `eprintln!` on standard
//! error, in place of those of the standard library, which panic when nobody reads.
//!
//! A reader that has seen enough (`| head -1`, `| grep -q`) is no error: the command goes on to its end and
//! says no more; what goes on for ever looks at [`ended`]. A disk that is full is one, and the command's.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Why standard output takes nothing any more.
static ENDED: OnceLock<io::Error> = OnceLock::new();

macro_rules! print {
    ($($words:tt)*) => { $crate::cli::out::say(format_args!($($words)*)) };
}

macro_rules! println {
    () => { print!("\n") };
    ($($words:tt)*) => { print!("{}\n", format_args!($($words)*)) };
}

macro_rules! eprint {
    ($($words:tt)*) => { $crate::cli::out::complain(format_args!($($words)*)) };
}

macro_rules! eprintln {
    () => { eprint!("\n") };
    ($($words:tt)*) => { eprint!("{}\n", format_args!($($words)*)) };
}

pub fn say(words: Arguments<'_>) {
    if !ended()
        && let Err(error) = io::stdout().lock().write_fmt(words)
    {
        // Another thread's may be there first.
        let _ = ENDED.set(error);
    }
}

pub fn complain(words: Arguments<'_>) {
    // There is nobody left to tell.
    let _ = io::stderr().lock().write_fmt(words);
}

/// Whether standard output takes nothing any more.
pub fn ended() -> bool {
    ENDED.get().is_some()
}

/// The exit code of a command that has said all.
pub fn conclude(code: ExitCode) -> ExitCode {
    if let Err(error) = io::stdout().flush() {
        let _ = ENDED.set(error);
    }
    match ENDED.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("fieldhold: can't write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => code,
    }
}
