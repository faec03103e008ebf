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

/// Decides about an ICMP message that `source` sent to the echo address `echo`, one of `own`, and turns the datagram
/// that it quotes round where it is passed on, so that its host knows it as its own.
///
/// Both checksums in the message stay right: the same words are summed.
///
/// # Errors
/// [`Reason::Icmp`] for all that is not surely harmless; [`Reason::BadChecksum`].
pub(super) fn judge(
    message: &mut [u8],
    source: Ipv4Addr,
    echo: Ipv4Addr,
    own: &[Ipv4Addr],
) -> Result<Passage, Reason> {
    let [kind, code, ..] = *message else {
        return Err(Reason::Icmp);
    };
    let quotes = matches!(
        kind,
        UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    );
    let Some(quoted) = quoted_header(message).filter(|_| quotes) else {
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
    if is_too_big && from == echo && ipv4::is_host(to) && !own.contains(&to) {
        ipv4::set_addresses(&mut message[HEAD..], to, from);
        return Ok(Passage::To(to));
    }
    Err(Reason::Icmp)
}

/// The fixed part of the header that a message quotes, if the whole header is there.
fn quoted_header(message: &[u8]) -> Option<[u8; ipv4::FIXED]> {
    let quoted = message.get(HEAD..)?;
    let fixed: &[u8; ipv4::FIXED] = quoted.first_chunk()?;
    let len = usize::from(fixed[0] & 0x0f) * 4;
    let whole = fixed[0] >> 4 == 4 && (ipv4::FIXED..=quoted.len()).contains(&len);
    whole.then_some(*fixed)
}
