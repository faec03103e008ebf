//! A session that asks over a connection.

use crate::{OptionsError, SessionOptions, Sink};
use halloo_base::{Cx, Deadline, Input, Machine, StreamProber};

/// Asks over one long-lived connection.
pub struct StreamSession {
    _parts: (SessionOptions, Box<dyn StreamProber>, Box<dyn Sink>),
}

impl StreamSession {
    /// A session that begins with its first input. All its memory is taken here.
    ///
    /// # Errors
    /// Options that make no session.
    pub fn new(
        options: SessionOptions,
        prober: Box<dyn StreamProber>,
        sink: Box<dyn Sink>,
    ) -> Result<StreamSession, OptionsError> {
        options.check()?;
        Ok(StreamSession {
            _parts: (options, prober, sink),
        })
    }
}

impl Machine for StreamSession {
    fn handle(&mut self, _cx: &mut Cx<'_>, _input: Input<'_>) {}
    fn deadline(&self) -> Option<Deadline> {
        None
    }
}
