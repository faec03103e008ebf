//! Addresses for members that ask for one.

use crate::PublicKey;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network whose addresses are given out, one to each member.
///
/// A member gets the address that follows from its key, or the next one that is free: so two supernodes that do not
/// talk to each other mostly give the same, and a member that comes back gets its old one.
#[derive(Debug)]
pub struct Pool {
    network: IpAddr,
    prefix: u8,
    taken: HashMap<IpAddr, PublicKey>,
    by_member: HashMap<PublicKey, IpAddr>,
}

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// All are taken.
    #[error("every address of the pool is taken")]
    Exhausted,
    /// Another member has it.
    #[error("{0} belongs to another member")]
    Taken(IpAddr),
}

impl Pool {
    /// A pool of the network that `address` lies in. The network's own address and, in IPv4, its broadcast address are
    /// not given out.
    ///
    /// Returns nothing if the prefix is longer than 30 bits of IPv4, or 126 of IPv6: there would be nobody to talk to.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Pool> {
        let longest = if address.is_ipv4() { 30 } else { 126 };
        (prefix <= longest).then(|| Pool {
            network: masked(address, prefix),
            prefix,
            taken: HashMap::new(),
            by_member: HashMap::new(),
        })
    }

    /// The length of the network's prefix.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether an address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }

    /// The address of a member: the one that it has, or a free one.
    ///
    /// # Errors
    /// If there is none left.
    pub fn give(&mut self, member: PublicKey) -> Result<IpAddr, NoAddress> {
        if let Some(address) = self.by_member.get(&member) {
            return Ok(*address);
        }
        let usable = self.usable();
        let first = u128::from(u64::from_be_bytes([
            member.0[0],
            member.0[1],
            member.0[2],
            member.0[3],
            member.0[4],
            member.0[5],
            member.0[6],
            member.0[7],
        ])) % usable;
        // So many are taken that one more look than that finds a free one, if there is any.
        let looks = usable.min(self.taken.len() as u128 + 1);
        for look in 0..looks {
            let address = self.nth(1 + (first + look) % usable);
            if !self.taken.contains_key(&address) {
                self.take(member, address);
                return Ok(address);
            }
        }
        Err(NoAddress::Exhausted)
    }

    /// Notes that a member has chosen an address by itself.
    ///
    /// # Errors
    /// If another one has it.
    pub fn claim(&mut self, member: PublicKey, address: IpAddr) -> Result<(), NoAddress> {
        match self.taken.get(&address) {
            Some(owner) if *owner != member => Err(NoAddress::Taken(address)),
            Some(_) => Ok(()),
            None => {
                self.release(&member);
                self.take(member, address);
                Ok(())
            }
        }
    }

    /// A member has left.
    pub fn release(&mut self, member: &PublicKey) {
        if let Some(address) = self.by_member.remove(member) {
            self.taken.remove(&address);
        }
    }

    fn take(&mut self, member: PublicKey, address: IpAddr) {
        self.taken.insert(address, member);
        self.by_member.insert(member, address);
    }

    /// How many addresses can be given out.
    fn usable(&self) -> u128 {
        let bits = if self.network.is_ipv4() { 32 } else { 128 } - u32::from(self.prefix);
        let all = 1u128.checked_shl(bits).unwrap_or(u128::MAX);
        if self.network.is_ipv4() { all - 2 } else { all - 1 }
    }

    fn nth(&self, number: u128) -> IpAddr {
        match self.network {
            IpAddr::V4(network) => Ipv4Addr::from(u32::from(network).wrapping_add(number as u32)).into(),
            IpAddr::V6(network) => Ipv6Addr::from(u128::from(network).wrapping_add(number)).into(),
        }
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> PublicKey {
        let mut octets = [0; 32];
        octets[7] = number;
        PublicKey(octets)
    }

    fn pool(network: &str, prefix: u8) -> Pool {
        Pool::new(network.parse().expect("an address"), prefix).expect("wide enough")
    }

    #[test]
    fn each_gets_its_own_and_the_same_again() {
        let mut pool = pool("192.168.1.0", 24);
        assert_eq!(pool.give(key(0)), Ok(IpAddr::from([192, 168, 1, 1])));
        assert_eq!(pool.give(key(9)), Ok(IpAddr::from([192, 168, 1, 10])));
        assert_eq!(pool.give(key(0)), Ok(IpAddr::from([192, 168, 1, 1])));
        // 254 is 0 again, and that one is taken.
        assert_eq!(pool.give(key(254)), Ok(IpAddr::from([192, 168, 1, 2])));
        pool.release(&key(0));
        assert_eq!(pool.give(key(254)), Ok(IpAddr::from([192, 168, 1, 2])), "kept");
    }

    #[test]
    fn a_pool_comes_to_an_end_and_gives_neither_network_nor_broadcast() {
        let mut pool = pool("10.0.0.9", 29);
        let mut given: Vec<IpAddr> = (0..6)
            .map(|number| pool.give(key(number)).expect("room"))
            .collect();
        given.sort();
        let expected: Vec<IpAddr> = (9..15).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        assert_eq!(given, expected);
        assert_eq!(pool.give(key(6)), Err(NoAddress::Exhausted));
        pool.release(&key(3));
        assert!(pool.give(key(6)).is_ok());
    }

    #[test]
    fn what_somebody_has_chosen_is_not_given_to_another() {
        let mut pool = pool("fd00::", 64);
        let chosen = "fd00::1".parse().expect("an address");
        assert_eq!(pool.claim(key(5), chosen), Ok(()));
        assert_eq!(pool.claim(key(5), chosen), Ok(()), "again");
        assert_eq!(pool.claim(key(6), chosen), Err(NoAddress::Taken(chosen)));
        assert_eq!(pool.give(key(0)), Ok("fd00::2".parse().expect("an address")));
        assert!(pool.contains(chosen) && !pool.contains("fd01::1".parse().expect("an address")));
        assert!(!pool.contains("10.0.0.1".parse().expect("an address")));
    }

    #[test]
    fn a_network_without_room_is_no_pool() {
        assert!(Pool::new(IpAddr::from([10, 0, 0, 0]), 31).is_none());
        assert!(Pool::new("fd00::".parse().expect("an address"), 127).is_none());
        let mut all = Pool::new(IpAddr::from([0, 0, 0, 0]), 0).expect("wide enough");
        assert!(all.give(key(1)).is_ok());
    }
}
