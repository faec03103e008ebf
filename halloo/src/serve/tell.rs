//! What `halloo serve` prints: lines for people, or objects for programs.

use super::counts::Counted;
use super::listening::Listening;
use crate::json::{Head, Notice};
use crate::screen::{DIM, STRONG, Screen, Styled};
use serde::Serialize;
use std::io;

/// Prints to standard output.
pub(super) struct Teller {
    screen: Screen,
    json: bool,
    /// Notices for when it is known that there will be a listener at all.
    notices: Vec<String>,
}

impl Teller {
    pub(super) fn new(json: bool) -> Teller {
        Teller {
            screen: Screen::stdout(),
            json,
            notices: vec![],
        }
    }

    /// Something that the operator should know once everything is up.
    pub(super) fn notice(&mut self, message: &str) {
        self.notices.push(message.to_owned());
    }

    /// All listeners are up.
    pub(super) fn ready(&mut self, listeners: &[Listening]) -> io::Result<()> {
        for listening in listeners {
            self.listener(listening)?;
        }
        for message in std::mem::take(&mut self.notices) {
            if self.json {
                self.object(&Notice {
                    head: Head::new("notice"),
                    message,
                })?;
            } else {
                self.screen.line(format_args!(
                    "{} {}",
                    Styled(STRONG, "halloo:"),
                    Styled(DIM, message)
                ))?;
            }
        }
        Ok(())
    }

    /// All counters, for the last time or on request.
    pub(super) fn counters(
        &mut self,
        counted: &[Counted],
        by_driver: &[Counted],
        last: bool,
    ) -> io::Result<()> {
        if !self.json {
            let title = if last { "stopped; in all:" } else { "so far:" };
            self.screen
                .line(format_args!("{} {title}", Styled(STRONG, "halloo:")))?;
        }
        for one in counted.iter().chain(by_driver) {
            if self.json {
                self.object(&one.object(last))?;
            } else {
                for line in one.lines() {
                    self.screen.line(format_args!("  {line}"))?;
                }
            }
        }
        Ok(())
    }

    fn listener(&mut self, listening: &Listening) -> io::Result<()> {
        if self.json {
            return self.object(&listening.object());
        }
        self.screen
            .line(format_args!("{} {listening}", Styled(STRONG, "halloo:")))
    }

    fn object(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.screen
            .line(serde_json::to_string(object).map_err(io::Error::from)?)
    }
}
