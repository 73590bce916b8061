//! Which readings and messages of a store are meant: by time, topic and class.

use std::process::ExitCode;

use crate::cli::BadInput;
use crate::codec::registers::moment;
use crate::model::{Class, TopicFilter};
use crate::store::{Damage, Filter, StoreError};

#[derive(Debug, clap::Args)]
pub struct Selection {
    /// From this time on, UTC: 2026-11-23, 2026-11-23T14:31 or 2026-11-23T14:31:00.500Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<i64>,
    /// Only topics that match this MQTT filter, as plant1/+/press/#; may be given several times
    #[arg(long = "tag", value_name = "FILTER", value_parser = topic)]
    tags: Vec<TopicFilter>,
    /// Only this class; may be given several times
    #[arg(long = "class", value_name = "CLASS", value_parser = class)]
    classes: Vec<Class>,
}

impl Selection {
    pub fn filter(&self) -> Result<Filter, BadInput> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(BadInput("--from must be before --to".to_owned()));
        }
        Ok(Filter {
            classes: self.classes.clone(),
            topics: self.tags.clone(),
            from_ms: self.from,
            to_ms: self.to,
        })
    }
}

fn time(text: &str) -> Result<i64, String> {
    let ms = moment(text).and_then(|ms| i64::try_from(ms).ok());
    ms.ok_or_else(|| "a time in UTC is written 2026-11-23T14:31:00Z".to_owned())
}

fn topic(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::new(text).map_err(|error| error.to_string())
}

fn class(text: &str) -> Result<Class, String> {
    let found = Class::ALL.into_iter().find(|class| class.as_str() == text);
    found.ok_or_else(|| "the classes are alarm, normal and bulk".to_owned())
}

/// A wrong name on the command line is the user's; the rest is a failure.
pub fn blamed(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::NoConsumer { .. } => BadInput(error.to_string()).into(),
        other => other.into(),
    }
}

/// What could not be read, told on standard error as it is found.
#[derive(Debug, Default)]
pub struct Losses {
    /// Damage that may go on.
    open: Option<Damage>,
    any: bool,
}

impl Losses {
    pub fn remark(&mut self, text: &str) {
        self.any = true;
        eprintln!("fieldhold: damaged: {text}");
    }

    pub fn add(&mut self, damage: Damage) {
        self.any = true;
        match &mut self.open {
            Some(open)
                if open.class == damage.class && open.positions.end == damage.positions.start =>
            {
                open.positions.end = damage.positions.end;
            }
            _ => {
                self.tell();
                self.open = Some(damage);
            }
        }
    }

    fn tell(&mut self) {
        if let Some(Damage { class, positions }) = self.open.take() {
            eprintln!(
                "fieldhold: damaged and left out: class {}, positions {} to {} ({} at most)",
                class.as_str(),
                positions.start,
                positions.end - 1,
                positions.end - positions.start
            );
        }
    }

    /// Tells the rest; 1 if there was anything to tell.
    pub fn finish(mut self) -> ExitCode {
        self.tell();
        if self.any { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_may_be_short() {
        for (text, ms) in [
            ("2023-11-14T22:13:20.123Z", Some(1_700_000_000_123)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000)),
            ("2023-11-14T22:13:20", Some(1_700_000_000_000)),
            ("2023-11-14T22:13", Some(1_699_999_980_000)),
            ("2023-11-14T22:13Z", Some(1_699_999_980_000)),
            ("2023-11-14", Some(1_699_920_000_000)),
            ("2023-11-14T22:13:20+01:00", None),
            ("2023-02-29", None),
            ("yesterday", None),
            ("2023", None),
            ("", None),
        ] {
            assert_eq!(time(text).ok(), ms, "{text}");
        }
    }

    #[test]
    fn words_are_checked() {
        assert!(topic("a/+/b").is_ok() && topic("a/+b").is_err());
        assert!(class("bulk").is_ok() && class("Bulk").is_err());
        let none = Selection { from: Some(2), to: Some(2), tags: vec![], classes: vec![] };
        assert!(none.filter().is_err());
    }
}
