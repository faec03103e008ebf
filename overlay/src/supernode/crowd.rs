//! How many come from where: nobody takes all places by coming with many keys.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Places taken by prefix, 24 bits of IPv4 or 48 of IPv6.
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

    #[test]
    fn a_prefix_has_so_many_places_and_gets_them_back() {
        let mut crowd = Crowd::new(2);
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
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
        assert!(crowd.taken.is_empty());
    }
}
