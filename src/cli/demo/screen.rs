//! The demo's terminal: one picture that is redrawn, no scrolling log.

use std::io::{self, Write};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::{cursor, event, execute, queue, style, terminal};

use crate::cli::view::{Line, Size, painted};

/// The alternate screen in raw mode; restores the terminal when dropped.
pub struct Screen {
    out: io::Stdout,
}

impl Screen {
    pub fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        // From here on dropping it restores what was.
        let mut screen = Self { out: io::stdout() };
        // A character that is wider than we think must not push the rest to a new line.
        execute!(
            screen.out,
            terminal::EnterAlternateScreen,
            terminal::DisableLineWrap,
            cursor::Hide
        )?;
        Ok(screen)
    }

    /// What a picture has to fit into.
    pub fn size() -> io::Result<Size> {
        let (width, height) = terminal::size()?;
        Ok(Size { width: width.into(), height: height.into() })
    }

    /// Draws lines that fit, from the top, over what was there: no line is ever blank in between,
    /// so nothing flickers, and no line feed is sent, so nothing scrolls.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let size = Self::size()?;
        queue!(self.out, terminal::BeginSynchronizedUpdate)?;
        for (line, row) in lines.iter().zip(0..) {
            queue!(self.out, cursor::MoveTo(0, row), style::Print(painted(line)))?;
            // After a full line the cursor stands on its last character, not behind it.
            if line.width() < size.width {
                queue!(self.out, terminal::Clear(terminal::ClearType::UntilNewLine))?;
            }
        }
        if let Ok(rows) = u16::try_from(lines.len())
            && usize::from(rows) < size.height
        {
            let rest = terminal::Clear(terminal::ClearType::FromCursorDown);
            queue!(self.out, cursor::MoveTo(0, rows), rest)?;
        }
        queue!(self.out, terminal::EndSynchronizedUpdate)?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = execute!(
            self.out,
            cursor::Show,
            terminal::EnableLineWrap,
            terminal::LeaveAlternateScreen
        );
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
