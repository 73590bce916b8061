//! What a person can do to the demo, by key or by word.

use std::time::Duration;

use crate::cli::view::{Line, Tone};

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Cut the wire to the cloud, or mend it.
    Uplink(bool),
    /// Pull the serial line's plug, or put it back.
    Line(bool),
    /// Switch the TCP device off, or on.
    Device(bool),
    /// Let time pass (words only).
    Wait(Duration),
    Quit,
}

/// What is switched how.
#[derive(Debug, Clone, Copy)]
pub struct Switches {
    pub uplink: bool,
    pub line: bool,
    pub device: bool,
}

impl Switches {
    pub fn all_on() -> Self {
        Self { uplink: true, line: true, device: true }
    }

    /// The action of a key, which toggles.
    pub fn key(self, key: char) -> Option<Action> {
        match key {
            'c' => Some(Action::Uplink(!self.uplink)),
            'l' => Some(Action::Line(!self.line)),
            'd' => Some(Action::Device(!self.device)),
            'q' => Some(Action::Quit),
            _ => None,
        }
    }

    pub fn take(&mut self, action: Action) {
        match action {
            Action::Uplink(on) => self.uplink = on,
            Action::Line(on) => self.line = on,
            Action::Device(on) => self.device = on,
            Action::Wait(_) | Action::Quit => {}
        }
    }

    /// The keys and what they would do; what is off is marked.
    pub fn describe(self) -> Line {
        let key = |line: Line, key: &str, on: bool, yes: &str, no: &str| {
            let line = line.add(Tone::Strong, key);
            if on { line.text(yes) } else { line.add(Tone::Doubt, no) }
        };
        let line = key(Line::new(), "[c]", self.uplink, " cut uplink", " RESTORE uplink");
        let line = key(line, "  [l]", self.line, " unplug serial line", " PLUG IN serial line");
        let line = key(line, "  [d]", self.device, " switch off press", " SWITCH ON press");
        line.add(Tone::Strong, "  [q]").text(" quit")
    }
}

/// The words that stand for keys where there is no terminal.
pub const WORDS: &str = "cut, restore, unplug, plug, kill, revive, wait SECONDS, quit";

/// Reads a line of words.
pub fn word(line: &str) -> Result<Action, String> {
    let mut parts = line.split_whitespace();
    let (first, rest) = (parts.next().unwrap_or(""), parts.next());
    match (first, rest) {
        ("cut", None) => Ok(Action::Uplink(false)),
        ("restore", None) => Ok(Action::Uplink(true)),
        ("unplug", None) => Ok(Action::Line(false)),
        ("plug", None) => Ok(Action::Line(true)),
        ("kill", None) => Ok(Action::Device(false)),
        ("revive", None) => Ok(Action::Device(true)),
        ("quit", None) => Ok(Action::Quit),
        ("wait", Some(seconds)) => match seconds.parse::<u16>() {
            Ok(seconds) => Ok(Action::Wait(Duration::from_secs(seconds.into()))),
            Err(_) => Err(format!("wait takes whole seconds, not {seconds:?}")),
        },
        _ => Err(format!("{line:?} is unknown; the words are: {WORDS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_keys_mean_the_same() {
        assert_eq!(word("cut"), Ok(Action::Uplink(false)));
        assert_eq!(word(" wait 3 "), Ok(Action::Wait(Duration::from_secs(3))));
        assert!(word("wait long").is_err());
        assert!(word("explode").unwrap_err().contains("restore"));
        let mut switches = Switches::all_on();
        assert_eq!(switches.key('c'), Some(Action::Uplink(false)));
        switches.take(Action::Uplink(false));
        assert_eq!(switches.key('c'), Some(Action::Uplink(true)));
        assert!(switches.describe().to_string().contains("RESTORE"));
        let all_off = Switches { uplink: false, line: false, device: false };
        for switches in [Switches::all_on(), all_off] {
            assert!(switches.describe().width() < 80, "{}", switches.describe());
        }
    }
}
