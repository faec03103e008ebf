//! A connection before the first, for the ticket that it leaves.

use crate::Client;
use crate::hub::{Channel, Hub};
use halloo_base::{Cx, Deadline, Input, Machine, Mono, Path, canonical};
use quinn_proto::{DatagramEvent, Event};
use std::time::{Duration, Instant};

/// How long a ticket is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A machine of this crate, told to begin once a connection of its client has brought a ticket, so that it can ask before its
/// own handshake is complete (0-RTT, RFC 9001 section 4.6). Where none comes within five seconds, or none can, it begins without.
///
/// Both use the same socket, one after the other.
pub struct Resuming<M> {
    machine: M,
    client: Client,
    path: Path,
    hub: Hub,
    first: First,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them, and it is there for as long as it is used"
)]
enum First {
    Not,
    Under(Channel, Mono),
    Over,
}

impl<M: Machine> Resuming<M> {
    /// A connection to the far end of `path` before all those of this machine, whose client this is. Any instant will do
    /// for `base`, which stands for the origin of [`Mono`].
    pub fn new(machine: M, client: Client, path: Path, base: Instant) -> Resuming<M> {
        Resuming {
            hub: Hub::new(base, client.options.tos, None),
            machine,
            client,
            path,
            first: First::Not,
        }
    }

    fn connect(&mut self, cx: &mut Cx<'_>) {
        let now = self.hub.epoch.instant(cx.env.now);
        let (config, remote) = (self.client.config.clone(), canonical(self.path.remote));
        match self.hub.endpoint.connect(now, config, remote, &self.client.name) {
            Ok((handle, quic)) => {
                let channel = Channel::new(handle, quic, self.path, cx.env.now);
                self.first = First::Under(channel, cx.env.now + PATIENCE);
                self.settle(cx);
            }
            // The machine will be told why.
            Err(_) => self.begin(cx),
        }
    }

    fn settle(&mut self, cx: &mut Cx<'_>) {
        let First::Under(channel, until) = &mut self.first else {
            return;
        };
        let mut is_over = !self.hub.settle(channel) || *until <= cx.env.now;
        while let Some(event) = channel.quic.poll() {
            is_over |= matches!(event, Event::ConnectionLost { .. });
        }
        self.hub.flush(cx.out, cx.env.now, channel, None);
        if is_over || self.client.tickets.has_any() {
            let now = self.hub.epoch.instant(cx.env.now);
            channel.quic.close(now, channel.farewell, bytes::Bytes::new());
            self.hub.flush(cx.out, cx.env.now, channel, None);
            self.begin(cx);
        }
    }

    fn begin(&mut self, cx: &mut Cx<'_>) {
        self.first = First::Over;
        self.machine.handle(cx, Input::Wake);
    }
}

impl<M: Machine> Machine for Resuming<M> {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_>) {
        match (&mut self.first, input) {
            (First::Over, input) => self.machine.handle(cx, input),
            // It ends without having begun.
            (_, input @ (Input::Stop | Input::Drain)) => {
                self.first = First::Over;
                self.machine.handle(cx, input);
            }
            (First::Not, Input::Wake) => self.connect(cx),
            (First::Under(channel, _), Input::Wake) => {
                channel.wake(self.hub.epoch, cx.env.now);
                self.settle(cx);
            }
            (First::Under(channel, _), Input::Datagram(rx)) => {
                if let Some(DatagramEvent::ConnectionEvent(_, event)) = self.hub.receive(cx.env.now, &rx) {
                    channel.receive(event, rx.path);
                    self.settle(cx);
                }
            }
            // Nobody is there: the machine finds out by itself.
            (First::Under(..), Input::Unreachable(..)) => self.begin(cx),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        match &self.first {
            First::Not => None,
            First::Under(channel, until) => {
                let at = channel.deadline.map_or(*until, |at| at.min(*until));
                Some(Deadline::new(at, "QUIC ticket"))
            }
            First::Over => self.machine.deadline(),
        }
    }

    fn finished(&self) -> bool {
        matches!(self.first, First::Over) && self.machine.finished()
    }
}

#[cfg(test)]
mod tests;
