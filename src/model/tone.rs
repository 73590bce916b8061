//! A line of text for people: pieces, each in a tone. Knows no terminal.
//!
//! A tone is never the only carrier of a meaning: whoever sees no colours reads the shape and the
//! word. What does not fit is cut, and the cut is marked.

use std::fmt;

/// How a piece of text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// A heading or something to press.
    Strong,
    /// Detail that is there for who looks for it.
    Faint,
    Good,
    Doubt,
    Bad,
}

impl Tone {
    /// The shape of a state in this tone.
    fn shape(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Doubt => "▲",
            Self::Bad => "✕",
            Self::Plain | Self::Strong | Self::Faint => "○",
        }
    }
}

/// A line, built from left to right.
#[derive(Debug, Clone, Default)]
pub struct Line(Vec<(Tone, String)>);

impl Line {
    pub fn new() -> Self {
        Self::default()
    }

    /// More text in a tone.
    pub fn add(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// More plain text.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.add(Tone::Plain, text)
    }

    /// A state: shape, word and colour, at least `width` wide.
    pub fn state(self, tone: Tone, word: &str, width: usize) -> Self {
        self.add(tone, format!("{} {word:<1$}", tone.shape(), width.saturating_sub(2)))
    }

    /// Text that takes exactly `width`, from the left.
    pub fn left(self, tone: Tone, text: &str, width: usize) -> Self {
        let text = cut(text, width);
        self.add(tone, format!("{text:<width$}"))
    }

    /// Text that takes exactly `width`, to the right.
    pub fn right(self, tone: Tone, text: &str, width: usize) -> Self {
        let text = cut(text, width);
        self.add(tone, format!("{text:>width$}"))
    }

    /// Characters.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The line in at most `width` characters; what is cut ends with `…`.
    pub fn fit(&self, width: usize) -> Self {
        if self.width() <= width {
            return self.clone();
        }
        let mut room = width.saturating_sub(1);
        let mut out = Self::new();
        for (tone, text) in &self.0 {
            let piece: String = text.chars().take(room).collect();
            room -= piece.chars().count();
            out = out.add(*tone, piece);
        }
        out.text(if width > 0 { "…" } else { "" })
    }

    /// From left to right.
    pub fn pieces(&self) -> impl Iterator<Item = (Tone, &str)> {
        self.0.iter().map(|(tone, text)| (*tone, text.as_str()))
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new().text(text)
    }
}

/// Without colours.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(_, text)| f.write_str(text))
    }
}

/// At most `width` characters; what is cut ends with `…`.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

/// `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_marked_and_fits() {
        assert_eq!(cut("oil_temperature", 8), "oil_tem…");
        assert_eq!(cut("oil", 3), "oil");
        assert_eq!(cut("oil", 0), "");
        let line = Line::new().text("bus ").state(Tone::Bad, "down", 8).text("no such port");
        assert_eq!(line.to_string(), "bus ✕ down  no such port");
        for width in 0..30 {
            let short = line.fit(width).to_string();
            assert!(short.chars().count() <= width, "{short}");
        }
        assert_eq!(line.fit(12).to_string(), "bus ✕ down …");
        assert_eq!(line.fit(24).to_string(), line.to_string());
    }

    #[test]
    fn a_state_has_a_shape_and_a_word_without_any_colour() {
        for (tone, shown) in [(Tone::Good, "● x"), (Tone::Doubt, "▲ x"), (Tone::Bad, "✕ x")] {
            assert_eq!(Line::new().state(tone, "x", 0).to_string(), shown);
        }
    }
}
