//! How much of what strangers send is kept at once.

use hyper::body::Bytes;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One source gets this part of all.
const SHARE: u64 = 8;

/// A number of bytes that may be in memory at once, of all and of each source.
#[derive(Debug)]
pub(super) struct Budget {
    all: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: u64,
    by: HashMap<IpAddr, u64>,
}

/// Bytes that were granted. They are given back when it is dropped.
#[derive(Debug)]
pub(super) struct Grant {
    budget: Arc<Budget>,
    source: IpAddr,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(all: u64) -> Arc<Budget> {
        Arc::new(Budget {
            all,
            held: Mutex::default(),
        })
    }

    /// A grant of nothing yet, for the source that this address belongs to.
    pub(super) fn grant(self: &Arc<Budget>, remote: IpAddr) -> Grant {
        Grant {
            budget: Arc::clone(self),
            source: source(remote),
            bytes: 0,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // What panicked elsewhere left whole numbers behind.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    /// Grants so many bytes more; false if there are no more for this source.
    pub(super) fn extend(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let budget = Arc::clone(&self.budget);
        let mut held = budget.held();
        let of_source = held.by.get(&self.source).copied().unwrap_or(0);
        let is_there = |held: u64, of: u64| held.checked_add(bytes).is_some_and(|held| held <= of);
        if !is_there(held.all, budget.all) || !is_there(of_source, budget.all / SHARE) {
            return false;
        }
        if bytes > 0 {
            held.all += bytes;
            held.by.insert(self.source, of_source + bytes);
            self.bytes += bytes;
        }
        true
    }

    /// Bytes that are counted as long as anything refers to them.
    pub(super) fn bind(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Bound { bytes, _grant: self })
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut held = self.budget.held();
        held.all -= self.bytes;
        if let Some(of_source) = held.by.get_mut(&self.source) {
            *of_source -= self.bytes;
            if *of_source == 0 {
                held.by.remove(&self.source);
            }
        }
    }
}

struct Bound {
    bytes: Vec<u8>,
    _grant: Grant,
}

impl AsRef<[u8]> for Bound {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An IPv4 address, or the upper half of an IPv6 address, whose lower half its holder may change at will.
fn source(remote: IpAddr) -> IpAddr {
    match remote.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_gets_its_share_and_all_get_what_there_is() {
        let budget = Budget::new(80);
        let mut one = budget.grant(ip("2001:db8::1"));
        assert!(one.extend(10));
        assert!(!one.extend(1));
        assert!(!budget.grant(ip("2001:db8::2")).extend(1), "the same source");
        let mut others: Vec<_> = (0..8)
            .map(|n| budget.grant(ip(&format!("192.0.2.{n}"))))
            .collect();
        let granted = others
            .iter_mut()
            .filter_map(|grant| grant.extend(10).then_some(()))
            .count();
        assert_eq!(granted, 7);
    }

    #[test]
    fn what_was_granted_comes_back_when_the_last_reference_has_gone() {
        let budget = Budget::new(80);
        let mut grant = budget.grant(ip("192.0.2.1"));
        assert!(grant.extend(4) && grant.extend(6));
        let bytes = grant.bind(b"0123456789".to_vec());
        let part = bytes.slice(3..5);
        drop(bytes);
        assert_eq!(budget.held().all, 10);
        assert_eq!(part, "34");
        drop(part);
        assert!(budget.held().all == 0 && budget.held().by.is_empty());
    }

    #[test]
    fn no_bytes_leave_no_trace() {
        let budget = Budget::new(80);
        let mut grant = budget.grant(ip("192.0.2.1"));
        assert!(grant.extend(0));
        assert!(budget.held().by.is_empty());
        assert!(!grant.extend(usize::MAX));
    }
}
