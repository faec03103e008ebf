//! A session that asks by datagrams.

use crate::{OptionsError, SessionOptions, Sink};
use halloo_base::{Cx, Deadline, Input, Machine, Prober};

/// Asks by datagrams on one path.
pub struct DatagramSession {
    _parts: (SessionOptions, Box<dyn Prober>, Box<dyn Sink>),
}

impl DatagramSession {
    /// A session that begins with its first input. All its memory is taken here.
    ///
    /// # Errors
    /// Options that make no session.
    pub fn new(
        options: SessionOptions,
        prober: Box<dyn Prober>,
        sink: Box<dyn Sink>,
    ) -> Result<DatagramSession, OptionsError> {
        options.check()?;
        Ok(DatagramSession {
            _parts: (options, prober, sink),
        })
    }
}

impl Machine for DatagramSession {
    fn handle(&mut self, _cx: &mut Cx<'_>, _input: Input<'_>) {}
    fn deadline(&self) -> Option<Deadline> {
        None
    }
}
