//! The demo's terminal: one picture that is redrawn, no scrolling log.

use std::io::{self, Write};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::{cursor, event, execute, queue, style, terminal};

/// The alternate screen in raw mode; restores the terminal when dropped.
pub struct Screen {
    out: io::Stdout,
}

impl Screen {
    pub fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut out = io::stdout();
        execute!(out, terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(Self { out })
    }

    /// Draws the lines from the top, cut to the terminal's size.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        queue!(self.out, terminal::BeginSynchronizedUpdate, cursor::MoveTo(0, 0))?;
        for line in lines.iter().take(height.saturating_sub(1).into()) {
            let shown: String = line.chars().take(width.into()).collect();
            queue!(
                self.out,
                style::Print(shown),
                terminal::Clear(terminal::ClearType::UntilNewLine),
                cursor::MoveToNextLine(1)
            )?;
        }
        queue!(
            self.out,
            terminal::Clear(terminal::ClearType::FromCursorDown),
            terminal::EndSynchronizedUpdate
        )?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = execute!(self.out, cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// A key pressed within `patience`, Ctrl-C as `q`; blocks that long.
pub fn key(patience: Duration) -> io::Result<Option<char>> {
    if !event::poll(patience)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some('q'),
            KeyCode::Char(c) => Some(c),
            KeyCode::Esc => Some('q'),
            _ => None,
        },
        _ => None,
    })
}
