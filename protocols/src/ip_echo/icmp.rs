//! Which ICMP a sophisticated echo host passes on (RFC 2075; RFC 792).

use super::{checksum, ipv4};
use halloo_base::Reason;
use std::net::Ipv4Addr;

/// The protocol number.
pub(super) const PROTOCOL: u8 = 1;
/// Octets before the datagram that an error message quotes.
const HEAD: usize = 8;

const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
/// Code of [`UNREACHABLE`]: too big, and not to be cut.
const TOO_BIG: u8 = 4;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Back to who sent it, as it is.
    Echo,
    /// On to the host whose datagram it is about.
    To(Ipv4Addr),
}

/// Decides about an ICMP message that `source` sent to the echo address `echo`, and turns the datagram that it quotes
/// round where it is passed on, so that its host knows it as its own.
///
/// The checksum of the message stays right: the same words are summed.
///
/// # Errors
/// [`Reason::Icmp`] for all that is not surely harmless; [`Reason::BadChecksum`].
pub(super) fn judge(message: &mut [u8], source: Ipv4Addr, echo: Ipv4Addr) -> Result<Passage, Reason> {
    let [kind, code, ..] = *message else {
        return Err(Reason::Icmp);
    };
    let quotes = matches!(
        kind,
        UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    );
    let quoted = message
        .get(HEAD..)
        .and_then(<[u8]>::first_chunk::<{ ipv4::FIXED }>);
    let Some(quoted) = quoted.filter(|quoted| quotes && quoted[0] >> 4 == 4).copied() else {
        return Err(Reason::Icmp);
    };
    if !checksum::is_right(message) {
        return Err(Reason::BadChecksum);
    }
    let [.., a, b, c, d, e, f, g, h] = quoted;
    let (from, to) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
    if to == source {
        return Ok(Passage::Echo);
    }
    let is_too_big = kind == SOURCE_QUENCH || (kind, code) == (UNREACHABLE, TOO_BIG);
    if is_too_big && from == echo && ipv4::is_host(to) && to != echo {
        ipv4::set_addresses(&mut message[HEAD..], to, from);
        return Ok(Passage::To(to));
    }
    Err(Reason::Icmp)
}
