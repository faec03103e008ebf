//! What a protocol is to the rest of halloo: something that answers, something that asks, and a limit.

use crate::{Datagram, Deadline, Env, Nanos, Path, Reason, TxTag, Wall};
use std::net::SocketAddr;

/// The longest datagram that a responder promises to send later, in bytes.
pub const PROMISED: usize = 128;

/// Answers datagrams: one in, at most one out. It has no outbox, so it cannot send a second; what it has promised to somebody
/// known it sends when it is due.
pub trait Responder: Send {
    /// Looks at `rx` and writes the answer over `reply`, which starts as a copy of the request (zeros behind
    /// it where the protocol's [`ReplyLimit`] allows more). Stamps that the answer carries are taken last.
    fn respond(&mut self, env: &mut Env<'_>, rx: &Datagram<'_>, reply: &mut [u8]) -> Verdict;

    /// How far the sender has proved who or where it is. Asked before the limiter decides; cheap.
    fn trust(&self, _env: &Env<'_>, _rx: &Datagram<'_>) -> Trust {
        Trust::Stranger
    }

    /// How long the answer to this datagram may be, where that is not what the protocol says for all: several protocols
    /// may share a port. Asked before the limiter decides; cheap.
    fn reply_limit(&self, _rx: &Datagram<'_>) -> Option<ReplyLimit> {
        None
    }

    /// Writes over `reply`, a copy of a request that is above the share of its source, what tells who sent it to ask less
    /// often, and returns its length. It may be no longer than the request. Asked for few such requests; default: silence.
    fn warn(&mut self, _env: &mut Env<'_>, _rx: &Datagram<'_>, _reply: &mut [u8]) -> Option<usize> {
        None
    }

    /// When a datagram is to be sent that it has promised to somebody who proved where it is.
    fn due(&self) -> Option<Deadline> {
        None
    }

    /// Writes such a datagram whose time has come into `room`, of at least [`PROMISED`] bytes, and says which way it goes
    /// and how long it is. Called again until there is none.
    fn send_due(&mut self, _env: &mut Env<'_>, _room: &mut [u8]) -> Option<(Path, usize)> {
        None
    }

    /// The answer that asked for it by [`Verdict::ReplyStamped`] left the host at this instant.
    fn departed(&mut self, _tag: TxTag, _at: crate::Stamp) {}
}

/// How every datagram ends. Each ending is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the first so many bytes of the reply.
    Reply(usize),
    /// The same, and tell the responder when they left.
    ReplyStamped(usize, TxTag),
    /// Send the first so many bytes from this address of ours, which is not the one that was asked: the client wants to
    /// see whether they arrive (RFC 5780 section 7.2). They go to who asked, as ever.
    ReplyFrom(usize, SocketAddr),
    /// Say nothing, for this reason.
    Silent(Reason),
}

/// How far a sender has proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// Nothing is known; its address may be forged.
    Stranger,
    /// It has shown that it receives what is sent to its address, or that it holds the key.
    Validated,
}

/// How long a reply may be, compared with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyLimit {
    /// Never longer than the request: cannot amplify.
    SameAsRequest,
    /// Up to so many bytes more, because the format has no shorter answer; a stricter limiter applies.
    Extra(usize),
    /// Longer where it is known who asks; for strangers as [`ReplyLimit::Extra`].
    Graded {
        /// Bytes more than a stranger's request: the least that the format allows.
        stranger: usize,
        /// Bytes more than the request of a validated sender, or of one in our own networks.
        validated: usize,
    },
}

/// What carries a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A QUIC connection: its streams, or its DATAGRAM frames.
    Quic,
    /// IP datagrams of any protocol.
    Ip,
    /// ICMP echo messages (RFC 792, RFC 4443).
    Icmp,
}

impl Transport {
    /// Whether both ends have a port. Where they have none, paths have port 0 at both.
    pub fn has_ports(self) -> bool {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Quic => true,
            Transport::Ip | Transport::Icmp => false,
        }
    }
}

/// What halloo does in a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers only.
    Responder,
    /// Asks only.
    Prober,
    /// Answers and asks.
    Both,
}

/// The number of a probe within its session: 0, 1, 2, ... without wrapping (the wire may carry fewer bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProbeId(pub u64);

/// Makes request datagrams and recognises their answers. A prober is a codec; the session is the loop.
pub trait Prober: Send {
    /// Writes the request `id` over `buf` (as long as the session's packet size) and returns its length, or
    /// `None` if this protocol cannot make one of that size.
    fn request(&mut self, env: &mut Env<'_>, id: ProbeId, buf: &mut [u8]) -> Option<usize>;

    /// Says which probe a datagram answers, or why it answers none.
    fn recognise(&mut self, rx: &Datagram<'_>) -> Result<Heard, Reason>;

    /// Says which request of its own an error report quotes: `payload` is the beginning of what was sent, at times
    /// very little of it. Only the number is told. `None` if it is not this session's, or too little to tell.
    fn quoted(&self, _payload: &[u8]) -> Option<Heard> {
        None
    }
}

/// An answer, recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The low bits of the probe's number, as many as the wire carries.
    pub low_bits: u64,
    /// How many bits those are (0: the answer says nothing, so the oldest open probe is meant).
    pub bits: u32,
    /// What the responder told, where it can tell.
    pub reflection: Option<Reflection>,
    /// The IP options that the answer came with, where the prober sees them.
    pub options: Option<IpOptions>,
    /// The answer is a refusal: somebody received the request and says no. It is answered, and it is no success.
    pub refusal: Option<Refusal>,
    /// How many bytes the answer has, where it did not come in one datagram.
    pub length: Option<usize>,
}

/// IPv4 options as they came: at most 40 octets (RFC 791 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IpOptions {
    octets: [u8; 40],
    len: u8,
}

/// An answer that says no, such as an NDN Nack or a SIP 4xx, in the protocol's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The protocol's number for it.
    pub code: u32,
    /// The protocol's name for it, such as `NoRoute`.
    pub name: &'static str,
}

/// What a responder tells in its answer, beyond having answered. Each part is there only if the format has room for it
/// and the responder filled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reflection {
    /// T2: when the request arrived, on the responder's wall clock.
    pub received_at: Option<Wall>,
    /// T3 minus T2: how long the request stayed in the responder. `None` if it was too long to tell.
    pub residence: Option<Nanos>,
    /// Whether T2 is the kernel's stamp.
    pub kernel_stamped: bool,
    /// How far the responder says that its wall clock may be from UTC, at most. `None` if it does not claim to know.
    pub clock_error: Option<Nanos>,
    /// An earlier answer's exact residence, known only after it left.
    pub follow_up: Option<FollowUp>,
    /// What has arrived of this session so far.
    pub arrivals: Option<Arrivals>,
    /// How the responder saw the sender.
    pub seen: Option<Seen>,
}

/// What a responder has received of a session, by the time of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// How many requests, modulo 2^32, this one included.
    pub received: u32,
    /// Which of the last requests: bit 0 is this one, bit `n` the one sent `n` earlier.
    pub window: u64,
    /// How many bits of `window` mean anything, 1 to 64 (the session may be young or the window short).
    pub window_len: u32,
}

/// The exact residence of an earlier answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// The earlier answer was to the probe with these low 32 bits of its number.
    pub low_bits: u32,
    /// Kernel departure minus kernel arrival of that exchange at the responder.
    pub residence: Nanos,
}

/// How the responder saw the sender of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Source address and port, after any translation on the way.
    pub addr: SocketAddr,
    /// TTL or hop limit on arrival.
    pub ttl: Option<u8>,
    /// TOS or traffic class octet on arrival, where it tells that.
    pub tos: Option<u8>,
}

impl Heard {
    /// An answer that carries `bits` low bits of the number and tells nothing else.
    pub fn plain(low_bits: u64, bits: u32) -> Heard {
        Heard {
            low_bits,
            bits,
            reflection: None,
            options: None,
            refusal: None,
            length: None,
        }
    }

    /// The full number, given the newest one sent: the nearest not above it that has these low bits.
    pub fn resolve(&self, newest: ProbeId) -> Option<ProbeId> {
        match self.bits {
            0 => None,
            64.. => Some(ProbeId(self.low_bits)),
            bits => {
                let modulus = 1u64 << bits;
                let back = newest.0.wrapping_sub(self.low_bits) & (modulus - 1);
                newest.0.checked_sub(back).map(ProbeId)
            }
        }
    }
}

impl IpOptions {
    /// The options that these octets hold; `None` if there are none, or more than fit a header.
    pub fn new(octets: &[u8]) -> Option<IpOptions> {
        let mut kept = [0; 40];
        kept.get_mut(..octets.len())?.copy_from_slice(octets);
        let len = u8::try_from(octets.len()).ok().filter(|&len| len > 0)?;
        Some(IpOptions { octets: kept, len })
    }

    /// The octets as they came.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for IpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IpOptions({:02x?})", self.octets())
    }
}

impl ReplyLimit {
    /// The longest reply to a request of `request` bytes from a sender that is trusted so far.
    pub fn longest(self, request: usize, trust: Trust) -> usize {
        match (self, trust) {
            (ReplyLimit::SameAsRequest, _) => request,
            (ReplyLimit::Extra(more) | ReplyLimit::Graded { stranger: more, .. }, Trust::Stranger) => {
                request + more
            }
            (ReplyLimit::Extra(more) | ReplyLimit::Graded { validated: more, .. }, Trust::Validated) => {
                request + more
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_bits_resolve_across_their_wrap() {
        let heard = Heard::plain(0xfe, 8);
        assert_eq!(heard.resolve(ProbeId(0x101)), Some(ProbeId(0xfe)));
        assert_eq!(heard.resolve(ProbeId(0x1fe)), Some(ProbeId(0x1fe)));
        assert_eq!(
            heard.resolve(ProbeId(0x3)),
            None,
            "nothing that old was ever sent"
        );
        assert_eq!(Heard::plain(7, 64).resolve(ProbeId(9)), Some(ProbeId(7)));
        assert_eq!(Heard::plain(0, 0).resolve(ProbeId(9)), None);
    }

    #[test]
    fn limits_are_what_they_say() {
        let graded = ReplyLimit::Graded {
            stranger: 9,
            validated: 900,
        };
        for (limit, of_stranger, of_validated) in [
            (ReplyLimit::SameAsRequest, 64, 64),
            (ReplyLimit::Extra(24), 88, 88),
            (graded, 73, 964),
        ] {
            assert_eq!(limit.longest(64, Trust::Stranger), of_stranger);
            assert_eq!(limit.longest(64, Trust::Validated), of_validated);
        }
    }
}
