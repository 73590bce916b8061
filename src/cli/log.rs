//! What the log of `fieldhold run` tells, and how. Nothing about it keeps a gateway from starting.

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::runtime::Logs;

const WORDS: &str = "FIELDHOLD_LOG";
/// How the parts of the program are called.
const OURS: &str = env!("CARGO_CRATE_NAME");

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// To standard error, and to those who ask the gateway later.
pub fn start(format: LogFormat, logs: &Logs) {
    let words = std::env::var_os(WORDS).filter(|words| !words.is_empty());
    let words = words.map(|words| words.to_string_lossy().into_owned());
    let wanted = words.as_deref().map(wanted);
    let usual = Targets::new().with_default(LevelFilter::INFO);
    let filter = wanted.clone().and_then(Result::ok).unwrap_or(usual);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(colours).boxed()
        }
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).with(logs.clone()).init();
    if let Some(Err(why)) = wanted {
        tracing::warn!(
            words,
            why,
            "{WORDS} can't be understood, so the log tells what it usually does; use error, warn, info or debug"
        );
    }
}

/// What is meant by the words of a person. A level that is misspelt is the name of a part to those who
/// parse it, and then nothing would be told.
fn wanted(words: &str) -> Result<Targets, String> {
    let filter: Targets = words.parse().map_err(|error| format!("{error}"))?;
    let is_about_us =
        filter.default_level().is_some() || filter.iter().any(|(part, _)| part.starts_with(OURS));
    is_about_us.then_some(filter).ok_or_else(|| format!("no part of {OURS} is in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_not_taken_for_a_part() {
        for good in ["debug", "off", "info,fieldhold::south=debug", "fieldhold=warn", "WARN"] {
            assert!(wanted(good).is_ok(), "{good}");
        }
        for bad in ["inof", "a=b=c", "info=fieldhold", "info,fieldhold::south=debgu"] {
            assert!(wanted(bad).is_err(), "{bad:?}");
        }
    }
}
