//! The command line: words in, exit code out. 0 = done, 1 = failed, 2 = the input was wrong.

#[macro_use]
mod out;

mod advice;
mod audit;
mod backup;
mod broker;
mod check;
mod completions;
mod config;
mod demo;
mod doctor;
mod first_boot;
mod frame;
mod link;
mod log;
#[cfg(test)]
mod manual_tests;
mod place;
mod probe;
mod profile;
mod rehearse;
mod run;
mod scan;
mod secret;
mod setup;
mod setup_code;
mod simulate;
mod status;
mod store;
mod support;
mod trace;
mod uplink;
mod user;
mod view;
mod worse;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Industrial edge gateway: field buses to MQTT, with nothing silently lost.
#[derive(Debug, Parser)]
#[command(name = "fieldhold", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Run(run::Arguments),
    /// Check a configuration: every mistake at once, or the plan
    Check(check::Arguments),
    /// Versions of the configuration: list, show, compare, go back; sign changes from afar
    Config(config::Arguments),
    /// Show what a running gateway is doing
    Status(status::Arguments),
    /// Show who commanded what, and what became of it
    Audit(audit::Arguments),
    /// Show the last exchanges of a bus, byte by byte
    Trace(trace::Arguments),
    /// Show registers of a device in every interpretation, or find those that hold a value
    Probe(probe::Arguments),
    /// Look for devices on a serial line or behind addresses on TCP
    Scan(scan::Arguments),
    /// Device profiles: list, show and check them
    Profile(profile::Arguments),
    /// Show what the bytes of a serial sensor mean: pasted, from a file, or live
    Frame(frame::Arguments),
    /// Play the devices of a configuration, with faults if wanted
    Simulate(simulate::Arguments),
    /// A simulated plant, a LAN broker, a cloud: watch an outage without any hardware
    Demo(demo::Arguments),
    /// What an outage of the cloud would come to: queue, drain, card wear, what would be dropped
    Rehearse(rehearse::Arguments),
    /// The way to a cloud broker: try it, show it, and the services that are known
    Uplink(uplink::Arguments),
    /// The LAN broker: clients, topics, retained messages, passwords
    Broker(broker::Arguments),
    /// Look into the store
    Store(store::Arguments),
    /// Accounts of the web page: list, add, new password, remove
    User(user::Arguments),
    /// Everything of a gateway in one file, sealed with a passphrase
    Backup(backup::Make),
    /// Put a backup in its place; what was there is kept aside
    Restore(backup::Restore),
    /// Look for all that a person might have to mend, with the next step
    Doctor(doctor::Arguments),
    /// One file for whoever helps from afar, without passwords and keys
    Support(support::Arguments),
    /// Make a first configuration and the first account of the web page, from a terminal
    Setup(setup::Arguments),
    /// Show the code for making the first account on the web page
    SetupCode(setup_code::Arguments),
    /// Write what a shell needs to complete commands and options
    Completions(completions::Arguments),
}

/// A configuration file as an argument.
#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// The configuration file
    #[arg(default_value = "fieldhold.yaml")]
    config: PathBuf,
}

/// Carries out the command line of this process.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Scan(arguments) => scan::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Frame(arguments) => frame::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Rehearse(arguments) => rehearse::run(&arguments),
        Command::Uplink(arguments) => uplink::run(&arguments),
        Command::Broker(arguments) => broker::run(&arguments),
        Command::Store(arguments) => store::run(&arguments),
        Command::User(arguments) => user::run(&arguments),
        Command::Backup(arguments) => backup::make(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Support(arguments) => support::run(&arguments),
        Command::Setup(arguments) => setup::run(&arguments),
        Command::SetupCode(arguments) => setup_code::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    out::conclude(result.unwrap_or_else(|error| {
        if error.is::<BadConfig>() {
            return ExitCode::from(BAD_INPUT);
        }
        eprintln!("fieldhold: {}", advice::explain(&error));
        if error.is::<BadInput>() { ExitCode::from(BAD_INPUT) } else { ExitCode::FAILURE }
    }))
}

/// The exit code for input that has mistakes in it.
const BAD_INPUT: u8 = 2;

/// Words on the command line that can't be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadInput(String);

/// The configuration has mistakes, which were told already.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has mistakes")]
struct BadConfig;

/// Loads a configuration; problems and warnings go to standard error.
fn load(path: &std::path::Path) -> Result<crate::config::Plan, ExitCode> {
    load_all(path).map(|loaded| loaded.plan)
}

/// As [`load`], with what there is to say about it.
fn load_all(path: &std::path::Path) -> Result<crate::config::Loaded, ExitCode> {
    match crate::config::load(path) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("{warning}");
            }
            Ok(loaded)
        }
        Err(problems) => {
            eprintln!("{problems}");
            Err(ExitCode::from(BAD_INPUT))
        }
    }
}
