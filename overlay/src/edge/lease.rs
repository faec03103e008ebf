//! The address that a supernode gives us: whether it is one, from whom it is taken, and for how long.

use super::{Edge, EdgeEvent};
use crate::wire::Prefix;
use halloo_base::Mono;
use std::net::IpAddr;
use std::time::Duration;

/// Why an address is not taken. What a supernode says goes to the kernel, and one that is wrong takes the host's
/// routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Unspecified, loopback, link-local, multicast, reserved, or with a prefix that is longer than it.
    #[error("it is no address that a host may be given")]
    NoHost,
    /// The network's own, or IPv4's broadcast address.
    #[error("it is the address of the network, or of all its hosts")]
    Network,
    /// A prefix below 8 bits of IPv4 or 32 of IPv6.
    #[error("the network is wider than /8, or /32 of IPv6")]
    TooWide,
}

/// Whether a host can be given this address.
///
/// # Errors
/// Why not.
pub fn check(prefix: Prefix) -> Result<(), BadAddress> {
    let (bits, widest, is_host, longest_net) = match prefix.address {
        IpAddr::V4(ip) => {
            // "This network" (RFC 6890) and what was class E (RFC 1112 section 4).
            let reserved = ip.octets()[0] == 0 || ip.octets()[0] >= 240;
            let local = ip.is_loopback() || ip.is_link_local();
            (32, 8, !(reserved || local || ip.is_multicast()), 30)
        }
        IpAddr::V6(ip) => {
            // The first 16 bits are zero in what is unspecified, loopback, mapped or compatible (RFC 4291 section 2.5).
            let reserved = ip.segments()[0] == 0;
            (
                128,
                32,
                !(reserved || ip.is_multicast() || ip.is_unicast_link_local()),
                126,
            )
        }
    };
    if !is_host || prefix.len > bits {
        return Err(BadAddress::NoHost);
    }
    if prefix.len < widest {
        return Err(BadAddress::TooWide);
    }
    if prefix.len > longest_net {
        // A link between two has no address of its own (RFC 3021, RFC 6164).
        return Ok(());
    }
    let (all, number) = match prefix.address {
        IpAddr::V4(ip) => (u128::from(u32::MAX >> prefix.len), u128::from(u32::from(ip))),
        IpAddr::V6(ip) => (u128::MAX >> prefix.len, u128::from(ip)),
    };
    let host = number & all;
    if host == 0 || (bits == 32 && host == all) {
        return Err(BadAddress::Network);
    }
    Ok(())
}

/// What we have, and from which supernode.
#[derive(Clone, Copy, Debug)]
struct Lease {
    prefix: Prefix,
    from: usize,
    until: Mono,
}

/// The address that we have of supernodes.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: Option<Lease>,
    /// What was refused last, so that it is told once.
    refused: Option<(usize, Prefix)>,
}

impl Leases {
    pub(super) fn prefix(&self) -> Option<Prefix> {
        self.held.map(|lease| lease.prefix)
    }

    /// A supernode says that an address is ours for so long. Returns what is new: the address, or why it is not taken.
    /// One of our own the kernel has already.
    ///
    /// Two supernodes may give two. The one that gave the first is followed, and another only once what the first said
    /// is over.
    pub(super) fn offered(
        &mut self,
        (from, prefix): (usize, Prefix),
        is_own: bool,
        lifetime: Duration,
        now: Mono,
    ) -> Option<Result<Prefix, BadAddress>> {
        if let Err(why) = check(prefix)
            && !is_own
        {
            let told = self.refused.replace((from, prefix));
            return (told != Some((from, prefix))).then_some(Err(why));
        }
        let before = self.held;
        if before.is_some_and(|held| held.from != from && held.until > now) {
            return None;
        }
        self.held = Some(Lease {
            prefix,
            from,
            until: now + lifetime,
        });
        (before.map(|held| held.prefix) != Some(prefix)).then_some(Ok(prefix))
    }
}

impl Edge {
    /// A supernode says that an address is ours: one that it gives, or one of our own that nobody else has.
    pub(super) fn given(&mut self, place: usize, prefix: Prefix, lifetime: Duration, now: Mono) {
        let is_own = self.options.addresses.contains(&prefix);
        if !is_own && !self.options.wants_address {
            return;
        }
        let told = match self.leases.offered((place, prefix), is_own, lifetime, now) {
            Some(Ok(address)) => EdgeEvent::Address(address),
            Some(Err(why)) => EdgeEvent::AddressRefused {
                supernode: self.supernodes[place].place.address,
                address: prefix,
                why,
            },
            None => return,
        };
        self.own.tell(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, len) = text.split_once('/').expect("a prefix");
        Prefix {
            address: address.parse().expect("an address"),
            len: len.parse().expect("a length"),
        }
    }

    #[test]
    fn an_address_of_a_host_is_one() {
        use BadAddress::{Network, NoHost, TooWide};
        let table = [
            ("10.9.0.7/24", Ok(())),
            ("10.0.0.1/8", Ok(())),
            ("192.168.1.255/16", Ok(())),
            ("100.64.0.1/10", Ok(())),
            ("192.0.2.0/31", Ok(())),
            ("192.0.2.255/32", Ok(())),
            ("fd00::1/64", Ok(())),
            ("2001:db8::1/32", Ok(())),
            ("2001:db8::/127", Ok(())),
            ("fd00::ffff:ffff:ffff:ffff/64", Ok(())),
            ("128.0.0.1/1", Err(TooWide)),
            ("1.0.0.1/0", Err(TooWide)),
            ("10.0.0.1/7", Err(TooWide)),
            ("2000::1/3", Err(TooWide)),
            ("fd00::1/31", Err(TooWide)),
            ("0.0.0.0/24", Err(NoHost)),
            ("0.1.2.3/8", Err(NoHost)),
            ("127.0.0.1/8", Err(NoHost)),
            ("127.9.9.9/24", Err(NoHost)),
            ("169.254.1.1/16", Err(NoHost)),
            ("224.0.0.1/8", Err(NoHost)),
            ("239.255.255.250/24", Err(NoHost)),
            ("240.0.0.1/8", Err(NoHost)),
            ("255.255.255.255/24", Err(NoHost)),
            ("10.0.0.1/33", Err(NoHost)),
            ("::/64", Err(NoHost)),
            ("::1/128", Err(NoHost)),
            ("::ffff:10.0.0.1/120", Err(NoHost)),
            ("fe80::1/64", Err(NoHost)),
            ("ff02::1/64", Err(NoHost)),
            ("fd00::1/129", Err(NoHost)),
            ("10.9.0.0/24", Err(Network)),
            ("10.9.0.255/24", Err(Network)),
            ("192.0.2.3/30", Err(Network)),
            ("fd00::/64", Err(Network)),
        ];
        for (text, wanted) in table {
            assert_eq!(check(prefix(text)), wanted, "{text}");
        }
    }

    #[test]
    fn the_first_supernode_is_followed_and_another_only_when_its_word_is_over() {
        const LIFE: Duration = Duration::from_secs(60);
        let at = |seconds: u64| Mono(0) + Duration::from_secs(seconds);
        let [one, two, three] = ["10.9.0.1/24", "10.9.0.2/24", "10.9.0.3/24"].map(prefix);
        let mut leases = Leases::default();
        assert_eq!(leases.offered((0, one), false, LIFE, at(0)), Some(Ok(one)));
        assert_eq!(leases.offered((1, two), false, LIFE, at(1)), None, "he was first");
        assert_eq!(leases.offered((0, one), false, LIFE, at(20)), None, "nothing new");
        assert_eq!(
            leases.offered((0, three), false, LIFE, at(40)),
            Some(Ok(three)),
            "started anew"
        );
        assert_eq!(leases.offered((1, two), false, LIFE, at(99)), None);
        assert_eq!(leases.offered((1, two), false, LIFE, at(100)), Some(Ok(two)));
        assert_eq!(leases.offered((0, three), false, LIFE, at(101)), None);
        assert_eq!(leases.prefix(), Some(two));
    }

    #[test]
    fn one_that_is_none_is_told_once_and_changes_nothing() {
        const LIFE: Duration = Duration::from_secs(60);
        let [good, bad, worse] = ["10.9.0.1/24", "128.0.0.1/1", "224.0.0.1/8"].map(prefix);
        let mut leases = Leases::default();
        let mut offered = |from, prefix| leases.offered((from, prefix), false, LIFE, Mono(0));
        assert_eq!(offered(0, bad), Some(Err(BadAddress::TooWide)));
        assert_eq!(offered(0, good), Some(Ok(good)));
        assert_eq!(offered(0, bad), None);
        assert_eq!(offered(0, worse), Some(Err(BadAddress::NoHost)));
        assert_eq!(leases.prefix(), Some(good));
        let own = prefix("169.254.7.7/16");
        assert_eq!(leases.offered((0, own), true, LIFE, Mono(0)), Some(Ok(own)));
    }
}
