//! The `fieldhold` command; everything is in the library.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    fieldhold::cli::main()
}
