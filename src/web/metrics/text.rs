//! The text format of Prometheus, version 0.0.4: families of samples, each with its help.

use std::fmt::{Display, Write as _};

/// What a scraper is told this is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Samples, family by family.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
    family: &'static str,
}

impl Text {
    /// Begins a family of what only grows; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.begin(name, "counter", help)
    }

    /// Begins a family of what goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.begin(name, "gauge", help)
    }

    /// Begins a family of quantiles.
    pub fn summary(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.begin(name, "summary", help)
    }

    fn begin(&mut self, name: &'static str, kind: &str, help: &str) -> &mut Self {
        self.family = name;
        // Writing to a string does not fail.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    /// One sample of the family.
    pub fn add(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.out.push_str(self.family);
        for (at, (name, text)) in labels.iter().enumerate() {
            let _ = write!(self.out, "{}{name}=\"", if at == 0 { '{' } else { ',' });
            for character in text.chars() {
                match character {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    other => self.out.push(other),
                }
            }
            self.out.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.out, "{end} {value}");
        self
    }

    /// One sample if there is a value.
    pub fn maybe(&mut self, labels: &[(&str, &str)], value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.add(labels, value),
            None => self,
        }
    }

    pub fn end(self) -> String {
        self.out
    }
}

/// Milliseconds as the seconds that the conventions ask for.
pub fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_under_their_family() {
        let mut text = Text::default();
        text.gauge("up", "Whether.")
            .add(&[("bus", "a\"\\\n"), ("n", "1")], 1)
            .maybe(&[], None::<u8>);
        text.counter("all_total", "All.").add(&[], 2.5);
        assert_eq!(
            text.end(),
            "# HELP up Whether.\n# TYPE up gauge\nup{bus=\"a\\\"\\\\\\n\",n=\"1\"} 1\n\
             # HELP all_total All.\n# TYPE all_total counter\nall_total 2.5\n"
        );
        assert_eq!(seconds(1_050), "1.050");
    }
}
