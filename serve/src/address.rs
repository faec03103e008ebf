//! What an address says about who may be behind it.

use std::net::{IpAddr, Ipv4Addr};

/// A source as limits and caps see it: what one subscriber is usually given. An IPv4 address, or the upper
/// half of an IPv6 address, whose lower half its holder may change at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    V4(u32),
    V6(u64),
}

impl Source {
    /// The source of a canonical address.
    pub(crate) fn of(ip: IpAddr) -> Source {
        match ip {
            IpAddr::V4(ip) => Source::V4(ip.to_bits()),
            IpAddr::V6(ip) => Source::V6((ip.to_bits() >> 64) as u64),
        }
    }

    /// The source that is a station on a segment, by its MAC address. Only for a table of stations: it could be taken
    /// for an IPv6 source.
    pub(crate) fn station(mac: [u8; 6]) -> Source {
        let [a, b, c, d, e, f] = mac;
        Source::V6(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

/// Whether a canonical address names one host, as far as the address alone can tell.
pub(crate) fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && ip != Ipv4Addr::BROADCAST,
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

/// Whether no honest sender has this canonical address (RFC 6890): this network 0/8, multicast 224/4 and
/// ff00::/8, reserved 240/4 with the limited broadcast, and the unspecified address. Documentation and
/// private ranges are not among them: laboratories use them.
pub(crate) fn is_bogon(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => matches!(ip.octets()[0], 0 | 224..),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    }
}

/// Whether a canonical address belongs to this host or its own networks: loopback, private (RFC 1918,
/// RFC 4193) or link-local (RFC 3927, RFC 4291 section 2.5.6).
pub(crate) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse::<IpAddr>().expect("an address").to_canonical()
    }

    #[test]
    fn bogons_begin_and_end_where_the_registry_says() {
        let table = [
            ("0.0.0.0", true),
            ("0.255.255.255", true),
            ("1.0.0.0", false),
            ("223.255.255.255", false),
            ("224.0.0.0", true),
            ("239.255.255.255", true),
            ("240.0.0.0", true),
            ("255.255.255.255", true),
            ("10.0.0.1", false),
            ("192.0.2.1", false),
            ("::", true),
            ("::1", false),
            ("ff02::1", true),
            ("feff::1", false),
            ("2001:db8::1", false),
            ("::ffff:0.1.2.3", true),
            ("::ffff:224.0.0.1", true),
            ("::ffff:192.0.2.1", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_bogon(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn unicast_is_what_is_neither_multicast_nor_broadcast() {
        let table = [
            ("192.0.2.1", true),
            ("224.0.0.1", false),
            ("239.1.2.3", false),
            ("255.255.255.255", false),
            ("::ffff:255.255.255.255", false),
            ("::ffff:224.0.0.251", false),
            ("2001:db8::1", true),
            ("ff05::1", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_unicast(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn local_is_loopback_private_and_link_local() {
        let table = [
            ("127.0.0.1", true),
            ("10.255.0.1", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", false),
            ("192.0.2.1", false),
            ("::ffff:10.0.0.1", true),
            ("::1", true),
            ("fc00::1", true),
            ("fdff::1", true),
            ("fe80::1", true),
            ("fec0::1", false),
            ("2001:db8::1", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_local(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_source_is_one_ipv4_address_or_one_ipv6_half() {
        assert_ne!(Source::of(ip("192.0.2.1")), Source::of(ip("192.0.2.2")));
        assert_eq!(Source::of(ip("192.0.2.1")), Source::of(ip("::ffff:192.0.2.1")));
        assert_eq!(
            Source::of(ip("2001:db8::1")),
            Source::of(ip("2001:db8::ffff:0:0:2"))
        );
        assert_ne!(Source::of(ip("2001:db8::1")), Source::of(ip("2001:db8:0:1::1")));
    }
}
