//! Socket addresses between the kernel's form and ours. IPv4 in IPv6 form (`::ffff:a.b.c.d`) never leaves
//! this module: a dual-stack socket's IPv4 peers look like IPv4 to the rest of halloo.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for an IPv4 or IPv6 socket address in the kernel's form.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union RawAddress {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawAddress {
    pub(super) const LEN: libc::socklen_t = mem::size_of::<RawAddress>() as libc::socklen_t;

    pub(super) fn empty() -> RawAddress {
        // SAFETY: all fields are plain integers, for which zero is a value (family 0 is AF_UNSPEC).
        unsafe { mem::zeroed() }
    }

    /// The kernel's form for a socket of the family `v6`, with its length.
    pub(super) fn from_socket(addr: SocketAddr, v6: bool) -> (RawAddress, libc::socklen_t) {
        let mut raw = RawAddress::empty();
        match (addr, v6) {
            (SocketAddr::V4(addr), false) => {
                raw.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: addr.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(addr.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                (raw, mem::size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            (addr, _) => {
                let (ip, flow, scope) = match addr {
                    SocketAddr::V4(addr) => (addr.ip().to_ipv6_mapped(), 0, 0),
                    SocketAddr::V6(addr) => (*addr.ip(), addr.flowinfo(), addr.scope_id()),
                };
                raw.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: flow,
                    sin6_addr: libc::in6_addr { s6_addr: ip.octets() },
                    sin6_scope_id: scope,
                };
                (raw, mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t)
            }
        }
    }

    /// Our form, if the kernel wrote an address of `len` bytes that we know.
    pub(super) fn to_socket(self, len: libc::socklen_t) -> Option<SocketAddr> {
        let len = len as usize;
        if len < mem::size_of::<libc::sa_family_t>() {
            return None;
        }
        // SAFETY: every variant starts with the family, all bytes are initialised (`empty`), and the variant
        // is read only when the family names it and the kernel wrote that much.
        unsafe {
            match i32::from(self.family) {
                libc::AF_INET if len >= mem::size_of::<libc::sockaddr_in>() => {
                    let ip = Ipv4Addr::from(self.v4.sin_addr.s_addr.to_ne_bytes());
                    Some(SocketAddrV4::new(ip, u16::from_be(self.v4.sin_port)).into())
                }
                libc::AF_INET6 if len >= mem::size_of::<libc::sockaddr_in6>() => {
                    let v6 = self.v6;
                    Some(plain(
                        Ipv6Addr::from(v6.sin6_addr.s6_addr),
                        u16::from_be(v6.sin6_port),
                        v6.sin6_scope_id,
                    ))
                }
                _ => None,
            }
        }
    }
}

/// An IPv6 socket address, or the IPv4 one that it stands for.
fn plain(ip: Ipv6Addr, port: u16, scope: u32) -> SocketAddr {
    match ip.to_ipv4_mapped() {
        Some(v4) => SocketAddrV4::new(v4, port).into(),
        None => SocketAddrV6::new(ip, port, 0, scope).into(),
    }
}

/// An address out of IPV6_PKTINFO, unmapped.
pub(super) fn unmapped(octets: [u8; 16]) -> IpAddr {
    let ip = Ipv6Addr::from(octets);
    ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernel_form() {
        for (text, v6) in [
            ("192.0.2.7:7777", false),
            ("192.0.2.7:7777", true),
            ("[2001:db8::1]:9", true),
            ("[fe80::1%3]:9", true),
        ] {
            let addr: SocketAddr = text.parse().expect("an address");
            let (raw, len) = RawAddress::from_socket(addr, v6);
            assert_eq!(raw.to_socket(len), Some(addr), "{text}");
        }
    }

    #[test]
    fn an_unknown_or_short_address_is_none() {
        assert_eq!(RawAddress::empty().to_socket(RawAddress::LEN), None);
        assert_eq!(RawAddress::empty().to_socket(0), None);
        let (raw, _) = RawAddress::from_socket("192.0.2.7:1".parse().expect("an address"), false);
        assert_eq!(raw.to_socket(4), None);
    }
}
