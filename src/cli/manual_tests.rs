//! The manual pages in `docs/man`, made from the command line itself: one for the program and one for
//! each of its commands. Committed for packages; `FIELDHOLD_WRITE_DOCS=1 cargo test --lib cli::` writes
//! them and the completions anew.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::Arguments as CommandLine;

const DIRECTORY: &str = "docs/man";
const WRITE: &str = "FIELDHOLD_WRITE_DOCS";

#[test]
fn the_manual_pages_are_those_of_the_command_line() {
    let mut pages = Vec::new();
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    collect(&command, &mut pages);
    assert!(pages.len() > 20, "{}", pages.len());
    for (name, page) in &pages {
        is_as_committed(&format!("{DIRECTORY}/{name}.1"), page);
    }
    for entry in fs::read_dir(DIRECTORY).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        // Other sections are about what is no command of this program.
        let Some(page) = file.strip_suffix(".1") else { continue };
        let known = pages.iter().any(|(name, _)| name == page);
        assert!(known, "{DIRECTORY}/{file} is about a command that there is no longer");
    }
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    // The date would change with each build, and the version is that of the package.
    let page = clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .date("")
        .source("fieldhold")
        .manual("Fieldhold");
    let mut text = Vec::new();
    page.render(&mut text).unwrap();
    pages.push((name, text));
    command.get_subcommands().filter(|c| !c.is_hide_set()).for_each(|c| collect(c, pages));
}

/// Compares a file of the tree with what it has to be, or writes it.
pub fn is_as_committed(path: &str, text: &[u8]) {
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        crate::config::file::replace(Path::new(path), std::str::from_utf8(text).unwrap()).unwrap();
    }
    let committed = fs::read(path).unwrap_or_default();
    assert!(
        committed == text,
        "{path} is not up to date; {WRITE}=1 cargo test --lib cli:: writes it"
    );
}
