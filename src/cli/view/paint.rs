//! Tones as the colours of a terminal.

use crossterm::style::{Attribute, Color, Stylize};

use crate::model::tone::{Line, Tone};

/// The line with the codes of a colour terminal; without them where NO_COLOR is set.
pub fn painted(line: &Line) -> String {
    line.pieces().map(|(tone, text)| paint(tone, text)).collect()
}

fn paint(tone: Tone, text: &str) -> String {
    match tone {
        Tone::Plain => text.to_owned(),
        Tone::Strong => text.attribute(Attribute::Bold).to_string(),
        Tone::Faint => text.with(Color::DarkGrey).to_string(),
        Tone::Good => text.with(Color::Green).to_string(),
        Tone::Doubt => text.with(Color::Yellow).to_string(),
        Tone::Bad => text.with(Color::Red).attribute(Attribute::Bold).to_string(),
    }
}
