//! How much comes from where: nobody takes all places by coming with many keys.

use crate::wire::CommunityId;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Places taken by prefix, 24 bits of IPv4 or 48 of IPv6: what one site has, and what somebody gets for nothing.
#[derive(Debug)]
pub(super) struct Crowd {
    most: usize,
    taken: HashMap<Ipv6Addr, usize>,
}

impl Crowd {
    pub(super) fn new(most: usize) -> Crowd {
        Crowd {
            most,
            taken: HashMap::new(),
        }
    }

    pub(super) fn has_room(&self, from: IpAddr) -> bool {
        self.taken
            .get(&prefix(from))
            .is_none_or(|taken| *taken < self.most)
    }

    pub(super) fn add(&mut self, from: IpAddr) {
        *self.taken.entry(prefix(from)).or_default() += 1;
    }

    pub(super) fn remove(&mut self, from: IpAddr) {
        let prefix = prefix(from);
        if let Some(taken) = self.taken.get_mut(&prefix) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(&prefix);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

/// Communities that members of a prefix are in.
#[derive(Debug)]
pub(super) struct Circles {
    most: usize,
    /// How many members each of them has from there.
    members: HashMap<Ipv6Addr, HashMap<CommunityId, u32>>,
}

impl Circles {
    pub(super) fn new(most: usize) -> Circles {
        Circles {
            most,
            members: HashMap::new(),
        }
    }

    pub(super) fn has_room(&self, from: IpAddr, community: CommunityId) -> bool {
        self.members
            .get(&prefix(from))
            .is_none_or(|circles| circles.len() < self.most || circles.contains_key(&community))
    }

    pub(super) fn add(&mut self, from: IpAddr, community: CommunityId) {
        let circles = self.members.entry(prefix(from)).or_default();
        *circles.entry(community).or_default() += 1;
    }

    pub(super) fn remove(&mut self, from: IpAddr, community: CommunityId) {
        let prefix = prefix(from);
        let Some(circles) = self.members.get_mut(&prefix) else {
            return;
        };
        if let Some(count) = circles.get_mut(&community) {
            *count -= 1;
            if *count == 0 {
                circles.remove(&community);
            }
        }
        if circles.is_empty() {
            self.members.remove(&prefix);
        }
    }
}

fn prefix(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            std::net::Ipv4Addr::new(a, b, c, 0).to_ipv6_mapped()
        }
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 80 << 80),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_prefix_has_so_many_places_and_gets_them_back() {
        let mut crowd = Crowd::new(2);
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.250", "192.0.3.1"),
            ("2001:db8:1::1", "2001:db8:1:ffff::2", "2001:db8:2::1"),
        ] {
            crowd.add(ip(one));
            assert!(crowd.has_room(ip(same)));
            crowd.add(ip(same));
            assert!(!crowd.has_room(ip(one)) && crowd.has_room(ip(other)));
            crowd.remove(ip(one));
            assert!(crowd.has_room(ip(same)));
            crowd.remove(ip(same));
        }
        assert!(crowd.is_empty());
    }

    #[test]
    fn a_prefix_is_in_so_many_communities_with_as_many_members_as_it_likes() {
        let mut circles = Circles::new(2);
        let community = |number| CommunityId([number; 16]);
        let (here, same, other) = (ip("192.0.2.1"), ip("192.0.2.7"), ip("192.0.3.1"));
        for (from, number) in [(here, 1), (same, 1), (here, 2)] {
            assert!(circles.has_room(from, community(number)));
            circles.add(from, community(number));
        }
        assert!(!circles.has_room(same, community(3)));
        assert!(circles.has_room(same, community(2)) && circles.has_room(other, community(3)));
        circles.remove(here, community(1));
        assert!(!circles.has_room(same, community(3)), "one is left in it");
        circles.remove(same, community(1));
        assert!(circles.has_room(same, community(3)));
        circles.remove(here, community(2));
        assert!(circles.members.is_empty());
    }
}
