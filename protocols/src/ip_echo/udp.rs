//! Which UDP an IP echo host must not echo: what would come back for ever.

/// The protocol number.
pub(super) const PROTOCOL: u8 = 17;

/// Services that answer every datagram with another, whatever it holds: echo (RFC 862), daytime (RFC 867), quote of the
/// day (RFC 865), character generator (RFC 864), time (RFC 868). Their answer to an echo would be echoed with a fresh TTL.
const ANSWER_ANYTHING: [u16; 5] = [7, 13, 17, 19, 37];

/// Whether a datagram, of which this is the beginning behind the IP headers, comes from the port of such a service.
pub(super) fn would_loop(udp: &[u8]) -> bool {
    let port = udp.first_chunk().map(|octets| u16::from_be_bytes(*octets));
    port.is_some_and(|port| ANSWER_ANYTHING.contains(&port))
}
