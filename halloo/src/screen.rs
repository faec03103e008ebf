//! Standard output: colours on a terminal, plain text in a pipe, every line at once.

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// What stands out: titles and results.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is there for completeness.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What is odd.
pub(crate) const ODD: Style = AnsiColor::Yellow.on_default();
/// What went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

/// Standard output took no more.
#[derive(Debug, thiserror::Error)]
#[error("standard output: {0}")]
pub(crate) struct OutputError(io::Error);

/// Standard output, whose errors say that they are its own.
pub(crate) struct Stdout(io::Stdout);

/// Lines end at the terminal's edge instead of going on below (DECAWM).
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Text in a style.
pub(crate) struct Styled<T>(pub(crate) Style, pub(crate) T);

/// Where lines go, and one line at the bottom that changes.
pub(crate) struct Screen {
    out: Box<dyn Write>,
    /// Cursor movements must not be taken out together with colours, so they go beside `out`.
    control: Option<Box<dyn Write>>,
    live_rows: usize,
}

impl Screen {
    /// Standard output, coloured if it is a terminal and nothing says otherwise (`NO_COLOR`, `CLICOLOR`).
    pub(crate) fn stdout() -> Screen {
        let terminal = io::stdout().is_terminal();
        Screen {
            out: Box::new(AutoStream::new(
                Box::new(Stdout::new()) as Box<dyn Write>,
                AutoStream::choice(&io::stdout()),
            )),
            control: terminal.then(|| Box::new(Stdout::new()) as Box<dyn Write>),
            live_rows: 0,
        }
    }

    /// A file, for what has no styles; it is written out when it is flushed or dropped.
    pub(crate) fn file(file: std::fs::File) -> Screen {
        Screen {
            out: Box::new(io::BufWriter::new(file)),
            control: None,
            live_rows: 0,
        }
    }

    /// Whether a person is looking.
    pub(crate) fn is_terminal(&self) -> bool {
        self.control.is_some()
    }

    /// Prints a line above whatever is live.
    ///
    /// # Errors
    /// If nobody reads any more ([`io::ErrorKind::BrokenPipe`]), or the device fails.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        self.clear_live()?;
        writeln!(self.out, "{text}")
    }

    /// Replaces the live lines at the bottom of a terminal; does nothing in a pipe.
    ///
    /// # Errors
    /// As [`Screen::line`].
    pub(crate) fn live(&mut self, lines: &[String]) -> io::Result<()> {
        if !self.is_terminal() {
            return Ok(());
        }
        self.clear_live()?;
        // A line that wrapped would take two rows, and be taken away by half. Terminals that do not know the
        // sequence, or are made narrower meanwhile, get lines that fit.
        self.control(NO_WRAP)?;
        let width = width();
        for line in lines {
            let line = cut(line, width.unwrap_or(usize::MAX));
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()?;
        self.live_rows = lines.len();
        self.control(WRAP)
    }

    /// Hands everything to the device.
    ///
    /// # Errors
    /// As [`Screen::line`].
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Takes the live lines away.
    ///
    /// # Errors
    /// As [`Screen::line`].
    pub(crate) fn clear_live(&mut self) -> io::Result<()> {
        if self.live_rows > 0 {
            // Up to the first live row, and erase from there.
            self.control(&format!("\x1b[{}A\r\x1b[J", self.live_rows))?;
        }
        self.live_rows = 0;
        Ok(())
    }

    fn control(&mut self, sequence: &str) -> io::Result<()> {
        match &mut self.control {
            Some(control) => control
                .write_all(sequence.as_bytes())
                .and_then(|()| control.flush()),
            None => Ok(()),
        }
    }
}

/// Columns of the terminal, if it tells them.
fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// The first `width` characters that are seen, and every style sequence.
fn cut(line: &str, width: usize) -> String {
    let (mut shown, mut in_sequence) = (0, false);
    let mut keep = |c: char| {
        in_sequence |= c == '\x1b';
        let kept = in_sequence || shown < width;
        shown += usize::from(!in_sequence);
        in_sequence &= c != 'm';
        kept
    };
    line.chars().filter(|&c| keep(c)).collect()
}

#[cfg(test)]
impl Screen {
    /// A pipe whose text a test reads.
    pub(crate) fn pipe(out: impl Write + 'static) -> Screen {
        Screen {
            out: Box::new(out),
            control: None,
            live_rows: 0,
        }
    }
}

impl Stdout {
    pub(crate) fn new() -> Stdout {
        Stdout(io::stdout())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(OutputError::of)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(OutputError::of)
    }
}

impl OutputError {
    fn of(error: io::Error) -> io::Error {
        match error.kind() {
            // Those who write in a loop know what to do.
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, OutputError(error)),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Styled(style, text) = self;
        write!(f, "{style}{text}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_the_terminal_ends_and_keeps_its_styles() {
        assert_eq!(cut("12345", 5), "12345");
        assert_eq!(cut("123456", 5), "12345");
        assert_eq!(cut("µ±µ±µ±", 5), "µ±µ±µ");
        let styled = format!("a{}b", Styled(BAD, "lost"));
        let expected = format!("a{}", Styled(BAD, "lo"));
        assert_eq!(cut(&styled, 3), expected);
    }
}
