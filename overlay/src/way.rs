//! Where a datagram goes first, and what it is wrapped in.

use crate::crypto::{Class, Local, Peer};
use crate::edge::path::Via;
use crate::wire::{Channel, Content, Control, HEADER_LEN, TAG_LEN};
use halloo_base::{Mono, Outbox, Path, Transmit};

/// Octets of a datagram with a ping and nothing more: kind, type, length, number and time.
pub(crate) const SHORTEST_PING: usize = HEADER_LEN + 1 + 3 + 12 + TAG_LEN;
/// Octets of a datagram with a pong: what asks for one must not be shorter.
pub(crate) const PONG_LEN: usize = HEADER_LEN + 1 + 3 + 40 + TAG_LEN;
/// Zeros in a ping that tries no size, so that its pong is not longer.
pub(crate) const PING_PADDING: u16 = (PONG_LEN - SHORTEST_PING) as u16;
/// Octets of a datagram that says that a type is not known.
pub(crate) const UNKNOWN_LEN: usize = HEADER_LEN + 1 + 3 + 1 + TAG_LEN;

/// A way to somebody: straight, or by a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Both ends of the datagrams.
    pub path: Path,
    /// Whether a relay stands in between.
    pub via: Via,
}

impl Way {
    /// Straight to the remote end of a path.
    pub fn direct(path: Path) -> Way {
        Way {
            path,
            via: Via::Direct,
        }
    }

    /// Octets before a datagram, inside UDP.
    pub fn prefix(&self) -> usize {
        match self.via {
            Via::Direct => 0,
            Via::Channel(_) => Channel::HEADER_LEN,
        }
    }

    /// Octets of the headers of IP and UDP and of what a relay needs.
    pub fn overhead(&self) -> usize {
        let headers = match self.path.remote.ip().to_canonical() {
            std::net::IpAddr::V4(_) => 20 + 8,
            std::net::IpAddr::V6(_) => 40 + 8,
        };
        headers + self.prefix()
    }

    /// Sends a datagram.
    pub fn send(&self, out: &mut Outbox, datagram: &[u8]) {
        self.send_as(Transmit::to(self.path), out, datagram);
    }

    fn send_as(&self, how: Transmit, out: &mut Outbox, datagram: &[u8]) {
        let prefix = self.prefix();
        let room = out.reserve(prefix + datagram.len(), &[]);
        self.wrap(room);
        room[prefix..].copy_from_slice(datagram);
        out.commit(how, prefix + datagram.len());
    }

    /// Writes what comes before a datagram.
    pub fn wrap(&self, room: &mut [u8]) {
        if let Via::Channel(number) = self.via {
            room[..Channel::HEADER_LEN].copy_from_slice(&Channel::head(number));
        }
    }
}

/// Says something to a peer with whom there is a session. Returns whether it was sent.
pub(crate) fn say(
    context: (Mono, &Local),
    peer: &mut Peer,
    (number, way): (u8, &Way),
    out: &mut Outbox,
    controls: &[Control],
) -> bool {
    say_as(
        context,
        peer,
        (number, way, Transmit::to(way.path)),
        out,
        controls,
    )
}

/// The same, in this way of sending.
pub(crate) fn say_as(
    (now, local): (Mono, &Local),
    peer: &mut Peer,
    (number, way, how): (u8, &Way, Transmit),
    out: &mut Outbox,
    controls: &[Control],
) -> bool {
    let mut datagram = Vec::with_capacity(256);
    datagram.resize(HEADER_LEN, 0);
    datagram.push(Content::Control as u8);
    if controls
        .iter()
        .any(|control| control.emit(&mut datagram).is_err())
    {
        return false;
    }
    let len = datagram.len() - HEADER_LEN;
    datagram.resize(HEADER_LEN + len + TAG_LEN, 0);
    match peer.seal((now, local), number, Class::Control, &mut datagram, len) {
        Ok(len) => {
            way.send_as(how, out, &datagram[..len]);
            true
        }
        Err(_) => false,
    }
}
