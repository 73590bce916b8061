//! What a person can do to the demo, by key or by word.

use std::time::Duration;

use crate::cli::view::{Line, Tone};
use crate::web::{DemoSwitch, DemoSwitches};

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Cut or connect something.
    Switch(DemoSwitch, bool),
    /// Let time pass (words only).
    Wait(Duration),
    Quit,
}

/// The action of a key, which toggles.
pub fn key(switches: DemoSwitches, key: char) -> Option<Action> {
    let switch = match key {
        'c' => DemoSwitch::Uplink,
        'l' => DemoSwitch::Line,
        'd' => DemoSwitch::Device,
        'q' => return Some(Action::Quit),
        _ => return None,
    };
    Some(Action::Switch(switch, !switches.of(switch)))
}

/// The keys and what they would do; what is off is marked.
pub fn describe(switches: DemoSwitches) -> Line {
    let key = |line: Line, key: &str, on: bool, yes: &str, no: &str| {
        let line = line.add(Tone::Strong, key);
        if on { line.text(yes) } else { line.add(Tone::Doubt, no) }
    };
    let line = key(Line::new(), "[c]", switches.uplink, " cut uplink", " RESTORE uplink");
    let line = key(line, "  [l]", switches.line, " unplug serial line", " PLUG IN serial line");
    let line = key(line, "  [d]", switches.device, " switch off press", " SWITCH ON press");
    line.add(Tone::Strong, "  [q]").text(" quit")
}

/// The words that stand for keys where there is no terminal.
pub const WORDS: &str = "cut, restore, unplug, plug, kill, revive, wait SECONDS, quit";

/// Reads a line of words.
pub fn word(line: &str) -> Result<Action, String> {
    let mut parts = line.split_whitespace();
    let (first, rest) = (parts.next().unwrap_or(""), parts.next());
    match (first, rest) {
        ("cut", None) => Ok(Action::Switch(DemoSwitch::Uplink, false)),
        ("restore", None) => Ok(Action::Switch(DemoSwitch::Uplink, true)),
        ("unplug", None) => Ok(Action::Switch(DemoSwitch::Line, false)),
        ("plug", None) => Ok(Action::Switch(DemoSwitch::Line, true)),
        ("kill", None) => Ok(Action::Switch(DemoSwitch::Device, false)),
        ("revive", None) => Ok(Action::Switch(DemoSwitch::Device, true)),
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
        let cut = Action::Switch(DemoSwitch::Uplink, false);
        assert_eq!(word("cut"), Ok(cut));
        assert_eq!(word(" wait 3 "), Ok(Action::Wait(Duration::from_secs(3))));
        assert!(word("wait long").is_err());
        assert!(word("explode").unwrap_err().contains("restore"));
        let mut switches = DemoSwitches::all_on();
        assert_eq!(key(switches, 'c'), Some(cut));
        switches.put(DemoSwitch::Uplink, false);
        assert_eq!(key(switches, 'c'), Some(Action::Switch(DemoSwitch::Uplink, true)));
        assert!(describe(switches).to_string().contains("RESTORE"));
        let all_off = DemoSwitches { uplink: false, line: false, device: false };
        for switches in [DemoSwitches::all_on(), all_off] {
            assert!(describe(switches).width() < 80, "{}", describe(switches));
        }
    }
}
