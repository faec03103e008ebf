//! Where a body ends (RFC 9112 sections 6 and 7).

use super::check::BodyCheck;

/// How the length of a body is told (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// In chunks that tell their lengths.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// A body that is under way.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// How many bytes may still come, framing and all.
    left: u64,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// One of so many bytes, and then it ends.
    Length(u64),
    UntilClose,
    /// A digit of a chunk's size; the first one, where there is no size yet.
    Size(Option<u64>),
    /// Behind a chunk's size: white space, or its extensions, which nobody reads.
    Extension(u64),
    SizeEnd(u64),
    /// One of so many bytes of a chunk.
    Data(u64),
    DataReturn,
    DataEnd,
    /// The first byte of a trailer line, or of the empty line that ends the body.
    Trailer,
    TrailerLine,
    TrailerLineEnd,
    LastEnd,
}

/// What was made of bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of them are of the body, and it goes on.
    Partial,
    /// It ends after so many of them.
    End(usize),
    /// After so many of them it is longer than it may be.
    TooLong(usize),
}

const NO_CHUNK: &str = "the answer has a chunk that is none";

impl Body {
    /// A body that is told so, of which so many bytes are read; `None` if there is none.
    pub(super) fn new(framing: Framing, limit: u64) -> Option<Body> {
        let state = match framing {
            Framing::Nothing | Framing::Length(0) => return None,
            Framing::Length(bytes) => State::Length(bytes),
            Framing::Chunked => State::Size(None),
            Framing::UntilClose => State::UntilClose,
        };
        Some(Body { state, left: limit })
    }

    /// Takes received bytes, as far as they are of this body, and has its contents looked at.
    ///
    /// # Errors
    /// If its end cannot be known any more: what is wrong.
    pub(super) fn read(&mut self, rx: &[u8], check: &mut BodyCheck) -> Result<Part, &'static str> {
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX);
        let within = rx.get(..allowed).unwrap_or(rx);
        let part = self.read_all(within, check)?;
        self.left -= within.len() as u64;
        if part == Part::Partial && within.len() < rx.len() {
            return Ok(Part::TooLong(within.len() + 1));
        }
        Ok(part)
    }

    /// Whether it ends with the connection.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    fn read_all(&mut self, rx: &[u8], check: &mut BodyCheck) -> Result<Part, &'static str> {
        let mut at = 0;
        while let Some(&byte) = rx.get(at) {
            let rest = rx.get(at..).unwrap_or_default();
            match &mut self.state {
                State::UntilClose => {
                    check.take(rest);
                    return Ok(Part::Partial);
                }
                State::Length(left) | State::Data(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    check.take(rest.get(..taken).unwrap_or(rest));
                    at += taken;
                    *left -= taken as u64;
                    match self.state {
                        State::Length(0) => return Ok(Part::End(at)),
                        State::Data(0) => self.state = State::DataReturn,
                        _ => {}
                    }
                }
                framing => {
                    at += 1;
                    let Some(next) = framing.after(byte)? else {
                        return Ok(Part::End(at));
                    };
                    self.state = next;
                }
            }
        }
        Ok(Part::Partial)
    }
}

impl State {
    /// What follows a byte that is of a chunk's framing; `None` at the end.
    ///
    /// The lines of chunks end with CR LF and nothing less: who is lenient here sees other chunks than the next one.
    fn after(self, byte: u8) -> Result<Option<State>, &'static str> {
        let next = match (self, byte) {
            (State::Size(size), _) if byte.is_ascii_hexdigit() => State::Size(Some(longer(size, byte)?)),
            (State::Size(Some(size)) | State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Size(Some(size)), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Extension(size), _) if byte != b'\n' => State::Extension(size),
            (State::SizeEnd(0), b'\n') => State::Trailer,
            (State::SizeEnd(size), b'\n') => State::Data(size),
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::Size(None),
            (State::Trailer, b'\r') => State::LastEnd,
            (State::LastEnd, b'\n') => return Ok(None),
            (State::Trailer | State::TrailerLine, byte) if byte != b'\r' && byte != b'\n' => {
                State::TrailerLine
            }
            (State::TrailerLine, b'\r') => State::TrailerLineEnd,
            (State::TrailerLineEnd, b'\n') => State::Trailer,
            _ => return Err(NO_CHUNK),
        };
        Ok(Some(next))
    }
}

/// A chunk's size with one more digit.
fn longer(size: Option<u64>, digit: u8) -> Result<u64, &'static str> {
    let digit = (digit as char).to_digit(16).ok_or(NO_CHUNK)?;
    let longer = size.unwrap_or(0).checked_mul(16).ok_or(NO_CHUNK)?;
    // The lowest four bits are free.
    Ok(longer | u64::from(digit))
}
