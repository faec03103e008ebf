//! Echo over a TCP connection (RFC 862): both ends of it.

use super::payload::Payload;
use crate::ProberOptions;
use halloo_base::{Env, Next, ProbeId, Progress, Stamp, StreamProber, StreamResponder};

/// Sends every byte back.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpEcho;

impl StreamResponder for TcpEcho {
    fn respond(&mut self, _env: &mut Env<'_>, _at: Stamp, rx: &[u8], tx: &mut Vec<u8>) -> (usize, Next) {
        tx.extend_from_slice(rx);
        (rx.len(), Next::Continue)
    }
}

/// Sends numbered requests of one size and puts their echoes together again, however the network cut them.
///
/// A size of 0 cannot be asked for over a stream; it is taken as 1.
pub struct TcpProber {
    payload: Payload,
    /// The beginning of the next answer, shorter than a payload.
    partial: Vec<u8>,
}

impl TcpProber {
    /// A prober for one session.
    pub fn new(options: &ProberOptions) -> TcpProber {
        let payload = Payload::new(options.token, options.size.max(1));
        TcpProber {
            partial: Vec::with_capacity(payload.size()),
            payload,
        }
    }
}

impl StreamProber for TcpProber {
    fn request(&mut self, _env: &mut Env<'_>, id: ProbeId, tx: &mut Vec<u8>) {
        let start = tx.len();
        tx.resize(start + self.payload.size(), 0);
        self.payload.write(id, &mut tx[start..]);
    }

    fn receive(&mut self, rx: &[u8]) -> Progress {
        let missing = self.payload.size() - self.partial.len();
        let Some(rest) = rx.get(..missing) else {
            self.partial.extend_from_slice(rx);
            return Progress::Partial(rx.len());
        };
        let heard = if self.partial.is_empty() {
            self.payload.read(rest)
        } else {
            self.partial.extend_from_slice(rest);
            self.payload.read(&self.partial)
        };
        self.partial.clear();
        match heard {
            Some(heard) => Progress::Heard(missing, heard),
            None => Progress::Foreign("the echo is not what was sent"),
        }
    }

    fn reset(&mut self) {
        self.partial.clear();
    }
}
